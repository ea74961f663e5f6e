"""No Python signal handler runs while libcurl does.

One KeyboardInterrupt raised inside a Python callback of libcurl fails every transfer of that turn
(pycurl 7.49: 50 of 50 streams lost to one Ctrl-C), and a `try` inside the callback comes too late:
handlers run where a function is entered. Blocking the signals is not enough: the kernel gives them
to any other thread, and Python still runs the handler on the main one (300 of 1,500 streams lost).
So the handlers themselves are exchanged for one that notes the signal and returns: 0 of 80,000.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final

from engine.transport.affinity import get_ident

__all__ = ["SignalsHeld"]

# signal.signal and signal.getsignal turn every number into an enum, which takes 30 µs for all; the
# C functions under them take 40 ns each. Other Pythons may have the slow ones only.
_signal: Final[Any] = sys.modules.get("_signal", signal)
_handler_of: Final[Callable[[int], object]] = _signal.getsignal
_set_handler: Final[Callable[[int, Any], object]] = _signal.signal

# Those a fault of the program raises stay: to wait would be to run the faulty instruction again
# and again. So do SIGKILL and SIGSTOP, that nobody can handle, and the real-time signals, since a
# look at all sixty costs as much as the exchange; a handler for one of them must not raise.
_FAULTS: Final = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGKILL", "SIGSTOP")
_NUMBERS: Final = sorted(
    {int(number) for number in signal.valid_signals() if int(number) < 32}
    - {int(getattr(signal, name)) for name in _FAULTS if hasattr(signal, name)}
)

_noted: Final[dict[int, FrameType | None]] = {}  # signals that came, oldest first
# A C function with the signature of a handler: no Python frame, so nothing can be raised in it.
_note: Final = _noted.__setitem__
# Handlers in whose place `_note` stands. Of the module, not of one context: what a second signal
# tears while handlers are put back is healed by the next context.
_originals: Final[dict[int, object]] = {}
_holder: SignalsHeld | None = None  # the context they are held for, the outermost one
# The number of the thread, also where gevent gives each greenlet one.
_main = (
    get_ident()
    if threading.current_thread() is threading.main_thread()
    else threading.main_thread().ident
)


def _forked() -> None:
    global _main  # the thread that forked is the main one of the child
    _main = get_ident()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)

# What the last look found, and which numbers were to be exchanged then.
_seen: list[object] = []
_to_exchange: list[int] = []


class SignalsHeld:
    """A context in which no Python signal handler runs; those whose signal came run at its end,
    once each, and what they raise leaves from there. Off the main thread it does nothing: Python
    runs handlers in the main thread only. Nests.

    A C function that ``faulthandler.register(…, chain=True)`` or a library's ``sigaction`` put
    over a signal that has a Python handler, too, is replaced by that handler: put the Python
    handler on last.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        global _holder
        if _holder is not None or get_ident() != _main:
            return
        try:
            if _originals:
                _put_back()
            for number in _handled():
                _originals[number] = _handler_of(number)
                # Runs the handlers of what came before, and raises what they raise, unchanged.
                _set_handler(number, _note)
            _holder = self
        except BaseException as error:
            _let_go(error)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        global _holder
        if _holder is self:
            _holder = None
            _let_go(None)


def _handled() -> list[int]:
    """Numbers of the signals that have a handler written in Python."""
    global _seen, _to_exchange
    handlers = [*map(_handler_of, _NUMBERS)]
    if handlers != _seen:
        # asyncio's no-op stands for a descriptor; and to set it anew would undo the
        # siginterrupt(False) that asyncio asked for.
        unix = sys.modules.get("asyncio.unix_events")
        left_alone = getattr(unix, "_sighandler_noop", None)
        _to_exchange = [
            number
            for number, handler in zip(_NUMBERS, handlers, strict=True)
            if callable(handler) and not isinstance(handler, int) and handler is not left_alone
        ]
        _seen = [*map(_as_seen, handlers)]
    return _to_exchange


class _Seen:
    """A handler as the last look found it, equal to itself. It is not kept alive: trio's holds
    the outcome of its run, asyncio's the main task, and either what the user's code had."""

    __slots__ = ("_handler",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, handler: object) -> None:
        self._handler = weakref.ref(handler)

    def __eq__(self, other: object) -> bool:
        return self._handler() is other


def _as_seen(handler: object) -> object:
    if handler is None or isinstance(handler, int) or handler is signal.default_int_handler:
        return handler
    try:
        return _Seen(handler)
    except TypeError:  # it takes no weak reference
        return object()  # looked at anew each time


def _let_go(raised: BaseException | None) -> None:
    """Put every handler back, then run those whose signal came; raise what the first raised,
    unless `raised` is on its way already."""
    first: BaseException | None = None
    while _originals or _noted:
        try:
            if _originals:
                _put_back()
            while _noted:
                number = next(iter(_noted))
                frame = _noted.pop(number)
                handler = _handler_of(number)
                if callable(handler) and not isinstance(handler, int):
                    handler(number, frame)
        except BaseException as error:  # of a handler; the others are still to come
            if first is None:
                first = error
    if first is not None and raised is None:
        raise first


def _put_back() -> None:
    for number in [*_originals]:
        if _handler_of(number) is _note:
            _set_handler(number, _originals[number])
        del _originals[number]
