"""What users may give as input, made into messages.

Messages may be the engine's own, also as JSON, or dicts in the shapes of OpenAI (Chat Completions
and Responses), Anthropic, Gemini, Ollama and Cohere. What cannot be read is refused before
anything is sent, by its place; what only one vendor's format can say is told by its place too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from engine.asking.calls import as_call, as_result
from engine.asking.dialogue import Dialogue
from engine.asking.items import is_item, read_item
from engine.asking.parts import as_base64, as_part
from engine.asking.reasoning import REASONING, reasoning_of
from engine.asking.shape import CHAT, GEMINI, MESSAGES, OLLAMA, RESPONSES, TYPED, Shape, member
from engine.errors import ConfigError
from engine.messages import (
    Image,
    Message,
    Part,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    VendorItem,
)
from engine.request import Bound
from engine.wire.json import is_json

__all__ = ["MIXED", "Input", "System", "as_messages", "read_input"]

Input = str | Message | Mapping[str, Any] | Sequence[Message | Mapping[str, Any]]
System = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]


def as_messages(input: Input, system: System | None) -> list[Message]:
    """The messages of `input`, with `system` before them.

    Raises:
        ConfigError: `input` is empty, or holds something that is no message; it is named by its
            place, as in ``input[2].content[0]``.
    """
    return read_input(input, system)[0]


def read_input(input: Input, system: System | None) -> tuple[list[Message], list[Bound]]:
    """The messages of `input`, with `system` before them; and what of them only some formats can
    say, by its place.

    Raises:
        ConfigError: as for `as_messages`.
    """
    bound: list[Bound] = []
    messages = [_system(system, bound)] if system else []
    if isinstance(input, str):
        messages.append(Message.user(input))
    elif type(input) is Dialogue:
        messages += _dialogue(input, bound) or _one_by_one(input, bound)
    elif isinstance(input, Message | Mapping):
        messages.append(_message(input, "input", bound))
    elif isinstance(input, Iterable) and not isinstance(input, bytes | bytearray):
        messages += [_message(item, f"input[{number}]", bound) for number, item in enumerate(input)]
    else:
        raise ConfigError(f"input must be a string or messages, not {type(input).__name__}")
    if not messages or (messages[-1].role == "system" and _is_instructions(messages)):
        raise ConfigError("input is empty: there is no message to answer")
    return messages, bound


def _system(system: Any, bound: list[Bound]) -> Message:
    """The argument `system`: a text, or content as a message has it: Anthropic's list of blocks,
    Gemini's ``systemInstruction``."""
    if isinstance(system, str):
        return Message.system(system)
    if isinstance(system, Mapping) and "parts" in system:
        item = {**system, "role": "system"}
    elif isinstance(system, list | tuple):
        item = {"role": "system", "content": system}
    else:
        raise ConfigError(
            f"system must be a string or a list of text parts, not {type(system).__name__}"
        )
    message = _message(item, "system", bound)
    for number, part in enumerate(message.parts):
        if not isinstance(part, Text):
            raise ConfigError(f"system[{number}] is no text")
    return message


def _is_instructions(messages: list[Message]) -> bool:
    return all([message.role == "system" for message in messages])


def _dialogue(dialogue: Dialogue, bound: list[Bound]) -> list[Message] | None:
    """The messages of `dialogue`; one that says the same as in an earlier turn is that turn's.
    None where they have to be looked at one by one."""
    known = dialogue.known
    found = known.find_all(dialogue)
    if found is None:
        return None
    messages: list[Message] = []
    for written, message in zip(*found, strict=True):
        if message is None:
            number, before = len(messages), len(bound)
            message = _message(dialogue[number], f"input[{number}]", bound, written)
            if len(bound) == before:  # what is bound is told by its place, which may be another
                known.keep(written, message)
        messages.append(message)
    return messages


def _one_by_one(dialogue: Dialogue, bound: list[Bound]) -> Iterable[Message]:
    """`_dialogue`, where some of its messages are no usual ones."""
    known, given = dialogue.known, set[int]()
    for number, item in enumerate(dialogue):
        written, message = known.find(item)
        # Two that say the same are two, whose calls may need ids of their own.
        if message is None or id(message) in given:
            before = len(bound)
            message = _message(item, f"input[{number}]", bound)
            if len(bound) == before:
                known.keep(written, message)
        given.add(id(message))
        yield message


