"""What may be called back: one rule for everything that takes a callback."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import CodeType, FunctionType
from typing import Final

from engine.errors import ConfigError

__all__ = ["check_callback"]

# CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR: `inspect`, which knows them by name, takes 10 ms
# to import.
_GENERATOR: Final = 0x20
_ASYNC: Final = 0x80 | 0x200


def check_callback(callback: object, name: str) -> None:
    """ConfigError, which says `name`, unless `callback` does its work when it is called: to call
    an async function does none, and what it was to do would be lost without a word."""
    if not callable(callback):
        raise ConfigError(f"{name} must be callable, not {type(callback).__name__}")
    flags = _flags(callback)
    if flags & _ASYNC:
        raise ConfigError(
            f"{name} must be a plain function: nobody awaits an async one; have it start a task, "
            "or read with `async for`"
        )
    if flags & _GENERATOR:
        raise ConfigError(
            f"{name} must be a plain function: to call one that yields does nothing; leave out "
            "`yield`, or read with `for`"
        )


def _flags(callback: Callable[..., object]) -> int:
    """How the code behind `callback` is run; 0 where it is not Python's."""
    if type(callback) is FunctionType:  # as nearly always: to ask for what is not there takes long
        return callback.__code__.co_flags
    while isinstance(callback, partial):
        callback = callback.func
    code = getattr(getattr(callback, "__func__", callback), "__code__", None)
    if code is None:
        code = getattr(type(callback).__call__, "__code__", None)
    return code.co_flags if isinstance(code, CodeType) else 0
