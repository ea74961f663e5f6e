"""Messages and their parts, tool definitions, usage: plain data every provider is mapped to.

None of what a conversation is made of can be in a cycle of references: the garbage collector need
not walk through thousands of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import msgspec

__all__ = [
    "Audio",
    "Citation",
    "Document",
    "FinishReason",
    "Image",
    "Message",
    "Part",
    "PartialToolCall",
    "RedactedThinking",
    "Refusal",
    "Role",
    "ServerTool",
    "Text",
    "Thinking",
    "Tool",
    "ToolCall",
    "ToolResult",
    "Usage",
    "VendorItem",
    "VendorTool",
]

Role = Literal["system", "user", "assistant", "tool"]


class FinishReason(StrEnum):
    """Why the model stopped; the provider's own word is kept beside it."""

    STOP = "STOP"
    LENGTH = "LENGTH"
    TOOL_USE = "TOOL_USE"
    CONTENT_FILTER = "CONTENT_FILTER"
    REFUSAL = "REFUSAL"
    PAUSE = "PAUSE"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one request, each None where the provider did not say.

    Attributes:
        input_tokens: all tokens of the input, those read from or written to a cache included.
        output_tokens: all tokens the model produced, reasoning included.
        total_tokens: what the provider reports as total, else input + output.
        cached_tokens: the part of the input that was read from a cache.
        cache_write_tokens: the part of the input that was written to a cache.
        reasoning_tokens: the part of the output that is reasoning.
        partial: the stream ended before its last report: the numbers are what was said so far.
        cost: what the provider says the request cost, in its own unit (OpenRouter: US dollars).
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    partial: bool = False
    cost: float | None = None


class Citation(msgspec.Struct, frozen=True, gc=False):
    """A source the model names for a piece of its text.

    Attributes:
        url: address of the source, or None.
        title: its title, or None.
        quote: the words cited, or None.
        data: the provider's own object, whole.
    """

    url: str | None = None
    title: str | None = None
    quote: str | None = None
    data: dict[str, Any] = {}


class Text(msgspec.Struct, frozen=True, tag="text", gc=False):
    """Text, with the citations that belong to it; `signature` and `extra` as in `ToolCall`."""

    text: str
    citations: list[Citation] = []
    signature: str | None = None
    extra: dict[str, Any] = {}


class Thinking(msgspec.Struct, frozen=True, tag="thinking", gc=False):
    """Reasoning the provider shows.

    Attributes:
        text: the reasoning or its summary; may be empty.
        signature: the provider's seal; sent back unchanged with the next turn.
        id: the provider's id of the item, or None.
        field: the name it came under in the chat format (``reasoning``, ``thinking``; ``content``
            for Mistral's list), by which it goes back; None: ``reasoning_content``, or another
            format.
        extra: as in `ToolCall`.
    """

    text: str
    signature: str | None = None
    id: str | None = None
    field: str | None = None
    extra: dict[str, Any] = {}


class RedactedThinking(msgspec.Struct, frozen=True, tag="redacted_thinking", gc=False):
    """Reasoning the provider shows only encrypted; sent back unchanged with the next turn.

    `data` is for the provider alone; `extra` as in `ToolCall`.
    """

    data: str
    extra: dict[str, Any] = {}


class Refusal(msgspec.Struct, frozen=True, tag="refusal", gc=False):
    """The model's words where it refuses; `extra` as in `ToolCall`."""

    text: str
    extra: dict[str, Any] = {}


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call", gc=False):
    """A call the model asks for, whole: `arguments` is valid JSON.

    Attributes:
        id: the provider's id of the call; made up by the engine where the provider gives none.
        name: the tool.
        arguments: the arguments as the JSON text the model wrote.
        signature: the provider's seal of the thought behind the call (Gemini), or None.
        custom: whether the tool takes free text: then `arguments` is that text as a JSON string.
        extra: what else the provider said of it (``caller``, ``extra_content`` …), in its own
            words; it goes back to a provider of the same format.
    """

    id: str
    name: str
    arguments: str
    signature: str | None = None
    custom: bool = False
    extra: dict[str, Any] = {}

    @property
    def input(self) -> Any:
        """The arguments decoded: a dict; of a custom tool the text."""
        value = msgspec.json.decode(self.arguments)
        return {} if value is None else value  # Groq writes "null" for no arguments


class PartialToolCall(msgspec.Struct, frozen=True, tag="partial_tool_call", gc=False):
    """A call whose `arguments` did not complete as valid JSON: to look at, never to carry out. `id`
    and `name` are as far as they came."""

    id: str
    name: str
    arguments: str


class ToolResult(msgspec.Struct, frozen=True, tag="tool_result", gc=False):
    """What a tool gave back for the call `id`.

    Attributes:
        id: of the call.
        content: the result as text.
        name: the tool's name (Gemini asks for it); None: that of the call.
        is_error: the tool failed, and `content` says how.
        parts: the result where it is more than text: texts, images, documents, in order; they are
            sent in place of `content`. OpenAI's Responses, Anthropic and Gemini take them.
        extra: as in `ToolCall`.
    """

    id: str
    content: str
    name: str | None = None
    is_error: bool = False
    parts: list[Text | Image | Document | Audio | VendorItem] = []
    extra: dict[str, Any] = {}


class Image(msgspec.Struct, frozen=True, tag="image", gc=False):
    """An image, by `url` or as base64 `data` of `media_type`; `extra` as in `ToolCall`.

    `detail` is OpenAI's word (``low``, ``high``, ``auto``); None leaves it to the provider.
    """

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    extra: dict[str, Any] = {}


