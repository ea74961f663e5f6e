"""Streams from servers that nobody here wrote.

`aimock.py` runs a mock of providers, `nginx.py` puts a real server with TLS and HTTP/2 before it.
`tiny_gguf.py` writes a model for an inference server; that one is tried by hand.
"""
