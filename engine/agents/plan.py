"""What a run is to do, by value: made when it begins, and the same to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from engine.agents.answer import AnswerType
from engine.agents.limits import Limits, Pricing
from engine.agents.tools.tool import FunctionTool
from engine.agents.turn import Turn
from engine.asking.input import MIXED
from engine.client import Client
from engine.messages import Message, ToolCall, ToolResult
from engine.providers.origin import format_of

__all__ = ["Approve", "Idiom", "Plan", "has_pictures"]

# Any for the run: the type of who approves is the user's to write.
Approve = Callable[[ToolCall, Any], "bool | str | ToolCall | Mapping[str, Any] | None"]


class Idiom(Protocol):
    """How a model is told of tools, says that it wants them called, and is told what came of it:
    what the kinds of agents differ in."""

    def turn(self, tools: Mapping[str, FunctionTool]) -> Turn:
        """What reads the model's next answer."""

    def results(self, results: Sequence[ToolResult]) -> Message:
        """How the model is told the results of one turn, in the order of its calls."""

    def instructions(self, tools: Mapping[str, FunctionTool]) -> str | None:
        """What is added to the system prompt."""

    def options(self, tools: Mapping[str, FunctionTool]) -> dict[str, Any]:
        """What is added to the arguments of `Client.stream`."""


def has_pictures(message: Message) -> bool:
    """Whether a result of a tool in it is more than text."""
    return any(type(part) is ToolResult and part.parts for part in message.parts)


def _in_words(message: Message) -> Message:
    if not has_pictures(message):
        return message
    parts = [
        msgspec.structs.replace(part, parts=[]) if isinstance(part, ToolResult) else part
        for part in message.parts
    ]
    return msgspec.structs.replace(message, parts=parts)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run needs to know of its agent; the attributes are those of `Agent`.

    Attributes:
        idiom: how it speaks with the model.
        answer_type: of the final answer, or None for text.
    """

    client: Client
    model: str
    idiom: Idiom
    tools: Mapping[str, FunctionTool]
    system: str | None
    limits: Limits
    approve: Approve | None
    answer_type: AnswerType | None
    result_retries: int
    price: Pricing | None
    options: Mapping[str, Any]

    def _instructions(self, summary: str | None) -> str | None:
        """The system prompt."""
        texts = [self.system, summary and f"Summary of what was said before: {summary}"]
        idiom = self.idiom.instructions(self.tools)
        if self.answer_type is not None and not self._forces_format():
            texts.append(self.answer_type.instructions())
        texts.append(idiom)
        return "\n\n".join(text for text in texts if text) or None

    def arguments(self, summary: str | None, *, forced: bool) -> dict[str, Any]:
        """The arguments of `Client.stream` that are the same in each turn.

        Args:
            summary: of what was said before, or None.
            forced: a `tool_choice` that leaves the model no choice still holds.
        """
        options = {
            "system": self._instructions(summary),
            **self.options,
            **self.idiom.options(self.tools),
        }
        if self.answer_type is not None and self._forces_format():
            options["response_format"] = self.answer_type.response_format()
        if not forced and options.get("tool_choice") not in (None, "none", "auto"):
            options["tool_choice"] = "auto"
        return options

    def fit(self, messages: list[Message]) -> list[Message]:
        """`messages` as the formats of the models that may be asked take them: where one of them
        has no place for the pictures of a tool's result, the words for them are all there is."""
        if not any(map(has_pictures, messages)):
            return messages
        place = self.client._target.place
        models = [self.model, *(self.options.get("fallback") or ())]
        if all(format_of(place(model).dialect.name) in MIXED for model in models):
            return messages
        return [_in_words(message) for message in messages]

    def _forces_format(self) -> bool:
        # With tools the schema is told in words: providers differ in whether a forced format
        # leaves the model free to call any.
        return not self.tools and self.idiom.instructions(self.tools) is None
