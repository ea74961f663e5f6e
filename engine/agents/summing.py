"""A summary of what was said, asked of a model between two turns of a run."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from engine.agents.limits import turn_usage
from engine.agents.plan import Plan
from engine.completion import Completion
from engine.messages import Message, Usage
from engine.stream import Stream

__all__ = ["SummaryWanted", "Summing"]


class SummaryWanted(msgspec.Struct, frozen=True):
    """What should be summed up.

    Attributes:
        model: who does; None: the agent's.
        text: what is summed up.
        instructions: how.
        keep: called with the summary.
    """

    model: str | None
    text: str
    instructions: str
    keep: Callable[[str], None]


class Summing:
    """A summary that was asked for.

    Args:
        then: called once, in `info_read`, when it is over; never after `cancel`.

    Attributes:
        wanted: what was asked for.
        completion: how it ended; None until then.
    """

    def __init__(self, plan: Plan, wanted: SummaryWanted, then: Callable[[], None]) -> None:
        self.wanted = wanted
        self.completion: Completion | None = None
        self._then = then
        self._left = False
        self._stream = plan.client.stream(
            wanted.model or plan.model,
            wanted.text,
            system=wanted.instructions,
            on_done=self._heard,
        )

    @property
    def usage(self) -> Usage | None:
        """Its tokens, an estimate where they were not told; None where nothing came."""
        shown, completion = [Message.user(self.wanted.text)], self.completion
        if completion is None:
            return turn_usage(self._stream.usage, shown, self._stream.message, whole=False)
        whole = completion.status == "complete"
        if not whole and completion.usage is None and not completion.message.parts:
            return None
        return turn_usage(completion.usage, shown, completion.message, whole)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._left = True
        self._stream.cancel()

    def _heard(self, completion: Completion, stream: Stream) -> None:
        if not self._left:
            self.completion = completion
            self._then()