def _message(item: Any, where: str, bound: list[Bound], written: bytes | None = None) -> Message:
    """`written`: the engine's own as JSON, where that was made already."""
    if isinstance(item, Message):
        message = _checked(item, where, written)
        # An answer's goes to whoever gave it, and others are not told of it; what a user wrote
        # must arrive.
        if message.provider is None:
            bound += _bound(message, where)
        return message
    if not isinstance(item, Mapping):
        raise ConfigError(
            f"{where} must be a Message or a dict with role and content, not {type(item).__name__}"
        )
    if _is_own(item):
        return _message(_own(item, where), where, bound)
    shape = Shape()
    made = read_item(item, where, shape, as_part) if is_item(item) else _turn(item, where, shape)
    bound += shape.bound()
    return msgspec.structs.replace(made, formats=shape.formats) if shape.formats else made


# -- the engine's own --------------------------------------------------------------------------


def _is_own(item: Mapping[str, Any]) -> bool:
    """Whether it is a message as JSON (`msgspec.to_builtins` of one): with `parts`, as Gemini's
    contents have, but of a ``type`` each."""
    parts = item.get("parts")
    if "content" in item or "role" not in item or not isinstance(parts, list | tuple):
        return False
    if not all(isinstance(part, Mapping) and "type" in part for part in parts):
        return False
    return item.keys() <= _FIELDS


_FIELDS: Final = frozenset(Message.__struct_fields__)


def _own(item: Mapping[str, Any], where: str) -> Message:
    try:
        return msgspec.convert(item, Message)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error


_decode: Final = msgspec.json.Decoder(Message).decode


def _checked(message: Message, where: str, written: bytes | None) -> Message:
    """`message`, whose fields nobody has checked yet: constructors check nothing."""
    try:
        message = _decode(written or msgspec.json.encode(message))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{where}: {error}") from error
    if not message.parts and message.provider is None:
        raise ConfigError(f"{where} has no content")
    for number, part in enumerate(message.parts):
        if isinstance(part, ToolCall) and not is_json(part.arguments):
            raise ConfigError(f"{where}.parts[{number}].arguments is a string that is no JSON")
    return message


def _bound(message: Message, where: str) -> Iterable[Bound]:
    """What of a message of the engine's own, which is no answer, is of one format."""
    if message.extra and message.formats:
        yield Bound(f"{where}.extra", message.formats)
    for number, part in enumerate(message.parts):
        place = f"{where}.parts[{number}]"
        if isinstance(part, VendorItem):
            if part.format is not None and part.name != "reasoning":
                yield Bound(place, (part.format,))
        elif getattr(part, "extra", None) and message.formats:
            yield Bound(f"{place}.extra", message.formats)
        elif isinstance(part, ToolResult) and not all(isinstance(p, Text) for p in part.parts):
            yield Bound(f"{place}.parts", message.formats or MIXED)


# Those that take images in the result of a tool.
MIXED: Final = ("gemini", "messages", "responses")


# -- vendors' ----------------------------------------------------------------------------------

