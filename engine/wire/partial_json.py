"""A look into JSON that is still arriving. For display only: what is cut is left out or closed."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from engine.wire.json import UNREADABLE

__all__ = ["decode_partial"]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?P<end>"?)|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_LAST_ESCAPE = re.compile(r"(\\+)(u[0-9a-fA-F]{0,4})?$")
_WORDS = ("true", "false", "null")


def decode_partial(text: str) -> Any:
    """The value whose JSON begins with `text`, as far as it can be told; None where nothing can.

    A cut string is shown as far as it came; a key without its value, and a number or word that may
    still go on, are left out. Linear in the length of `text`; never raises.
    """
    brackets: list[str] = []  # those that close what is open
    keep = 0  # how much of the text stands, and what must follow it
    tail: str | None = None
    key = False  # a string in this place is a key
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in "{[":
            brackets.append("}" if word == "{" else "]")
            key = word == "{"
            keep, tail = token.end(), ""
        elif word in "}]":
            if not brackets or brackets.pop() != word:
                return None
            keep, tail = token.end(), ""
        elif word == ",":
            key = bool(brackets) and brackets[-1] == "}"
        elif word == ":":
            key = False
        elif not key and (token.end() < len(text) or word[0] == '"' or word in _WORDS):
            keep, tail = token.end(), "" if word[0] != '"' or token["end"] else '"'
    if tail is None:
        return None
    kept = text[:keep]
    if tail:
        kept = _whole_characters(_whole_characters(kept))  # the two halves of a surrogate pair
    try:
        return msgspec.json.decode(kept + tail + "".join(reversed(brackets)))
    except UNREADABLE:
        return None


def _whole_characters(text: str) -> str:
    """`text` without an escape at its end that lacks something: digits, or its other half."""
    last = _LAST_ESCAPE.search(text)
    if last is None or len(last[1]) % 2 == 0:
        return text
    digits = last[2] or ""
    if len(digits) == 5 and not 0xD800 <= int(digits[1:], 16) < 0xDC00:
        return text
    return text[: last.end(1) - 1]
