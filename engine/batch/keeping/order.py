"""The output in the order of the input, once every row has its outcome."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from engine.batch.keeping.records import read_entry
from engine.batch.reading.key_table import KeyTable
from engine.batch.reading.manifest import private
from engine.batch.reading.source import Source
from engine.errors import ResourceError

__all__ = ["put_in_order"]


def put_in_order(path: str, source: Source) -> Iterator[None]:
    """Replace the file at `path` by one in the order of `source`, in pieces; whole or not at all.

    Rows are written as they end, and sorted here, so that none waits in memory for one before it.
    What belongs to no row of the input comes last.
    """
    new = f"{path}.new"
    try:
        yield from _write_ordered(path, new, source)
        shutil.copymode(path, new)
        os.replace(new, path)
    except OSError as error:
        raise ResourceError(
            f"{path} cannot be put in order: {error.strerror or error}; make room for another file "
            "of its size, and run the same command again",
            retryable=False,
        ) from error
    finally:
        with suppress(OSError):
            os.unlink(new)  # what is left of it where it is not the output now


def _write_ordered(path: str, new: str, source: Source) -> Iterator[None]:
    with open(path, "rb") as file, open(new, "wb", opener=private) as ordered:
        places = KeyTable()  # where the line of a row begins, counted from 1
        start = 0
        for line in file:
            entry = read_entry(line)
            if entry is not None and not places.get(entry.key):
                places.put(entry.key, start + 1)
            start += len(line)
            yield
        written = KeyTable()
        for row in source.rows():
            place = places.get(row.key)
            if place and not written.get(row.key):
                file.seek(place - 1)
                _copy(file.readline(), ordered)
                written.put(row.key, 1)
            yield
        file.seek(0)
        start = 0
        for line in file:
            entry = read_entry(line)
            copied = entry is not None and written.get(entry.key)
            if entry is None or not copied or places.get(entry.key) != start + 1:
                _copy(line, ordered)
            start += len(line)
            yield
        ordered.flush()
        os.fsync(ordered.fileno())


def _copy(line: bytes, to: BinaryIO) -> None:
    to.write(line)
