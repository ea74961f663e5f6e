"""Content parts as users write them, in the shapes of OpenAI, Anthropic and Gemini."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from engine.errors import ConfigError
from engine.messages import (
    Document,
    Image,
    Part,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from engine.wire.json import is_json

__all__ = ["as_json", "as_part", "member", "text_of"]

_MISSING: Final = object()


def member(
    data: Mapping[str, Any], name: str, kind: type, where: str, default: Any = _MISSING
) -> Any:
    """``data[name]``, which must be a `kind`; `default`, where one is given, if absent or None.

    Raises:
        ConfigError: it is missing, or something else.
    """
    value = data.get(name)
    if value is None and default is not _MISSING:
        return default
    if not isinstance(value, kind):
        what = "is missing" if value is None else f"is {type(value).__name__}"
        kinds = {"Mapping": "a dict", "str": "a string"}
        raise ConfigError(f"{where}.{name} {what}; it must be {kinds[kind.__name__]}")
    return value


def as_json(value: Any, where: str) -> str:
    """`value` as JSON text: it is that already, or an object to write.

    Raises:
        ConfigError: it is neither.
    """
    if value is None or value == "":
        return "{}"
    if isinstance(value, str):
        if not is_json(value):
            raise ConfigError(f"{where} is a string that is no JSON")
        return value
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{where} cannot be written as JSON: {error}") from error


def as_part(part: Any, where: str) -> Part:
    """One content part.

    Raises:
        ConfigError: it is none, or of a kind that is not known.
    """
    if isinstance(part, str):
        return Text(part)
    if isinstance(part, Part):
        return part
    if not isinstance(part, Mapping):
        raise ConfigError(f"{where} must be a string or a dict, not {type(part).__name__}")
    kind = part.get("type")
    if kind is None:
        kind = next((name for name in _BY_MEMBER if name in part), None)  # Gemini
    make = _KINDS.get(kind) if isinstance(kind, str) else None
    if make is None:
        known = ", ".join(name for name in _KINDS if name not in _BY_MEMBER or name == "text")
        raise ConfigError(f"{where} has the type {kind!r}, which is not known; known are {known}")
    return make(part, where)


def text_of(content: Any, where: str) -> str:
    """The result of a tool: a string, or parts that are all text.

    Raises:
        ConfigError: it is neither; to leave out an image would change what the tool said.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, Sequence) or isinstance(content, bytes | bytearray):
        raise ConfigError(f"{where} must be a string or a list of parts")
    texts: list[str] = []
    for number, inner in enumerate(content):
        part = as_part(inner, f"{where}[{number}]")
        if not isinstance(part, Text):
            raise ConfigError(
                f"{where}[{number}] is no text; give images and documents in a user message"
            )
        texts.append(part.text)
    return "".join(texts)


def _text(part: Mapping[str, Any], where: str) -> Part:
    text = member(part, "text", str, where)
    return Thinking(text) if part.get("thought") is True else Text(text)


def _image_url(part: Mapping[str, Any], where: str) -> Part:
    image = part.get("image_url")
    detail = part.get("detail")
    if isinstance(image, Mapping):
        detail = image.get("detail", detail)
        url = member(image, "url", str, f"{where}.image_url")
    else:
        url = member(part, "image_url", str, where)
    media_type, data = _data_url(url)
    detail = detail if isinstance(detail, str) else None
    if data is not None:
        return Image(data=data, media_type=media_type, detail=detail)
    return Image(url=url, detail=detail)


def _source(part: Mapping[str, Any], where: str) -> Part:
    """Anthropic's image and document."""
    source = member(part, "source", Mapping, where)
    place = f"{where}.source"
    make: Callable[..., Part] = Image if part["type"] == "image" else Document
    facts: dict[str, Any] = {}
    if part["type"] == "document" and isinstance(part.get("title"), str):
        facts["title"] = part["title"]
    if source.get("type") == "url" or "url" in source:
        return make(url=member(source, "url", str, place), **facts)
    data = source.get("data")
    if source.get("type") == "text" and isinstance(data, str):
        data = data.encode("utf-8", "replace")  # plain text, which Anthropic takes as it is
    media_type = member(source, "media_type", str, place, default=None)
    return make(data=_base64(data, f"{place}.data"), media_type=media_type, **facts)


