"""What a conversation remembers. All pure: lists of messages in, lists of messages out.

A conversation is cut between rounds only: a round is a question and all that followed it, so that
a tool's result never stands without its call, which providers refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from engine.errors import ConfigError
from engine.messages import Message, ToolCall, ToolResult

__all__ = ["All", "Memory", "Selective", "Summarise", "Window", "rounds"]


class Memory:
    """Remembers everything; the base of the other strategies. Keeps no conversation itself, so
    that one object serves any number of agents."""

    def recall(self, history: Sequence[Message]) -> list[Message]:
        """What the model is shown of `history`, all that was said before the new question."""
        return list(history)

    def to_summarise(self, history: Sequence[Message]) -> list[Message]:
        """The messages a summary should take the place of before the next question; mostly none."""
        return []


All = Memory


class Window(Memory):
    """Remembers the last `messages` messages, in whole rounds: fewer where a round would be cut,
    more where the last round alone is longer.

    Raises:
        ConfigError: `messages` is less than 1.
    """

    def __init__(self, messages: int = 20) -> None:
        if messages < 1:
            raise ConfigError(f"a window must hold at least 1 message, not {messages}")
        self._messages = messages

    def recall(self, history: Sequence[Message]) -> list[Message]:
        kept: list[Message] = []
        for round in reversed(rounds(history)):
            if kept and len(kept) + len(round) > self._messages:
                break
            kept = [*round, *kept]
        return kept


class Selective(Memory):
    """Remembers the rounds that matter and the last ones.

    Args:
        important: whether a message matters; its whole round is kept. None: the first round, and
            those in which tools were called.
        last: rounds kept in any case.
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

    Args:
        after: messages.
        keep: rounds kept word for word.
        model: who writes the summary; None: the agent's model.
        instructions: how; None: a usual prompt.
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
        self.instructions = instructions or _INSTRUCTIONS

    def to_summarise(self, history: Sequence[Message]) -> list[Message]:
        if len(history) <= self._after:
            return []
        all = rounds(history)
        old = all[: max(len(all) - self._keep, 0)]
        return [message for round in old for message in round]


_INSTRUCTIONS: Final = (
    "Sum up the conversation below for one who must go on with it. Keep names, numbers, decisions, "
    "what the user wants and what is still open. Write the summary and nothing else."
)


def rounds(history: Sequence[Message]) -> list[list[Message]]:
    """`history` in rounds: each begins with a message of the user, the first with whatever is
    there."""
    found: list[list[Message]] = []
    for message in history:
        if not found or (message.role == "user" and not _is_results(message)):
            found.append([])
        found[-1].append(message)
    return found


def transcript(messages: Sequence[Message], summary: str | None) -> str:
    """The conversation as text, for the one who sums it up."""
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


def _is_results(message: Message) -> bool:
    """Whether a message of the user is what an agent sends as one: the result of a tool in ReAct,
    or a request to say it again."""
    return message.text.startswith(("Observation:", "Your last answer"))
