"""One turn of the model: asked, heard, and over, also where it is ended before its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic

from engine.agents.event import PartialCall
from engine.agents.limits import turn_usage
from engine.agents.plan import Plan
from engine.agents.telling import Telling
from engine.agents.turn import Said, Turn
from engine.asking.dialogue import Dialogue, Known
from engine.completion import Completion
from engine.errors import Category
from engine.events import Event, Restarted, RetryScheduled, ToolCallDelta, ToolCallStart
from engine.messages import Message, Usage
from engine.stream import STOP, Stream
from engine.wire.growing_json import GrowingJson

__all__ = ["Asked"]


class Asked:
    """A turn that was asked for.

    Args:
        shown: the conversation as the model is shown it.
        known: what of it was checked in earlier turns.
        summary: of what was before, or None.
        then: called once, as a step, when it is over; never after `cancel`.
        forced: a `tool_choice` that leaves no choice still holds.

    Attributes:
        turn: what reads it.
        completion: how it ended; None until then.
    """

    def __init__(
        self,
        plan: Plan,
        telling: Telling,
        shown: list[Message],
        known: Known,
        summary: str | None,
        then: Callable[[], None],
        *,
        forced: bool,
    ) -> None:
        self._new_turn = partial(plan.idiom.turn, plan.tools)
        self.turn: Turn = self._new_turn()
        self.completion: Completion | None = None
        self._telling = telling
        self._shown = shown
        self._then = then
        self._left = False
        self._began = monotonic()
        self._details = telling.wants("arguments") or telling.wants("retry")
        self._calls: dict[int, PartialCall] = {}
        typed = plan.answer_type is not None and telling.wants("partial")
        self._answer = GrowingJson() if typed else None
        self._stream = plan.client.stream(
            plan.model,
            Dialogue(plan.fit(shown), known),
            system=plan.instructions(summary),
            on_event=self._hear,
            on_done=self._heard,
            **plan.arguments(forced=forced),
        )

    @property
    def seconds(self) -> float:
        """Since it was asked."""
        return monotonic() - self._began

    @property
    def message(self) -> Message:
        """What was said, as far as it came."""
        return self._stream.message if self.completion is None else self.completion.message

    @property
    def usage(self) -> Usage | None:
        """Its tokens, an estimate where they were not told; None where nothing came and nothing
        is billed."""
        completion = self.completion
        if completion is None:
            return turn_usage(self._stream.usage, self._shown, self.message, whole=False)
        if completion.usage is None and not completion.message.parts and not _billed(completion):
            return None
        whole = completion.status == "complete"
        return turn_usage(completion.usage, self._shown, completion.message, whole)

    def cancel(self) -> None:
        """Nobody listens any more."""
        self._left = True
        self._stream.cancel()

    # ------------------------------------------------------------------------------------------

    def _hear(self, event: Event, stream: Stream) -> object:
        if self._left:
            return STOP
        if type(event) is Restarted:  # the model says it anew
            self.turn, self._calls = self._new_turn(), {}
            self._answer = GrowingJson() if self._answer is not None else None
            return None
        turn = self.turn
        said = turn.read(event)
        if said:
            self._telling.say(said)
            if self._answer is not None:
                self._grow(self._answer, said)
        if self._details:
            self._tell(event)
        return STOP if turn.over else None

    def _heard(self, completion: Completion, stream: Stream) -> None:
        if self._left:
            return
        self.completion = completion
        self._telling.step(self._then)

    def _tell(self, event: Event) -> None:
        if isinstance(event, RetryScheduled):
            self._telling.detail("retry", event.error.message, event, event.error)
        elif isinstance(event, ToolCallStart):
            self._calls[event.index] = PartialCall(event.id, event.name, event.index)
        elif isinstance(event, ToolCallDelta) and event.index in self._calls:
            call = self._calls[event.index]
            call.add(event.arguments)
            self._telling.detail("arguments", event.arguments, call)

    def _grow(self, answer: GrowingJson, said: Sequence[Said]) -> None:
        text = "".join(each.text for each in said if each.type == "token" and not each.thought)
        if not answer.text:
            text = text[_opening(text) :]
        if text:
            answer.feed(text)
            self._telling.detail("partial", text, answer.value)


def _opening(text: str) -> int:
    """Where JSON begins, which may stand in a fence or after a word."""
    places = [place for place in (text.find("{"), text.find("[")) if place >= 0]
    return min(places, default=len(text))


def _billed(completion: Completion) -> bool:
    """Whether a turn of which nothing came may have cost something all the same."""
    error = completion.error
    if error is None or getattr(completion, "possibly_billed", False):
        return True
    if completion.http_status is not None and completion.http_status >= 400:
        return False
    if error.category is Category.TIMEOUT:
        return getattr(error, "phase", None) != "connect"
    return completion.http_status is not None
