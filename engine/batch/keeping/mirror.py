"""An output where files cannot grow: object stores, and whatever file system pyarrow knows.

The run writes files on this machine, and what is new in them goes there in parts, every few
seconds: ``out.jsonl.parts/out-00000001.jsonl``. At the end the whole file takes their place. A run
that died is gone on with from what is there, on any machine. Extra ``parquet`` (pyarrow).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

import msgspec

from engine.batch.keeping.records import read_entry
from engine.batch.keeping.store import errors_path
from engine.batch.reading.key_table import KeyTable
from engine.errors import ConfigError, ResourceError

__all__ = ["Files", "is_remote", "mirrored", "remote_file"]

# Seconds between two parts.
_EVERY: Final = 2.0


class Files(msgspec.Struct, frozen=True):
    """The files of a run on this machine."""

    output: str
    errors: str | None


def is_remote(path: object) -> bool:
    """Whether it is an address of a file system of pyarrow's: ``s3://bucket/out.jsonl``."""
    return isinstance(path, str) and "://" in path


def remote_file(path: str) -> tuple[Any, str]:
    """The file system of `path`, and the path there.

    Raises:
        ConfigError: pyarrow is missing, or knows no such file system.
    """
    try:
        fs = import_module("pyarrow.fs")
    except ImportError as error:
        raise ConfigError(f"{path} needs pyarrow: pip install 'streamengine[parquet]'") from error
    try:
        found: tuple[Any, str] = fs.FileSystem.from_uri(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is in no file system that can be reached: {error}") from error
    if not found[1].rpartition("/")[2]:
        raise ConfigError(f"{path} names no file; write s3://bucket/out.jsonl")
    return found


@contextmanager
def mirrored(
    output: str | os.PathLike[str], errors: str | os.PathLike[str] | None = None
) -> Iterator[Files]:
    """The files to write for `output`: itself; or, where that is remote, files on this machine
    that are mirrored there.

    Raises:
        ConfigError, ResourceError: what is there cannot be read, or nothing can be written there.
    """
    if not is_remote(output):
        yield Files(os.fspath(output), os.fspath(errors) if errors is not None else None)
        return
    if errors is not None:
        raise ConfigError("the errors file is beside an output elsewhere; leave it out")
    with tempfile.TemporaryDirectory() as folder:
        mirror = _Mirror(os.fspath(output), folder)
        try:
            mirror.fetch()
            mirror.start()
            yield Files(mirror.local, None)
            mirror.finish()
        except OSError as error:
            raise ResourceError(
                f"{output} cannot be read or written: {error}; what was written there is kept",
                retryable=False,
            ) from error
        finally:
            mirror.stop()


class _Mirror:
    """Three files here, and there: answers, failures, manifest."""

    def __init__(self, output: str, folder: str) -> None:
        self._there, path = remote_file(output)
        self._folder, _, name = path.rpartition("/")
        self.local = os.path.join(folder, name)
        self._names = [name, os.path.basename(errors_path(self.local))]
        self._manifest = f"{name}.manifest.json"
        self._parts = f"{path}.parts"
        self._sizes: dict[str, int] = {}
        self._number = 0
        self._sent_manifest = b""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self.failure: OSError | None = None

    def fetch(self) -> None:
        """Get what earlier runs left: whole files, and parts behind them, each line once."""
        fs = import_module("pyarrow.fs")
        selector = fs.FileSelector(self._parts, allow_not_found=True)
        parts = sorted(info.path for info in self._there.get_file_info(selector) if info.is_file)
        self._number = max((int(path[-14:-6]) for path in parts), default=0)
        self._copy_here(self._place(self._manifest), self._manifest)
        for name in self._names:
            stem = name.rpartition(".")[0]
            mine = [path for path in parts if path.rpartition("/")[2][:-15] == stem]
            self._copy_here(self._place(name), name)
            if mine:
                self._add_parts(name, mine)
            self._sizes[name] = self._size(name)

    def start(self) -> None:
        """Mirror from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Mirror no more; what is new is there first."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def finish(self) -> None:
        """Put the whole files there, in place of their parts."""
        self.stop()
        if self.failure is not None:
            raise self.failure
        for name in self._names:
            if self._size(name) or name == self._names[0]:
                self._copy_there(name, self._place(name))
        self._send_manifest()
        fs = import_module("pyarrow.fs")
        info = self._there.get_file_info(self._parts)
        if info.type == fs.FileType.Directory:
            self._there.delete_dir(self._parts)

    # ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY):
            self._send_news()
        self._send_news()

    def _send_news(self) -> None:
        try:
            self._send_manifest()
            for name in self._names:
                self._send_part(name)
        except OSError as error:
            self.failure = error

    def _send_manifest(self) -> None:
        path = self._here(self._manifest)
        if os.path.exists(path):
            with open(path, "rb") as file:
                data = file.read()
            if data != self._sent_manifest:
                self._write(self._place(self._manifest), data)
                self._sent_manifest = data

    def _send_part(self, name: str) -> None:
        size = self._size(name)
        before = self._sizes[name]
        if size > before:
            with open(self._here(name), "rb") as file:
                file.seek(before)
                data = file.read(size - before)
            data = data[: data.rfind(b"\n") + 1]
            if data:
                self._number += 1
                self._there.create_dir(self._parts, recursive=True)
                stem = name.rpartition(".")[0]
                self._write(f"{self._parts}/{stem}-{self._number:08d}.jsonl", data)
                self._sizes[name] = before + len(data)
        elif size < before:
            self._sizes[name] = size  # failures that have another outcome were dropped

    def _add_parts(self, name: str, parts: list[str]) -> None:
        """Append the lines of `parts` that are not in the file: it may have been written whole."""
        known = KeyTable()
        path = self._here(name)
        with open(path, "ab+") as file:
            file.seek(0)
            for line in file:
                entry = read_entry(line)
                if entry is not None:
                    known.put(entry.key, 1)
            for part in parts:
                for line in self._read(part).splitlines(keepends=True):
                    entry = read_entry(line)
                    if entry is not None and not known.get(entry.key):
                        known.put(entry.key, 1)
                        file.write(line)

    def _here(self, name: str) -> str:
        return os.path.join(os.path.dirname(self.local), name)

    def _place(self, name: str) -> str:
        return f"{self._folder}/{name}" if self._folder else name

    def _size(self, name: str) -> int:
        path = self._here(name)
        return os.path.getsize(path) if os.path.exists(path) else 0

    def _read(self, path: str) -> bytes:
        with self._there.open_input_stream(path) as file:
            data: bytes = file.read()
            return data

    def _write(self, path: str, data: bytes) -> None:
        with self._there.open_output_stream(path) as file:
            file.write(data)

    def _copy_here(self, path: str, name: str) -> None:
        if self._there.get_file_info(path).is_file:
            with self._there.open_input_stream(path) as there, open(self._here(name), "wb") as here:
                shutil.copyfileobj(there, here)

    def _copy_there(self, name: str, path: str) -> None:
        if not os.path.exists(self._here(name)):
            return
        with open(self._here(name), "rb") as here, self._there.open_output_stream(path) as there:
            shutil.copyfileobj(here, there)
