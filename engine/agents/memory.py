"""What a conversation remembers. All pure: lists of messages in, lists of messages out.

A conversation is cut between rounds only: a round is a question and all that followed it, so that
a tool's result never stands without its call, which providers refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from engine.errors import ConfigError
from engine.messages import Message, Text, ToolCall, ToolResult

__all__ = [
    "All",
    "Memory",
    "Selective",
    "Summarise",
    "Window",
    "own_words",
    "rounds",
    "split_steps",
    "transcript",
]


class Memory:
    """Remembers everything; the base of the other strategies. Keeps no conversation itself, so
    that one object serves any number of agents.

    Attributes:
        model: who writes summaries; None: the agent's model.
        instructions: how.
    """

    model: str | None = None
    instructions: str = ""

    def recall(self, history: Sequence[Message]) -> list[Message]:
        """What the model is shown of `history`, all that was said before the new question."""
        return list(history)

    def show(self, history: Sequence[Message], current: Sequence[Message]) -> list[Message]:
        """What the model is shown in the middle of a run: what `recall` gives, and `current`, what
        was said since the new question, results of tools among it."""
        return [*self.recall(history), *current]

    def to_summarise(self, history: Sequence[Message]) -> list[Message]:
        """The messages of `history` that a summary should take the place of before the next
        question; mostly none."""
        return []

    def to_summarise_within(
        self, history: Sequence[Message], current: Sequence[Message]
    ) -> tuple[list[Message], list[Message]]:
        """The messages of `history`, and of `current`, that a summary should take the place of in
        the middle of a run; mostly none. Where there are some of `history`, they come first."""
        return [], []


All = Memory


class Window(Memory):
    """Remembers the last `messages` messages, in whole rounds: fewer where a round would be cut,
    more where the last round alone is longer. Each result of a tool counts as one.

    In the middle of a run the question stays, and of what followed the last `messages` messages:
    a call and its results go together, and the last of them is always shown.

    Raises:
        ConfigError: `messages` is less than 1.
    """

    def __init__(self, messages: int = 20) -> None:
        if messages < 1:
            raise ConfigError(f"a window must hold at least 1 message, not {messages}")
        self._messages = messages

    def recall(self, history: Sequence[Message]) -> list[Message]:
        return self._last_of(rounds(history), self._messages, least=1)

    def show(self, history: Sequence[Message], current: Sequence[Message]) -> list[Message]:
        question, steps = split_steps(current)
        if not steps:
            return [*self.recall(history), *current]
        kept = self._last_of(steps, self._messages, least=1)
        room = self._messages - _count(kept)
        return [*self._last_of(rounds(history), room, least=0), *question, *kept]

    def _last_of(self, pieces: Sequence[Sequence[Message]], room: int, least: int) -> list[Message]:
        """The last of `pieces` that have room, and `least` in any case."""
        kept: list[Message] = []
        for number, piece in enumerate(reversed(pieces)):
            if number >= least and _count(kept) + _count(piece) > room:
                break
            kept = [*piece, *kept]
        return kept


class Selective(Memory):
    """Remembers the rounds that matter and the last ones.

    Args:
        important: whether a message matters; its whole round is kept. None: the first round, and
            those in which tools were called.
        last: rounds kept in any case.

    Raises:
        ConfigError: `last` is negative.
    """

    def __init__(self, important: Callable[[Message], bool] | None = None, last: int = 3) -> None:
        if last < 0:
            raise ConfigError(f"last must not be negative, not {last}")
        self._important = important
        self._last = last

    def recall(self, history: Sequence[Message]) -> list[Message]:
        all = rounds(history)
        recent = len(all) - self._last
        return [
            message
            for number, round in enumerate(all)
            if number >= recent or self._matters(number, round)
            for message in round
        ]

    def _matters(self, number: int, round: Sequence[Message]) -> bool:
        if self._important is not None:
            return any(map(self._important, round))
        return number == 0 or any(message.tool_calls for message in round)


class Summarise(Memory):
    """Has the model sum up what is old: once more than `after` messages are remembered, all but
    the last `keep` rounds are put into one summary, which is made anew from itself and what was
    said since the next time.

    In the middle of a run its own round is one of them; where the run itself is long, the steps
    before its last `keep` are summed up: a call and its results go together.

    Args:
        after: messages; each result of a tool counts as one.
        keep: rounds, and steps of a run, kept word for word; of a run always the last.
        model: who writes the summary; None: the agent's model.
        instructions: how; None: a usual prompt.

    Raises:
        ConfigError: an argument is wrong.
    """

    def __init__(
        self,
        after: int = 30,
        keep: int = 3,
        *,
        model: str | None = None,
        instructions: str | None = None,
    ) -> None:
        if after < 1 or keep < 0:
            raise ConfigError("Summarise: after must be at least 1, and keep not negative")
        self._after = after
        self._keep = keep
        self.model = model
        self.instructions: str = instructions or _INSTRUCTIONS

    def to_summarise(self, history: Sequence[Message]) -> list[Message]:
        if _count(history) <= self._after:
            return []
        return _all_but_last(rounds(history), self._keep)

    def to_summarise_within(
        self, history: Sequence[Message], current: Sequence[Message]
    ) -> tuple[list[Message], list[Message]]:
        if _count(history) + _count(current) <= self._after:
            return [], []
        if old := _all_but_last(rounds(history), max(self._keep - 1, 0)):
            return old, []
        return [], _all_but_last(split_steps(current)[1], max(self._keep, 1))


_INSTRUCTIONS: Final = (
    "Sum up the conversation below for one who must go on with it. Keep names, numbers, decisions, "
    "what the user wants and what is still open. Write the summary and nothing else."
)


# Who wrote a message of the user's role that the user did not write: the result of a call in
# ReAct, or a request to say it again.
AGENT: Final = "engine.agents"


def own_words(text: str) -> Message:
    """What a run says to the model in the role of the user."""
    return Message("user", [Text(text)], provider=AGENT)


def rounds(history: Sequence[Message]) -> list[list[Message]]:
    """`history` in rounds: each begins with a message of the user, the first with whatever is
    there."""
    found: list[list[Message]] = []
    for before, message in zip([None, *history], history, strict=False):
        if not found or _is_question(message, before):
            found.append([])
        found[-1].append(message)
    return found


def split_steps(current: Sequence[Message]) -> tuple[list[Message], list[list[Message]]]:
    """What a run was asked, and what followed in steps: each begins with what the model said, so
    that a call and its results are in one."""
    asked = (
        n + 1
        for n in reversed(range(len(current)))
        if _is_question(current[n], current[n - 1] if n else None)
    )
    begin = next(asked, 0)
    steps: list[list[Message]] = []
    for message in current[begin:]:
        if not steps or message.role == "assistant":
            steps.append([])
        steps[-1].append(message)
    return list(current[:begin]), steps


def _all_but_last(pieces: Sequence[Sequence[Message]], count: int) -> list[Message]:
    return [message for piece in pieces[: max(len(pieces) - count, 0)] for message in piece]


def transcript(messages: Sequence[Message], summary: str | None) -> str:
    """The conversation as text, for the one who sums it up; each call with its result."""
    lines = [f"Summary of what was said before: {summary}"] if summary else []
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                lines.append(f"{message.role} calls {part.name}({part.arguments})")
            elif isinstance(part, ToolResult):
                lines.append(f"result of {part.name}: {part.content}")
        if message.text:
            lines.append(f"{message.role}: {message.text}")
    return "\n".join(lines)


def _is_question(message: Message, before: Message | None) -> bool:
    if message.role != "user" or message.provider == AGENT:
        return False
    # A ReAct transcript that somebody else wrote: the result of the action before it.
    observed = message.text.startswith("Observation:")
    return not (observed and before is not None and "Action" in before.text)


def _count(messages: Sequence[Message]) -> int:
    """Messages, each result of a tool as one."""
    return sum(
        max(1, sum(isinstance(part, ToolResult) for part in message.parts)) for message in messages
    )
