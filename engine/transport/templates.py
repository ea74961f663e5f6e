"""Prepared easy handles of libcurl: a copy costs half of what it takes to set every option, and one
that has served an eighth."""

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
# Handles at rest, of 7 KB each: as many as may come free in a turn, and begin in the next.
_MOST_AT_REST: Final = 64


class Templates:
    """The prepared handles of one `Multi`, by what was prepared. No request is ever made on one of
    them, and none has anything of a single request: a header, a body, a callback. Copies on which a
    request was answered rest here until the next one of their kind."""

    __slots__ = ("_at_rest", "_ca_file", "_handles", "_resting")

    def __init__(self, ca_file: str | None) -> None:
        self._ca_file = ca_file
        self._handles: dict[Key, pycurl.Curl] = {}
        self._at_rest: dict[Key, list[pycurl.Curl]] = {}
        self._resting = 0

    def __len__(self) -> int:
        return len(self._handles)

    @property
    def resting(self) -> int:
        """Handles that rest."""
        return self._resting

    def handle(
        self, request: HttpRequest, connect_timeout: float | None
    ) -> tuple[pycurl.Curl | None, Key | None]:
        """A handle that is prepared for `request` but for what is of it alone, None where there is
        no template of it; and what its options hang on, None: they are not to be kept."""
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
        if at_rest := self._at_rest.get(key):
            self._resting -= 1
            return at_rest.pop(), key
        template = self._handles.get(key)
        return None if template is None else template.duphandle(), key

    def keep(self, key: Key | None, prepared: pycurl.Curl) -> None:
        """Have later handles for `key` prepared as this one is."""
        if key is not None:
            if len(self._handles) >= _MOST:
                self._free(next(iter(self._handles)))
            self._handles[key] = prepared.duphandle()

    def put_back(self, key: Key, easy: pycurl.Curl) -> None:
        """Let `easy`, a handle for `key`, rest until it is asked for, or free it. Each option that
        was set on it since must be one that is set for every request of the kind."""
        if self._resting >= _MOST_AT_REST or key not in self._handles:
            easy.close()
            return
        # What is of one request, and of no use to who keeps its handle.
        easy.setopt(pycurl.WRITEFUNCTION, _nobody)
        easy.setopt(pycurl.READFUNCTION, _nobody)
        easy.setopt(pycurl.PREREQFUNCTION, _nobody)
        self._at_rest.setdefault(key, []).append(easy)
        self._resting += 1

    def close(self) -> None:
        """Free them."""
        while self._handles:
            self._free(next(iter(self._handles)))

    def _free(self, key: Key) -> None:
        at_rest = self._at_rest.pop(key, [])
        self._resting -= len(at_rest)
        for easy in (self._handles.pop(key), *at_rest):
            easy.close()


def _nobody(*_: object) -> None:
    """Nothing is asked on a handle that rests."""
