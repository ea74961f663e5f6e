"""Gemini `streamGenerateContent`: server-sent events, or one JSON array without ``alt=sse``.

https://ai.google.dev/api/generate-content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from engine.errors import ProtocolError
from engine.events import Event
from engine.providers.contract import Decoder, Endpoint, Parser
from engine.providers.gemini.parser import GeminiParser, chunks_of
from engine.providers.gemini.request import render_gemini
from engine.request import ModelRequest
from engine.wire import SSEDecoder, SSERecord
from engine.wire.json import decode_json
from engine.wire.json_array import JSONArrayDecoder

__all__ = ["GeminiArrayDialect", "GeminiDialect"]


class GeminiDialect:
    """Gemini over server-sent events."""

    name = "gemini"
    content_types: tuple[str, ...] = ("text/event-stream",)
    _stream_method = "streamGenerateContent?alt=sse"

    def path(self, request: ModelRequest) -> str:
        # A name with a folder is whole: models/…, tunedModels/…, publishers/google/models/….
        model = request.model if "/" in request.model else f"models/{request.model}"
        method = self._stream_method if request.stream else "generateContent"
        return f"/{quote(model, safe='/@')}:{method}"

    def headers(self, request: ModelRequest) -> Mapping[str, str]:
        return {}

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_gemini(request, endpoint)

    def decoder(self) -> Decoder:
        return _SSEDecoder()

    def parser(self) -> Parser:
        return GeminiParser()

    def parse_answer(self, body: bytes) -> list[Event]:
        parser = GeminiParser()
        events = parser.feed([SSERecord(part) for part in chunks_of(body)])
        return events + parser.whole()


class GeminiArrayDialect(GeminiDialect):
    """Gemini without ``alt=sse``: the chunks are the elements of one JSON array."""

    name = "gemini-array"
    content_types = ("application/json",)
    _stream_method = "streamGenerateContent"

    def decoder(self) -> Decoder:
        return JSONArrayDecoder()

    def parser(self) -> Parser:
        return _ArrayParser()


class _SSEDecoder(SSEDecoder):
    """Gives the last event also where the stream ends without the blank line.

    WHATWG drops such an event, but Google's SDK does not and Google's own test data has it. JSON
    tells itself whether it is whole.
    """

    __slots__ = ()

    def finish(self) -> list[SSERecord]:
        records = self.feed(b"\n\n")
        try:
            return [record for record in records if decode_json(record.data) is not None]
        except ProtocolError:
            return []


class _ArrayParser(GeminiParser):
    """The same of the bare elements of an array."""

    def feed(self, records: list[Any]) -> list[Event]:
        return super().feed([SSERecord(record) for record in records])
