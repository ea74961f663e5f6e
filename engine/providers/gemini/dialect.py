"""Gemini `streamGenerateContent`: server-sent events, or one JSON array without ``alt=sse``.

https://ai.google.dev/api/generate-content.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from engine.events import Event
from engine.providers.blocks import DialectShell
from engine.providers.contract import Decoder, Endpoint
from engine.providers.gemini.parser import GeminiParser
from engine.providers.gemini.request import render_gemini
from engine.request import ModelRequest
from engine.wire import SSERecord
from engine.wire.json_array import JSONArrayDecoder

__all__ = ["GeminiArrayDialect", "GeminiDialect"]


class GeminiDialect(DialectShell):
    """Gemini over server-sent events."""

    name = "gemini"
    _stream_method = "streamGenerateContent?alt=sse"

    def path(self, request: ModelRequest) -> str:
        # A name with a folder is whole: models/…, tunedModels/…, publishers/google/models/….
        model = request.model if "/" in request.model else f"models/{request.model}"
        method = self._stream_method if request.stream else "generateContent"
        return f"/{quote(model, safe='/@')}:{method}"

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_gemini(request, endpoint)

    def parser(self) -> GeminiParser:
        return GeminiParser()

    @property
    def array(self) -> GeminiArrayDialect:
        """How the chunks come where a gateway drops ``alt=sse``."""
        return GeminiArrayDialect()


class GeminiArrayDialect(GeminiDialect):
    """Gemini without ``alt=sse``: the chunks are the elements of one JSON array."""

    name = "gemini-array"
    content_types: tuple[str, ...] = ("application/json",)
    _stream_method = "streamGenerateContent"

    def decoder(self) -> Decoder:
        return JSONArrayDecoder()

    def parser(self) -> GeminiParser:
        return _ArrayParser()


class _ArrayParser(GeminiParser):
    """The same of the bare elements of an array."""

    def feed(self, records: Sequence[Any]) -> list[Event]:
        return super().feed([SSERecord(record) for record in records])

    def _as_records(self, lines: list[bytes]) -> list[Any]:
        return lines