class Document(msgspec.Struct, frozen=True, tag="document", gc=False):
    """A document, by `url`, or as base64 `data` of `media_type`; `title`, None: it has none;
    `extra` as in `ToolCall`."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    title: str | None = None
    extra: dict[str, Any] = {}


class Audio(msgspec.Struct, frozen=True, tag="audio", gc=False):
    """Sound, as base64 `data` of `media_type`.

    Attributes:
        data: the sound; empty where only the transcript came.
        media_type: ``audio/wav``, ``audio/pcm`` …, or None where the provider does not say.
        transcript: the words in it, where the provider gives them.
        id: the provider's id of the sound, by which a later turn may name it, or None.
        extra: as in `ToolCall`.
    """

    data: str
    media_type: str | None = None
    transcript: str = ""
    id: str | None = None
    extra: dict[str, Any] = {}


class ServerTool(msgspec.Struct, frozen=True, tag="server_tool"):
    """A tool the provider ran itself, or its result: `name`, and in `data` the provider's own
    object, whole."""

    name: str
    data: dict[str, Any]


# What the user must answer before the turn can go on, in the formats' own words: a call without
# its output (see `VendorItem.waits`), or a question.
_WAITING_TYPES = frozenset({"mcp_approval_request"})


class VendorItem(msgspec.Struct, frozen=True, tag="vendor_item"):
    """An item of a vendor's own format that has no part of ours: whole, in both directions.

    An answer holds it for tools that run on the user's side and are no functions (``shell_call``,
    ``apply_patch_call``, ``computer_call``), for approvals, and for what only the vendor reads
    (``compaction``); a question holds it for the answers to those (``shell_call_output``,
    ``mcp_approval_response``).

    Attributes:
        name: the vendor's name for the kind.
        data: the vendor's object, sent as it is.
        format: the dialect it belongs to, ``responses`` say; None: not said.
    """

    name: str
    data: dict[str, Any]
    format: str | None = None

    @property
    def waits(self) -> bool:
        """Whether the turn cannot go on before the user has answered it."""
        return self.name in _WAITING_TYPES or (
            self.name.endswith("_call") and isinstance(self.data.get("call_id"), str)
        )


Part = (
    Text
    | Thinking
    | RedactedThinking
    | Refusal
    | ToolCall
    | PartialToolCall
    | ToolResult
    | Image
    | Document
    | ServerTool
    | Audio
    | VendorItem
)


class Message(msgspec.Struct, frozen=True, gc=False):
    """One turn: a role and its parts, in order.

    Attributes:
        role: ``system``, ``user``, ``assistant`` or ``tool``.
        parts: the content, in the order it came.
        provider: name of the provider that wrote it, or None; seals (thinking signatures) go back
            to that provider only.
        id: the provider's id of the message, or None.
        model: the model that answered, or None.
        extra: keys of the message itself in its provider's own form (``name``, ``prefix``,
            ``container``); they go to providers of the same format.
        formats: the dialects in whose form it was written; what only they understand (seals,
            `extra`) goes to them alone. Empty: not said.
    """

    role: Role
    parts: list[Part]
    provider: str | None = None
    id: str | None = None
    model: str | None = None
    extra: dict[str, Any] = {}
    formats: tuple[str, ...] = ()

    @classmethod
    def system(cls, text: str) -> Message:
        """Instructions: `text`."""
        return cls("system", [Text(text)])

    @classmethod
    def user(cls, *parts: str | Part) -> Message:
        """A question: strings, images, documents."""
        return cls("user", [Text(part) if isinstance(part, str) else part for part in parts])

    @classmethod
    def assistant(cls, *parts: str | Part) -> Message:
        """An answer, as an example or a prefill."""
        return cls("assistant", [Text(part) if isinstance(part, str) else part for part in parts])

    @classmethod
    def tool(cls, *results: ToolResult) -> Message:
        """The results of tool calls; several of one turn belong in one message."""
        return cls("tool", list(results))

    @property
    def text(self) -> str:
        """The text parts, joined; thinking and refusals are not in it."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def thinking(self) -> str:
        """The reasoning shown, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Thinking))

    @property
    def refusal(self) -> str | None:
        """The model's refusal, or None."""
        texts = [part.text for part in self.parts if isinstance(part, Refusal)]
        return "".join(texts) if texts else None

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls that came whole, in order."""
        return [part for part in self.parts if isinstance(part, ToolCall)]


class Tool(msgspec.Struct, frozen=True):
    """A tool the model may call.

    Attributes:
        name: what the model calls it by.
        description: what it does, for the model.
        parameters: JSON schema of the arguments.
        strict: ask the provider to hold the model to the schema; None leaves it to the provider.
        extra: what else its vendor's form says of it (``cache_control``, ``defer_loading``).
        formats: as in `Message`, for `extra`.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = msgspec.field(
        default_factory=lambda: {"type": "object", "properties": {}}
    )
    strict: bool | None = None
    extra: dict[str, Any] = {}
    formats: tuple[str, ...] = ()


class VendorTool(msgspec.Struct, frozen=True):
    """A tool of the provider's own (web search, code execution, a custom or MCP tool), as it is
    written in its format: `data` goes out unchanged."""

    data: dict[str, Any]

    @property
    def name(self) -> str:
        """What a ``tool_choice`` calls it by; empty where it has no name."""
        custom = self.data.get("custom")  # OpenAI's chat format has it one level down
        name = (custom if isinstance(custom, dict) else self.data).get("name")
        return name if isinstance(name, str) else ""
