"""The turns of the model: asked, heard, and over, also where one is ended before its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Final

from engine.agents.conversation import Conversation
from engine.agents.event import PartialCall
from engine.agents.limits import turn_usage
from engine.agents.plan import Plan
from engine.agents.result import Step
from engine.agents.saved import SavedRun
from engine.agents.telling import Telling
from engine.agents.turn import Said, Turn
from engine.asking.dialogue import Dialogue, Known
from engine.completion import Completion
from engine.errors import Category
from engine.events import Event, Restarted, RetryScheduled, ToolCallDelta, ToolCallStart
from engine.messages import Message, Usage
from engine.stream import STOP, Stream
from engine.wire.growing_json import GrowingJson

__all__ = ["Asked", "Asking"]

_NOTHING: Final = frozenset[type]()


class Asked:
    """A turn that was asked for.

    Args:
        asking: whose it is.
        shown: the conversation as the model is shown it.
        dialogue: the same, as it is asked.
        arguments: what is asked beside it; see `Plan.arguments`.

    Attributes:
        turn: what reads it.
        completion: how it ended; None until then.
    """

    __slots__ = ("_answer", "_asking", "_began", "_calls", "_details", "_left", "_shown",
                 "_silent", "_stream", "completion", "turn")  # fmt: skip

    def __init__(
        self,
        asking: Asking,
        shown: Sequence[Message],
        dialogue: Dialogue,
        arguments: Mapping[str, Any],
    ) -> None:
        plan, telling = asking.plan, asking.telling
        self.turn: Turn = plan.idiom.turn(plan.tools)
        self.completion: Completion | None = None
        self._asking = asking
        self._shown = shown
        self._left = False
        self._began = monotonic()
        self._details = telling.wants("arguments", "retry")
        self._silent = _NOTHING if self._details else self.turn.silent
        self._calls: dict[int, PartialCall] | None = None
        typed = plan.answer_type is not None and telling.wants("partial")
        self._answer = GrowingJson() if typed else None
        self._stream = plan.client.stream(
            plan.model, dialogue, on_event=self._hear, on_done=self._heard, **arguments
        )

    def step(self, iteration: int, error: str | None) -> Step:
        """What came of it by now, as turn number `iteration`.

        Args:
            error: what was wrong with it, or None.
        """
        completion, stream = self.completion, self._stream
        reason = None
        if completion is None:
            message = stream.message
            usage: Usage | None = turn_usage(stream.usage, self._shown, message, whole=False)
        else:
            message, usage, reason = completion.message, completion.usage, completion.finish_reason
            if usage is None or usage.output_tokens is None or completion.status != "complete":
                usage = _estimated(completion, self._shown)
        seconds = monotonic() - self._began
        return Step(iteration, message, [*self.turn.thoughts], reason, usage, seconds, error)

    def cancel(self) -> None:
        """Nobody listens any more."""
        self._left, self._silent = True, _NOTHING
        self._stream.cancel()

    # ------------------------------------------------------------------------------------------

    def _hear(self, event: Event, stream: Stream) -> object:
        if type(event) in self._silent:
            return None
        if self._left:
            return STOP
        if type(event) is Restarted:
            self._restart()
            return None
        turn = self.turn
        said = turn.read(event)
        if said:
            self._asking.telling.say(said)
            if self._answer is not None:
                self._grow(self._answer, said)
        if self._details:
            self._tell(event)
        else:
            self._silent = turn.silent
        if turn.over:
            self._silent = _NOTHING
            return STOP
        return None

    def _restart(self) -> None:
        """The model says it anew."""
        plan = self._asking.plan
        self.turn, self._calls = plan.idiom.turn(plan.tools), None
        self._silent = _NOTHING if self._details else self.turn.silent
        self._answer = GrowingJson() if self._answer is not None else None

    def _heard(self, completion: Completion, stream: Stream) -> None:
        if self._left:
            return
        self.completion = completion
        self._asking.telling.delivery.step(self._asking.then)

    def _tell(self, event: Event) -> None:
        telling = self._asking.telling
        if isinstance(event, RetryScheduled):
            telling.detail("retry", event.error.message, event, event.error)
        elif isinstance(event, ToolCallStart):
            call = PartialCall(event.id, event.name, event.index)
            self._calls = {**(self._calls or {}), event.index: call}
        elif isinstance(event, ToolCallDelta) and self._calls and event.index in self._calls:
            call = self._calls[event.index]
            call.add(event.arguments)
            telling.detail("arguments", event.arguments, call)

    def _grow(self, answer: GrowingJson, said: Sequence[Said]) -> None:
        text = "".join(each.text for each in said if each.type == "token" and not each.thought)
        if not answer.text:
            text = text[_opening(text) :]
        if text:
            answer.feed(text)
            self._asking.telling.detail("partial", text, answer.value)


class Asking:
    """Asks the model, turn after turn: what is the same each time is made once.

    Args:
        saved: the run.
        conversation: what else the model is shown.
        then: called, as a step, when a turn is over; never after `Asked.cancel`.
    """

    __slots__ = ("_about", "_arguments", "_conversation", "_known", "_saved", "plan", "telling",
                 "then")  # fmt: skip

    def __init__(
        self,
        plan: Plan,
        telling: Telling,
        saved: SavedRun,
        conversation: Conversation,
        then: Callable[[], None],
    ) -> None:
        self.plan: Plan = plan
        self.telling: Telling = telling
        self.then: Callable[[], None] = then
        self._saved = saved
        self._conversation = conversation
        self._known = Known()
        self._about: tuple[str | None, bool, dict[str, Any]] | None = None
        self._arguments: Mapping[str, Any] = {}

    def ask(self, *, pictures: bool) -> Asked:
        """The next turn.

        Args:
            pictures: some of the results of tools may be more than text.

        Raises:
            ConfigError: it cannot be asked.
        """
        plan, saved, conversation = self.plan, self._saved, self._conversation
        shown = conversation.show(saved)
        fitting = plan.fit(shown) if pictures or conversation.remembers else shown
        forced = not saved.called and plan.options.get("tool_choice") is not None
        # The options are the agent's, which may have others by now.
        about = conversation.told_summary(saved), forced, {**plan.options}
        if about != self._about:
            self._about, self._arguments = about, plan.arguments(about[0], forced=forced)
        return Asked(self, shown, Dialogue(fitting, self._known), self._arguments)

    def forget(self) -> None:
        """Nothing more is asked, and nobody waits for it; what is known weighs as much as the
        messages."""
        self._known, self.then = Known(), _nothing


def _nothing() -> None:
    pass


def _opening(text: str) -> int:
    """Where JSON begins, which may stand in a fence or after a word."""
    places = [place for place in (text.find("{"), text.find("[")) if place >= 0]
    return min(places, default=len(text))


def _estimated(completion: Completion, shown: Sequence[Message]) -> Usage | None:
    """The tokens of a turn where they were not told, or not all; None where nothing came and
    nothing is billed."""
    message, told = completion.message, completion.usage
    if told is None and not message.parts and not _billed(completion):
        return None
    return turn_usage(told, shown, message, whole=completion.status == "complete")


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
