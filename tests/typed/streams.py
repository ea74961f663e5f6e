"""What type checkers see of clients and streams; read by them alone, see tests/test_types.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack, assert_type

import engine
from engine.loops.asyncio import AsyncClient

if TYPE_CHECKING:
    from engine.events import Event


@dataclass
class Answer:
    city: str


def answers_are_of_the_type_that_was_asked_for(client: engine.Client) -> None:
    stream = client.stream("m", "hi", response_format=Answer, temperature=0.5)
    assert_type(stream, engine.Stream[Answer])
    completion = stream.result()
    assert_type(completion.parsed, Answer | None)
    assert_type(completion.raise_for_status(), engine.Completion[Answer])
    assert_type(client.request("m", "hi", response_format=Answer), engine.Stream[Answer])


def without_a_type_nothing_is_parsed(client: engine.Client, schema: Mapping[str, Any]) -> None:
    assert_type(client.stream("m", "hi"), engine.Stream[None])
    assert_type(client.stream("m", "hi", response_format="json"), engine.Stream[None])
    assert_type(client.stream("m", "hi", response_format=schema), engine.Stream[None])


async def the_same_where_it_is_awaited(client: AsyncClient) -> None:
    completion = await client.stream("m", "hi", response_format=Answer)
    assert_type(completion.parsed, Answer | None)
    async for event in client.stream("m", "hi"):
        told: Event = event
        print(told)


def a_wrapper_hands_all_options_on(
    client: engine.Client, model: str, **options: Unpack[engine.StreamOptions]
) -> engine.Stream:
    streams: list[engine.Stream] = [client.stream(model, "hi", **options)]
    return streams[0]


def callbacks_may_take_fewer_arguments(client: engine.Client) -> None:
    def on_event(event: engine.Event, stream: engine.Stream) -> object:
        return engine.STOP if stream.text else event.index

    def on_done(completion: engine.Completion) -> None:
        print(completion.usage)

    events: list[engine.Event] = []
    client.stream("m", "hi", on_event=on_event, on_done=on_done, on_text=print)
    client.stream("m", "hi", on_event=events.append, on_done=lambda: None)
    client.stream("m", "hi", on_text=lambda delta: print(delta, end=""))


def listeners_are_known_by_name(stream: engine.Stream) -> None:
    def heard(call: engine.ToolCall) -> None:
        print(call.input)

    def failed(error: engine.EngineError, stream: engine.Stream) -> None:
        print(error.category, stream.user_data)

    stream.on("tool_call", heard).once("error", failed).on("end", lambda: None)
    stream.on("text", lambda delta, snapshot: engine.STOP if len(snapshot) > 80 else None)
    stream.off("tool_call", heard)


def what_is_wrong_is_told(client: engine.Client, stream: engine.Stream) -> None:
    client.stream("m", "hi", temprature=0.5)  # type: ignore[call-overload]
    client.stream("m", "hi", thinking="deep")  # type: ignore[call-overload]
    client.stream("m", "hi", on_text=5)  # type: ignore[call-overload]
    stream.on("tool_calls", print)  # type: ignore[call-overload]

    def heard(call: engine.ToolCall) -> None:
        print(call)

    stream.on("text", heard)  # type: ignore[call-overload]
