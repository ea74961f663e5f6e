"""A conversation as the ``input`` of a Responses body."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from engine.errors import ConfigError
from engine.messages import (
    Audio,
    Document,
    Image,
    Message,
    Part,
    Refusal,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    VendorItem,
)
from engine.providers.call_ids import FITS_RESPONSES, fitting_ids
from engine.providers.call_names import fitting_name
from engine.providers.origin import is_own, is_told, with_extra

__all__ = ["render_items"]

FORMAT: Final = "responses"

# What a message item says beside its content.
_MESSAGE: Final = ("phase", "status", "id", "item")

# Their reasoning goes back by its seal alone, and they refuse odd names; the reasoning of the
# other servers of this format is plain.
_SEALS: Final = frozenset({"openai", "azure"})

_CUSTOM: Final = "custom_tool_call"


def render_items(messages: Iterable[Message], provider: str) -> list[dict[str, Any]]:
    """The input items of `messages`: results, calls and reasoning are items of their own; see
    https://platform.openai.com/docs/api-reference/responses/create#responses-create-input.

    Raises:
        ConfigError: a part cannot be said in this format.
    """
    messages = list(messages)
    items = _Items(messages, provider)
    written = [item for message in messages for item in items.of(message)]
    return [
        item for number, item in enumerate(written) if not _is_stray(item, written[number + 1 :])
    ]


def _is_stray(item: dict[str, Any], rest: list[dict[str, Any]]) -> bool:
    """Whether `item` is reasoning that nothing came of, as where the limit cut it off: "reasoning
    was provided without its required following item"."""
    if item.get("type") != "reasoning":
        return False
    after = next((other for other in rest if other.get("type") != "reasoning"), None)
    if after is None:
        return True
    return after.get("role", "assistant") != "assistant" or _is_output(after.get("type"))


def _is_output(kind: object) -> bool:
    return isinstance(kind, str) and kind.endswith(("_output", "_response"))


class _Items:
    def __init__(self, messages: list[Message], provider: str) -> None:
        self._provider = provider
        self._id = fitting_ids(messages, FITS_RESPONSES)
        self._custom = {
            call.id for message in messages for call in message.tool_calls if call.custom
        }

    def of(self, message: Message) -> list[dict[str, Any]]:
        """The items of one message."""
        told = is_told(message, self._provider, FORMAT)
        if message.role == "assistant":
            return self._answer(message, told)
        items = [self._result(part, told) for part in message.parts if isinstance(part, ToolResult)]
        rest = [part for part in message.parts if not isinstance(part, ToolResult)]
        items += [p.data for p in rest if isinstance(p, VendorItem) and not _is_content(p)]
        parts = [p for p in rest if not isinstance(p, VendorItem) or _is_content(p)]
        if not parts:
            return items
        content: Any = message.text
        plain = all(isinstance(part, Text) and not (told and part.extra) for part in parts)
        if not plain or (len(parts) > 1 and FORMAT in message.formats):
            content = [_content(part, told) for part in parts]
        item = {"role": "user" if message.role == "tool" else message.role, "content": content}
        return [*items, with_extra(item, message.extra) if told else item]

    def _result(self, result: ToolResult, told: bool) -> dict[str, Any]:
        # There is no field for a failed call: the text itself has to tell.
        kind = f"{_CUSTOM}_output" if result.id in self._custom else "function_call_output"
        output: Any = result.content
        if result.parts:
            output = [_content(part, told) for part in result.parts]
        item = {"type": kind, "call_id": self._id(result), "output": output}
        return with_extra(item, result.extra) if told else item

    # -- answers -------------------------------------------------------------------------------

    def _answer(self, message: Message, told: bool) -> list[dict[str, Any]]:
        own = is_own(message, self._provider, FORMAT)
        items: list[dict[str, Any]] = []
        reasoning: list[Thinking] = []
        for part in message.parts:
            if isinstance(part, Thinking):
                if not own:
                    continue
                if reasoning and _is_another(part, reasoning[-1]):
                    items += self._reasoning(reasoning)
                    reasoning = []
                reasoning.append(part)
                continue
            items += self._reasoning(reasoning)
            reasoning = []
            if isinstance(part, Text | Refusal):
                _say(part, items, message, told)
            elif isinstance(part, ToolCall):
                items.append(self._call(part, told))
            elif isinstance(part, ServerTool) and own:
                items.append(part.data)
            elif isinstance(part, VendorItem) and part.format in (None, FORMAT):
                if own or message.provider is None:
                    items.append(part.data)
            elif isinstance(part, Image | Document | Audio) and message.provider is None:
                raise ConfigError(
                    f"input: a part of type {type(part).__name__} cannot stand in an answer in "
                    "the responses format; give it in a user message"
                )
        return items + self._reasoning(reasoning)

    def _reasoning(self, parts: list[Thinking]) -> list[dict[str, Any]]:
        """The reasoning item of `parts`; none where it holds nothing that can be sent back: OpenAI
        shows a summary, and takes back what is sealed."""
        seal = next((part.signature for part in reversed(parts) if part.signature), None)
        content = [p for p in parts if p.text and p.field == "content"]
        shown = any(part.text for part in parts) and self._provider not in _SEALS
        if seal is None and not content and not shown:
            return []
        item: dict[str, Any] = {
            "type": "reasoning",
            "summary": [
                {"type": "summary_text", "text": part.text}
                for part in parts
                if part.text and part.field != "content"
            ],
        }
        if content:
            item["content"] = [{"type": "reasoning_text", "text": part.text} for part in content]
        # With a seal without its id: what was not stored cannot be found by it ("Items are not
        # persisted when `store` is set to false"), and the encrypted content is the item itself.
        if seal is not None:
            item["encrypted_content"] = seal
        for part in parts:
            item = with_extra(item, part.extra)
        return [item]

    def _call(self, call: ToolCall, told: bool) -> dict[str, Any]:
        name = fitting_name(call.name) if self._provider in _SEALS else call.name
        item: dict[str, Any] = {"call_id": self._id(call), "name": name}
        if call.custom:
            item |= {"type": _CUSTOM, "input": call.input}
        else:
            null = call.arguments.strip() in ("null", "")
            item |= {"type": "function_call", "arguments": "{}" if null else call.arguments}
        return with_extra(item, call.extra) if told else item


