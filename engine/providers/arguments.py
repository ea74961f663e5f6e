"""The arguments of a call as the object that some formats ask for."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.errors import ConfigError
from engine.messages import ToolCall

__all__ = ["arguments_of"]


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """The arguments of `call`, which others write as ``null`` or ``[]`` where there are none, and
    as a text for a custom tool: that stands under ``input``.

    Raises:
        ConfigError: they are no JSON.
    """
    try:
        value = call.input
    except msgspec.MsgspecError as error:
        raise ConfigError(
            f"input: the arguments of call {call.id!r} are no JSON: {error}"
        ) from error
    if isinstance(value, dict):
        return value
    return {"input": value} if value not in (None, [], "") else {}
