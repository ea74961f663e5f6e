"""The environment as it was consulted: whether it would say the same again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

__all__ = ["Consulted"]


class Consulted(Mapping[str, str]):
    """This process's environment, which remembers what it was asked for and what it said.

    Attributes:
        answers: each variable that was asked for, with its value, or None where it is not set.
    """

    __slots__ = ("answers",)

    def __init__(self) -> None:
        self.answers: dict[str, str | None] = {}

    def __getitem__(self, name: str) -> str:
        value = self.answers[name] = os.environ.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)

    def stands(self) -> bool:
        """Whether every answer would be the same now."""
        now = os.environ.get
        return all(now(name) == value for name, value in self.answers.items())
