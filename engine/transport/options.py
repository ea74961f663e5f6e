"""Every curl option the engine sets, as a table, with the reason beside it."""

from __future__ import annotations

from typing import Final

import pycurl

__all__ = ["EASY_OPTIONS", "HTTPS_OPTIONS", "MULTI_OPTIONS"]

# Set on each easy handle, before what belongs to the one request.
EASY_OPTIONS: Final[tuple[tuple[int, int | str], ...]] = (
    # No signal may interrupt a host program's system calls for the sake of a name look-up.
    (pycurl.NOSIGNAL, 1),
    # file:, ftp:, gopher: and the rest must never be reachable through a base URL.
    (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
    # A redirect would carry x-api-key and x-goog-api-key to another host (libcurl strips only
    # Authorization and Cookie) and turn the POST into a GET.
    (pycurl.FOLLOWLOCATION, 0),
    # Keys come from the caller, never from a file of the home directory.
    (pycurl.NETRC, pycurl.NETRC_IGNORED),
    # A token is small and must not wait for the next one.
    (pycurl.TCP_NODELAY, 1),
    # A stream may be silent for minutes while the model thinks; NATs forget such connections, and
    # a peer that vanished is noticed only by probes.
    (pycurl.TCP_KEEPALIVE, 1),
    (pycurl.TCP_KEEPIDLE, 60),
    (pycurl.TCP_KEEPINTVL, 15),
    # HTTP/2 by ALPN where the server has it; plain http stays at 1.1.
    (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS),
    # The request is a few kB. The default of 64 KiB is held for the life of a stream; the minimum
    # brings a POST stream from 53 KB to 21 KB.
    (pycurl.UPLOAD_BUFFERSIZE, 16 * 1024),
    # A pooled connection that rested longer has mostly been closed by a load balancer, and a POST
    # on it fails or is sent twice. nginx closes after 75 s, AWS ALB after 60 s.
    (pycurl.MAXAGE_CONN, 55),
    # A server that answers with HTTP/0.9 is no HTTP server.
    (pycurl.HTTP09_ALLOWED, 0),
    # Decode what a server or proxy compresses unasked; the request itself asks for none
    # (Accept-Encoding: identity), since compressing proxies hold events back.
    (pycurl.ACCEPT_ENCODING, ""),
    # SUPPRESS_CONNECT_HEADERS, for which pycurl has no name: what a proxy answers to CONNECT is no
    # part of the response, least of all its status.
    (265, 1),
    (pycurl.NOPROGRESS, 1),
)

# For https only: on plain http libcurl 8.23 lets every transfer wait until the first is over.
HTTPS_OPTIONS: Final[tuple[tuple[int, int], ...]] = (
    # Wait for a connection that may turn out to multiplex rather than open one a stream: 100
    # streams took 100 TLS handshakes without it and one with it.
    (pycurl.PIPEWAIT, 1),
)

MULTI_OPTIONS: Final[tuple[tuple[int, int], ...]] = (
    # Multiplex over HTTP/2.
    (pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX),
)
