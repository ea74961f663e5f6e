"""What was said: what a run begins from, and what it reports to when it is over."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.agents.history import closed
from engine.agents.memory import Memory, split_steps, transcript
from engine.agents.result import AgentResult, Step
from engine.agents.saved import SavedRun
from engine.agents.summing import SummaryWanted
from engine.errors import ConfigError
from engine.messages import Message

__all__ = ["Conversation"]


class Conversation:
    """The messages of one agent.

    Args:
        memory: what the model is shown of them; None: nothing, each run begins afresh.

    Attributes:
        messages: of all runs, where there is a memory; else of the run that ended last.
        trace: the turns of the run that ended last.
        summary: what stands for the older part, or None.
    """

    def __init__(self, memory: Memory | None) -> None:
        self.messages: list[Message] = []
        self.trace: list[Step] = []
        self.summary: str | None = None
        self._memory = memory
        self._summarised = 0  # messages the summary stands for
        self._running: object | None = None
        self._waiting: deque[tuple[object, Callable[[], None]]] = deque()

    # -- one question at a time ----------------------------------------------------------------

    @property
    def remembers(self) -> bool:
        """Whether more than the messages of the run is shown."""
        return self._memory is not None

    @property
    def busy(self) -> bool:
        """Whether a question is not answered yet, so that another has to wait."""
        return self._memory is not None and self._running is not None

    def enter(self, run: object, begin: Callable[[], None]) -> None:
        """Call `begin` when it is the turn of `run`: now, or after those before it."""
        if self.busy:
            self._waiting.append((run, begin))
            return
        self._running = run
        begin()

    def ended(self, run: object, result: AgentResult) -> None:
        """`run` is over; called once. What was said and done stays, whatever the end: what was
        paid is not paid again. A question to which nothing came but an error does not: it is
        asked again, or was wrong."""
        if self._memory is None:
            self.messages, self.trace = list(result.messages), list(result.trace)
        elif self._running is run:
            self.trace = list(result.trace)
            came = any(message.role in ("assistant", "tool") for message in result.messages)
            if result.status != "error" or came:
                self.messages += result.messages
        self._leave(run)

    def _leave(self, run: object) -> None:
        if self._waiting:
            self._waiting = deque(each for each in self._waiting if each[0] is not run)
        if self._running is run:
            self._running = None
            if self._waiting:
                self._running, begin = self._waiting.popleft()
                begin()

    # -- what the model is shown ---------------------------------------------------------------

    def show(self, saved: SavedRun) -> list[Message]:
        """What the model is shown in the next turn of the run; not to be changed."""
        current = _unsummarised(saved) if saved.summarised else saved.messages
        if self._memory is None:
            return current
        return self._memory.show(closed(self._recent()), [*current])

    def told_summary(self, saved: SavedRun) -> str | None:
        """What stands for that which it is not shown, or None."""
        if self.summary is None and saved.summary is None:
            return None
        return "\n\n".join(each for each in (self.summary, saved.summary) if each) or None

    def summary_wanted(self) -> SummaryWanted | None:
        """What should be summed up before a run begins, or None."""
        if self._memory is None:
            return None
        old = self._memory.to_summarise(self._recent())
        return self._wanted(old, self.summary, self._keep(len(old)))

    def summary_wanted_within(self, saved: SavedRun) -> SummaryWanted | None:
        """What should be summed up before the next turn of a run, or None."""
        memory = self._memory
        if memory is None:
            return None
        old, steps = memory.to_summarise_within(self._recent(), _unsummarised(saved))
        if old:
            return self._wanted(old, self.summary, self._keep(len(old)))

        def keep(summary: str) -> None:
            saved.summary = summary
            saved.summarised += len(steps)

        return self._wanted(steps, saved.summary, keep)

    def _wanted(
        self, old: list[Message], summary: str | None, keep: Callable[[str], None]
    ) -> SummaryWanted | None:
        memory = self._memory
        if not old or memory is None:
            return None
        return SummaryWanted(memory.model, transcript(old, summary), memory.instructions, keep)

    def _keep(self, count: int) -> Callable[[str], None]:
        def keep(summary: str) -> None:
            self._summarised += count
            self.summary = summary

        return keep

    def _recent(self) -> list[Message]:
        return self.messages[self._summarised :]

    # -- kept elsewhere ------------------------------------------------------------------------

    def export(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "summary": self.summary,
            "summarised": self._summarised,
            "messages": msgspec.to_builtins(self.messages),
            "trace": msgspec.to_builtins(self.trace),
        }

    def restore(self, exported: Mapping[str, Any]) -> None:
        """Be what was exported.

        Raises:
            ConfigError: it is no such export, or nobody here would remember it.
        """
        if self._memory is None:
            raise ConfigError(
                "this agent has no memory, so it would never show a model what is restored; give "
                "it one (memory=All()), or pass the messages to run_stream"
            )
        try:
            messages = msgspec.convert(exported["messages"], list[Message])
            trace = msgspec.convert(exported["trace"], list[Step])
            summary = msgspec.convert(exported.get("summary"), str | None)
            summarised = msgspec.convert(exported.get("summarised", 0), int)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"this is no export of an agent: {error!r}") from error
        self.reset()
        self.messages, self.trace = messages, trace
        self.summary, self._summarised = summary, summarised

    def reset(self) -> None:
        """Forget what was; a run that is not over stays out."""
        self.messages, self.trace = [], []
        self.summary, self._summarised = None, 0
        running = self._running
        if running is not None:
            self._leave(running)


def _unsummarised(saved: SavedRun) -> list[Message]:
    """The messages of the run that no summary stands for."""
    if not saved.summarised:
        return [*saved.messages]
    question, _ = split_steps(saved.messages)
    return [*question, *saved.messages[len(question) + saved.summarised :]]
