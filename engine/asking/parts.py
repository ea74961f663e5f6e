"""Content parts as users write them, in the shapes of OpenAI, Mistral, Anthropic and Cohere.

Gemini's, which have no ``type``, are in `contents`; calls and results in `calls`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

import msgspec

from engine.asking.calls import as_tool_result, as_tool_use
from engine.asking.contents import as_gemini_part
from engine.asking.shape import CHAT, MESSAGES, RESPONSES, TYPED, Shape, member
from engine.errors import ConfigError
from engine.messages import (
    Audio,
    Document,
    Image,
    Part,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    VendorItem,
)

__all__ = ["as_part"]

# Members of an answer's parts that no provider but its own needs to hear of.
_TOLD: Final = ("annotations", "citations", "logprobs", "id", "status", "index")


def as_part(part: Any, where: str, shape: Shape) -> Part:
    """One content part.

    A kind that is not known goes to the formats whose parts have a ``type``, as it is.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(part, str):
        return Text(part)
    if isinstance(part, Part):
        return part
    if not isinstance(part, Mapping):
        raise ConfigError(f"{where} must be a string or a dict, not {type(part).__name__}")
    kind = part.get("type")
    if kind is None:
        return as_gemini_part(part, where, shape)
    if not isinstance(kind, str) or not kind:
        raise ConfigError(f"{where} has the type {kind!r}, which is not known")
    if frozenset(part) == _OWN.get(kind):
        return _own(part, where)
    make = _KINDS.get(kind)
    if make is not None:
        return make(part, where, shape)
    formats = _formats_of(kind)
    shape.bind(formats, where)
    return VendorItem(kind, dict(part), _only(formats))


def _own(part: Mapping[str, Any], where: str) -> Part:
    """A part of the engine's own, as JSON."""
    try:
        made: Part = msgspec.convert(part, Part)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error
    return made


def _only(formats: frozenset[str]) -> str | None:
    return next(iter(formats)) if len(formats) == 1 else None


def _formats_of(kind: str) -> frozenset[str]:
    """The formats that a part of a `type` we do not know may be of."""
    if kind in _VENDOR_KINDS:
        return _VENDOR_KINDS[kind]
    if kind.startswith(("input_", "output_")) or kind.endswith(("_call", "_call_output")):
        return RESPONSES
    if kind.endswith(("_tool_use", "_tool_result")):
        return MESSAGES
    return TYPED | RESPONSES


# https://platform.claude.com/docs/en/api/messages, https://docs.mistral.ai/api (ContentChunk)
_VENDOR_KINDS: Final = {
    **dict.fromkeys(("search_result", "container_upload", "compaction", "fallback"), MESSAGES),
    **dict.fromkeys(("server_tool_use", "mcp_tool_use", "mcp_tool_result"), MESSAGES),
    **dict.fromkeys(("document_url", "reference", "tool_file"), CHAT),
    "tool_reference": CHAT | MESSAGES,  # Mistral's and Anthropic's
    **dict.fromkeys(("mcp_approval_response", "item_reference"), RESPONSES),
    "video_url": CHAT,
}


def _text(part: Mapping[str, Any], where: str, shape: Shape) -> Part:
    text = member(part, "text", str, where)
    formats = TYPED if part["type"] == "text" else RESPONSES
    return Text(text, extra=shape.extra(part, ("type", "text"), formats, where, _TOLD))


def _image_url(part: Mapping[str, Any], where: str, shape: Shape) -> Part:
    """OpenAI's image: nested in Chat Completions (Mistral writes the address alone), flat in
    Responses."""
    image = part.get("image_url")
    chat = part["type"] == "image_url"
    known = ["type", "image_url", "detail"]
    extra: dict[str, Any] = {}
    detail = part.get("detail")
    if isinstance(image, Mapping):
        detail = image.get("detail", detail)
        url = member(image, "url", str, f"{where}.image_url")
        inner = shape.extra(image, ("url", "detail"), TYPED - MESSAGES, f"{where}.image_url")
        extra = {"image_url": inner} if inner else {}
    elif image is None and isinstance(part.get("file_id"), str):
        shape.bind(RESPONSES, f"{where}.file_id")
        return VendorItem("input_image", dict(part), "responses")
    else:
        url = member(part, "image_url", str, where)
    extra |= shape.extra(part, known, TYPED - MESSAGES if chat else RESPONSES, where)
    detail = detail if isinstance(detail, str) else None
    media_type, data = _data_url(url)
    if data is not None:
        return Image(data=data, media_type=media_type, detail=detail, extra=extra)
    return Image(url=url, detail=detail, extra=extra)


_SOURCE: Final = ("type", "media_type", "data", "url")


def _source(part: Mapping[str, Any], where: str, shape: Shape) -> Part:
    """Anthropic's image and document."""
    if "source" not in part and "document" in part:  # Cohere's document
        shape.bind(frozenset({"cohere"}), where)
        return VendorItem("document", dict(part), "cohere")
    source = member(part, "source", Mapping, where)
    place = f"{where}.source"
    if source.get("type") in ("file", "content"):
        # By id at Anthropic, or made of blocks: nobody else can read it.
        shape.bind(MESSAGES, f"{place}.type")
        return VendorItem(part["type"], dict(part), "messages")
    make: Callable[..., Part] = Image if part["type"] == "image" else Document
    known = ["type", "source"]
    facts: dict[str, Any] = {}
    if part["type"] == "document":
        known.append("title")
        facts["title"] = member(part, "title", str, where, default=None)
    inner = shape.extra(source, _SOURCE, MESSAGES, place)
    facts["extra"] = {"source": inner} if inner else {}
    facts["extra"] |= shape.extra(part, known, MESSAGES, where)
    if source.get("type") == "url" or "url" in source:
        return make(url=member(source, "url", str, place), **facts)
    data = source.get("data")
    if source.get("type") == "text" and isinstance(data, str):
        data = data.encode("utf-8", "replace")  # plain text, which Anthropic takes as it is
    media_type = member(source, "media_type", str, place, default=None)
    return make(data=as_base64(data, f"{place}.data"), media_type=media_type, **facts)


