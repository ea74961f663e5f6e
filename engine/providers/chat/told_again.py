"""What a whole message says that its pieces did not.

MiniMax ends a stream with a chunk that has, in place of a delta, the whole ``message``: all that
came before, once more.
"""

from __future__ import annotations

from msgspec.structs import replace

from engine.events import RefusalDelta, TextDelta, ThinkingDelta
from engine.providers.blocks import Choice
from engine.providers.chat.chunk import Delta

__all__ = ["untold"]


def untold(message: Delta, state: Choice) -> Delta:
    """`message` without what was said in pieces of the alternative `state`."""
    if TextDelta in state.kinds:
        message = replace(message, content=None, annotations=None)
    if ThinkingDelta in state.kinds:
        message = replace(
            message,
            reasoning_content=None,
            reasoning=None,
            thinking=None,
            reasoning_details=None,
            thinking_blocks=None,
        )
    if RefusalDelta in state.kinds:
        message = replace(message, refusal=None)
    if state.opened:
        message = replace(message, tool_calls=None, function_call=None)
    return message
