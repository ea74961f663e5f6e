"""What a tool returned, as a model can read it: text, and images where there are any."""

from __future__ import annotations

from base64 import b64encode
from collections import UserString
from collections.abc import ItemsView, KeysView, Mapping, Sequence, Set, ValuesView
from typing import Any, Final

import msgspec

from engine.messages import Document, Image, Text

__all__ = ["as_content", "mended"]

# How pictures begin (https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern); these are
# the types that Anthropic, OpenAI and Gemini all take.
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
# Anthropic takes 5 MB an image, the others more; larger ones would fail the whole request.
_MAX_IMAGE: Final = 5 << 20


def as_content(value: Any) -> tuple[str, list[Text | Image | Document]]:
    """`value` as text, and all of it as parts where it holds images or documents (else none).

    Text is left as it is, images are recognised among bytes, objects that draw themselves
    (``_repr_png_``: PIL, matplotlib in IPython) do, all else is JSON.

    Raises:
        TypeError: it cannot be said as JSON.
    """
    kind = type(value)
    if kind is str:
        return mended(value), []
    if kind in _PLAIN:
        return msgspec.json.encode(value).decode(), []
    pieces = list(value) if isinstance(value, list | tuple) else [value]
    parts = [_as_part(piece) for piece in pieces]
    if not any(isinstance(part, Image | Document) for part in parts):
        return _as_text(value), []
    whole = [
        part if part is not None else Text(_as_text(piece))
        for part, piece in zip(parts, pieces, strict=True)
    ]
    text = "\n".join(_told(part) for part in whole)
    return text, [Text(mended(part.text)) if isinstance(part, Text) else part for part in whole]


_BYTES: Final = (bytes, bytearray, memoryview)
_PLAIN: Final = frozenset({int, float, bool, type(None)})


def mended(text: str) -> str:
    """`text` without lone surrogates, which no encoding can send; two halves become what they
    are."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _as_part(value: Any) -> Text | Image | Document | None:
    """`value` as a part; None where it is text or JSON."""
    if isinstance(value, Image | Document | Text):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return _picture(bytes(value))
    draw = getattr(value, "_repr_png_", None)
    drawn = draw() if callable(draw) and not isinstance(value, type) else None
    return _picture(drawn) if isinstance(drawn, bytes) else None


def _picture(data: bytes) -> Text | Image | None:
    kind = next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)
    if kind is None and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "image/webp"
    if kind is None:
        return None
    if len(data) > _MAX_IMAGE:
        return Text(f"[cut: an image of {len(data)} bytes; the limit is {_MAX_IMAGE}]")
    return Image(data=b64encode(data).decode(), media_type=kind)


def _told(part: Text | Image | Document) -> str:
    """What stands for `part` where a format takes text only."""
    if isinstance(part, Text):
        return mended(part.text)
    kind = "image" if isinstance(part, Image) else "document"
    return f"[{kind}: {getattr(part, 'media_type', None) or getattr(part, 'url', None) or kind}]"


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return mended(value)
    if isinstance(value, Text):
        return mended(value.text)
    if isinstance(value, _BYTES):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            data = bytes(value)
            return f"{len(data)} bytes, in base64: {b64encode(data).decode()}"
    try:
        return msgspec.json.encode(value, enc_hook=_other).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(_mended_in(value), enc_hook=_other).decode()


def _mended_in(value: Any) -> Any:
    if isinstance(value, str):
        return mended(value)
    if isinstance(value, dict):
        return {_mended_in(key): _mended_in(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [_mended_in(each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _mended_in(msgspec.to_builtins(value, enc_hook=_other))


def _other(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)  # pydantic's
    if dump is not None:
        return dump(mode="json")
    listed = getattr(value, "tolist", None)  # numpy's and pandas'
    if callable(listed):
        return listed()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | Set | KeysView | ValuesView | ItemsView) and not isinstance(
        value, UserString
    ):
        return list(value)
    return str(value)
