"""Cohere Chat, version 2."""
