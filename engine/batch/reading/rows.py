"""Rows of the input: which request each line is, and who it is.

One line is one row. These shapes are read, told apart by their keys:

    {"custom_id", "method", "url", "body"}     OpenAI batch
    {"custom_id", "params"}                    Anthropic Message Batches
    {"key", "request"}                         Gemini batch
    {"messages" | "input", …, "metadata"}      a request body as it is (openai-cookbook)
    {"prompt", "system", …}                    a question; everything else is kept as metadata
    "text"                                     the same, as a JSON string
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final, Literal

import msgspec

from engine.errors import ProtocolError
from engine.wire.json import decode_json

__all__ = ["BadRow", "Row", "RowParser", "Shape", "digest"]

Shape = Literal["chat", "responses", "completions", "messages", "gemini", "prompt"]

# What an OpenAI batch row may ask for, of the endpoints its documentation lists.
URLS: Final[dict[str, Shape]] = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/completions": "completions",
}


class Row(msgspec.Struct, frozen=True):
    """A request of the input.

    Attributes:
        number: its line, from 1.
        custom_id: the user's id, or one made of the content where there is none.
        key: digest of `custom_id`; what sets of rows are made of.
        content: digest of the request; tells whether an input was edited between runs.
        shape: the wire format of `body`; ``prompt`` is a question still to be rendered.
        body: the request body, or the question.
        metadata: given back in the output row; None: nothing.
    """

    number: int
    custom_id: str
    key: bytes
    content: str
    shape: Shape
    body: dict[str, Any]
    metadata: Any = None


class BadRow(msgspec.Struct, frozen=True):
    """A line that is no request; `message` says why. The other fields are those of `Row`."""

    number: int
    custom_id: str
    key: bytes
    content: str
    message: str


def digest(data: bytes) -> bytes:
    """16 bytes that stand for `data`: of 10 million rows, two meet once in 10^24 times."""
    return blake2b(data, digest_size=16).digest()


class RowParser:
    """Reads the lines of one pass. Equal rows without an id are told apart by their order, so
    that both are asked, and are the same two in the next run."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}

    def parse(self, line: bytes, number: int) -> Row | BadRow:
        """The row in `line`, which has no line break and is not blank."""
        try:
            data = decode_json(line)
            custom_id, shape, body, metadata = _read(data)
        except ProtocolError:
            return self.bad(number, line, "it is not JSON")
        except _Unfit as error:
            return self.bad(number, line, str(error))
        content = digest(msgspec.json.encode([shape, body], order="sorted"))
        if custom_id is None:
            custom_id = self._name(content)
        return Row(
            number, custom_id, digest(custom_id.encode()), content.hex(), shape, body, metadata
        )

    def bad(self, number: int, line: bytes, why: str) -> BadRow:
        """The row of a line that cannot be asked; `line` may be a part of it."""
        content = digest(line)
        custom_id = self._name(content)
        message = f"line {number}: {why}"
        return BadRow(number, custom_id, digest(custom_id.encode()), content.hex(), message)

    def _name(self, content: bytes) -> str:
        count = self._seen[content] = self._seen.get(content, 0) + 1
        return f"row-{content.hex()}-{count}"


class _Unfit(Exception):
    """JSON, and not a row."""


_Read = tuple[str | None, Shape, dict[str, Any], Any]


def _read(data: Any) -> _Read:
    if isinstance(data, str):
        return None, "prompt", {"prompt": data}, None
    if not isinstance(data, dict):
        raise _Unfit(f"a row is an object or a string, not {_kind(data)}")
    custom_id = _custom_id(data)
    if "body" in data or "url" in data:
        return custom_id, *_openai(data), data.get("metadata")
    if "params" in data:
        return custom_id, "messages", _object(data, "params"), data.get("metadata")
    if "request" in data:
        return custom_id, "gemini", _object(data, "request"), data.get("metadata")
    if "prompt" in data:
        return custom_id, *_prompt(data)
    if "messages" in data or "input" in data:
        return custom_id, *_body(data)
    raise _Unfit(
        "it has none of the keys 'body', 'params', 'request', 'messages', 'input', 'prompt' "
        "that make a row"
    )


def _custom_id(data: dict[str, Any]) -> str | None:
    for name in ("custom_id", "key"):
        value = data.get(name)
        if value is None:
            continue
        if not isinstance(value, str) or not value:
            raise _Unfit(f"{name} must be a string that is not empty")
        return value
    return None


def _openai(data: dict[str, Any]) -> tuple[Shape, dict[str, Any]]:
    url = data.get("url")
    if url is None:
        raise _Unfit(f"url is missing; it is one of {', '.join(URLS)}")
    if not isinstance(url, str) or url not in URLS:
        raise _Unfit(f"url {url!r} cannot be asked in a batch; it is one of {', '.join(URLS)}")
    if data.get("method", "POST") != "POST":
        raise _Unfit(f"method must be POST, not {data['method']!r}")
    return URLS[url], _object(data, "body")


def _prompt(data: dict[str, Any]) -> tuple[Shape, dict[str, Any], Any]:
    if not isinstance(data["prompt"], str | list):
        raise _Unfit("prompt must be a string or a list of messages")
    body = {name: data[name] for name in ("prompt", "system", "model") if data.get(name)}
    if "prompt" not in body:
        raise _Unfit("prompt is empty")
    rest = {name: value for name, value in data.items() if name not in _QUESTION}
    if set(rest) == {"metadata"}:
        return "prompt", body, rest["metadata"]
    return "prompt", body, rest or None


_QUESTION: Final = frozenset({"prompt", "system", "model", "custom_id", "key"})


def _body(data: dict[str, Any]) -> tuple[Shape, dict[str, Any], Any]:
    body = {name: value for name, value in data.items() if name not in _NOT_BODY}
    return ("chat" if "messages" in data else "responses"), body, data.get("metadata")


_NOT_BODY: Final = frozenset({"metadata", "custom_id", "key"})


def _object(data: dict[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name)
    if not isinstance(value, dict):
        raise _Unfit(f"{name} must be an object" if name in data else f"{name} is missing")
    return value


def _kind(data: Any) -> str:
    if data is None:
        return "null"
    return {"list": "a list", "bool": "a truth value"}.get(type(data).__name__, "a number")
