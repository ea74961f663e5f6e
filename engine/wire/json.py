"""JSON of the wire, decoded once, into types.

msgspec is strict where providers are not: it refuses the lone surrogate escapes a model can write.
Such a text is mended and read again; everything else it refuses is a `ProtocolError`.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

from engine.errors import ProtocolError

__all__ = ["TypedDecoder", "decode_json", "is_json"]

T = TypeVar("T")

# A high surrogate without a low one after it, or a low one without a high one before it; the first
# group keeps an escaped backslash from being taken for the escape.
_LONE_SURROGATE = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:"
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)

_EXCERPT = 120  # bytes of a record that are shown in an error


class TypedDecoder(Generic[T]):
    """Decodes JSON into `kind`."""

    __slots__ = ("decode",)

    def __init__(self, kind: type[T]) -> None:
        self.decode = msgspec.json.Decoder(kind).decode

    def recover(self, data: bytes, error: Exception) -> T:
        """`data` once more, after `decode` failed with `error`.

        Raises:
            ProtocolError: it is not JSON, or not of the type.
        """
        mended = data.decode("utf-8", "replace").encode()
        mended = _LONE_SURROGATE.sub(_mend, mended)
        if mended != data:
            try:
                return self.decode(mended)
            except (msgspec.MsgspecError, RecursionError) as again:
                error = again
        raise not_json(data, error) from error


def decode_json(data: bytes) -> Any:
    """`data` as plain dicts and lists.

    Raises:
        ProtocolError: it is not JSON.
    """
    try:
        return _plain.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        return _plain.recover(data, error)


def is_json(text: str) -> bool:
    """Whether `text` is one whole JSON value."""
    try:
        _any.decode(text)
    except (msgspec.MsgspecError, RecursionError):
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


def _mend(match: re.Match[bytes]) -> bytes:
    return match[0] if match[2] else match[1] + rb"\ufffd"


_any = msgspec.json.Decoder()
_plain: TypedDecoder[Any] = TypedDecoder(Any)
