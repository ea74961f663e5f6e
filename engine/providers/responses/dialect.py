"""OpenAI Responses.

https://platform.openai.com/docs/api-reference/responses and responses-streaming. Azure, xAI, Groq,
OpenRouter, LM Studio, vLLM and others serve it too.
"""

from __future__ import annotations

from typing import Any

from engine.providers.blocks import DialectShell
from engine.providers.contract import Decoder, Endpoint
from engine.providers.responses.parser import ResponsesParser
from engine.providers.responses.request import render_responses
from engine.request import ModelRequest
from engine.wire.event_stream import EventStreamDecoder

__all__ = ["ResponsesDialect", "ResponsesParser"]


class ResponsesDialect(DialectShell):
    """OpenAI Responses."""

    name = "responses"
    _path = "/responses"

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_responses(request, endpoint)

    def decoder(self) -> Decoder:
        return EventStreamDecoder(plain="response.output_text.delta")

    def parser(self) -> ResponsesParser:
        return ResponsesParser()
