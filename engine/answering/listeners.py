"""Callbacks by name: ``on``, ``once``, ``off``; and what one returns to end its stream."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

from engine.callback import check_callback
from engine.errors import ConfigError

__all__ = ["LISTENED", "STOP", "Listener", "Listeners", "fitted"]

Listener = Callable[..., object]


class _Stop(Enum):
    STOP = "STOP"


STOP: Final = _Stop.STOP
"""What a stream callback returns to end its stream."""

# What can be listened to, and what a callback is given; one that takes fewer arguments gets the
# first of them.
LISTENED: Final[dict[str, tuple[str, ...]]] = {
    "connect": ("stream",),
    "event": ("event", "stream"),
    "text": ("delta", "snapshot", "stream"),
    "thinking": ("delta", "snapshot", "stream"),
    "tool_call": ("call", "stream"),
    "message": ("message", "stream"),
    "final_message": ("message", "stream"),
    "error": ("error", "stream"),
    "abort": ("error", "stream"),
    "end": ("stream",),
}

_VARARGS = 0x04


class Listeners:
    """The callbacks of one stream. Lists are replaced, never changed, so that a callback may add
    and remove others while they are called."""

    __slots__ = ("_by_name",)

    def __init__(self) -> None:
        self._by_name: dict[str, tuple[_Entry, ...]] = {}

    def add(self, name: str, listener: Listener, *, once: bool = False) -> None:
        """Call `listener` at each `name`, or at the next one only.

        Raises:
            ConfigError: nothing of that name can be listened to, or `listener` cannot be called.
        """
        if name not in LISTENED:
            raise ConfigError(f"nothing called {name!r} to listen to; there are {[*LISTENED]}")
        check_callback(listener, f"the listener of {name!r}")
        entry = _Entry(listener, once, _arity(listener))
        self._by_name[name] = (*self._by_name.get(name, ()), entry)

    def remove(self, name: str, listener: Listener) -> None:
        """Forget `listener`; nothing where it is not there."""
        kept = tuple(e for e in self._by_name.get(name, ()) if e.listener != listener)
        if kept:
            self._by_name[name] = kept
        else:
            self._by_name.pop(name, None)

    def has(self, name: str) -> bool:
        """Whether anybody listens."""
        return name in self._by_name

    def take(self, name: str) -> tuple[_Entry, ...]:
        """Those to call now; the ones that were to be called once are forgotten."""
        entries = self._by_name.get(name, ())
        if any(entry.once for entry in entries):
            kept = tuple(entry for entry in entries if not entry.once)
            if kept:
                self._by_name[name] = kept
            else:
                del self._by_name[name]
        return entries


class _Entry:
    __slots__ = ("arity", "listener", "once")

    def __init__(self, listener: Listener, once: bool, arity: int | None) -> None:
        self.listener = listener
        self.once = once
        self.arity = arity

    def call(self, arguments: tuple[Any, ...]) -> object:
        """Call it with as many arguments as it takes."""
        return self.listener(*arguments[: self.arity])


def fitted(listener: Listener, most: int) -> Listener:
    """`listener` itself where it takes `most` arguments, else a call of it with fewer."""
    if type(listener) is FunctionType and listener.__code__.co_argcount >= most:
        return listener  # as nearly always
    arity = _arity(listener)
    if arity is None or arity >= most:
        return listener
    return lambda *arguments: listener(*arguments[:arity])


def _arity(listener: Listener) -> int | None:
    """How many positional arguments it takes; None: any number. C functions, such as a list's
    append, are taken to want one."""
    if isinstance(listener, MethodType):
        inner = _arity(listener.__func__)
        return inner - 1 if inner is not None else None
    if isinstance(listener, FunctionType):
        code: CodeType = listener.__code__
        return None if code.co_flags & _VARARGS else code.co_argcount
    if isinstance(listener, BuiltinFunctionType):
        owner = listener.__self__
        named: object = owner if isinstance(owner, type) else type(owner)
        if isinstance(owner, ModuleType):
            named = owner.__name__
        key = (named, listener.__name__)
        if key not in _BUILT_IN:
            if len(_BUILT_IN) >= _MOST_BUILT_IN:
                _BUILT_IN.clear()
            _BUILT_IN[key] = _inspected(listener)
        return _BUILT_IN[key]
    return _inspected(listener)


# What a function or a method written in C takes: 0.7 ms to find out, and a list's append is a
# frequent callback. By its name and the type it is of, so that no object is held.
_BUILT_IN: Final[dict[tuple[object, str], int | None]] = {}
_MOST_BUILT_IN: Final = 256


def _inspected(listener: Listener) -> int | None:
    import inspect  # takes 10 ms to import and is needed for odd callables only

    try:
        parameters = inspect.signature(listener).parameters.values()
    except (ValueError, TypeError):
        return 1
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 1 if listener in (print,) else None
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