def _is_another(part: Thinking, last: Thinking) -> bool:
    """Whether `part` is of another item than `last`: the seal ends one, and each has its id."""
    if part.id is not None or last.id is not None:
        return part.id != last.id
    return last.signature is not None


def _say(part: Text | Refusal, items: list[dict[str, Any]], message: Message, told: bool) -> None:
    """Add text to the assistant's message that is last, or begin one."""
    if not part.text and not (told and part.extra):
        return
    if isinstance(part, Text):
        content = {"type": "output_text", "text": part.text}
    else:
        content = {"type": "refusal", "refusal": part.text}
    beside: dict[str, Any] = {}
    if told:
        beside = {name: part.extra[name] for name in _MESSAGE if name in part.extra}
        beside |= beside.pop("item", {})
        beside |= message.extra
        inner = {k: v for k, v in part.extra.items() if k not in _MESSAGE}
        content = with_extra(content, inner)
    last = items[-1] if items else {}
    if last.get("role") == "assistant" and _beside(last) == beside:
        last["content"].append(content)
    else:
        items.append(with_extra({"role": "assistant", "content": [content]}, beside))


def _beside(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("role", "content")}


# -- parts ---------------------------------------------------------------------------------------


def _is_content(item: VendorItem) -> bool:
    """Whether `item` stands in the content of a message, and is no item of its own."""
    return item.name.startswith(("input_", "output_"))


def _content(part: Part, told: bool) -> dict[str, Any]:
    """A part of a question."""
    if isinstance(part, VendorItem):
        return part.data
    if isinstance(part, Text):
        written: dict[str, Any] = {"type": "input_text", "text": part.text}
    elif isinstance(part, Image):
        url = part.url or _data_url(part, "image/png")
        written = {"type": "input_image", "image_url": url}
        if part.detail is not None:
            written["detail"] = part.detail
    elif isinstance(part, Document):
        written = _file(part)
    elif isinstance(part, Audio):
        word = (part.media_type or "audio/wav").partition("/")[2]
        sound = {"data": part.data, "format": {"mpeg": "mp3"}.get(word, word)}
        written = {"type": "input_audio", "input_audio": sound}
    else:
        raise ConfigError(
            f"input: a part of type {type(part).__name__} cannot stand in a question to this "
            "provider"
        )
    return with_extra(written, part.extra) if told else written


def _file(part: Document) -> dict[str, Any]:
    if part.url is not None:
        written = {"type": "input_file", "file_url": part.url}
        return {**written, "filename": part.title} if part.title else written
    data = _data_url(part, "application/pdf")
    return {"type": "input_file", "filename": part.title or "document", "file_data": data}


def _data_url(part: Image | Document, usual: str) -> str:
    if part.data is None:
        raise ConfigError(f"input: a part of type {type(part).__name__} has neither url nor data")
    return f"data:{part.media_type or usual};base64,{part.data}"
