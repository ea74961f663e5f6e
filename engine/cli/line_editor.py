"""The line editor of a conversation: a pasted text is one question, and history survives."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["LineEditor", "history_path"]

_MOST_ENTRIES: Final = 1000


def history_path(environ: Mapping[str, str] | None = None) -> Path:
    """Where questions are kept: ``streamengine/chat_history`` under ``$XDG_STATE_HOME``, by default
    ``~/.local/state``."""
    environ = os.environ if environ is None else environ
    # A relative path is to be ignored, says the XDG Base Directory Specification.
    home = environ.get("XDG_STATE_HOME", "")
    if not home.startswith("/"):
        home = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local", "state")
    return Path(home, "streamengine", "chat_history")


class LineEditor:
    """Reads questions from the terminal, with what GNU readline or libedit offers.

    Args:
        history: the file of earlier questions, one a line as JSON, readable for its owner alone;
            None: none is kept. Where it cannot be read or written, the conversation goes on.
    """

    def __init__(self, history: Path | None) -> None:
        self._history = history
        self._readline = _readline()
        if self._readline is not None:
            # Lines of a paste are put into the question, and do not end it.
            self._readline.parse_and_bind("set enable-bracketed-paste on")
            self._readline.set_auto_history(False)
            for entry in self._load():
                self._readline.add_history(entry)

    def read(self, prompt: str) -> str:
        """The next question, of one line or several.

        Raises:
            EOFError: Ctrl-D.
            KeyboardInterrupt: Ctrl-C.
        """
        # readline may give the breaks of a paste as carriage returns.
        question = input(prompt).replace("\r\n", "\n").replace("\r", "\n").strip()
        if question and not question.startswith("/"):  # commands are no questions
            self._keep(question)
        return question

    def _load(self) -> list[str]:
        if self._history is None:
            return []
        try:
            lines = self._history.read_text("utf-8").splitlines()[-_MOST_ENTRIES:]
        except (OSError, UnicodeDecodeError):
            return []
        entries = []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # torn by a crash
            if isinstance(entry, str):
                entries.append(entry)
        return entries

    def _keep(self, question: str) -> None:
        if self._readline is not None:
            self._readline.add_history(question)
        if self._history is None:
            return
        try:
            self._history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Questions are private, whatever the umask says.
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            fd = os.open(self._history, flags, 0o600)
            with open(fd, "w", encoding="utf-8") as file:
                os.fchmod(fd, 0o600)
                file.write(json.dumps(question) + "\n")
        except OSError:
            self._history = None  # a full disk, a home that cannot be written: not worth a word


def _readline() -> Any:
    try:
        import readline
    except ImportError:
        return None
    return readline
