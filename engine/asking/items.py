"""Items of the Responses format as users write them: what has a ``type`` and no role."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.asking.calls import as_call_item, as_result_item
from engine.asking.shape import INTERACTIONS, RESPONSES, Shape
from engine.messages import Message, Part, Role, VendorItem

__all__ = ["is_item", "read_item"]

# Steps of Gemini's Interactions.
_STEPS: Final = frozenset({"user_input", "model_output", "thought", "function_result"})

_CALLS: Final = ("function_call", "custom_tool_call")
_RESULTS: Final = ("function_call_output", "custom_tool_call_output")


def is_item(item: Mapping[str, Any]) -> bool:
    """Whether `item` is one."""
    return "role" not in item and isinstance(item.get("type"), str) and "parts" not in item


def read_item(
    item: Mapping[str, Any], where: str, shape: Shape, as_part: Callable[[Any, str, Shape], Part]
) -> Message:
    """The message that `item` is. One of a kind that has no part of ours goes as it is to a
    provider of the same format: what its tools gave, approvals, references.

    Raises:
        ConfigError: it lacks what its kind must have.
    """
    kind: str = item["type"]
    if kind in _STEPS or (kind == "function_call" and "call_id" not in item and "id" in item):
        return _step(kind, item, where, shape)
    if kind in _CALLS:
        return Message("assistant", [as_call_item(item, where, shape)])
    if kind in _RESULTS:
        return Message("tool", [as_result_item(item, where, shape, as_part)])
    if kind == "reasoning":
        shape.narrow(RESPONSES)  # nobody's but its author's: others are not told of it
    else:
        shape.bind(RESPONSES, where)
    role: Role = "tool" if kind.endswith("_output") else "user"
    if kind == "reasoning" or kind.endswith("_call") or kind == "mcp_approval_request":
        role = "assistant"
    # SDKs write a null for what is not there, which is refused as a parameter ("input[3].status").
    data = {name: value for name, value in item.items() if value is not None}
    return Message(role, [VendorItem(kind, data, "responses")])


def _step(kind: str, item: Mapping[str, Any], where: str, shape: Shape) -> Message:
    """A step of an interaction, which goes to Gemini as it is."""
    if kind == "thought":
        shape.narrow(INTERACTIONS)
    else:
        shape.bind(INTERACTIONS, where)
    roles: dict[str, Role] = {"user_input": "user", "function_result": "tool"}
    data = {name: value for name, value in item.items() if value is not None}
    return Message(roles.get(kind, "assistant"), [VendorItem(kind, data, "interactions")])
