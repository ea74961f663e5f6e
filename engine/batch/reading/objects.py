"""Rows that are Python objects, or columns of Parquet and Arrow: plain values out of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, BinaryIO, Final

import msgspec

from engine.batch.reading.rows import BadRow, Row, RowParser
from engine.errors import ConfigError

__all__ = ["column_rows", "encode_value", "frame_rows", "has_columns", "values_of"]

# Rows of a table that are Python objects at a time.
_AT_A_TIME: Final = 256


def values_of(rows: Any) -> Iterator[Any]:
    """The rows of a list or any other iterable, of a data frame of pandas or polars, a Series, a
    table of Arrow, or a data set of Hugging Face: strings, or dicts.

    Raises:
        ConfigError: it is none of these.
    """
    library = type(rows).__module__.partition(".")[0]
    kind = type(rows).__name__
    if library == "pandas" and kind == "DataFrame":
        return _pandas_rows(rows)
    if library == "polars" and kind == "LazyFrame":
        raise ConfigError("the rows are a LazyFrame; give frame.collect()")
    if library == "polars" and kind == "DataFrame":
        return (_present(row) for row in rows.iter_rows(named=True))
    if library == "pyarrow" and hasattr(rows, "to_batches"):
        return _batches(rows.to_batches())
    if library == "numpy" and hasattr(rows, "tolist"):
        return iter(rows.tolist())
    if library == "datasets" and isinstance(rows, Mapping):
        raise ConfigError(
            f"the rows are a DatasetDict; give one of its splits: {', '.join(map(str, rows))}"
        )
    if isinstance(rows, Mapping | bytes | bytearray | memoryview):
        raise ConfigError(
            f"the rows must be a path or a list of rows (dicts, strings), not a {kind}"
        )
    if not isinstance(rows, Iterable):
        raise ConfigError(f"the rows must be a path or something with rows in it, not a {kind}")
    if library == "datasets":
        return (_present(row) for row in rows)
    return iter(rows)


def has_columns(rows: Any) -> bool:
    """Whether `rows` is a table, whose columns are somebody's own, and no list of requests."""
    library = type(rows).__module__.partition(".")[0]
    return library in ("pandas", "polars", "pyarrow", "datasets")


def frame_rows(file: BinaryIO, parser: RowParser) -> Iterator[Row | BadRow]:
    """The rows of a table that was written as JSON, a row a line."""
    for number, line in enumerate(file, 1):
        if not parser.passes_over(number):
            yield _asked(msgspec.json.decode(line), number, parser, line.strip())


def encode_value(value: Any, place: str) -> bytes:
    """`value` as JSON; dates are text, numbers of NumPy are numbers, NaN is nothing.

    Raises:
        ConfigError: it cannot be; names `place`.
    """
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ConfigError(f"{place} cannot be written as JSON: {error}") from error


def column_rows(
    file: BinaryIO, name: str, format: str, parser: RowParser
) -> Iterator[Row | BadRow]:
    """The rows of a Parquet or an Arrow file.

    Raises:
        ConfigError: pyarrow is missing, or cannot read it; or a column is missing.
    """
    try:
        arrow = import_module("pyarrow")
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigError(
            f"{name} is {format.capitalize()}, which needs pyarrow: pip install "
            "'streamengine[parquet]'"
        ) from error
    number = 0
    try:
        if format == "parquet":
            table = parquet.ParquetFile(file)
            schema, batches = table.schema_arrow, table.iter_batches(_AT_A_TIME)
        else:
            schema, batches = _arrow_batches(arrow, file)
        _check_columns(schema.names, name, parser)
        for value in _batches(batches):
            number += 1
            if not parser.passes_over(number):
                yield _row(value, number, parser)
    except (arrow.ArrowException, OSError) as error:
        raise ConfigError(f"{name} cannot be read after row {number}: {error}") from error


def _row(value: dict[str, Any], number: int, parser: RowParser) -> Row | BadRow:
    for column, cell in value.items():
        if isinstance(cell, bytes):
            return parser.bad(
                number, repr(column).encode(), f"the column {column!r} holds bytes and no text"
            )
    line = encode_value(value, f"row {number}")
    return _asked(msgspec.json.decode(line), number, parser, line)


def _asked(value: Any, number: int, parser: RowParser, line: bytes) -> Row | BadRow:
    if isinstance(value, dict) and isinstance(value.get("prompt"), str):
        return parser.take_columns(value, number)
    return parser.take(value, number, line)


def _check_columns(names: list[str], name: str, parser: RowParser) -> None:
    missing = [column for column in parser.columns if column not in names]
    asking = {"prompt", "messages", "input", "body", "params", "request", "query"}
    if missing or (not parser.columns and asking.isdisjoint(names)):
        wanted = missing[0] if missing else "prompt"
        hint = "" if missing else "; or give a template: --prompt 'Classify: {COLUMN}'"
        raise ConfigError(
            f"{name} has no column {wanted!r}; its columns are {', '.join(names)}{hint}"
        )


def _arrow_batches(arrow: Any, file: BinaryIO) -> tuple[Any, Iterator[Any]]:
    if file.read(6) == b"ARROW1":
        file.seek(0)
        reader = arrow.ipc.open_file(file)
        return reader.schema, (reader.get_batch(n) for n in range(reader.num_record_batches))
    file.seek(0)
    reader = arrow.ipc.open_stream(file)
    return reader.schema, iter(reader)


def _batches(batches: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        for start in range(0, batch.num_rows, _AT_A_TIME):
            for row in batch.slice(start, _AT_A_TIME).to_pylist():
                yield _present(row)


def _pandas_rows(frame: Any) -> Iterator[dict[str, Any]]:
    names = [str(name) for name in frame.columns]
    missing = import_module("pandas").isna
    for cells in frame.itertuples(index=False, name=None):
        row = zip(names, cells, strict=True)
        yield {
            name: cell
            for name, cell in row
            if isinstance(cell, list | dict | tuple) or hasattr(cell, "shape") or not missing(cell)
        }


def _present(value: Any) -> Any:
    """`value` without the keys of dicts that hold nothing: a column has a cell in every row."""
    if isinstance(value, dict):
        return {name: _present(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_present(inner) for inner in value]
    return value


def _plain(value: Any) -> Any:
    for method in ("tolist", "isoformat"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise TypeError(f"{type(value).__name__} is no JSON")
