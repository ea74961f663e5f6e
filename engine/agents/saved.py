"""Where a run is, as plain data: what another process needs to go on with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from engine.agents.limits import Spent
from engine.agents.result import Step
from engine.errors import ConfigError
from engine.messages import Message, ToolCall, ToolResult

__all__ = ["OpenCall", "SavedRun", "repeats", "restored"]


class OpenCall(msgspec.Struct):
    """A call that the model is not told the result of yet.

    Attributes:
        begun: the tool was called.
        result: what it gave, or None.
    """

    call: ToolCall
    begun: bool = False
    result: ToolResult | None = None


class SavedRun(msgspec.Struct, kw_only=True):
    """A run between two steps.

    Attributes:
        messages: the conversation of the run so far, its question first.
        trace: every turn so far.
        spent: turns, calls, tokens and cost so far.
        iteration: number of the model's turn.
        calls: those of the last turn, where they are not all told to the model yet.
        identical: how often each call was asked for.
        corrections: how often the answer did not fit its type.
        called: the model asked for a call.
        ran: a tool was called, or its approval asked for.
        empty: the last answer was empty.
        retried: a turn that was cut was asked for again.
        summary: what stands for the older steps of the run, or None.
        summarised: messages after the question that it stands for.
    """

    messages: list[Message]
    spent: Spent
    trace: list[Step] = []
    iteration: int = 0
    calls: list[OpenCall] = []
    identical: dict[str, int] = {}
    corrections: int = 0
    called: bool = False
    ran: bool = False
    empty: bool = False
    retried: bool = False
    summary: str | None = None
    summarised: int = 0


def restored(exported: Mapping[str, Any]) -> SavedRun:
    """What `AgentRun.export` gave.

    Raises:
        ConfigError: it is none.
    """
    try:
        saved = msgspec.convert(exported, SavedRun)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"this is no export of a run: {error}") from error
    if not saved.messages:
        raise ConfigError("this is no export of a run: it has no messages")
    return saved


def repeats(counts: dict[str, int], calls: Iterable[ToolCall]) -> int:
    """Count `calls`; returns how often the one asked for most often was asked for. The same
    arguments in another order are the same."""
    most = 0
    for call in calls:
        try:
            arguments = msgspec.json.encode(call.input, order="sorted").decode()
        except (ValueError, RecursionError):
            arguments = call.arguments
        key = f"{call.name}({arguments})"
        counts[key] = counts.get(key, 0) + 1
        most = max(most, counts[key])
    return most