# Other names of the roles: OpenAI's newer "system", Gemini's assistant, the tools before 2023-11.
_ROLES: Final[dict[Any, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
}

_READ: Final = frozenset(
    ("role", "content", "parts", "tool_calls", "refusal", "images", "type", *REASONING)
)

# Members of an answer that no provider but its own needs to hear of. Those of a whole Anthropic
# message are among them, which people put back as it came.
_TOLD: Final = frozenset(
    {
        *("id", "status", "model", "stop_reason", "stop_sequence", "usage", "annotations"),
        *("phase", "object", "created", "created_at", "finish_reason", "done", "done_reason"),
    }
)


def _turn(item: Mapping[str, Any], where: str, shape: Shape) -> Message:
    """A message with a role."""
    name = item.get("role", "user" if "parts" in item else None)
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise ConfigError(
            f"{where} has the role {name!r}; there are system, user, assistant and tool"
        )
    if role == "tool" and not _is_results(item):
        return Message("tool", _results(item, where, shape))
    parts = _parts(item, where, shape)
    whole = item.get("type") == "message" and "stop_reason" in item
    known = _READ if not whole else _READ | _ANSWER
    extra = shape.extra(item, known, _formats(item), where, _TOLD)
    if item.get("type") is not None and not whole:
        shape.narrow(RESPONSES if item["type"] == "message" else TYPED)
        extra["type"] = item["type"]
    if name in ("developer", "function") and parts:
        extra["role"] = name
        shape.narrow(CHAT | RESPONSES if name == "developer" else CHAT | GEMINI)
    # Anthropic and Gemini send the results of tools as the user's.
    if role == "user" and parts and all(isinstance(part, ToolResult) for part in parts):
        role = "tool"
    if not parts and not extra:
        raise ConfigError(f"{where} has no content")
    return Message(role, parts, extra=extra)


# Anthropic's answer put back whole; it takes of it role and content.
_ANSWER: Final = frozenset({"id", "model", "stop_reason", "stop_sequence", "usage"})

# Members that are of the chat format beyond doubt.
_CHAT_ONLY: Final = frozenset(
    {"name", "prefix", "partial", "annotations", "refusal", "audio", "function_call"}
)


def _formats(item: Mapping[str, Any]) -> frozenset[str]:
    """The formats that a message of this form may be of."""
    if "parts" in item:
        return GEMINI
    if not _CHAT_ONLY.isdisjoint(name for name in item if item[name] is not None):
        return CHAT
    if "tool_calls" in item:
        return CHAT | OLLAMA | {"cohere"}
    if item.get("type") == "message":
        return RESPONSES | MESSAGES
    return CHAT | RESPONSES | MESSAGES | OLLAMA | {"cohere"}


def _parts(item: Mapping[str, Any], where: str, shape: Shape) -> list[Part]:
    place = "parts" if "parts" in item and "content" not in item else "content"
    content = item.get(place)
    parts: list[Part] = reasoning_of(item, where, shape)
    if isinstance(content, str):
        parts.append(Text(content))
    elif isinstance(content, Sequence) and not isinstance(content, bytes | bytearray):
        parts += [as_part(part, f"{where}.{place}[{n}]", shape) for n, part in enumerate(content)]
        if sum(isinstance(part, Mapping) and "text" in part for part in content) > 1:
            shape.narrow(_LISTS)  # several texts, which stay several where a list can be sent
    elif content is not None:
        raise ConfigError(f"{where}.{place} must be a string or a list of parts")
    refusal = member(item, "refusal", str, where, default=None)
    if refusal is not None:
        shape.narrow(CHAT)
        parts.append(Refusal(refusal))
    for number, image in enumerate(member(item, "images", Sequence, where, default=())):
        parts.append(_image(image, f"{where}.images[{number}]", shape))
    calls = item.get("tool_calls")
    if calls is not None and (isinstance(calls, str) or not isinstance(calls, Sequence)):
        raise ConfigError(f"{where}.tool_calls must be a list")
    for number, call in enumerate(calls or ()):
        parts.append(as_call(call, f"{where}.tool_calls[{number}]", shape))
    return parts


_LISTS: Final = TYPED | RESPONSES | GEMINI


def _image(image: Any, where: str, shape: Shape) -> Part:
    """One of Ollama's images, base64 alone; some write a part there."""
    if isinstance(image, Mapping):
        return as_part(image, where, shape)
    return Image(data=as_base64(image, where))


def _is_results(item: Mapping[str, Any]) -> bool:
    """Whether a message of the role tool holds whole results (Anthropic's, Gemini's, the engine's
    own), rather than the text of one (OpenAI's)."""
    content = item.get("content", item.get("parts"))
    if isinstance(content, str) or not isinstance(content, Sequence):
        return False
    return any(
        isinstance(part, ToolResult)
        or (isinstance(part, Mapping) and not _RESULTS.isdisjoint((part.get("type"), *part)))
        for part in content
        if not isinstance(part, Mapping) or isinstance(part.get("type"), str | None)
    )


_RESULTS: Final = frozenset({"tool_result", "functionResponse", "function_response"})


def _results(item: Mapping[str, Any], where: str, shape: Shape) -> list[Part]:
    result = as_result(item, where, shape, as_part)
    images = member(item, "images", Sequence, where, default=())
    if not images:
        return [result]
    shown = [_image(image, f"{where}.images[{n}]", shape) for n, image in enumerate(images)]
    shape.bind(OLLAMA | MESSAGES | RESPONSES | GEMINI, f"{where}.images")
    text = [Text(result.content)] if result.content else []
    return [msgspec.structs.replace(result, parts=[*text, *shown])]