def _file(part: Mapping[str, Any], where: str, shape: Shape) -> Part:
    """OpenAI's file: nested in Chat Completions, flat in Responses."""
    nested = "file" in part
    file = part.get("file", part)
    place = f"{where}.file" if nested else where
    if not isinstance(file, Mapping):
        raise ConfigError(f"{place} must be a dict, not {type(file).__name__}")
    title = member(file, "filename", str, place, default=None)
    if file.get("file_data") is None and isinstance(file.get("file_id"), str):
        formats = CHAT if nested else RESPONSES
        shape.bind(formats, f"{place}.file_id")
        return VendorItem(part["type"], dict(part), _only(formats))
    if nested:
        inner = shape.extra(file, ("filename", "file_data"), CHAT, place)
        extra = {"file": inner} if inner else {}
        extra |= shape.extra(part, ("type", "file"), CHAT, where)
    else:
        known = ("type", "filename", "file_data", "file_url")
        extra = shape.extra(part, known, RESPONSES, where)
    if isinstance(file.get("file_url"), str):
        return Document(url=file["file_url"], title=title, extra=extra)
    url = member(file, "file_data", str, place)
    media_type, data = _data_url(url)
    data = url if data is None else data
    return Document(data=data, media_type=media_type, title=title, extra=extra)


def _audio(part: Mapping[str, Any], where: str, shape: Shape) -> Part:
    """OpenAI's sound, the same in both of its formats."""
    formats = CHAT | RESPONSES
    sound = part.get("input_audio")
    if isinstance(sound, str):  # Mistral's: base64 or an address
        shape.bind(CHAT, where)
        return VendorItem("input_audio", dict(part), "chat")
    sound = member(part, "input_audio", Mapping, where)
    place = f"{where}.input_audio"
    data = as_base64(sound.get("data"), f"{place}.data")
    word = member(sound, "format", str, place, default=None)
    inner = shape.extra(sound, ("data", "format"), formats, place)
    extra = {"input_audio": inner} if inner else {}
    extra |= shape.extra(part, ("type", "input_audio"), formats, where)
    return Audio(data, f"audio/{word}" if word else None, extra=extra)


def _thinking(part: Mapping[str, Any], where: str, shape: Shape) -> Part:
    """Anthropic's and Cohere's reasoning; Mistral's is a list."""
    words = part.get("thinking")
    if isinstance(words, list | tuple):
        shape.narrow(CHAT)
        chunk: Any = words[0] if len(words) == 1 else {}
        plain = isinstance(chunk, Mapping) and chunk.keys() == {"type", "text"}
        if not plain or not isinstance(chunk["text"], str):
            return VendorItem("thinking", dict(part), "chat")
        extra = shape.extra(part, ("type", "thinking"), CHAT, where, part)
        return Thinking(chunk["text"], field="content", extra=extra)
    text = member(part, "thinking", str, where, default="")
    formats = MESSAGES if "signature" in part else MESSAGES | {"cohere"}
    shape.narrow(formats)
    extra = shape.extra(part, ("type", "thinking", "signature"), formats, where, part)
    return Thinking(text, member(part, "signature", str, where, default=None), extra=extra)


def _redacted(part: Mapping[str, Any], where: str, shape: Shape) -> Part:
    shape.narrow(MESSAGES)
    extra = shape.extra(part, ("type", "data"), MESSAGES, where, part)
    return RedactedThinking(member(part, "data", str, where), extra)


def _refusal(part: Mapping[str, Any], where: str, shape: Shape) -> Part:
    shape.narrow(CHAT | RESPONSES)
    extra = shape.extra(part, ("type", "refusal"), CHAT | RESPONSES, where, _TOLD)
    return Refusal(member(part, "refusal", str, where), extra)


def _tool_result(part: Mapping[str, Any], where: str, shape: Shape) -> Part:
    return as_tool_result(part, where, shape, as_part)


_KINDS: Final[dict[str, Callable[[Mapping[str, Any], str, Shape], Part]]] = {
    **dict.fromkeys(("text", "input_text", "output_text"), _text),
    **dict.fromkeys(("image_url", "input_image"), _image_url),
    **dict.fromkeys(("image", "document"), _source),
    **dict.fromkeys(("file", "input_file"), _file),
    "input_audio": _audio,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "refusal": _refusal,
    "tool_use": as_tool_use,
    "tool_result": _tool_result,
}

# The members `msgspec.to_builtins` writes of each part of the engine's own: all there are.
_OWN: Final = {
    kind.__struct_config__.tag: frozenset({"type", *kind.__struct_fields__})
    for kind in get_args(Part)
}


def _data_url(url: str) -> tuple[str | None, str | None]:
    """Media type and base64 of a data URL; (None, None) where it is none, or says more."""
    head, comma, data = url.removeprefix("data:").partition(",")
    media_type, base64, more = head.partition(";base64")
    if not url.startswith("data:") or not (comma and base64) or more or ";" in media_type:
        return None, None
    return media_type or None, data


def as_base64(data: Any, where: str) -> str:
    """Data given as base64 text, or as bytes.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(data, bytes | bytearray):
        return base64.b64encode(data).decode()
    if not isinstance(data, str):
        raise ConfigError(f"{where} must be base64 text or bytes, not {type(data).__name__}")
    return data
