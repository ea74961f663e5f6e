"""A file that only grows, line by line, and whose lines survive the process and the machine.

A line counts once `Journal.commit` has returned: it is then on the disk. Whatever a crash leaves
after the last whole line is cut off when the file is opened again; nothing else is ever changed.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from typing import Final

from engine.errors import ResourceError

__all__ = ["GroupCommit", "Journal"]

# macOS has no fdatasync.
_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)

_BLOCK: Final = 64 * 1024


class Journal:
    """An append-only file of lines. One thread at a time.

    Args:
        path: the file, made where there is none; ``"-"`` is stdout, which has no past to read.

    Raises:
        ResourceError: the file cannot be opened or written.
    """

    def __init__(self, path: str) -> None:
        self.path = path if path == "-" else os.path.realpath(path)
        with _Advice(self.path, "open"):
            if path == "-":
                self._fd = os.dup(1)
            else:
                self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
                _sync_folder(self.path)
        status = os.fstat(self._fd)
        self._regular = path != "-" and stat.S_ISREG(status.st_mode)
        self._identity = (status.st_dev, status.st_ino)
        self._size = status.st_size  # all of it on disk, once `mend` was called

    def close(self) -> None:
        """Close the file; lines that were not committed are not in it."""
        os.close(self._fd)

    def mend(self, is_whole: Callable[[bytes], bool]) -> int:
        """Make the end of the file a whole line, after a crash.

        A last line without its line break is kept where `is_whole` says so, and cut off where not.

        Returns:
            bytes cut off.
        """
        if not self._regular or not self._size:
            return 0
        with _Advice(self.path, "mend the end of"):
            tail = self._tail()
            cut = 0
            if tail and is_whole(tail):
                self._write(b"\n")
            elif tail:
                cut = len(tail)
                os.ftruncate(self._fd, self._size - cut)
            # What is read now may still be in the page cache only: it counts from here on.
            _sync(self._fd)
            self._size = os.fstat(self._fd).st_size
        return cut

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of each line in the file, without line breaks."""
        if not self._regular:
            return
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                yield number, line.rstrip(b"\r\n")

    def commit(self, data: bytes) -> None:
        """Append whole lines and wait until they are on the disk.

        Raises:
            ResourceError: they are not, and the file is as it was before; or another file has
                taken its place. Nothing more may be committed then.
        """
        if not self._regular:
            with _Advice(self.path, "write to"):
                self._write(data)
            return
        with _Advice(self.path, "write to"):
            self._check_place()
            try:
                self._write(data)
                _sync(self._fd)
            except OSError:
                # After a failed sync the kernel forgets which pages it lost (fsyncgate, 2018): the
                # lines would be read back as good. Without them the rows are asked again instead.
                os.ftruncate(self._fd, self._size)
                raise
        self._size += len(data)

    def truncate(self) -> None:
        """Forget everything."""
        with _Advice(self.path, "empty"):
            os.ftruncate(self._fd, 0)
            _sync(self._fd)
        self._size = 0

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def _tail(self) -> bytes:
        """The bytes after the last line break."""
        blocks: list[bytes] = []
        end = self._size
        while end:
            start = max(end - _BLOCK, 0)
            block = os.pread(self._fd, end - start, start)
            _, found, after = block.rpartition(b"\n")
            blocks.append(after)
            if found:
                break
            end = start
        return b"".join(reversed(blocks))

    def _check_place(self) -> None:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            raise ResourceError(
                f"{self.path} was moved or deleted while the batch was writing to it; put it "
                "back and run the same command again",
                retryable=False,
            )


class GroupCommit:
    """Commits lines in groups, in a thread: a disk needs milliseconds to sync, and neither the
    streams nor the loop they run in can wait for it.

    Args:
        max_delay: seconds a line waits for others at most.
        max_lines: lines that are committed without waiting for more.
    """

    def __init__(self, max_delay: float = 0.05, max_lines: int = 256) -> None:
        self._max_delay = max_delay
        self._max_lines = max_lines
        self._changed = threading.Condition()
        self._lines: list[tuple[Journal, bytes]] = []
        self._closing = False
        self._busy = 0
        self.failure: ResourceError | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Lines that are not on disk yet."""
        with self._changed:
            return len(self._lines) + self._busy

    def add(self, journal: Journal, line: bytes) -> None:
        """Have `line`, which ends with a line break, committed. Nothing after a `failure`."""
        with self._changed:
            self._lines.append((journal, line))
            if len(self._lines) in (1, self._max_lines):
                self._changed.notify()

    def close(self) -> None:
        """Commit what is left and end the thread; see `failure`."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while self.failure is None:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._closing)
                self._changed.wait_for(self._enough, self._max_delay)
                lines, self._lines = self._lines, []
                self._busy = len(lines)
            if not lines:
                return
            try:
                for journal in dict.fromkeys(journal for journal, _ in lines):
                    journal.commit(b"".join(line for to, line in lines if to is journal))
            except ResourceError as error:
                self.failure = error
            except Exception as error:
                self.failure = ResourceError(f"the journal failed: {error!r}", retryable=False)
                self.failure.__cause__ = error
            self._busy = 0

    def _enough(self) -> bool:
        return self._closing or len(self._lines) >= self._max_lines


class _Advice:
    """Turns an OSError into a ResourceError that says what to do."""

    def __init__(self, path: str, what: str) -> None:
        self._where = f"{what} {'stdout' if path == '-' else path}"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise ResourceError(
                f"cannot {self._where}: {error.strerror or error}; everything written before is "
                "kept: make room or correct it, and run the same command again",
                retryable=False,
            ) from error


def _sync_folder(path: str) -> None:
    """Put the file's name on disk: POSIX promises it only after a sync of the folder."""
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
