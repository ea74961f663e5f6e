"""JSON of the wire, decoded once, into types.

msgspec is strict where providers are not. What it refuses is read again, by hand: what is odd is
mended or left out, and told; only what is no JSON at all, or what cannot be done without, is a
`ProtocolError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from engine.errors import ProtocolError

__all__ = [
    "UNREADABLE",
    "Odd",
    "TypedDecoder",
    "decode_json",
    "excerpt_of",
    "is_cut",
    "is_json",
    "json_or_text",
    "mended_json",
    "not_json",
    "without_lone_escapes",
]

T = TypeVar("T")

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What `TypedDecoder.decode` raises for bytes it cannot read; `TypedDecoder.recover` takes it."""

# A high surrogate without a low one after it, or a low one without a high one before it; the first
# group keeps an escaped backslash from being taken for the escape.
_LONE_SURROGATE: Final = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:"
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u([dD][89a-fA-F][0-9a-fA-F]{2}))"
)

# How msgspec ends its messages: "… - at `$.choices[0].logprobs`"; a key of a dict is ``[...]``.
# What stands before it may be the server's own words, a name or a value, and look like all this.
_PATH: Final = re.compile(r" - at `\$((?:\.\w+|\[\d+\]|\[\.\.\.\])+)`\Z")
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")
_UNKNOWN_FIELD: Final = "Object contains unknown field `"
_WANTED: Final = re.compile(r"^Expected `([^`]*)`")
_MAX_MISFITS = 64  # fields of one record that are left out, before it is given up

_EXCERPT = 120  # characters of a record that are shown in an error

# Where halves of surrogate pairs stand until their other half is there: private characters, of
# which nobody has been seen to use the last plane's end.
HALF_BASE: Final = 0x10F000


class Odd(NamedTuple):
    """Something of a record that is not of the type it has with everybody else."""

    place: str
    value: Any


class TypedDecoder(Generic[T]):
    """Decodes JSON into `kind`.

    Args:
        kind: the type.
        needed: names of fields whose value must fit (those in a list: each of them), since words
            of the answer stand there; None: every field.
    """

    __slots__ = ("_kind", "_needed", "decode")

    def __init__(self, kind: type[T], needed: frozenset[str] | None = None) -> None:
        self._kind = kind
        self._needed = needed
        self.decode: Callable[[bytes], T] = msgspec.json.Decoder(kind).decode

    def recover(self, data: bytes, error: Exception, odd: list[Odd] | None = None) -> T:
        """`data` once more, after `decode` failed with `error`.

        Halves of surrogate pairs come as private characters, see `engine.providers.halves`. What
        is of an unexpected type becomes the expected one where nothing is lost by it (``"3"`` for
        a number, an empty list for an empty object, a list of one for an object); else it is left
        out and put into `odd`.

        Raises:
            ProtocolError: it is not JSON, or a needed field does not fit.
        """
        mended = data.decode("utf-8", "replace").encode()
        mended = _LONE_SURROGATE.sub(_to_private, mended)
        try:
            return self.decode(mended)
        except UNREADABLE as again:
            error = again
        if self._needed is None:
            raise not_json(data, error) from error
        return self._without_misfits(mended, odd if odd is not None else [])

    def _without_misfits(self, data: bytes, odd: list[Odd]) -> T:
        """`data` without the fields that do not fit, one at a time as msgspec names them."""
        try:
            # NaN and Infinity, and control characters in strings, are no JSON, but are sent.
            value = json.loads(data, strict=False, parse_constant=str)
        except (ValueError, RecursionError) as cause:
            raise not_json(data, cause) from cause
        for _ in range(_MAX_MISFITS):
            try:
                return self.decode(msgspec.json.encode(value))
            except msgspec.ValidationError as misfit:
                self._mend_one(data, value, misfit, odd)
        raise not_json(data, ValueError("too much of it is of another type"))

    def _mend_one(
        self, data: bytes, value: Any, misfit: msgspec.ValidationError, odd: list[Odd]
    ) -> None:
        complaint = str(misfit)
        unknown = complaint.startswith(_UNKNOWN_FIELD)
        steps = _steps(complaint, value)
        if not steps:
            raise not_json(data, misfit) from misfit
        holder, key = _place(value, steps)
        wrong = holder[key]
        field = next((step for step in reversed(steps) if isinstance(step, str)), "")
        empty = wrong in ({}, [], "", None)
        if not unknown and not empty:
            fitting = _as_wanted(wrong, complaint)
            needed = field in (self._needed or ())
            if fitting is not None and not (needed and isinstance(fitting, str)):
                holder[key] = fitting
                return
            if needed:
                raise not_json(data, misfit) from misfit
        del holder[key]
        if not empty:
            odd.append(Odd(".".join(map(str, steps)), wrong))


