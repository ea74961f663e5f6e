"""Files for agents: those below one folder, to read, and to write only where that is allowed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, Final

from engine.agents.tools.tool import FunctionTool
from engine.errors import ConfigError

__all__ = ["file_tools"]

_MAX_ENTRIES: Final = 1_000
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def file_tools(
    root: str | os.PathLike[str], *, write: bool = False, max_bytes: int = 1_000_000
) -> list[FunctionTool]:
    """Tools ``list_files`` and ``read_file``, and ``write_file`` where `write`.

    A path is walked name by name from the open folder, and no name may be ``..`` or a symbolic
    link: a check of the path as a whole could be outrun by a link that is put there after it. A
    hard link is a file like any other and can be read, but is not written to.

    Args:
        root: the folder.
        write: let the model make and overwrite files. They are approved by the agent's `approve`,
            if it has one; reading is not asked for.
        max_bytes: the most that is read or written at once.

    Raises:
        ConfigError: `root` is no folder.
    """
    folder = Path(root).resolve()
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; name one that is there")
    files = _Files(folder, max_bytes)
    tools = [
        FunctionTool(files.list_files, run_in="thread", approve=False),
        FunctionTool(files.read_file, run_in="thread", approve=False),
    ]
    if write:
        tools.append(FunctionTool(files.write_file, run_in="thread"))
    return tools


class _Files:
    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes

    def list_files(self, path: str = ".") -> str:
        """List a folder: a name a line, folders with a slash at the end.

        Args:
            path: of the folder, such as "src"; "." is the topmost.
        """
        folder = self._open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(folder) as entries:
                names = sorted(
                    each.name + "/" * each.is_dir(follow_symlinks=False) for each in entries
                )
        finally:
            os.close(folder)
        more = [f"[and {len(names) - _MAX_ENTRIES} more]"] if len(names) > _MAX_ENTRIES else []
        return "\n".join([*names[:_MAX_ENTRIES], *more]) or "[empty]"

    def read_file(self, path: str, first_line: int = 1, lines: int | None = None) -> str:
        """Read a text file.

        Args:
            path: of the file, such as "src/main.py".
            first_line: where to begin, from 1.
            lines: how many; null for all.
        """
        with self._open_file(path, _READ, "rb") as file:
            data = file.read(self._max_bytes + 1)
        if b"\0" in data:
            raise ValueError(f"{path} is no text file")
        text = data[: self._max_bytes].decode(errors="replace")
        cut = "\n[cut]" if len(data) > self._max_bytes else ""
        first = max(first_line, 1) - 1
        last = None if lines is None else first + max(lines, 0)
        return "".join(text.splitlines(keepends=True)[first:last]) + cut

    def write_file(self, path: str, content: str) -> str:
        """Write a text file, in the place of what was in it before. Its folder must be there.

        Args:
            path: of the file, such as "notes/today.md".
            content: all of its text.
        """
        data = content.encode()
        if len(data) > self._max_bytes:
            raise ValueError(f"the content is larger than {self._max_bytes} bytes")
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        with self._open_file(path, flags, "wb") as file:
            if os.fstat(file.fileno()).st_nlink > 1:
                raise PermissionError(f"{path} is a hard link to a file that may be elsewhere")
            file.truncate(0)
            file.write(data)
        return f"wrote {len(data)} bytes to {path}"

    def _open_file(self, path: str, flags: int, mode: str) -> IO[bytes]:
        fd = self._open(path, flags)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise ValueError(f"{path} is no file")
        return os.fdopen(fd, mode)

    def _open(self, path: str, flags: int) -> int:
        """A descriptor of `path`, which no link leads to."""
        if "\0" in path or path.startswith("/"):
            raise PermissionError(f"{path!r} must be a path below the topmost folder")
        names = [name for name in path.split("/") if name not in ("", ".")]
        if ".." in names:
            raise PermissionError(f"{path!r} leads out of the topmost folder")
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in names[:-1]:
                folder, above = _open_at(folder, name, os.O_RDONLY | os.O_DIRECTORY, path), folder
                os.close(above)
            return _open_at(folder, names[-1] if names else ".", flags, path)
        finally:
            os.close(folder)


def _open_at(folder: int, name: str, flags: int, path: str) -> int:
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=folder)
    except OSError as error:
        # The model is told the path it asked for and not where the folder is.
        raise type(error)(error.errno, f"{error.strerror}; links are not followed", path) from None
