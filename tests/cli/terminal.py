"""The installed command `engine`, on a real pseudo-terminal."""

from __future__ import annotations

import codecs
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

COMMAND = Path(sys.executable).with_name("engine")


def environment(**changes: str) -> dict[str, str]:
    """Ours, without any key, colour setting or address a developer may have set, and without a size
    of the terminal, which libraries of line editing put there."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_API_KEY", "_TOKEN", "_COLOR", "_BASE_URL", "_URL", "_MODEL"))
        and name not in ("COLUMNS", "LINES")
    }
    # History is kept nowhere, unless the test says where.
    return {**ours, "TERM": "xterm", "XDG_STATE_HOME": "/dev/null", **changes}


@dataclass
class Terminal:
    """What a person at the terminal sees and types."""

    process: subprocess.Popen[bytes]
    screen: int
    seen: str = ""
    # A read may end within a character.
    decoder: codecs.IncrementalDecoder = field(
        default_factory=codecs.getincrementaldecoder("utf-8"), repr=False
    )

    def read_until(self, text: str, seconds: float = 20) -> str:
        """All that was shown up to `text`, which is taken off."""
        while text not in self.seen:
            ready, _, _ = select.select([self.screen], [], [], seconds)
            piece = self._read() if ready else b""
            assert piece, f"{text!r} was not shown, but {self.seen!r}"
            self.seen += self.decoder.decode(piece)
        before, _, self.seen = self.seen.partition(text)
        return before

    def read_rest(self) -> str:
        """All that is shown until the program ends."""
        while piece := self._read():
            self.seen += self.decoder.decode(piece)
        return self.seen

    def type(self, text: str) -> None:
        """Press these keys; ``\\x03`` is Ctrl-C and ``\\x04`` Ctrl-D."""
        os.write(self.screen, text.encode())

    def press_until(self, key: str, text: str) -> None:
        """Press `key` once a second until `text` is shown. CPython's readline does not see a
        signal that comes just before its select() until the next key."""
        for _ in range(20):
            self.type(key)
            ready, _, _ = select.select([self.screen], [], [], 1)
            if ready:
                break
        self.read_until(text)

    def _read(self) -> bytes:
        try:
            return os.read(self.screen, 65536)
        except OSError:  # Linux: EIO when nobody has the other end open
            return b""


@contextmanager
def terminal(
    *arguments: str, program: Sequence[str] = (str(COMMAND),), columns: int = 100, **changes: str
) -> Iterator[Terminal]:
    """`engine ARGUMENTS`, or another program, as the leader of a session whose controlling
    terminal we hold."""
    screen, keyboard = pty.openpty()
    termios.tcsetwinsize(screen, (24, columns))
    name = os.ttyname(keyboard)
    # The first terminal a session leader opens becomes the controlling one: Ctrl-C gets there.
    script = f'exec "$@" <{name} >{name} 2>&1'
    process = subprocess.Popen(
        ["sh", "-c", script, "sh", *program, *arguments],
        stdin=keyboard,
        start_new_session=True,
        env=environment(**changes),
    )
    os.close(keyboard)
    try:
        yield Terminal(process, screen)
    finally:
        process.kill()
        process.wait()
        os.close(screen)