def decode_json(data: bytes) -> Any:
    """`data` as plain dicts and lists.

    Raises:
        ProtocolError: it is not JSON.
    """
    try:
        return _any.decode(data)
    except UNREADABLE as error:
        try:
            return _any.decode(mended_json(data))
        except UNREADABLE:
            raise not_json(data, error) from error


def mended_json(data: bytes) -> bytes:
    """`data`, with U+FFFD for what no JSON may have and some send: bytes that are no UTF-8, and
    escaped halves of surrogate pairs that stand alone."""
    return _LONE_SURROGATE.sub(_to_replacement, data.decode("utf-8", "replace").encode())


def json_or_text(data: bytes) -> Any:
    """`data` decoded; as text where it is no JSON: something to look at."""
    try:
        return decode_json(data)
    except ProtocolError:
        return data.decode("utf-8", "replace")


def is_json(text: str | bytes) -> bool:
    """Whether `text` is one whole JSON value."""
    try:
        _any.decode(text)
    except UNREADABLE:
        return False
    return True


def is_cut(data: bytes) -> bool:
    """Whether `data` is the beginning of an object that goes on, and no more is wrong with it."""
    try:
        _any.decode(data)
    except UNREADABLE as error:
        # msgspec tells a cut number as a malformed one, at the end.
        complaint = str(error)
        number = f"invalid number (byte {len(data)})"
        return data[:1] == b"{" and ("truncated" in complaint or number in complaint)
    return False


def without_lone_escapes(text: str) -> str:
    """`text`, which is JSON, with U+FFFD for each escaped half of a surrogate pair that stands
    alone: Python's own reader takes such a half, others refuse the whole."""
    if "\\u" not in text:
        return text
    return _LONE_SURROGATE.sub(_to_replacement, text.encode("utf-8", "replace")).decode()


def not_json(data: bytes, cause: Exception) -> ProtocolError:
    """The error for `data` that could not be read."""
    excerpt = excerpt_of(data)
    more = "…" if len(excerpt_of(data, _EXCERPT + 1)) > _EXCERPT else ""
    return ProtocolError(
        f"the server sent something that is not the JSON expected here: {excerpt!r}{more} "
        f"({cause}); check that the base URL and the dialect belong together",
        detail=excerpt_of(data, 4096),
    )


def excerpt_of(data: bytes, most: int = _EXCERPT) -> str:
    """The first `most` characters of `data`: the same where what is no UTF-8 was replaced in it
    before, as in records that the decoder had to look at closely."""
    return data[: 4 * most].decode("utf-8", "replace")[:most]


def _as_wanted(value: Any, complaint: str) -> Any:
    """`value` in the type `complaint` asks for, where it says the same in it; else None."""
    found = _WANTED.search(complaint)
    wanted = found[1].split(" | ") if found else []
    if isinstance(value, str):
        try:
            if "int" in wanted:
                return int(value)
            if "float" in wanted:
                return float(value)
        except ValueError:
            return None
    if isinstance(value, float) and "int" in wanted and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and "str" in wanted:
        return str(value)
    if isinstance(value, dict) and "array" in wanted and "object" not in wanted:
        return [value]  # TGI 2 sends the one call it makes so
    return None


def _steps(complaint: str, value: Any) -> list[str | int]:
    """The way to what msgspec's `complaint` is about, in `value`; empty where it names none."""
    found = _PATH.search(complaint)
    path = found[1].partition("[...]")[0] if found else ""
    steps: list[str | int] = [name or int(index) for name, index in _STEP.findall(path)]
    if not complaint.startswith(_UNKNOWN_FIELD):
        return steps
    # At the top no path follows the name, which itself may look as if one did.
    name = complaint[len(_UNKNOWN_FIELD) : -1]
    if found and name not in value:
        return [*steps, complaint[len(_UNKNOWN_FIELD) : found.start() - 1]]
    return [name]


def _place(value: Any, steps: list[str | int]) -> tuple[Any, Any]:
    """The holder of what is at the end of the path `steps`, and its key there."""
    for step in steps[:-1]:
        value = value[step]
    return value, steps[-1]


def _to_private(match: re.Match[bytes]) -> bytes:
    if match[2]:
        return match[0]
    return match[1] + chr(HALF_BASE + int(match[3], 16) - 0xD800).encode()


def _to_replacement(match: re.Match[bytes]) -> bytes:
    return match[0] if match[2] else match[1] + rb"\ufffd"


_any: Final = msgspec.json.Decoder()
