"""A file that only grows, line by line, and whose lines survive the process and the machine.

A line is written at once, so that it survives the process, and synced with others of its time, so
that it survives the machine. Whatever a crash leaves after the last whole line is cut off when the
file is opened again; nothing else is ever changed.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final

from engine.errors import ResourceError

__all__ = ["GroupSync", "Journal"]

# macOS has no fdatasync.
_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)

_BLOCK: Final = 64 * 1024


class Journal:
    """An append-only file of lines. `sync` may be called from another thread than the rest.

    Args:
        path: the file, made where there is none; ``"-"`` is stdout, which has no past to read.

    Raises:
        ResourceError: the file cannot be opened or written.
    """

    def __init__(self, path: str) -> None:
        self.path: str = path if path == "-" else os.path.realpath(path)
        self._new = False
        with _Advice(self.path, "open"):
            if path == "-":
                self._fd = os.dup(1)
            else:
                new = self._new = not os.path.exists(self.path)
                # For its owner's eyes: it holds what was asked and answered.
                self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                if new:
                    try:
                        _sync_folder(self.path)
                    except OSError:
                        os.close(self._fd)
                        raise
        status = os.fstat(self._fd)
        self._regular = path != "-" and stat.S_ISREG(status.st_mode)
        self._identity = (status.st_dev, status.st_ino)
        self._size = self._synced = status.st_size
        self._last = (0, b"")  # where the last line that was written begins, and the line
        self._foreign = False

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._size

    def close(self, *, forget: bool = False) -> None:
        """Close the file; `forget`: delete it where it was made here and is empty."""
        if forget and self._new and not self._size:
            with suppress(OSError):
                os.unlink(self.path)
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
            self._size = self._synced = os.fstat(self._fd).st_size
        return cut

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of each line in the file, without line breaks."""
        if not self._regular:
            return
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                yield number, line.rstrip(b"\r\n")

    def append(self, line: bytes) -> None:
        """Write `line`, which ends with a line break.

        Raises:
            ResourceError: it cannot be written, and the file is as it was before.
        """
        with _Advice(self.path, "write to"):
            if self._regular and os.fstat(self._fd).st_size != self._size:
                self.check()  # a line behind half a line would be lost with it
            try:
                self._write(line)
            except OSError:
                # A short write leaves half a line.
                if self._regular and os.fstat(self._fd).st_size > self._size:
                    os.ftruncate(self._fd, self._size)
                raise
        self._last = (self._size, line)
        self._size += len(line)

    def sync(self) -> None:
        """Wait until what was written is on the disk.

        Raises:
            ResourceError: it is not; or the file is no longer what was written. Call
                `forget_unsynced` then, and nothing else.
        """
        size = self._size
        if self._regular and size > self._synced:
            with _Advice(self.path, "write to"):
                self.check()
                _sync(self._fd)
            self._synced = size

    def check(self) -> None:
        """See that the file is what was written, and where it was.

        Raises:
            ResourceError: it was moved, deleted, cut or rewritten.
        """
        if not self._regular:
            return
        size, (start, line) = self._size, self._last
        what = None
        try:
            status = os.stat(self.path)
            if (status.st_dev, status.st_ino) != self._identity:
                what = "moved or deleted"
            elif status.st_size < size:
                what = "cut"
            elif os.pread(self._fd, len(line), start) != line:
                what = "rewritten"
        except FileNotFoundError:
            what = "moved or deleted"
        if what is not None:
            self._foreign = True
            raise ResourceError(
                f"{self.path} was {what} while the batch was writing to it; put it back as it was "
                "and run the same command again: what is missing is asked again",
                retryable=False,
            )

    def forget_unsynced(self) -> None:
        """Take back what no `sync` has put on the disk. After a failed one the kernel forgets which
        pages it lost (fsyncgate, 2018): the next run would take the lines for good. A file that
        somebody else changed is left alone."""
        if self._regular and self._size > self._synced and not self._foreign:
            try:
                os.ftruncate(self._fd, self._synced)
            except OSError:
                pass  # the disk takes nothing at all any more; the failure is reported already

    def keep(self, wanted: Callable[[bytes], bool]) -> Iterator[None]:
        """Leave out the lines that are not `wanted`, whole or not at all, a line at a time."""
        if not self._regular:
            return
        new = f"{self.path}.new"
        with _Advice(self.path, "rewrite"):
            try:
                with open(new, "ab", opener=_open_new) as file:
                    for _, line in self.lines():
                        if wanted(line):
                            file.write(line + b"\n")
                        yield
                    file.flush()
                    os.fchmod(file.fileno(), stat.S_IMODE(os.fstat(self._fd).st_mode))
                    _sync(file.fileno())
                    os.replace(new, self.path)
                    _sync_folder(self.path)
                    # The number stays: whoever syncs in another thread holds it.
                    os.dup2(file.fileno(), self._fd, inheritable=False)
            finally:
                with suppress(OSError):
                    os.unlink(new)
        status = os.fstat(self._fd)
        self._identity = (status.st_dev, status.st_ino)
        self._size = self._synced = status.st_size
        self._last = (0, b"")

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


class GroupSync:
    """Syncs journals in a thread: a disk needs milliseconds for it, and neither the streams nor the
    loop they run in can wait so long.

    Args:
        journals: the files.
        max_delay: seconds a line waits for others at most.
        max_lines: lines that are synced without waiting for more.

    Attributes:
        failure: why nothing is synced any more, or None.
        checked: after `finish`, everything is on disk, and was there at the end.
    """

    def __init__(
        self, journals: Iterable[Journal], max_delay: float = 0.05, max_lines: int = 256
    ) -> None:
        self._journals = list(journals)
        self._max_delay = max_delay
        self._max_lines = max_lines
        self._changed = threading.Condition()
        self._written = self._synced = 0
        self._closing = False
        self.failure: ResourceError | None = None
        self.checked: bool = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Lines that are not on disk yet."""
        return self._written - self._synced

    def note(self) -> None:
        """A line was written."""
        with self._changed:
            self._written += 1
            if self.pending in (1, self._max_lines):
                self._changed.notify()

    def finish(self) -> None:
        """No more lines come: sync what is left without waiting for company; see `pending`."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def close(self) -> None:
        """`finish`, and wait for it."""
        self.finish()
        self._thread.join()

    def _run(self) -> None:
        while self.failure is None:
            with self._changed:
                self._changed.wait_for(lambda: self.pending or self._closing)
                self._changed.wait_for(self._enough, self._max_delay)
                written = self._written
                last = self._closing and written == self._synced
            try:
                for journal in self._journals:
                    if last:
                        journal.check()
                    else:
                        journal.sync()
            except ResourceError as error:
                self.failure = error
            else:
                self._synced = written
            if last:
                self.checked = True
                return

    def _enough(self) -> bool:
        return self._closing or self.pending >= self._max_lines


class _Advice:
    """Turns an OSError into a ResourceError that says what to do."""

    def __init__(self, path: str, what: str) -> None:
        self._where = f"{what} {'stdout' if path == '-' else path}"
        self._advice = (
            "the batch is stopped, and stdout leaves nothing to go on with"
            if path == "-"
            else "everything written before is kept: make room or correct it, and run the same "
            "command again"
        )

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise ResourceError(
                f"cannot {self._where}: {error.strerror or error}; {self._advice}",
                retryable=False,
            ) from error


def _open_new(path: str, flags: int) -> int:
    """An opener for a file in a journal's place: new, also where a crash left one, and read too."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)


def _sync_folder(path: str) -> None:
    """Put the file's name on disk: POSIX promises it only after a sync of the folder."""
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
