"""The environment as it was consulted: whether it would say the same again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from time import time_ns
from typing import Final

__all__ = ["Consulted"]


class Consulted(Mapping[str, str]):
    """This process's environment, which remembers what it was asked for and what it said; and the
    file that was looked at.

    Attributes:
        answers: each variable that was asked for, with its value, or None where it is not set.
    """

    __slots__ = ("_encoded", "_facts", "_path", "answers")

    def __init__(self) -> None:
        self.answers: dict[str, str | None] = {}
        self._encoded: tuple[list[object], list[object]] | None = None
        self._path: str | None = None
        self._facts: _Facts | None = None

    def __getitem__(self, name: str) -> str:
        value = self.answers[name] = os.environ.get(name)
        self._encoded = None
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)

    def look_at(self, path: str) -> None:
        """What is said hangs on the file `path` as well, which is about to be read."""
        facts = _facts_of(path)
        if facts is not None and time_ns() - max(facts[-2:]) < _TICK_NS:
            facts = _UNSETTLED
        self._path, self._facts = path, facts

    def stands(self) -> bool:
        """Whether every answer would be the same now, and the file is as it was."""
        if self._path is not None and self._facts != _facts_of(self._path):
            return False
        known = getattr(os.environ, "_data", None)
        if known is None:  # somebody put a mapping of their own in its place
            now = os.environ.get
            return all(now(name) == value for name, value in self.answers.items())
        if self._encoded is None:
            self._encoded = self._encode()
        # As os.environ keeps them: to ask it for one that is not set costs it two exceptions.
        names, values = self._encoded
        return [*map(known.get, names)] == values

    def _encode(self) -> tuple[list[object], list[object]]:
        name_of: Callable[[str], object] = getattr(os.environ, "encodekey")  # noqa: B009
        value_of: Callable[[str], object] = getattr(os.environ, "encodevalue")  # noqa: B009
        values = (None if v is None else value_of(v) for v in self.answers.values())
        return [*map(name_of, self.answers)], [*values]


_Facts = tuple[int, int, int, int, int]
# What was written a moment ago may be written again and keep its times: so fine they are not.
_TICK_NS: Final = 100_000_000
_UNSETTLED: Final = (0, 0, 0, 0, 0)


def _facts_of(path: str) -> _Facts | None:
    """What changes with a file; None where there is none."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_mode, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