def _file(part: Mapping[str, Any], where: str) -> Part:
    """OpenAI's file: nested in Chat Completions, flat in Responses."""
    file = part.get("file", part)
    if not isinstance(file, Mapping):
        raise ConfigError(f"{where}.file must be a dict, not {type(file).__name__}")
    title = member(file, "filename", str, where, default=None)
    if isinstance(file.get("file_url"), str):
        return Document(url=file["file_url"], title=title)
    url = member(file, "file_data", str, where)
    media_type, data = _data_url(url)
    return Document(data=url if data is None else data, media_type=media_type, title=title)


def _inline(part: Mapping[str, Any], where: str) -> Part:
    """Gemini's inlineData and fileData."""
    name = next(name for name in part if name in _GEMINI_DATA)
    inner = member(part, name, Mapping, where)
    place = f"{where}.{name}"
    media_type = inner.get("mimeType", inner.get("mime_type"))
    media_type = media_type if isinstance(media_type, str) else None
    make: Callable[..., Part] = Image if (media_type or "").startswith("image/") else Document
    if name in ("fileData", "file_data"):
        url = "fileUri" if "fileUri" in inner else "file_uri"
        return make(url=member(inner, url, str, place), media_type=media_type)
    return make(data=_base64(inner.get("data"), f"{place}.data"), media_type=media_type)


def _thinking(part: Mapping[str, Any], where: str) -> Part:
    text = member(part, "thinking", str, where, default="")
    return Thinking(text, member(part, "signature", str, where, default=None))


def _redacted(part: Mapping[str, Any], where: str) -> Part:
    return RedactedThinking(member(part, "data", str, where))


def _refusal(part: Mapping[str, Any], where: str) -> Part:
    return Refusal(member(part, "refusal", str, where))


def _tool_use(part: Mapping[str, Any], where: str) -> Part:
    return ToolCall(
        member(part, "id", str, where),
        member(part, "name", str, where),
        as_json(part.get("input"), f"{where}.input"),
    )


def _tool_result(part: Mapping[str, Any], where: str) -> Part:
    content = text_of(part.get("content"), f"{where}.content")
    id = member(part, "tool_use_id", str, where)
    return ToolResult(id, content, is_error=part.get("is_error") is True)


def _function_call(part: Mapping[str, Any], where: str) -> Part:
    """Gemini's call."""
    name = "functionCall" if "functionCall" in part else "function_call"
    call = member(part, name, Mapping, where)
    seal = part.get("thoughtSignature", part.get("thought_signature"))
    return ToolCall(
        member(call, "id", str, where, default="") or "",
        member(call, "name", str, f"{where}.{name}"),
        as_json(call.get("args"), f"{where}.{name}.args"),
        seal if isinstance(seal, str) else None,
    )


def _function_response(part: Mapping[str, Any], where: str) -> Part:
    """Gemini's result, which is an object."""
    name = "functionResponse" if "functionResponse" in part else "function_response"
    result = member(part, name, Mapping, where)
    return ToolResult(
        member(result, "id", str, where, default="") or "",
        as_json(result.get("response"), f"{where}.{name}.response"),
        member(result, "name", str, f"{where}.{name}"),
    )


_GEMINI_DATA: Final = ("inlineData", "inline_data", "fileData", "file_data")
_BY_MEMBER: Final = (
    *("text", *_GEMINI_DATA),
    *("functionCall", "function_call", "functionResponse", "function_response"),
)
_KINDS: Final[dict[str, Callable[[Mapping[str, Any], str], Part]]] = {
    **dict.fromkeys(("text", "input_text", "output_text"), _text),
    **dict.fromkeys(("image_url", "input_image"), _image_url),
    **dict.fromkeys(("image", "document"), _source),
    **dict.fromkeys(("file", "input_file"), _file),
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "refusal": _refusal,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    **dict.fromkeys(_GEMINI_DATA, _inline),
    **dict.fromkeys(("functionCall", "function_call"), _function_call),
    **dict.fromkeys(("functionResponse", "function_response"), _function_response),
}


def _data_url(url: str) -> tuple[str | None, str | None]:
    """Media type and base64 of a data URL; (None, None) where it is none."""
    if not url.startswith("data:"):
        return None, None
    head, _, data = url[5:].partition(",")
    return head.partition(";")[0] or None, data


def _base64(data: Any, where: str) -> str:
    """Data given as base64 text, or as bytes."""
    if isinstance(data, bytes | bytearray):
        import base64

        return base64.b64encode(data).decode()
    if not isinstance(data, str):
        raise ConfigError(f"{where} must be base64 text or bytes, not {type(data).__name__}")
    return data
