"""Gemini's Interactions API.

https://ai.google.dev/gemini-api/docs/interactions and its page "Streaming interactions".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.providers.blocks import DialectShell
from engine.providers.contract import Decoder, Endpoint
from engine.providers.interactions.parser import InteractionsParser
from engine.providers.interactions.request import render_interactions
from engine.request import ModelRequest
from engine.wire.event_stream import EventStreamDecoder

__all__ = ["InteractionsDialect", "InteractionsParser"]


class InteractionsDialect(DialectShell):
    """``/interactions``."""

    name = "interactions"
    _path = "/interactions"

    def headers(self, request: ModelRequest) -> Mapping[str, str]:
        # The revision in which a turn is made of steps.
        return {"Api-Revision": "2026-05-20"}

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        return render_interactions(request, endpoint)

    def decoder(self) -> Decoder:
        return EventStreamDecoder(plain="step.delta")

    def parser(self) -> InteractionsParser:
        return InteractionsParser()
