"""Parts as Gemini has them: objects without a ``type``, known by the member they hold."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.asking.shape import GEMINI, Shape, as_json, member
from engine.errors import ConfigError
from engine.messages import (
    Audio,
    Document,
    Image,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    VendorItem,
)

__all__ = ["as_gemini_part"]

# A part's members beside what it holds: both spellings, as Google takes both.
_SEALS: Final = ("thoughtSignature", "thought_signature")


def as_gemini_part(part: Mapping[str, Any], where: str, shape: Shape) -> Part:
    """One part of a content. A part of a kind that is not known (code that Gemini ran, a tool it
    called itself) goes back to Gemini as it is.

    Raises:
        ConfigError: it is none.
    """
    name = next((name for name in _MAKERS if name in part), None)
    if name is not None:
        return _MAKERS[name](part, name, where, shape)
    kind = next((name for name in _VENDOR if name in part), None)
    if kind is None:
        raise ConfigError(
            f"{where} has the type None, and no member that Gemini's parts have "
            f"({', '.join(_KNOWN)}); other vendors' parts have a 'type'"
        )
    shape.bind(GEMINI, f"{where}.{kind}")
    return VendorItem(kind, dict(part), "gemini")


def _seal(part: Mapping[str, Any], shape: Shape) -> str | None:
    seal = next((part[name] for name in _SEALS if part.get(name) is not None), None)
    if not isinstance(seal, str | bytes):
        return None
    shape.narrow(GEMINI)
    # The Python SDK holds it as bytes.
    return base64.b64encode(seal).decode() if isinstance(seal, bytes) else seal


def _text(part: Mapping[str, Any], name: str, where: str, shape: Shape) -> Part:
    text = member(part, name, str, where)
    if part.get("thought") is True:
        shape.narrow(GEMINI)
        extra = shape.extra(part, (name, "thought", *_SEALS), GEMINI, where, part)
        return Thinking(text, _seal(part, shape), extra=extra)
    extra = shape.extra(part, (name, *_SEALS), GEMINI, where, ("thought",))
    return Text(text, signature=_seal(part, shape), extra=extra)


def _blob(part: Mapping[str, Any], name: str, where: str, shape: Shape) -> Part:
    """inlineData and fileData."""
    inner = member(part, name, Mapping, where)
    place = f"{where}.{name}"
    media_type = inner.get("mimeType", inner.get("mime_type"))
    media_type = media_type if isinstance(media_type, str) else None
    known = ("mimeType", "mime_type", "data", "fileUri", "file_uri")
    beside = shape.extra(inner, known, GEMINI, place)
    camel = "inlineData" if name.startswith("inline") else "fileData"
    extra = {camel: beside} if beside else {}
    # A seal stays beside the data it came with: its part has no field of ours for it.
    extra |= shape.extra(part, (name,), GEMINI, where, _SEALS)
    if name in ("fileData", "file_data"):
        url = member(inner, "fileUri" if "fileUri" in inner else "file_uri", str, place)
        image = (media_type or "").startswith("image/")
        make: type[Image | Document] = Image if image else Document
        return make(url=url, media_type=media_type, extra=extra)
    data = inner.get("data")
    if isinstance(data, bytes | bytearray):
        data = base64.b64encode(data).decode()
    if not isinstance(data, str):
        raise ConfigError(f"{place}.data must be base64 text or bytes, not {type(data).__name__}")
    if (media_type or "").startswith("audio/"):
        return Audio(data, media_type, extra=extra)
    kind: type[Image | Document] = Document
    if (media_type or "").startswith("image/"):
        kind = Image
    return kind(data=data, media_type=media_type, extra=extra)


def _call(part: Mapping[str, Any], name: str, where: str, shape: Shape) -> Part:
    call = member(part, name, Mapping, where)
    place = f"{where}.{name}"
    beside = shape.extra(call, ("id", "name", "args"), GEMINI, place)
    extra = {"functionCall": beside} if beside else {}
    extra |= shape.extra(part, (name, *_SEALS), GEMINI, where)
    id = member(call, "id", str, where, default="") or ""
    if id:
        shape.narrow(GEMINI)  # it is Google's, which knows it again
    return ToolCall(
        id,
        member(call, "name", str, place),
        as_json(call.get("args"), f"{place}.args"),
        _seal(part, shape),
        extra=extra,
    )


def _response(part: Mapping[str, Any], name: str, where: str, shape: Shape) -> Part:
    """A result, which is an object."""
    result = member(part, name, Mapping, where)
    place = f"{where}.{name}"
    beside = shape.extra(result, ("id", "name", "response"), GEMINI, place)
    extra = {"functionResponse": beside} if beside else {}
    extra |= shape.extra(part, (name,), GEMINI, where, _SEALS)
    id = member(result, "id", str, where, default="") or ""
    if id:
        shape.narrow(GEMINI)
    return ToolResult(
        id,
        as_json(result.get("response"), f"{place}.response"),
        member(result, "name", str, place),
        extra=extra,
    )


_MAKERS: Final[dict[str, Callable[[Mapping[str, Any], str, str, Shape], Part]]] = {
    "text": _text,
    **dict.fromkeys(("inlineData", "inline_data", "fileData", "file_data"), _blob),
    **dict.fromkeys(("functionCall", "function_call"), _call),
    **dict.fromkeys(("functionResponse", "function_response"), _response),
}

# https://ai.google.dev/api/caching#Part
_VENDOR: Final = (
    *("executableCode", "executable_code", "codeExecutionResult", "code_execution_result"),
    *("toolCall", "tool_call", "toolResponse", "tool_response"),
    *_SEALS,
)
_KNOWN: Final = ("text", "inlineData", "fileData", "functionCall", "functionResponse")
