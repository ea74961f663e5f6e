"""A conversation as the ``messages`` of a Chat Completions body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from engine.errors import ConfigError
from engine.messages import (
    Audio,
    Document,
    Image,
    Message,
    Part,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    VendorItem,
)
from engine.providers.call_ids import FITS_MISTRAL, FITS_OPENAI, FittingIds, fitting_ids
from engine.providers.call_names import fitting_name
from engine.providers.origin import is_own, is_told, with_extra
from engine.providers.sealed import unsealed
from engine.providers.thought_seals import UNSIGNED, signs_calls
from engine.providers.turns import with_calls_together

__all__ = ["render_lines"]

FORMAT: Final = "chat"

_ID_RULES: Final = {"mistral": FITS_MISTRAL, "openai": FITS_OPENAI, "azure": FITS_OPENAI}

# Under which name each wants its reasoning back, where the message does not say under which it
# came. vLLM: `reasoning` ("reasoning_content" was removed, vllm#27755); Mistral: a list.
_REASONING: Final = {
    **dict.fromkeys(("vllm", "groq", "cerebras", "openrouter", "ollama-openai"), "reasoning"),
    "mistral": "content",
}

# They answer 400 or 422 to the role: "unknown variant `developer`".
_NO_DEVELOPER: Final = frozenset({"deepseek", "dashscope", "mistral", "moonshot", "perplexity"})

# "content: string", says the document, and no list of texts.
_TEXTS: Final = frozenset({"deepseek"})

# "Assistant message must have either content or tool_calls", "must not be empty".
_NO_EMPTY: Final = frozenset({"mistral", "moonshot"})

# Free text for tools is OpenAI's own, others are told of a function with one argument; and so is
# the field for a refusal.
_OPENAI: Final = frozenset({"openai", "azure"})


# They take no reasoning but their own: "property 'reasoning_content' is unsupported", 422.
_OWN_FIELD: Final = {"groq": "reasoning", "cerebras": "reasoning", "mistral": "content"}

# "string does not match pattern" for the name of a call; others take any.
_PLAIN_NAMES: Final = frozenset({"openai", "azure", "mistral"})


def render_lines(
    messages: Sequence[Message],
    provider: str,
    model: str = "",
    rendered: dict[Any, Any] | None = None,
) -> list[dict[str, Any]]:
    """The lines of `messages`; see
    https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages.

    Reasoning and seals go back to the provider that gave them, under the name they came by. Lines
    that an earlier turn `rendered` (see `ModelRequest`) are not made again.

    Raises:
        ConfigError: a part cannot be said in this format.
    """
    turns = with_calls_together(messages)
    signs = provider == "gemini-openai" and signs_calls(model)
    key = (FORMAT, provider, signs)
    before: dict[int, _Rendered]
    ids: FittingIds | None
    before, ids = ({}, None) if rendered is None else rendered.get(key, ({}, None))
    if ids is None or not ids.goes_on(turns):
        ids = fitting_ids((), _rule(provider))
    ids.add_rest(turns)
    lines = _Lines(ids, provider, signs)
    # Ids that are made, and turns that are joined, depend on what stands around them.
    if rendered is None or not ids.own or len(turns) < len(messages):
        return [line for message in turns for line in lines.of(message)]
    made = [before.get(id(message)) or (message, lines.of(message)) for message in turns]
    rendered[key] = {id(each[0]): each for each in made}, ids
    return [line for _, each in made for line in each]


# A message, which holds its identity, and its lines.
_Rendered = tuple[Message, list[dict[str, Any]]]


class _Lines:
    def __init__(self, ids: FittingIds, provider: str, signs_calls: bool) -> None:
        self._provider = provider
        self._signs_calls = signs_calls
        self._id = ids

    def of(self, message: Message) -> list[dict[str, Any]]:
        """One message as the lines it takes: each tool result is a line of its own, before the
        rest."""
        told = is_told(message, self._provider, FORMAT)
        if message.role == "assistant":
            line = self._assistant(message, told)
            return [] if line is None else [self._finished(line, message, told)]
        lines = [self._result(part, told) for part in message.parts if isinstance(part, ToolResult)]
        parts = [part for part in message.parts if not isinstance(part, ToolResult)]
        if parts or (not lines and told and message.extra):
            role = "user" if message.role == "tool" else message.role
            line = {"role": role, "content": self._content(message, parts, told)}
            lines.append(self._finished(line, message, told))
        return lines

    def _finished(self, line: dict[str, Any], message: Message, told: bool) -> dict[str, Any]:
        if not told:
            return line
        line = with_extra(line, message.extra)
        if line["role"] == "developer" and self._provider in _NO_DEVELOPER:
            line["role"] = "system"
        return line

    def _content(self, message: Message, parts: Sequence[Part], told: bool) -> Any:
        plain = all(isinstance(part, Text) and not (told and part.extra) for part in parts)
        single = len(parts) < 2 or FORMAT not in message.formats or self._provider in _TEXTS
        if plain and single:
            return "".join(part.text for part in parts if isinstance(part, Text))
        return [_part(part, self._provider, told) for part in parts]

    def _result(self, result: ToolResult, told: bool) -> dict[str, Any]:
        content: Any = result.content
        if result.parts:
            content = [_part(part, self._provider, told) for part in result.parts]
        line = {"role": "tool", "tool_call_id": self._id(result), "content": content}
        if not told:
            return line
        line = with_extra(line, result.extra)
        if line["role"] == "function":  # before 2023-11 a result had the name alone
            line["name"] = result.name
            del line["tool_call_id"]
        return line

    # -- answers -------------------------------------------------------------------------------

    def _assistant(self, message: Message, told: bool) -> dict[str, Any] | None:
        """An answer; None where nothing of it can be told, as of one that was cut off in its
        reasoning: providers refuse a message without content."""
        line: dict[str, Any] = {"role": "assistant"}
        own = is_own(message, self._provider, FORMAT)
        calls = [
            self._call(part, own, told) for part in message.parts if isinstance(part, ToolCall)
        ]
        line["content"] = self._said(message, own, told) or (None if calls else "")
        if message.refusal is not None:
            if own or self._provider in _OPENAI:
                line["refusal"] = message.refusal
            elif not line["content"]:  # others know no such field
                line["content"] = message.refusal
        sound = next((part for part in message.parts if isinstance(part, Audio)), None)
        if own and sound is not None and sound.id is not None:
            line["audio"] = {"id": sound.id}
        images = [part for part in message.parts if isinstance(part, Image)]
        if own and images and message.provider is not None:
            line["images"] = [_part(image, self._provider, told) for image in images]
        said = len(line) > 2 or line["content"] or calls or (told and message.extra)
        empty = any(isinstance(part, Text) for part in message.parts)
        if not said and (not empty or self._provider in _NO_EMPTY):
            return None
        if own:
            line |= self._reasoning(message)
        if calls:
            if self._signs_calls:  # Gemini 3 answers 400 where the first call has no seal
                calls[0].setdefault("extra_content", {"google": {"thought_signature": UNSIGNED}})
            line["tool_calls"] = calls
        return line

    def _said(self, message: Message, own: bool, told: bool) -> Any:
        """The content: a text, or a list where it is more than that."""
        parts: list[dict[str, Any]] = []
        plain = True
        for part in message.parts:
            if isinstance(part, Text):
                parts.append(_part(part, self._provider, told))
                plain = plain and not (told and part.extra)
            elif isinstance(part, Refusal) and told and part.extra:
                plain = False
                parts.append(with_extra({"type": "refusal", "refusal": part.text}, part.extra))
            elif own and isinstance(part, Thinking) and self._field(part) == "content":
                plain = False
                parts.append(with_extra(_thought(part), part.extra))
            elif isinstance(part, VendorItem) and own and part.format in (None, FORMAT):
                plain = False
                parts.append(part.data)
            elif isinstance(part, Image | Document) and message.provider is None:
                plain = False
                parts.append(_part(part, self._provider, told))
        if plain and (len(parts) < 2 or FORMAT not in message.formats or message.provider):
            return message.text
        return parts

    def _field(self, part: Thinking) -> str | None:
        """The name it goes back under; None: not to this provider."""
        field = part.field or _REASONING.get(self._provider, "reasoning_content")
        known = _OWN_FIELD.get(self._provider, field)
        return field if field == known else None

    def _reasoning(self, message: Message) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for part in message.parts:
            if isinstance(part, RedactedThinking) and self._provider not in _OWN_FIELD:
                fields |= unsealed(part.data)
        sealed = bool(fields)
        for part in message.parts:
            if not isinstance(part, Thinking):
                continue
            field = self._field(part)
            if field == "extra_content":
                fields[field] = {"google": {"thought_signature": part.signature}}
                continue
            if field in (None, "content") or (field == "reasoning_details" and sealed):
                continue
            if sealed and self._provider == "openrouter" and message.provider is not None:
                continue  # its details hold the same words: "pass the entire sequence back"
            if field == "reasoning_details":
                field = "reasoning"
            fields[field or ""] = fields.get(field or "", "") + part.text
        return fields

    def _call(self, call: ToolCall, own: bool, told: bool) -> dict[str, Any]:
        line: dict[str, Any] = {"id": self._id(call)}
        name = fitting_name(call.name) if self._provider in _PLAIN_NAMES else call.name
        if call.custom and (own or self._provider in _OPENAI):
            line |= {"type": "custom", "custom": {"name": name, "input": call.input}}
        else:
            function = {"name": name, "arguments": _arguments(call)}
            line |= {"type": "function", "function": function}
        if own and call.signature is not None:
            # https://ai.google.dev/gemini-api/docs/thought-signatures, "OpenAI compatibility"
            line["extra_content"] = {"google": {"thought_signature": call.signature}}
        return with_extra(line, call.extra) if told else line


def _rule(provider: str) -> Any:
    if provider.endswith(".mistral.ai"):
        return FITS_MISTRAL
    return _ID_RULES.get(provider)


def _arguments(call: ToolCall) -> str:
    """The arguments, an object at least where there are none: Groq writes "null", which nobody
    takes back."""
    if call.custom:
        return msgspec.json.encode({"input": call.input}).decode()
    return "{}" if call.arguments.strip() in ("null", "") else call.arguments


# -- parts ---------------------------------------------------------------------------------------


def _thought(part: Thinking) -> dict[str, Any]:
    """Reasoning as a part of a list: Databricks' with its seal, or Mistral's."""
    if part.extra.get("type") == "reasoning":
        seal = {"signature": part.signature} if part.signature else {}
        return {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": part.text, **seal}],
        }
    return {"type": "thinking", "thinking": [{"type": "text", "text": part.text}]}


def _part(part: Part, provider: str, told: bool) -> dict[str, Any]:
    """A part of a question."""
    if isinstance(part, VendorItem) and part.format in (None, FORMAT):
        return part.data
    if isinstance(part, Text):
        written: dict[str, Any] = {"type": "text", "text": part.text}
    elif isinstance(part, Image):
        written = {"type": "image_url", "image_url": _image(part)}
    elif isinstance(part, Document):
        written = _document(part, provider)
    elif isinstance(part, Audio):
        sound = {"data": part.data, "format": _sound_format(part)}
        written = {"type": "input_audio", "input_audio": sound}
    else:
        raise ConfigError(
            f"input: a part of type {type(part).__name__} cannot stand in a question to this "
            "provider"
        )
    return with_extra(written, part.extra) if told else written


def _image(part: Image) -> dict[str, Any]:
    if part.url is None and part.data is None:
        raise ConfigError("input: a part of type Image has neither url nor data")
    url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
    return {"url": url} if part.detail is None else {"url": url, "detail": part.detail}


def _sound_format(part: Audio) -> str:
    """OpenAI's word: "wav" and "mp3" are all it takes; others take more."""
    word = (part.media_type or "audio/wav").partition("/")[2]
    return {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}.get(word, word)


def _document(part: Document, provider: str) -> dict[str, Any]:
    media_type = part.media_type or "application/pdf"
    data = f"data:{media_type};base64,{part.data}"
    if media_type.startswith("video/"):  # vLLM's, SGLang's, DashScope's
        return {"type": "video_url", "video_url": {"url": part.url or data}}
    if part.url is not None and provider == "mistral":
        named = {"document_name": part.title} if part.title else {}
        return {"type": "document_url", "document_url": part.url, **named}
    if part.url is not None and provider == "openrouter":
        data = part.url
    elif part.data is None:
        raise ConfigError(
            "input: the chat format takes documents as data, not by url; read the file, or "
            "use dialect='responses'"
        )
    return {"type": "file", "file": {"filename": part.title or "document", "file_data": data}}
