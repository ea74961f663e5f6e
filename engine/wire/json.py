"""JSON of the wire, decoded once, into types.

msgspec is strict where providers are not: it refuses the lone surrogate escapes a model can write.
Such a text is mended and read again; everything else it refuses is a `ProtocolError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from engine.errors import ProtocolError

__all__ = ["UNREADABLE", "TypedDecoder", "decode_json", "is_json", "mended_json", "not_json"]

T = TypeVar("T")

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What `TypedDecoder.decode` raises for bytes it cannot read; `TypedDecoder.recover` takes it."""

# A high surrogate without a low one after it, or a low one without a high one before it; the first
# group keeps an escaped backslash from being taken for the escape.
_LONE_SURROGATE = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:"
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)

# How msgspec ends its messages: "… - at `$.choices[0].logprobs`"; a key of a dict is ``[...]``.
_PATH = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_MAX_MISFITS = 16  # fields of one record that are left out, before it is given up

_EXCERPT = 120  # bytes of a record that are shown in an error


class TypedDecoder(Generic[T]):
    """Decodes JSON into `kind`.

    Args:
        kind: the type.
        spare: names of fields the value can do without: `recover` leaves out what is of an
            unexpected type in or below one of them.
    """

    __slots__ = ("_kind", "_spare", "decode")

    def __init__(self, kind: type[T], spare: frozenset[str] = frozenset()) -> None:
        self._kind = kind
        self._spare = spare
        self.decode: Callable[[bytes], T] = msgspec.json.Decoder(kind).decode

    def recover(self, data: bytes, error: Exception) -> T:
        """`data` once more, after `decode` failed with `error`.

        Raises:
            ProtocolError: it is not JSON, or not of the type.
        """
        mended = mended_json(data)
        if mended != data:
            try:
                return self.decode(mended)
            except UNREADABLE as again:
                error = again
        if self._spare and isinstance(error, msgspec.ValidationError):
            return self._without_misfits(mended, error)
        raise not_json(data, error) from error

    def _without_misfits(self, data: bytes, error: msgspec.ValidationError) -> T:
        """`data` without the spare fields that do not fit, one at a time as msgspec names them."""
        try:
            value = _any.decode(data)
        except UNREADABLE as again:
            raise not_json(data, again) from again
        for _ in range(_MAX_MISFITS):
            found = _PATH.search(str(error))
            steps = _STEP.findall(found[1].partition("[...]")[0]) if found else []
            if self._spare.isdisjoint(name for name, _ in steps):
                break
            _remove(value, steps)
            try:
                return msgspec.convert(value, self._kind)
            except msgspec.ValidationError as again:
                error = again
        raise not_json(data, error) from error


def decode_json(data: bytes) -> Any:
    """`data` as plain dicts and lists.

    Raises:
        ProtocolError: it is not JSON.
    """
    try:
        return _plain.decode(data)
    except UNREADABLE as error:
        return _plain.recover(data, error)


def mended_json(data: bytes) -> bytes:
    """`data` with U+FFFD in the place of bytes that are no UTF-8, and of escapes of half a
    surrogate pair: what strict readers refuse, and providers send."""
    try:
        data.decode()
    except UnicodeDecodeError:
        data = data.decode("utf-8", "replace").encode()
    if b"\\ud" in data or b"\\uD" in data:
        data = _LONE_SURROGATE.sub(_mend, data)
    return data


def is_json(text: str) -> bool:
    """Whether `text` is one whole JSON value."""
    try:
        _any.decode(text)
    except UNREADABLE:
        return False
    return True


def not_json(data: bytes, cause: Exception) -> ProtocolError:
    """The error for `data` that could not be read."""
    excerpt = data[:_EXCERPT].decode("utf-8", "replace")
    more = "…" if len(data) > _EXCERPT else ""
    return ProtocolError(
        f"the server sent something that is not the JSON expected here: {excerpt!r}{more} "
        f"({cause}); check that the base URL and the dialect belong together",
        detail=data[:4096].decode("utf-8", "replace"),
    )


def _remove(value: Any, steps: list[tuple[str, str]]) -> None:
    """Take out of `value` what is at the end of the path `steps`."""
    for name, index in steps[:-1]:
        value = value[name] if name else value[int(index)]
    name, index = steps[-1]
    if name:
        del value[name]
    else:
        del value[int(index)]


def _mend(match: re.Match[bytes]) -> bytes:
    return match[0] if match[2] else match[1] + rb"\ufffd"


_any = msgspec.json.Decoder()
_plain: TypedDecoder[Any] = TypedDecoder(Any)
