"""What users may give as input and tools, made into `Message` and `Tool`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast, get_args, runtime_checkable

from engine.errors import ConfigError
from engine.messages import (
    Document,
    Image,
    Message,
    Part,
    RedactedThinking,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)

__all__ = ["Input", "ToolLike", "as_messages", "as_tools"]

Input = str | Message | Mapping[str, Any] | Sequence[Message | Mapping[str, Any]]


@runtime_checkable
class HasDefinition(Protocol):
    """Anything that knows its tool definition, such as a decorated function."""

    @property
    def definition(self) -> Tool: ...


ToolLike = Tool | HasDefinition | Mapping[str, Any]


def as_messages(input: Input, system: str | None) -> list[Message]:
    """The messages of `input`, with `system` before them.

    Raises:
        ConfigError: `input` is empty, or holds something that is no message.
    """
    messages = [Message.system(system)] if system else []
    if isinstance(input, str):
        messages.append(Message.user(input))
    elif isinstance(input, Message | Mapping):
        messages.append(_message(input, 0))
    elif isinstance(input, Iterable) and not isinstance(input, bytes):
        messages += [_message(item, number) for number, item in enumerate(input)]
    else:
        raise ConfigError(f"input must be a string or messages, not {type(input).__name__}")
    if all(message.role == "system" for message in messages):
        raise ConfigError("input is empty: there is no message to answer")
    return messages


def as_tools(tools: Iterable[ToolLike] | None) -> list[Tool]:
    """The definitions of `tools`.

    Raises:
        ConfigError: one is no tool, or two have the same name.
    """
    definitions = [_tool(tool) for tool in tools or ()]
    names = [tool.name for tool in definitions]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"tools: two of them are called {name!r}")
    return definitions


def _tool(tool: ToolLike) -> Tool:
    if isinstance(tool, Tool):
        return tool
    if isinstance(tool, Mapping):
        # OpenAI: {"type": "function", "function": {…}}; Responses has it flat; Anthropic says
        # input_schema; Gemini and others have the bare function.
        inner = tool.get("function", tool)
        if isinstance(inner, Mapping) and isinstance(inner.get("name"), str):
            schema = inner.get("parameters") or inner.get("input_schema")
            given = {"parameters": schema} if isinstance(schema, Mapping) else {}
            return Tool(
                inner["name"], inner.get("description") or "", strict=inner.get("strict"), **given
            )
    elif isinstance(tool, HasDefinition):
        return tool.definition
    raise ConfigError(
        f"tools: {tool!r} is no tool; give engine.Tool(name, description, parameters)"
    )


def _message(item: Message | Mapping[str, Any], number: int) -> Message:
    if isinstance(item, Message):
        return item
    if not isinstance(item, Mapping):
        raise ConfigError(
            f"input[{number}] must be a Message or a dict with role and content, "
            f"not {type(item).__name__}"
        )
    role = "system" if item.get("role") == "developer" else item.get("role")
    if role not in get_args(Role):
        raise ConfigError(
            f"input[{number}] has the role {role!r}; there are system, user, assistant and tool"
        )
    where = f"input[{number}]"
    content = item.get("content")
    if role == "tool":
        text = content if isinstance(content, str) else _joined(content, where)
        result = ToolResult(str(item.get("tool_call_id") or ""), text, item.get("name"))
        return Message("tool", [result])
    parts: list[Part] = []
    if isinstance(content, str):
        parts.append(Text(content))
    elif isinstance(content, Sequence):
        parts += [_part(part, where) for part in content]
    elif content is not None:
        raise ConfigError(f"{where} has a content that is neither a string nor a list")
    for call in item.get("tool_calls") or ():
        function = call.get("function") or call
        parts.append(ToolCall(call.get("id", ""), function["name"], function["arguments"]))
    if not parts:
        raise ConfigError(f"{where} has no content")
    if any(isinstance(part, ToolResult) for part in parts) and role == "user":
        role = "tool" if all(isinstance(part, ToolResult) for part in parts) else role
    return Message(cast(Role, role), parts)


def _joined(content: Any, where: str) -> str:
    parts = [_part(part, where) for part in content or ()]
    return "".join(part.text for part in parts if isinstance(part, Text))


def _part(part: Any, where: str) -> Part:
    """A content part, in OpenAI's or Anthropic's shape."""
    if isinstance(part, str):
        return Text(part)
    if not isinstance(part, Mapping):
        if isinstance(part, Part):
            return part
        raise ConfigError(f"{where} has a part that is {type(part).__name__}, not a dict")
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text"):
        return Text(part["text"])
    if kind in ("image_url", "input_image"):
        image = part["image_url"]
        url = image["url"] if isinstance(image, Mapping) else image
        detail = image.get("detail") if isinstance(image, Mapping) else part.get("detail")
        return _image(url, detail)
    if kind in ("image", "document") and isinstance(part.get("source"), Mapping):
        source = part["source"]
        make = Image if kind == "image" else Document
        return make(
            url=source.get("url"), data=source.get("data"), media_type=source.get("media_type")
        )
    return _other_part(part, kind, where)


def _other_part(part: Mapping[str, Any], kind: Any, where: str) -> Part:
    if kind == "file" and isinstance(part.get("file"), Mapping):
        file = part["file"]
        head, _, data = str(file.get("file_data", "")).rpartition(",")
        media_type = head.removeprefix("data:").partition(";")[0] or None
        return Document(data=data, media_type=media_type, title=file.get("filename"))
    if kind == "thinking":
        return Thinking(part.get("thinking", ""), part.get("signature"))
    if kind == "redacted_thinking":
        return RedactedThinking(part["data"])
    if kind == "tool_use":
        import msgspec

        arguments = msgspec.json.encode(part.get("input", {})).decode()
        return ToolCall(part["id"], part["name"], arguments)
    if kind == "tool_result":
        content = part.get("content")
        text = content if isinstance(content, str) else _joined(content, where)
        return ToolResult(part["tool_use_id"], text, is_error=bool(part.get("is_error")))
    raise ConfigError(f"{where} has a part of type {kind!r}, which is not known")


def _image(url: str, detail: str | None) -> Image:
    if url.startswith("data:"):
        head, _, data = url[5:].partition(",")
        return Image(data=data, media_type=head.partition(";")[0] or None, detail=detail)
    return Image(url=url, detail=detail)
