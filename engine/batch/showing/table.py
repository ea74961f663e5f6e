"""The outcomes as a table: CSV, TSV or Parquet, a row each, the answer's text in a column."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

import msgspec

from engine.batch.answer import Answer
from engine.batch.reading.manifest import private
from engine.errors import ConfigError, ResourceError

__all__ = ["check_table", "write_table"]

_SUFFIXES: Final = (".csv", ".tsv", ".parquet", ".pq")
# Rows in memory at a time.
_AT_A_TIME: Final = 1000
_OURS: Final = (
    "custom_id",
    "text",
    "error",
    "finish_reason",
    "input_tokens",
    "output_tokens",
    "cost",
)


def check_table(path: str | os.PathLike[str]) -> None:
    """Whether `write_table` could write there; to be known before anything is asked.

    Raises:
        ConfigError: it could not.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in _SUFFIXES:
        raise ConfigError(f"a table ends in {', '.join(_SUFFIXES)}, not {os.fspath(path)}")
    if suffix in (".parquet", ".pq"):
        _arrow()
    folder = os.path.dirname(path) or os.curdir
    if os.path.isdir(path) or not os.access(folder, os.W_OK):
        raise ConfigError(f"the table {os.fspath(path)} cannot be written; give another place")


def write_table(path: str | os.PathLike[str], found: Callable[[], Iterable[Answer]]) -> None:
    """Write the table, whole or not at all.

    Args:
        path: its ending says what it is.
        found: gives the outcomes; called twice, for what the rows gave become columns too.

    Raises:
        ConfigError: pyarrow is missing.
        ResourceError: the disk refused.
    """
    path = os.fspath(path)
    columns = [*_OURS, *_given(found())]
    new = f"{path}.new"
    suffix = os.path.splitext(path)[1].lower()
    try:
        if suffix in (".parquet", ".pq"):
            _write_parquet(new, columns, _cells(found(), columns))
        else:
            with open(new, "w", encoding="utf-8", newline="", opener=private) as file:
                writer = csv.writer(file, delimiter="\t" if suffix == ".tsv" else ",")
                writer.writerow(columns)
                writer.writerows([_text(cell) for cell in row] for row in _cells(found(), columns))
        os.replace(new, path)
    except OSError as error:
        raise ResourceError(
            f"the table {path} cannot be written: {error.strerror or error}", retryable=False
        ) from error
    finally:
        with suppress(OSError):
            os.unlink(new)


def _given(found: Iterable[Answer]) -> list[str]:
    """Names of the metadata of all rows, in the order they come up."""
    names: dict[str, None] = {}
    for answer in found:
        if isinstance(answer.metadata, dict):
            names.update(dict.fromkeys(map(_column, answer.metadata)))
        elif answer.metadata is not None:
            names["metadata"] = None
    return list(names)


def _column(name: str) -> str:
    """The column of what the row gave as `name`: a template's ``{text}`` is not the answer's."""
    return f"given_{name}" if name in _OURS else name


def _cells(found: Iterable[Answer], columns: list[str]) -> Iterator[list[Any]]:
    for answer in found:
        usage = answer.usage
        cells: dict[str, Any] = {
            "custom_id": answer.custom_id,
            "text": answer.text if answer.error is None else None,
            "error": answer.error.message if answer.error is not None else None,
            "finish_reason": answer.finish_reason,
            "input_tokens": usage.input_tokens if usage is not None else None,
            "output_tokens": usage.output_tokens if usage is not None else None,
            "cost": answer.cost,
        }
        given = answer.metadata
        if not isinstance(given, dict):
            given = {"metadata": given}
        given = {_column(name): value for name, value in given.items()}
        yield [cells[name] if name in cells else given.get(name) for name in columns]


def _text(cell: Any) -> Any:
    return (
        cell if isinstance(cell, str | int | float | None) else msgspec.json.encode(cell).decode()
    )


def _write_parquet(path: str, columns: list[str], rows: Iterator[list[Any]]) -> None:
    arrow, parquet = _arrow()
    kinds = {
        "input_tokens": arrow.int64(),
        "output_tokens": arrow.int64(),
        "cost": arrow.float64(),
    }
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in columns])
    with open(path, "wb", opener=private) as file, parquet.ParquetWriter(file, schema) as writer:
        while block := [row for _, row in zip(range(_AT_A_TIME), rows, strict=False)]:
            arrays = [
                arrow.array(
                    [cell if name in kinds else _string(cell) for cell in cells], field.type
                )
                for name, cells, field in zip(
                    columns, zip(*block, strict=True), schema, strict=True
                )
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))


def _string(cell: Any) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return msgspec.json.encode(cell).decode()


def _arrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigError(
            "a Parquet table needs pyarrow: pip install 'streamengine[parquet]'"
        ) from error
