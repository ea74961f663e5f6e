"""A provider of your own, from outside the package: a wire format and a row of the table.

The format here is a small one that the emulator happens to serve: POST /api/generate with a model
and a prompt; the answer is a JSON object a line, `{"response": "piece"}` …, `{"done": true}`.
A server that speaks a format the engine knows needs only the row.
"""

from __future__ import annotations

import os
from typing import Any

import engine
import engine.emulator
from engine.errors import ConfigError, EngineError
from engine.events import Done, Event, Start, StreamError, TextDelta
from engine.messages import FinishReason
from engine.providers import Endpoint, register, register_dialect
from engine.request import ModelRequest
from engine.wire.json import decode_json
from engine.wire.ndjson import NDJSONDecoder


class StoryParser:
    """Records to events. `complete` is True once the format's own end marker came."""

    def __init__(self) -> None:
        self.complete = False
        self._begun = False

    def feed(self, records: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for record in records:
            try:
                said = decode_json(record)
            except EngineError as error:
                return [*events, StreamError(error)]
            if not self._begun:
                self._begun = True
                events.append(Start(None, said.get("model")))
            if said.get("response"):
                events.append(TextDelta(said["response"]))
            if said.get("done"):
                self.complete = True
                events.append(Done(FinishReason.STOP))
        return events

    def finish(self) -> list[Event]:
        return []  # whatever was not complete by now is truncated


class StoryDialect:
    """One wire format: requests to JSON, bytes to records, records to events."""

    name = "story"
    content_types = ("application/x-ndjson",)

    def path(self, request: ModelRequest) -> str:
        return "/api/generate"

    def headers(self, request: ModelRequest) -> dict[str, str]:
        return {}

    def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
        if request.tools:
            raise ConfigError("tools: the story format has none")
        prompt = "\n".join(message.text for message in request.messages)
        return {"model": request.model, "prompt": prompt, "stream": request.stream}

    def decoder(self) -> NDJSONDecoder:
        return NDJSONDecoder()

    def parser(self) -> StoryParser:
        return StoryParser()

    def parse_answer(self, body: bytes) -> list[Event]:
        return StoryParser().feed([body])


emulator = None
url = os.environ.get("ENGINE_EMULATOR_URL")
if url is None:
    emulator = engine.emulator.start()
    url = emulator.base_url

register_dialect(StoryDialect())
register(Endpoint("storyteller", url, dialects=("story",), key_required=False))

with engine.Client() as client:
    for delta in client.stream("storyteller/demo", "Once upon a time").text_deltas():
        print(delta, end="", flush=True)
    print()
    print(client.request("storyteller/demo", "Once upon a time").result().status)
