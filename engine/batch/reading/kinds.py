"""What an input is: told by its first bytes and its name, and refused where they disagree. Pure."""

from __future__ import annotations

import os
from typing import Final, Literal, get_args

from engine.errors import ConfigError
from engine.wire.json import is_json

__all__ = ["FORMATS", "Compression", "Format", "compression_of", "format_of"]

Format = Literal["jsonl", "json", "text", "csv", "tsv", "parquet", "arrow"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
Compression = Literal["gzip", "zstd"]

_SUFFIXES: Final[dict[str, Format]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "text",
    ".text": "text",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
_COMPRESSED: Final = (".gz", ".gzip", ".zst", ".zstd")

_COMPRESSIONS: Final[dict[bytes, Compression]] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_BINARY: Final[dict[bytes, Format]] = {b"PAR1": "parquet", b"ARROW1": "arrow"}
# An Arrow stream begins with a continuation marker and a length.
_ARROW_STREAM: Final = b"\xff\xff\xff\xff"

# What else is taken for text by mistake, and what to do about it.
_OTHERS: Final = {
    b"PK\x03\x04": "a zip file (an .xlsx is one); unpack it, or save the sheet as CSV",
    b"BZh": "compressed by bzip2; unpack it, or compress it by gzip or zstd",
    b"\xfd7zXZ": "compressed by xz; unpack it, or compress it by gzip or zstd",
    b"\x04\x22\x4d\x18": "compressed by lz4; unpack it, or compress it by gzip or zstd",
    b"7z\xbc\xaf": "a 7z archive; unpack it",
    b"SQLite format 3": "a SQLite database; export the table as CSV",
    b"%PDF": "a PDF; its text must be taken out first",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"\x7fELF": "a program",
    b"FEA1": "Feather, version 1; write it again as version 2",
    b"Obj\x01": "an Avro file; write it as Parquet or JSONL",
    b"ORC": "an ORC file; write it as Parquet or JSONL",
    b"\x80\x04\x95": "a Python pickle; write it as Parquet or JSONL",
    b"\x93NUMPY": "a NumPy array; write it as Parquet or JSONL",
    b"\xff\xfe\0\0": "UTF-32; save it as UTF-8",
    b"\0\0\xfe\xff": "UTF-32; save it as UTF-8",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
}


def compression_of(start: bytes) -> Compression | None:
    """How a file that begins with `start` is compressed; None: it is not."""
    for magic, compression in _COMPRESSIONS.items():
        if start.startswith(magic):
            return compression
    return None


def format_of(name: str, start: bytes, wanted: str | None) -> Format:
    """The format of the input called `name`, which begins with `start`, unpacked.

    Args:
        name: a path, or what stands for one.
        start: the first bytes; all of them where there are fewer than 4 KiB.
        wanted: the format the user named, or None.

    Raises:
        ConfigError: it is none that can be read, or not the one wanted.
    """
    found = next((form for magic, form in _BINARY.items() if start.startswith(magic)), None)
    if start.startswith(_ARROW_STREAM):
        found = "arrow"
    if wanted is not None and wanted not in FORMATS:
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}, not {wanted!r}")
    chosen: Format | None = wanted or _by_suffix(name)
    if found is not None:
        if chosen not in (None, found):
            raise ConfigError(f"{name} is {found.capitalize()} and no {chosen}; {_GIVE}")
        return found
    if chosen in ("parquet", "arrow"):
        raise ConfigError(f"{name} is no {chosen.capitalize()} file: it begins with {start[:8]!r}")
    for magic, what in _OTHERS.items():
        if start.startswith(magic):
            raise ConfigError(f"{name} is {what}")
    if compression_of(start) is not None:
        raise ConfigError(f"{name} is compressed twice; unpack it once")
    if b"\0" in start:
        line = start[: start.index(b"\0")].count(b"\n") + 1
        raise ConfigError(f"{name}:{line} holds a NUL byte: it is no text, or none in UTF-8")
    if chosen == "text" and wanted is None and _is_object(start):
        raise ConfigError(
            f"{name} is called text, and its first line is a JSON object; {_GIVE}: jsonl, or text "
            "where each line is a prompt as it stands"
        )
    if chosen is None or chosen == "json":
        return _by_content(name, start, chosen)
    return chosen


def _is_object(start: bytes) -> bool:
    line = start.removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")[0].strip()
    return line[:1] == b"{" and line[-1:] == b"}" and is_json(line.decode("utf-8", "replace"))


_GIVE: Final = "rename it, or name its format by --format"


def _by_suffix(name: str) -> Format | None:
    if "://" in name:
        name = name.partition("?")[0]  # s3://bucket/in.jsonl?region=…
    stem, suffix = os.path.splitext(os.path.basename(name).lower())
    if suffix in _COMPRESSED:
        suffix = os.path.splitext(stem)[1]
    if not suffix or name.startswith("/dev/"):
        return None
    if suffix not in _SUFFIXES:
        raise ConfigError(
            f"{name}: the ending {suffix} says nothing of what is in it; name the format by "
            f"--format (format=): {', '.join(FORMATS)}"
        )
    return _SUFFIXES[suffix]


def _by_content(name: str, start: bytes, chosen: Format | None) -> Format:
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] == b"[":
        return "json"
    if chosen is None:
        return "jsonl" if text[:1] in (b"{", b'"', b"") else "text"
    line, ended, _ = text.partition(b"\n")
    if ended and not is_json(line.decode("utf-8", "replace")):
        raise ConfigError(
            f"{name} begins with no JSON array, and its first line is no JSON: an array of rows is "
            "wanted, or one row a line"
        )
    return "jsonl"
