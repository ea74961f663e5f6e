"""Messages put together that most formats have as one turn."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from engine.messages import Message

__all__ = ["with_calls_together"]


def with_calls_together(messages: Iterable[Message]) -> list[Message]:
    """`messages`, an answer that follows another's calls joined to it: their results come after
    both. In the Responses format each call is an item of its own; elsewhere the calls of a turn
    stand in one message, and each must be answered before the next."""
    turns: list[Message] = []
    for message in messages:
        last = turns[-1] if turns else None
        if (
            last is not None
            and message.role == last.role == "assistant"
            and last.tool_calls
            and message.provider == last.provider
            and not (message.extra and last.extra)
        ):
            both = [name for name in last.formats if name in message.formats]
            turns[-1] = msgspec.structs.replace(
                last,
                parts=[*last.parts, *message.parts],
                extra={**last.extra, **message.extra},
                formats=tuple(both) or last.formats or message.formats,
            )
        else:
            turns.append(message)
    return turns
