"""Threads and processes for tools that block."""

from __future__ import annotations

import inspect
import multiprocessing
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from engine.errors import EngineError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

__all__ = ["ProcessCall", "run_in_thread"]

Work = Callable[[], None]

# A thread that waits costs about 20 KB; more calls than this at once wait for one that ends.
_MOST_THREADS: Final = 512


class _Threads:
    """Daemon threads, one a call: one that hangs holds up neither the others nor the end of the
    program, as those of `concurrent.futures` would."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Work] = deque()
        self._running = 0

    def run(self, work: Work) -> None:
        with self._lock:
            if self._running >= _MOST_THREADS:
                self._waiting.append(work)
                return
            self._running += 1
        threading.Thread(target=self._work, args=(work,), name="engine-tool", daemon=True).start()

    def _work(self, work: Work) -> None:
        while True:
            work()
            with self._lock:
                if not self._waiting:
                    self._running -= 1
                    return
                work = self._waiting.popleft()


_threads = _Threads()


def run_in_thread(
    call: Callable[[], Any], then: Callable[[Any, BaseException | None], None]
) -> None:
    """Call `call` in a thread, and there `then` with (result, exception)."""

    def work() -> None:
        try:
            value, error = call(), None
        except BaseException as raised:
            value, error = None, raised
        then(value, error)

    _threads.run(work)


class ProcessCall:
    """One call of a function in a process of its own, waited for in a thread.

    A fresh interpreter (spawn), not a fork: libcurl and other threads' locks do not survive one.
    """

    def __init__(
        self, function: Callable[..., Any], arguments: list[Any], keywords: dict[str, Any]
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._answers, theirs = context.Pipe(duplex=False)
        self._process: SpawnProcess = context.Process(
            target=_child, args=(theirs, function, arguments, keywords), daemon=True
        )
        self._theirs = theirs
        self._killed = False

    def run(self) -> Any:
        """Start it and wait for its result; in a worker thread.

        Raises:
            EngineError: it raised, ended without a result, or was killed.
        """
        try:
            self._process.start()
            self._theirs.close()
            if self._killed:
                self._process.kill()
            good, value = self._answers.recv()
        except EOFError:
            self._process.join()
            raise EngineError(
                f"the tool's process ended with code {self._process.exitcode} and no result"
            ) from None
        finally:
            self._answers.close()
        self._process.join()
        if not good:
            raise EngineError(value)
        return value

    def kill(self) -> None:
        """End the process, or see that it ends when it has begun. From any thread."""
        self._killed = True
        if self._process.pid is not None:
            self._process.kill()


def _child(
    answers: Connection,
    function: Callable[..., Any],
    arguments: list[Any],
    keywords: dict[str, Any],
) -> None:
    try:
        value = function(*arguments, **keywords)
        if inspect.iscoroutine(value):
            import asyncio  # where a tool needs it, its module has imported it

            value = asyncio.run(value)
        outcome = (True, value)
    except Exception as error:
        outcome = (False, f"{type(error).__name__}: {error}")
    try:
        answers.send(outcome)
    except Exception as error:
        answers.send((False, f"the result cannot be pickled: {error}"))
