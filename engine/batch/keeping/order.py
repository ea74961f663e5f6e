"""The output in the order of the input, once every row has its outcome."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from engine.batch.keeping.records import read_entry
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
    with open(path, "rb") as file, open(new, "wb") as ordered:
        places: dict[bytes, tuple[int, int]] = {}
        others: list[tuple[int, int]] = []
        start = 0
        for line in file:
            entry = read_entry(line)
            place = (start, len(line))
            if entry is None or places.setdefault(entry.key, place) != place:
                others.append(place)
            start += len(line)
            yield
        for row in source.rows():
            found = places.pop(row.key, None)
            if found is not None:
                _copy(file, ordered, found)
            yield
        for place in (*places.values(), *others):
            _copy(file, ordered, place)
        ordered.flush()
        os.fsync(ordered.fileno())


def _copy(source: BinaryIO, to: BinaryIO, place: tuple[int, int]) -> None:
    start, length = place
    source.seek(start)
    to.write(source.read(length))
