"""The part of a run its user sees: events in order, to callbacks or an iterator, and one end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic, time
from typing import Any

from engine.agents.event import EVENT_TYPES, AgentEvent, EventType
from engine.agents.result import AgentResult
from engine.answering.listeners import Listener, fitted
from engine.errors import CallbackError, ConfigError, EngineError, MisuseError, describe
from engine.stream import STOP
from engine.transport.multi import Multi, driver_of

__all__ = ["Delivery", "OnAgentDone", "OnAgentEvent"]

Work = Callable[[], None]
OnAgentEvent = Callable[[AgentEvent, Any], object]
OnAgentDone = Callable[[AgentResult, Any], object]

_NAMES = ("event", "end", *EVENT_TYPES)


class Delivery:
    """Keeps events and the steps between them in one queue, and takes from it outside libcurl: in
    `perform`, or where an iterator pulls. So a ``tool_start`` is seen before the tool runs, and a
    slow iterator slows down its own agent only.

    Attributes:
        completion: how it ended; None until `info_read` handed it over.
        iteration: number of the model's turn, from 1; 0 before the first.
        user_data: yours.
    """

    def __init__(
        self,
        multi: Multi,
        on_event: OnAgentEvent | None,
        on_done: OnAgentDone | None,
        user_data: Any,
    ) -> None:
        multi.fdset()  # MisuseError where it is closed, or another thread's
        self.completion: AgentResult | None = None
        self.iteration = 0
        self.user_data = user_data
        self._multi = multi
        self._driver = driver_of(multi)
        self._queue: deque[AgentEvent | Work] = deque()
        self._on_event = fitted(on_event, 2) if on_event is not None else None
        self._ends: deque[Callable[[], object]] = deque()
        if on_done is not None:
            call = fitted(on_done, 2)
            self._ends.append(lambda: call(self.completion, self))
        self._listeners: dict[str, tuple[Listener, ...]] = {}
        self._pulling = False
        self._wanted = False  # `deliver` was asked for
        self._result: AgentResult | None = None
        self._handed_in = False

    # -- for the user --------------------------------------------------------------------------

    def on(self, name: str, listener: Listener) -> Any:
        """Call `listener` at each ``event``, or each event of a type (``token``, ``thought``,
        ``tool_start``, …), with (event, run), in `perform`; at the ``end`` with (run,), in
        `info_read`. It may take fewer arguments.

        Returns:
            the run itself.

        Raises:
            ConfigError: there is nothing of that name.
        """
        if name not in _NAMES:
            raise ConfigError(f"nothing called {name!r} to listen to; there are {[*_NAMES]}")
        if name == "end":
            call = fitted(listener, 1)
            self._ends.append(lambda: call(self))
        else:
            self._listeners[name] = (*self._listeners.get(name, ()), fitted(listener, 2))
        return self

    def __iter__(self) -> Iterator[AgentEvent]:
        """The events, driving the `Multi` meanwhile; nothing is raised for how it ends. To leave
        the loop does not cancel the run.

        Raises:
            MisuseError: called from a callback, or while another loop iterates over it.
        """
        if self._pulling:
            raise MisuseError("another loop iterates over this run; use that one's events")
        if self._driver.running is not None:
            raise MisuseError(
                f"a run cannot be iterated in a callback of {self._driver.running}(); use its "
                "callbacks, or return it from a tool to have it waited for"
            )
        return self._pull()

    def result(self) -> AgentResult:
        """Drive the `Multi` until the run is over. Never raises for how it ended: see ``status``,
        or call `AgentResult.raise_for_status`.

        Raises:
            MisuseError: called from a callback, or inside of a loop over the run's events.
        """
        if self._pulling:
            raise MisuseError("a loop iterates over this run; ask for its result after the loop")
        while self.completion is None:
            self._multi.poll()
        return self.completion

    # -- for the run ---------------------------------------------------------------------------

    def _open(self, first: Work) -> None:
        """Count as open from now on, also while nothing is on the wire; take the step `first`."""
        self._driver.hold(self)
        self._post(first)

    def _emit(
        self,
        type: EventType,
        content: str,
        data: Any = None,
        error: EngineError | None = None,
    ) -> None:
        self._post(AgentEvent(type, content, data, error, time(), self.iteration))

    def _post(self, item: AgentEvent | Work) -> None:
        """An event to hand over, or a step to take, after all that were posted before."""
        self._queue.append(item)
        if not self._wanted and not self._pulling:
            self._wanted = True
            self._driver.wants_delivery(self)

    def _failed(self, error: Exception) -> None:
        """A step, or a callback, raised."""
        raise NotImplementedError

    def _interrupted(self) -> None:
        """Ctrl-C or the like came in the middle of a step."""
        raise NotImplementedError

    # -- handing over --------------------------------------------------------------------------

    def _next(self) -> AgentEvent | None:
        """The next event, after the steps before it; None where nothing waits."""
        queue = self._queue
        while queue:
            item = queue.popleft()
            if isinstance(item, AgentEvent):
                return item
            try:
                item()
            except Exception as error:
                self._failed(error)
            except BaseException:
                self._interrupted()
                raise
        if self._result is not None and not self._handed_in:
            self._handed_in = True
            self._driver.finished(self)
        return None

    def _hand_over(self, event: AgentEvent) -> None:
        """Call whoever listens."""
        try:
            if self._on_event is not None and self._on_event(event, self) is STOP:
                self.cancel()
            for name in ("event", event.type):
                for listener in self._listeners.get(name, ()):
                    if listener(event, self) is STOP:
                        self.cancel()
        except Exception as error:
            # Whoever raised is not called again.
            self._on_event, self._listeners = None, {}
            failure = CallbackError(
                f"a callback of the run raised {describe(error)}; the run was ended, "
                "the others go on"
            )
            failure.__cause__ = error
            self._failed(failure)

    def _pull(self) -> Iterator[AgentEvent]:
        self._pulling = True
        try:
            while not self._handed_in:
                event = self._next()
                if event is not None:
                    self._hand_over(event)
                    yield event
                elif not self._handed_in:
                    self._multi.poll()
        finally:
            self._pulling = False
            if not self._handed_in:
                self._driver.wants_delivery(self)
        self.result()

    def cancel(self) -> None:
        """End it now."""
        raise NotImplementedError

    # -- what `Multi` asks -----------------------------------------------------------------------

    def deliver(self, until: float) -> bool:
        self._wanted = False
        while not self._pulling and (event := self._next()) is not None:
            self._hand_over(event)
            if monotonic() >= until and self._queue:
                self._wanted = True
                return True
        return False

    def conclude(self) -> AgentResult:
        assert self._result is not None
        self.completion = self._result
        return self._result

    def announce(self) -> bool:
        if not self._ends:
            return False
        self._ends.popleft()()
        return True

    @property
    def stalled(self) -> bool:
        return False
