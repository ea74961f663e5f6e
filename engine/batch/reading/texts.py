"""Rows of text: JSONL, a JSON array, lines, CSV and TSV. A place that is no text stops the pass."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import msgspec

from engine.batch.reading.rows import BadRow, Row, RowParser
from engine.batch.reading.shapes import COLUMNS
from engine.errors import ConfigError, ProtocolError
from engine.wire.json_array import JSONArrayDecoder

__all__ = ["Found", "array_rows", "jsonl_rows", "table_rows", "text_rows"]

Found = Iterator[Row | BadRow]

# A row with inline images may be large; Gemini takes 20 MB in one request, and nobody takes more.
_MAX_LINE_BYTES: Final = 32 * 1024 * 1024
# So many lines from the beginning, none of which is JSON, are another kind of file.
_HOPELESS: Final = 20
_BOM: Final = b"\xef\xbb\xbf"


def jsonl_rows(file: BinaryIO, name: str, parser: RowParser) -> Found:
    """A JSON value a line.

    Raises:
        ConfigError: none of the first lines is one, or a line is no text.
    """
    hopeful = False
    held: list[BadRow] = []
    for number, line, whole in _lines(file, name):
        if parser.passes_over(number):
            hopeful = True
            continue
        if not whole:
            yield from held
            held.clear()
            hopeful = True
            yield parser.bad(number, line, f"it is longer than {_MAX_LINE_BYTES} bytes")
            continue
        row = parser.parse(line, number)
        if not hopeful and isinstance(row, BadRow) and row.message.endswith("it is not JSON"):
            held.append(row)
            if len(held) >= _HOPELESS:
                break
            continue
        hopeful = True
        yield from held
        held.clear()
        yield row
    if held:
        raise ConfigError(
            f"{name}:{held[0].number} is not JSON, and no line after it: is it JSONL at all? If "
            "not, name its format by --format (format=)"
        )


def text_rows(file: BinaryIO, name: str, parser: RowParser) -> Found:
    """A prompt a line.

    Raises:
        ConfigError: a line is no text.
    """
    for number, line, whole in _lines(file, name):
        if parser.passes_over(number):
            continue
        if not whole:
            yield parser.bad(number, line, f"it is longer than {_MAX_LINE_BYTES} bytes")
        else:
            yield parser.take(line.decode(), number, line)


def array_rows(file: BinaryIO, name: str, parser: RowParser) -> Found:
    """The elements of a JSON array.

    Raises:
        ConfigError: it is none.
    """
    decoder = JSONArrayDecoder(_MAX_LINE_BYTES)
    number = 0
    read = 0
    try:
        while piece := file.read(_PIECE):
            _check_text(piece, name, f"byte {read + 1} ff.", decode=False)
            read += len(piece)
            for element in decoder.feed(piece.removeprefix(_BOM) if number == 0 else piece):
                number += 1
                if parser.passes_over(number):
                    continue
                _check_text(element, name, f"item {number}")
                yield parser.parse(element, number)
        for element in decoder.finish():
            number += 1
            if not parser.passes_over(number):
                yield parser.parse(element, number)
        if not decoder.closed or decoder.trailing:
            what = "something comes after its end" if decoder.trailing else "it has no end"
            raise ConfigError(
                f"{name}: after item {number} of the JSON array, {what}; is it whole?"
            )
    except ProtocolError as error:
        raise ConfigError(
            f"{name}: after item {number} it is no JSON array any more ({error.message}); is it "
            "whole?"
        ) from error


_PIECE: Final = 256 * 1024


def table_rows(file: BinaryIO, name: str, parser: RowParser, delimiter: str) -> Found:
    """A row a line, after a line that names the columns; parameters of the request may be columns.

    Raises:
        ConfigError: it is no such table, or lacks a column; the place is named.
    """
    # Python's limit is 128 KiB, and one for the whole process: it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_LINE_BYTES))
    reader = csv.reader(_texts(file, name), delimiter=delimiter, strict=True)
    names: list[str] | None = None
    try:
        for record in reader:
            if not record:
                continue
            if names is None:
                names = [column.strip() for column in record]
                _check_columns(names, name, parser)
                continue
            if not parser.passes_over(reader.line_num):
                yield _table_row(parser, names, record, reader.line_num)
    except csv.Error as error:
        raise ConfigError(
            f"{name}:{reader.line_num}: {error}; quotes within a field are doubled"
        ) from error
    if names is None:
        raise ConfigError(f"{name} is empty: its first line names the columns")


def _check_columns(names: list[str], name: str, parser: RowParser) -> None:
    twice = next((column for column in names if names.count(column) > 1), None)
    if twice is not None:
        raise ConfigError(f"{name}: two columns are called {twice!r}")
    missing = [column for column in parser.columns or ("prompt",) if column not in names]
    if missing:
        hint = "" if parser.columns else "; or give a template: --prompt 'Classify: {COLUMN}'"
        # Excel writes what its country has between the columns.
        other = next((mark for mark in ";\t|" if len(names) == 1 and mark in names[0]), None)
        if other is not None:
            hint = f"; {other!r} seems to stand between them: save it with commas, or as .tsv"
        raise ConfigError(
            f"{name} has no column {missing[0]!r}; its columns are {', '.join(names)}{hint}"
        )


def _table_row(parser: RowParser, names: list[str], record: list[str], number: int) -> Row | BadRow:
    if len(record) != len(names):
        what = "more" if len(record) > len(names) else "fewer"
        line = "\x1f".join(record).encode()
        return parser.bad(number, line, f"it has {what} fields than the first line names")
    fields = {
        column: _parameter(value) if column in COLUMNS else value
        for column, value in zip(names, record, strict=True)
        if value
    }
    return parser.take_columns(fields, number)


def _parameter(text: str) -> Any:
    """A number or an object where it is one: ``0.2``, ``["\\n"]``; else the text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return text


def _texts(file: BinaryIO, name: str) -> Iterator[str]:
    number = 0
    while line := file.readline(_MAX_LINE_BYTES):
        if number == 0:
            line = line.removeprefix(_BOM)
        number += 1
        yield _check_text(line, name, str(number))


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[int, bytes, bool]]:
    """Number and stripped bytes of each line that is not blank, and whether it is whole."""
    number = 0
    while line := file.readline(_MAX_LINE_BYTES):
        if number == 0:
            line = line.removeprefix(_BOM)
        number += 1
        whole = len(line) < _MAX_LINE_BYTES or line.endswith(b"\n")
        rest = whole
        while not rest:
            piece = file.readline(1024 * 1024)
            rest = not piece or piece.endswith(b"\n")
        line = line.strip()
        if line:
            _check_text(line, name, str(number), decode=whole)
            yield number, line, whole


def _check_text(data: bytes, name: str, place: str, *, decode: bool = True) -> str:
    """`data` as text.

    Raises:
        ConfigError: it is none in UTF-8; names the place.
    """
    if b"\0" in data:
        raise ConfigError(
            f"{name}:{place} holds a NUL byte: it is no text, or none in UTF-8; nothing was asked"
        )
    try:
        return data.decode() if decode else ""
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{name}:{place} is not UTF-8: byte {data[error.start]:#04x} after "
            f"{data[max(error.start - 20, 0) : error.start].decode('utf-8', 'replace')!r}; "
            "save it as UTF-8 (it may be Latin-1 or Windows-1252); nothing was asked"
        ) from None
