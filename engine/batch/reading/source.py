"""The input file, read line by line and as often as is needed: never whole in memory."""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final, Literal

import msgspec

from engine.batch.reading.rows import BadRow, Row, RowParser
from engine.errors import ConfigError

__all__ = ["Format", "Source"]

Format = Literal["jsonl", "text", "csv"]

# A row with inline images may be large; Gemini takes 20 MB in one request, and nobody takes more.
_MAX_LINE_BYTES: Final = 32 * 1024 * 1024

_SUFFIXES: Final[dict[str, Format]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".txt": "text",
}


class Source:
    """Rows of a file, of stdin, or of an iterable.

    What cannot be read twice (stdin, a pipe, an iterable) is first copied to a temporary file.

    Args:
        input: a path, ``"-"`` for stdin, or an iterable of rows: dicts or strings.
        format: ``jsonl``, ``text`` (a prompt a line) or ``csv`` (a column ``prompt``); None: by the
            name's ending, else by the first line.

    Raises:
        ConfigError: the file cannot be read, or is not UTF-8.
    """

    def __init__(
        self, input: str | os.PathLike[str] | Iterable[Any], format: Format | None = None
    ) -> None:
        self.name = "the rows"
        if isinstance(input, str | os.PathLike):
            self.name = "stdin" if input == "-" else os.fspath(input)
            self._file = _open(os.fspath(input))
        else:
            self._file = _spool_rows(input)
            format = "jsonl"
        start = self._file.read(4096)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            self._file.close()
            raise ConfigError(f"{self.name} is UTF-16; save it as UTF-8")
        suffix = os.path.splitext(self.name)[1].lower()
        self.format = format or _SUFFIXES.get(suffix) or _sniff(start)
        self._start = 3 if start.startswith(b"\xef\xbb\xbf") else 0

    def close(self) -> None:
        """Close the file; a temporary one is gone."""
        self._file.close()

    def rows(self) -> Iterator[Row | BadRow]:
        """All rows in order, from the beginning; blank lines are none. One pass at a time."""
        self._file.seek(self._start)
        parser = RowParser()
        if self.format == "csv":
            yield from _csv_rows(self._file, parser)
            return
        for number, line, whole in _lines(self._file):
            if not whole:
                yield parser.bad(number, line, f"it is longer than {_MAX_LINE_BYTES} bytes")
            elif self.format == "jsonl":
                yield parser.parse(line, number)
            else:
                yield _text_row(parser, line, number)


def _open(path: str) -> BinaryIO:
    try:
        file: BinaryIO = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115
        if path != "-" and file.seekable():
            return file
        spool = tempfile.TemporaryFile()  # noqa: SIM115
        with file:
            shutil.copyfileobj(file, spool)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; check the path") from error
    spool.seek(0)
    return spool


def _spool_rows(rows: Iterable[Any]) -> BinaryIO:
    spool = tempfile.TemporaryFile()  # noqa: SIM115
    for row in rows:
        try:
            spool.write(msgspec.json.encode(row) + b"\n")
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            spool.close()
            raise ConfigError(f"a row cannot be written as JSON: {error}") from error
    spool.seek(0)
    return spool


def _sniff(start: bytes) -> Format:
    first = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return "jsonl" if first in (b"{", b'"', b"") else "text"


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes, bool]]:
    """Number and stripped bytes of each line that is not blank, and whether it is whole."""
    number = 0
    while line := file.readline(_MAX_LINE_BYTES):
        number += 1
        whole = len(line) < _MAX_LINE_BYTES or line.endswith(b"\n")
        rest = whole
        while not rest:
            piece = file.readline(1024 * 1024)
            rest = not piece or piece.endswith(b"\n")
        line = line.strip()
        if line:
            yield number, line, whole


def _text_row(parser: RowParser, line: bytes, number: int) -> Row | BadRow:
    try:
        return parser.parse(msgspec.json.encode(line.decode()), number)
    except UnicodeDecodeError:
        return parser.bad(number, line, "it is not UTF-8")


def _csv_rows(file: BinaryIO, parser: RowParser) -> Iterator[Row | BadRow]:
    # Bytes that are no UTF-8 become lone surrogates, which no row may hold.
    text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
    # Python's limit is 128 KiB, and one for the whole process: it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_LINE_BYTES))
    try:
        reader = csv.DictReader(text)
        names = reader.fieldnames or ()
        if "prompt" not in names:
            raise ConfigError(
                f"the CSV file has no column 'prompt'; its columns are {', '.join(names)}"
            )
        while True:
            try:
                record = next(reader, None)
            except csv.Error as error:
                yield parser.bad(reader.line_num, b"", str(error))
                continue
            if record is None:
                return
            yield _csv_row(parser, record, reader.line_num)
    finally:
        text.detach()


def _csv_row(parser: RowParser, record: dict[str, Any], number: int) -> Row | BadRow:
    if None in record:
        return parser.bad(number, repr(record).encode(), "it has more fields than the header")
    fields = {name: value for name, value in record.items() if value}
    try:
        return parser.parse(msgspec.json.encode({"prompt": "", **fields}), number)
    except UnicodeEncodeError:
        return parser.bad(number, repr(record).encode(), "it is not UTF-8")
