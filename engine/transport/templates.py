"""Prepared easy handles of libcurl: a copy costs half of what it takes to set every option."""

from __future__ import annotations

from typing import Final

import pycurl

from engine.errors import EngineError
from engine.request import HttpRequest
from engine.transport.ca import find_trust

__all__ = ["Key", "Templates"]

Key = tuple[object, ...]
"""All that the options of a template hang on."""

# Addresses that one program asks at a time, and a few limits of time.
_MOST: Final = 32


class Templates:
    """The prepared handles of one `Multi`, by what was prepared. No request is ever made on one of
    them, and none has anything of a single request: a header, a body, a callback."""

    __slots__ = ("_ca_file", "_handles")

    def __init__(self, ca_file: str | None) -> None:
        self._ca_file = ca_file
        self._handles: dict[Key, pycurl.Curl] = {}

    def __len__(self) -> int:
        return len(self._handles)

    def handle(
        self, request: HttpRequest, connect_timeout: float | None
    ) -> tuple[pycurl.Curl | None, Key | None]:
        """A fresh handle that is prepared for `request` but for what is of it alone, None where
        there is no template of it; and what its options hang on, None: they are not to be kept."""
        if request.addresses:
            return None, None  # found for this one request
        url, trust = request.url, None
        if url.startswith("https:"):
            try:
                trust = find_trust(self._ca_file)  # a variable of the environment may name it
            except EngineError:
                return None, None
        unix_socket, nothing = request.unix_socket, request.body is None
        key = url, request.method, unix_socket, nothing, connect_timeout, trust
        template = self._handles.get(key)
        return None if template is None else template.duphandle(), key

    def keep(self, key: Key | None, prepared: pycurl.Curl) -> None:
        """Have later handles for `key` prepared as this one is."""
        if key is not None:
            if len(self._handles) >= _MOST:
                self._handles.pop(next(iter(self._handles))).close()
            self._handles[key] = prepared.duphandle()

    def close(self) -> None:
        """Free them."""
        while self._handles:
            self._handles.popitem()[1].close()
