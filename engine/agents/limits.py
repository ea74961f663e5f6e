"""How far an agent may go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from engine.errors import Category, ConfigError, EngineError
from engine.messages import Message, Usage

__all__ = ["Limits", "Pricing", "Spent", "estimated_tokens", "limit_error", "turn_usage"]


class Pricing(Protocol):
    """What tokens cost; `engine.batch.Price` is one."""

    def cost(self, usage: Usage) -> float:
        """The price of `usage`, in any currency."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run is ended, with an ``error`` event whose error has the limit's name as ``code``.
    None is no limit.

    Attributes:
        iterations: turns of the model.
        tool_calls: calls of tools; a turn that asks for more than are left runs none of them.
        total_tokens: input and output of all turns; looked at after each.
        cost: in the currency of the agent's `price`; looked at after each turn.
        seconds: wall time from the start of the run; ends what runs at that moment.
        identical_calls: calls of one tool with the same arguments; the one that would be this many
            is not carried out, nor what was asked for beside it.
    """

    iterations: int | None = 10
    tool_calls: int | None = None
    total_tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    identical_calls: int | None = 10

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"limits: {name} must be more than 0, or None")


class Spent(msgspec.Struct):
    """What a run has used so far."""

    iterations: int = 0
    tool_calls: int = 0
    usage: Usage = Usage()
    cost: float | None = None

    @property
    def total_tokens(self) -> int:
        """Input and output, as the provider counts them."""
        usage = self.usage
        return usage.total_tokens or (usage.input_tokens or 0) + (usage.output_tokens or 0)

    def exceeded(self, limits: Limits, coming: int = 0) -> str | None:
        """Name of the limit on what a turn costs that is passed, or None; `coming` tokens are
        there for the model to read and are not counted yet."""
        if limits.total_tokens is not None and self.total_tokens + coming >= limits.total_tokens:
            return "total_tokens"
        if limits.cost is not None and self.cost is not None and self.cost >= limits.cost:
            return "cost"
        return None


def limit_error(name: str, limits: Limits) -> EngineError:
    """The error of a run that a limit ended."""
    return EngineError(
        f"the agent was ended by its limit {name}={getattr(limits, name)}; raise it in "
        "Limits(…), or look at the trace for a loop",
        category=Category.RESOURCE,
        retryable=False,
        code=name,
    )


def turn_usage(told: Usage | None, asked: Sequence[Message], answer: Message, whole: bool) -> Usage:
    """Tokens of one turn: as the provider told them, or, where it did not (a turn that ended
    early, some local servers), about one for four bytes, so that a limit holds there too.

    Args:
        told: the last count that came, or None.
        asked: what the model was shown.
        answer: what came.
        whole: the turn came to its own end, so that `told` is the last word.
    """
    if told is not None and whole and told.output_tokens is not None:
        return told
    given, said = estimated_tokens(asked), estimated_tokens([answer])
    if told is not None:
        given = told.input_tokens if told.input_tokens is not None else given
        said = max(said, told.output_tokens or 0)
        return msgspec.structs.replace(
            told, input_tokens=given, output_tokens=said, total_tokens=given + said, partial=True
        )
    return Usage(given, said, given + said, partial=True)


def estimated_tokens(messages: Iterable[Message]) -> int:
    """About so many tokens are `messages`: one for four bytes."""
    return sum(map(_bytes, messages)) // 4 + 1


def _bytes(message: Message) -> int:
    return sum(
        len((getattr(part, name, None) or "").encode(errors="replace"))
        for part in message.parts
        for name in ("text", "arguments", "content")
    )
