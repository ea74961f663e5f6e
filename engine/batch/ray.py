"""A batch on many machines: this process decides, Ray's workers ask.

Reading, pace, budget, retries, the files and what is shown are those of a batch on one machine, for
they are in one place: here. A worker gets requests and gives back how each ended, row by row; what
it had under way when it died is asked again by another. A key goes to the workers with the request.
Extra ``ray``.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from importlib import import_module
from time import monotonic
from typing import Any, Final

import msgspec

from engine.asking.rendered import Rendered
from engine.batch.attempt import OnEnd, ReadOutcome, send
from engine.batch.keeping.mirror import mirrored
from engine.batch.options import Options
from engine.batch.outcome import Outcome
from engine.batch.reading.kinds import Format
from engine.batch.runner import Batch
from engine.batch.showing.summary import Summary
from engine.batch.wire import packed_outcome, packed_request, unpacked_outcome, unpacked_request
from engine.errors import CancelledError, ConfigError, NetworkError
from engine.transport.deadlines import Timeouts
from engine.transport.multi import Multi

__all__ = ["RayWorkers", "run_on_ray"]

# Seconds a worker goes on while nothing ends, before it asks for more requests.
_TURN: Final = 0.05
# Requests handed to a worker at a time: others have some, too.
_MOST_AT_ONCE: Final = 64


class RayWorkers:
    """Sends requests from the workers of a Ray cluster: what a `Flow` sends by.

    Args:
        multi: woken when something ended.
        address: of the cluster; None: RAY_ADDRESS, else one on this machine.
        workers: processes that ask, a CPU each; None: as many as the cluster has CPUs.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at `address`.
    """

    def __init__(
        self, multi: Multi, address: str | None = None, workers: int | None = None
    ) -> None:
        self._multi = multi
        self._ray = _ray()
        if workers is not None and workers < 1:
            raise ConfigError(f"ray workers must be at least 1, not {workers}")
        if not self._ray.is_initialized():
            try:
                self._ray.init(address=address, log_to_driver=False, logging_level="error")
            except (ConnectionError, ValueError) as error:
                raise ConfigError(f"no Ray cluster at {address}: {error}") from error
        count = workers or max(int(self._ray.cluster_resources().get("CPU", 1)), 1)
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._under_way: dict[int, _Request] = {}
        self._next = 0
        self._closing = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"ray worker {n}", daemon=True)
            for n in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def send(
        self, rendered: Rendered, timeouts: Timeouts, path: str | None, on_end: OnEnd
    ) -> _Request:
        """Begin; see `engine.batch.attempt.send`."""
        with self._changed:
            self._next += 1
            request = _Request(self, self._next, on_end)
            self._under_way[request.ticket] = request
            self._waiting.append((request.ticket, packed_request(rendered, timeouts, path)))
            self._changed.notify()
        return request

    def close(self) -> None:
        """Let the workers go."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=10)

    # -- in a thread for each worker ---------------------------------------------------------

    def _serve(self) -> None:
        worker = None
        has: set[int] = set()
        while True:
            taken = self._take(bool(has))
            if taken is None:
                break
            has.update(ticket for ticket, _ in taken)
            try:
                if worker is None:
                    worker = self._ray.remote(num_cpus=1)(Worker).remote()
                ended = self._ray.get(worker.turn.remote(taken))
            except Exception as error:  # whatever it died of: another asks what it had
                worker = None
                self._lost(has, error)
                has.clear()
                continue
            has.difference_update(ticket for ticket, _ in ended)
            self._deliver([(ticket, unpacked_outcome(data)) for ticket, data in ended])
        if worker is not None:
            self._ray.kill(worker)

    def _take(self, busy: bool) -> list[tuple[int, bytes]] | None:
        """The next requests for a worker; none where it has some; None: it is over."""
        with self._changed:
            while not self._waiting and not busy and not self._closing:
                self._changed.wait()
            if self._closing:
                return None
            share = max(len(self._waiting) // len(self._threads), 1)
            most = min(share, _MOST_AT_ONCE, len(self._waiting))
            return [self._waiting.popleft() for _ in range(most)]

    def _lost(self, tickets: set[int], error: Exception) -> None:
        words = f"a Ray worker died with the request under way ({type(error).__name__})"
        self._deliver(
            [
                (ticket, Outcome(error=NetworkError(words, phase="body", retryable=True)))
                for ticket in tickets
            ]
        )

    def _deliver(self, ended: list[tuple[int, Outcome]]) -> None:
        with self._changed:
            requests = [(self._under_way.pop(ticket, None), outcome) for ticket, outcome in ended]

        def tell() -> None:
            for request, outcome in requests:
                if request is not None:
                    request.on_end(_given(outcome))

        if requests:
            self._multi.call_soon(tell)

    def forget(self, ticket: int) -> None:
        """The request is cancelled: how it ends is not waited for."""
        with self._changed:
            request = self._under_way.pop(ticket, None)
        if request is not None:
            gone = Outcome(error=CancelledError("cancelled while a Ray worker asked it"))
            self._multi.call_soon(lambda: request.on_end(_given(gone)))


class _Request:
    """The handle of an attempt."""

    def __init__(self, workers: RayWorkers, ticket: int, on_end: OnEnd) -> None:
        self._workers = workers
        self.ticket = ticket
        self.on_end = on_end

    def cancel(self) -> None:
        """Wait for it no longer."""
        self._workers.forget(self.ticket)


def _given(outcome: Outcome) -> ReadOutcome:
    return lambda: outcome


def _ray() -> Any:
    try:
        return import_module("ray")
    except ImportError as error:
        raise ConfigError("--ray needs Ray: pip install 'streamengine[ray]'") from error


class Worker:
    """The actor: sends what it is given, and gives back what ended."""

    def __init__(self) -> None:
        self._multi = Multi()
        self._ended: list[tuple[int, ReadOutcome]] = []
        self._under_way = 0

    def turn(self, requests: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Begin `requests`, and go on until something has ended, or for a moment."""
        for ticket, data in requests:
            rendered, timeouts, path = unpacked_request(data)
            send(self._multi, rendered, timeouts, path, self._note(ticket))
            self._under_way += 1
        until = monotonic() + _TURN
        while self._under_way and not self._ended and monotonic() < until:
            self._multi.poll(max(until - monotonic(), 0.0))
        ended, self._ended = self._ended, []
        self._under_way -= len(ended)
        return [(ticket, packed_outcome(read())) for ticket, read in ended]

    def _note(self, ticket: int) -> Callable[[ReadOutcome], None]:
        return lambda read: self._ended.append((ticket, read))


def run_on_ray(
    input: str | os.PathLike[str] | Iterable[Any],
    output: str | os.PathLike[str],
    options: Options | None = None,
    *,
    address: str | None = None,
    actors: int | None = None,
    format: Format | None = None,
    on_notice: Callable[[str], object] | None = None,
) -> Summary:
    """Run a batch on Ray to its end; blocks.

    Args:
        input, output, options, format, on_notice: as for `Batch`; the bounds are those of all
            workers together.
        address, actors: as for `RayWorkers`.

    Raises:
        ConfigError, ResourceError: it could not be begun.
    """
    options = options or Options()
    with Multi() as multi, mirrored(output, options.errors) as files:
        options = msgspec.structs.replace(options, errors=files.errors)
        workers = RayWorkers(multi, address, actors)
        try:
            batch = Batch(
                multi,
                input,
                files.output,
                options,
                format=format,
                on_notice=on_notice,
                send_by=workers.send,
            ).start()
            multi.run()
        finally:
            workers.close()
    assert batch.summary is not None
    return batch.summary
