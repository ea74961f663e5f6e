"""The input, read row by row and as often as is needed: never whole in memory."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from typing import IO, Any

from engine.batch.reading.kinds import Format, format_of
from engine.batch.reading.numbers import Numbers
from engine.batch.reading.objects import (
    column_rows,
    encode_value,
    frame_rows,
    has_columns,
    values_of,
)
from engine.batch.reading.passes import Passes
from engine.batch.reading.rows import BadRow, Reading, Row, RowParser
from engine.batch.reading.texts import Found, array_rows, jsonl_rows, table_rows, text_rows
from engine.errors import ConfigError

__all__ = ["Source"]


class Source:
    """Rows of a file, of stdin, or of Python objects.

    What cannot be read twice (stdin, a pipe, an iterable) is first copied to a temporary file.

    Args:
        input: a path, ``"-"`` for stdin, or rows; see `engine.batch.reading.objects.values_of`.
        format: see `Format`; None: by the first bytes and the name's ending. ``.gz`` and ``.zst``
            are unpacked.
        reading: how rows are made of it.

    Attributes:
        name: for people.
        format: found, or given.

    Raises:
        ConfigError: the file cannot be read, or is not what it looks like; or a template is wrong.
    """

    def __init__(
        self,
        input: str | os.PathLike[str] | Iterable[Any],
        format: Format | None = None,
        reading: Reading | None = None,
    ) -> None:
        self._reading = reading or Reading()
        RowParser(self._reading)  # templates are told of before anything is opened
        self.name: str = "the rows"
        self._table = has_columns(input)
        if isinstance(input, str | os.PathLike):
            self.name = "stdin" if input == "-" else os.fspath(input)
            file = _open(os.fspath(input))
        else:
            file = _spool_rows(input)
            format = "jsonl"
        self._passes = Passes(file, self.name)
        try:
            self.format = format_of(self.name, self._passes.start(), format)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; a temporary one is gone."""
        self._passes.close()

    def rows(self, limit: int | None = None, only: Numbers | None = None) -> Iterator[Row | BadRow]:
        """The first `limit` rows (None: all) in order, from the beginning; blank lines are none.
        Of samples, each is a row. Of these, those on the lines in `only` (None: all); rows without
        an id are named rightly only where all are read.

        Raises:
            ConfigError: a place in it cannot be read.
        """
        parser = RowParser(self._reading, only)
        with self._passes.unpacked() as file:
            for row in islice(self._found(file, parser), limit):
                yield from parser.samples(row)

    def _found(self, file: Any, parser: RowParser) -> Found:
        if self._table:
            return frame_rows(file, parser)
        if self.format == "jsonl":
            return jsonl_rows(file, self.name, parser)
        if self.format == "json":
            return array_rows(file, self.name, parser)
        if self.format == "text":
            return text_rows(file, self.name, parser)
        if self.format in ("csv", "tsv"):
            return table_rows(file, self.name, parser, "," if self.format == "csv" else "\t")
        return column_rows(file, self.name, self.format, parser)


def _open(path: str) -> IO[bytes]:
    try:
        if path == "-":
            if sys.stdin is None:
                raise ConfigError("stdin is closed; name a file")
            file: IO[bytes] = sys.stdin.buffer
        elif "://" in path:
            file = _open_elsewhere(path)
        else:
            file = open(path, "rb")  # noqa: SIM115
            if file.seekable():
                return file
        spool = tempfile.TemporaryFile()  # noqa: SIM115
        with file:
            shutil.copyfileobj(file, spool)
        spool.flush()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; check the path") from error
    return spool


def _open_elsewhere(path: str) -> IO[bytes]:
    """A file of any file system that pyarrow knows: ``s3://bucket/in.jsonl``."""
    try:
        systems = import_module("pyarrow.fs")
    except ImportError as error:
        raise ConfigError(f"{path} needs pyarrow: pip install 'streamengine[parquet]'") from error
    try:
        system, place = systems.FileSystem.from_uri(path)
        found: IO[bytes] = system.open_input_stream(place, compression=None)
        return found
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}; check the address") from error


def _spool_rows(rows: Iterable[Any]) -> IO[bytes]:
    spool = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        for number, row in enumerate(values_of(rows), 1):
            spool.write(encode_value(row, f"row {number}") + b"\n")
        spool.flush()
    except BaseException:
        spool.close()
        raise
    return spool
