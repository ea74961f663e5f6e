"""How far an agent may go."""

from __future__ import annotations

from typing import Protocol

import msgspec

from engine.errors import Category, ConfigError, EngineError
from engine.messages import Message, Usage

__all__ = ["Limits", "Pricing", "Spent", "estimated_usage", "limit_error"]


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
    """

    iterations: int | None = 10
    tool_calls: int | None = None
    total_tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None

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

    def exceeded(self, limits: Limits) -> str | None:
        """Name of the limit on what a turn costs that is passed, or None."""
        if limits.total_tokens is not None and self.total_tokens >= limits.total_tokens:
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


def estimated_usage(asked: list[Message], answer: Message) -> Usage:
    """Tokens where the provider tells none (a turn that was ended early, some local servers), so
    that a limit on tokens holds there too: about four characters are one."""
    given, said = (sum(map(_characters, side)) // 4 + 1 for side in (asked, [answer]))
    return Usage(given, said, given + said, partial=True)


def _characters(message: Message) -> int:
    return sum(
        len(getattr(part, name, None) or "")
        for part in message.parts
        for name in ("text", "arguments", "content")
    )
