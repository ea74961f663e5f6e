"""Callbacks by name, with as many arguments as they take."""

from __future__ import annotations

import math
from functools import partial
from sys import getrefcount
from typing import Any

import pytest

from engine.answering.listeners import LISTENED, Listeners, _arity, fitted
from engine.errors import ConfigError


class Counter:
    def __init__(self) -> None:
        self.got: list[Any] = []

    def one(self, first: object) -> None:
        self.got.append((first,))

    def __call__(self, first: object, second: object) -> None:
        self.got.append((first, second))


def _call(listener: Any, *arguments: Any) -> None:
    listeners = Listeners()
    listeners.add("event", listener)
    for entry in listeners.take("event"):
        entry.call(arguments)


def test_each_kind_of_callable_gets_what_it_takes() -> None:
    counter, got = Counter(), list[Any]()
    _call(counter.one, 1, 2)
    _call(counter, 1, 2)
    _call(got.append, 1, 2)
    _call(lambda *all: got.append(all), 1, 2)
    _call(lambda: got.append(()), 1, 2)
    _call(partial(counter.__call__, 0), 1, 2)
    assert counter.got == [(1,), (1, 2), (0, 1)]
    assert got == [1, (1, 2), ()]


def test_fitted_leaves_alone_what_takes_all() -> None:
    def two(a: object, b: object) -> None: ...

    class Owner:
        def one(self, a: object) -> object:
            return a

        def two(self, a: object, b: object) -> None: ...

    assert fitted(two, 2) is two
    owner = Owner()
    bound = owner.two
    assert fitted(bound, 2) is bound
    assert fitted(owner.one, 2)(1, 2) == 1
    assert fitted(lambda a: a, 2)(1, 2) == 1
    assert fitted(lambda: 0, 2)(1, 2) == 0


def test_one_that_is_added_or_removed_while_they_are_called_waits_for_the_next_time() -> None:
    listeners, got = Listeners(), list[str]()

    def first() -> None:
        got.append("first")
        listeners.remove("event", second)
        listeners.add("event", lambda: got.append("third"))

    def second() -> None:
        got.append("second")

    listeners.add("event", first, once=True)
    listeners.add("event", second)
    for entry in listeners.take("event"):
        entry.call(())
    assert got == ["first", "second"]
    for entry in listeners.take("event"):
        entry.call(())
    assert got == ["first", "second", "third"]


def test_has_is_of_now() -> None:
    listeners = Listeners()
    listener = Counter().one
    assert not listeners.has("text")
    listeners.add("text", listener, once=True)
    assert listeners.has("text")
    listeners.take("text")
    assert not listeners.has("text")
    listeners.add("text", listener)
    listeners.remove("text", listener)
    listeners.remove("text", listener)
    assert not listeners.has("text")


def test_a_name_nobody_calls_and_what_cannot_be_called_are_mistakes() -> None:
    with pytest.raises(ConfigError) as raised:
        Listeners().add("tokens", print)
    assert all(name in str(raised.value) for name in LISTENED)
    with pytest.raises(ConfigError, match="callable"):
        Listeners().add("text", 5)  # type: ignore[arg-type]


def test_what_is_written_in_c_is_looked_at_once_and_not_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first: list[object] = []
    fitted(first.append, 2)("a", "b")
    monkeypatch.setattr("inspect.signature", None)  # would raise
    second: list[object] = []
    fitted(second.append, 2)("c", "d")
    assert (first, second) == (["a"], ["c"])
    assert getrefcount(second) == 2, "the bound method that was looked at is gone"


def test_functions_of_one_name_are_told_apart_by_what_they_are_of() -> None:
    assert _arity([].append) == 1
    assert _arity({}.setdefault) == 2
    assert _arity([].insert) == 2
    assert _arity(math.pow) == 2
    assert _arity(math.sqrt) == 1
    assert _arity(print) == 1
