"""The parts of a batch that ran in shards, made into one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, Final

import msgspec

from engine.batch.keeping.lock import Lock
from engine.batch.keeping.order import put_in_order
from engine.batch.keeping.records import read_entry
from engine.batch.keeping.store import errors_path
from engine.batch.reading.key_table import KeyTable
from engine.batch.reading.manifest import Manifest, load_manifest, private, save_manifest
from engine.batch.reading.source import Source
from engine.errors import ConfigError, ResourceError

__all__ = ["Merged", "merge"]


class Merged(msgspec.Struct):
    """What was merged.

    Attributes:
        done, failed: rows.
        missing: rows of the input without an outcome; None where no input was given.
        torn: lines at the end of a part that a crash cut, left out.
    """

    done: int = 0
    failed: int = 0
    missing: int | None = None
    torn: int = 0


def merge(
    output: str, parts: Sequence[str], input: str | None = None, *, force: bool = False
) -> Merged:
    """Make one output, and one errors file beside it, of those of `parts`.

    With `input`, the rows are put in its order, and those without an outcome are counted; running
    the batch with that output asks them. Whole or not at all: until the end, files ending in
    ``.new`` are written.

    Args:
        output: must not exist.
        parts: outputs of shards; their errors files are found beside them.
        input: path of the input of all of them, or None.
        force: merge parts that were run differently.

    Raises:
        ConfigError: a part is missing, still runs or was run differently, a row is in two parts, or
            the output exists.
        ResourceError: the disk refused.
    """
    if os.path.exists(output):
        raise ConfigError(f"{output} exists; give another output")
    manifest = _agreed(parts, force)
    merged = Merged()
    locks = [Lock(f"{os.path.realpath(part)}.lock") for part in parts]
    seen = KeyTable()
    pairs = ((output, list(parts)), (errors_path(output), [errors_path(part) for part in parts]))
    every = [path for _, paths in pairs for path in paths]
    try:
        for to, paths in pairs:
            with open(f"{to}.new", "wb", opener=private) as file:
                for path in paths:
                    _append(file, path, every, seen, merged)
                file.flush()
                os.fsync(file.fileno())
        if input is not None:
            merged.missing = _put_in_order(f"{output}.new", input, seen)
        save_manifest(f"{os.path.realpath(output)}.manifest.json", manifest)
        for to, _ in pairs:
            os.replace(f"{to}.new", to)
    except OSError as error:
        raise ResourceError(f"the parts cannot be merged: {error}", retryable=False) from error
    finally:
        for to, _ in pairs:
            with suppress(OSError):
                os.unlink(f"{to}.new")  # still there where something failed
        for lock in locks:
            lock.close()
    return merged


def _agreed(parts: Sequence[str], force: bool) -> Manifest:
    """The manifest of the whole, a run of its own."""
    first: Manifest | None = None
    manifests: list[Manifest] = []
    for part in parts:
        manifest = load_manifest(f"{os.path.realpath(part)}.manifest.json")
        if manifest is None:
            raise ConfigError(f"{part} is not the output of a batch: it has no manifest beside it")
        first = first or manifest
        manifests.append(manifest)
        differences = first.differences(manifest)
        if differences and not force:
            raise ConfigError(
                f"{parts[0]} and {part} were run differently: {'; '.join(differences)}; merge them "
                "by --force if that is meant"
            )
    if first is None:
        raise ConfigError("there is nothing to merge; name the outputs of the shards")
    return msgspec.structs.replace(
        first,
        batch=Manifest().batch,
        spent_cost=sum(manifest.spent_cost for manifest in manifests),
        spent_tokens=sum(manifest.spent_tokens for manifest in manifests),
    )


# Where a row is: which file, and on which line of it.
_LINE: Final = (1 << 33) - 1


def _append(to: BinaryIO, path: str, paths: list[str], seen: KeyTable, merged: Merged) -> None:
    if not os.path.exists(path):
        return
    part = paths.index(path)
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            entry = read_entry(line)
            if entry is None and not line.endswith(b"\n"):
                merged.torn += 1
                continue
            if entry is None:
                raise ConfigError(f"{path}:{number} cannot be read; run that shard again first")
            before = seen.get(entry.key)
            if before:
                first = f"{paths[before >> 33]}:{before & _LINE}"
                raise ConfigError(f"the same row is in {first} and {path}:{number}")
            seen.put(entry.key, part << 33 | number)
            merged.failed += entry.failed
            merged.done += not entry.failed
            to.write(line if line.endswith(b"\n") else line + b"\n")


def _put_in_order(path: str, input: str, seen: KeyTable) -> int:
    """Sort the file; how many rows of the input have no outcome."""
    source = Source(input)
    try:
        for _ in put_in_order(path, source):
            pass
        return sum(not seen.get(row.key) for row in source.rows())
    finally:
        source.close()
