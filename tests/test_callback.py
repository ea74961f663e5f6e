"""What may be called back: whatever does its work when it is called, wherever it is given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

import engine
from engine.agents import FunctionAgent
from engine.callback import check_callback
from engine.errors import ConfigError
from engine.request import HttpRequest
from tests.cases import each_case


class Methods:
    def plain(self, *_: object) -> None: ...

    async def awaited(self, *_: object) -> None: ...

    @staticmethod
    async def static(*_: object) -> None: ...


class Called:
    def __call__(self, *_: object) -> None: ...


class CalledAsync:
    async def __call__(self, *_: object) -> None: ...


async def awaited(*_: object) -> None: ...


async def awaited_pieces(*_: object) -> AsyncIterator[int]:
    yield 1


def pieces(*_: object) -> Iterator[int]:
    yield 1


GOOD = {
    "a function": lambda *_: None,
    "a method": Methods().plain,
    "an object": Called(),
    "a class": Called,
    "a part": partial(Methods().plain, 1),
    "C": [].append,
    "print": print,
}
ASYNC = {
    "a function": awaited,
    "a generator": awaited_pieces,
    "a method": Methods().awaited,
    "a static method": Methods.static,
    "an object": CalledAsync(),
    "a part of a part": partial(partial(awaited, 1), 2),
}


@each_case("callback", GOOD.values(), GOOD)
def test_what_does_its_work_when_it_is_called_is_taken(callback: object) -> None:
    check_callback(callback, "on_text")


@each_case("callback", ASYNC.values(), ASYNC)
def test_what_somebody_would_have_to_await_is_refused(callback: object) -> None:
    with pytest.raises(ConfigError, match="on_text must be a plain function: nobody awaits"):
        check_callback(callback, "on_text")


def test_what_yields_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"on_text must be a plain function.*yield"):
        check_callback(pieces, "on_text")


def test_what_cannot_be_called_is_named() -> None:
    with pytest.raises(ConfigError, match="on_text must be callable, not int"):
        check_callback(5, "on_text")


def _given(client: engine.Client) -> dict[str, Callable[[Any], object]]:
    multi = client.multi
    request = HttpRequest("GET", "http://127.0.0.1:1/")

    def ask(**callback: Any) -> object:
        return client.stream("m", "hi", **callback)

    def run(**callback: Any) -> object:
        return FunctionAgent(client, "m").run_stream("hi", **callback)

    return {
        "on_event": lambda call: ask(on_event=call),
        "on_text": lambda call: ask(on_text=call),
        "on_done": lambda call: ask(on_done=call),
        "the listener of 'text'": lambda call: ask().on("text", call),  # type: ignore[attr-defined]
        "the listener of 'end'": lambda call: ask().on("end", call),  # type: ignore[attr-defined]
        "on_data": lambda call: multi.add(request, on_data=call),
        "on_done of a request": lambda call: multi.add(request, on_done=call),
        "on_turn": multi.on_turn,
        "call_soon": multi.call_soon,
        "on_exception": lambda call: engine.Multi(on_exception=call),
        "on_event of a run": lambda call: run(on_event=call),
        "on_detail": lambda call: run(on_detail=call),
        "on_done of a run": lambda call: run(on_done=call),
        "the listener of 'message'": lambda call: run().on("message", call),  # type: ignore[attr-defined]
        "the listener of 'end' of a run": lambda call: run().on("end", call),  # type: ignore[attr-defined]
    }


@pytest.fixture
def client() -> Iterator[engine.Client]:
    with engine.Client(base_url="http://127.0.0.1:1/v1", api_key="k") as made:
        yield made


@each_case("wrong", [awaited, pieces, 5], ["async", "yields", "a number"])
@each_case("where", _given(engine.Client(base_url="http://127.0.0.1:1/v1", api_key="k")))
def test_wherever_one_is_given_it_is_held_to_that(
    client: engine.Client, where: str, wrong: object
) -> None:
    with pytest.raises(ConfigError, match=where.partition(" of ")[0].partition(" ")[0]):
        _given(client)[where](wrong)
