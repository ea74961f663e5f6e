"""Arguments of a Gemini function call that arrive value by value.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/function-calling, "Streaming
function call arguments": each piece names its place by a JSONPath (``$.steps[0].text``); a string
may come in several pieces.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, Final

import msgspec

__all__ = ["PartialArg", "PartialArguments"]

# Only what names one place: $.name, $['any name'] and $[0].
_STEP: Final = re.compile(r"""\.([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]""")

_MAX_STEPS: Final = 64  # of one path; what is nested deeper is not read back as JSON either


class PartialArg(msgspec.Struct):
    """One piece: a place and a value."""

    jsonPath: str = ""
    stringValue: str | None = None
    numberValue: int | float | None = None
    boolValue: bool | None = None
    nullValue: Any = msgspec.UNSET


class PartialArguments:
    """The arguments of one call, as far as they have come.

    Attributes:
        valid: False once a piece named a place that cannot be: the call must not be carried out.
    """

    __slots__ = ("_holder", "_path", "_pieces", "_root", "_step", "valid")

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}
        self._path: str | None = None  # of the string that grows
        self._pieces: list[str] = []
        self._holder: Any = None
        self._step: str | int = ""
        self.valid: bool = True

    def add(self, piece: PartialArg) -> None:
        """Put the value of `piece` in its place; a string goes on where one is."""
        text = piece.stringValue
        if text is not None and piece.jsonPath == self._path:
            self._pieces.append(text)
            return
        try:
            self._join()
            self._put(piece, text)
        except (TypeError, ValueError, KeyError, IndexError):
            self.valid = False

    def json(self) -> str:
        """The arguments as JSON text."""
        self._join()
        return msgspec.json.encode(self._root).decode()

    def _put(self, piece: PartialArg, text: str | None) -> None:
        steps = _steps(piece.jsonPath)
        holder: Any = self._root
        for step, following in pairwise(steps):
            holder = _at(holder, step, [] if isinstance(following, int) else {})
        if text is not None:
            self._pieces = [_at(holder, steps[-1], ""), text]
            self._path, self._holder, self._step = piece.jsonPath, holder, steps[-1]
        elif piece.numberValue is not None:
            _set(holder, steps[-1], piece.numberValue)
        elif piece.boolValue is not None or piece.nullValue is not msgspec.UNSET:
            _set(holder, steps[-1], piece.boolValue)

    def _join(self) -> None:
        if self._path is not None:
            self._path = None
            self._holder[self._step] = "".join(self._pieces)


def _steps(path: str) -> list[str | int]:
    """The names and indices of `path`.

    Raises:
        ValueError: it is not a path to one place.
    """
    steps: list[str | int] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise ValueError(path)
        name, index, quoted, double = match.groups()
        steps.append(int(index) if index is not None else name or quoted or double or "")
        position = match.end()
    if not path.startswith("$") or not 0 < len(steps) <= _MAX_STEPS:
        raise ValueError(path)
    return steps


def _at(holder: Any, step: str | int, new: Any) -> Any:
    """The value at `step`, which is `new` where there was none."""
    absent = step not in holder if isinstance(holder, dict) else step == len(holder)
    if absent:
        _set(holder, step, new)
    return holder[step]


def _set(holder: Any, step: str | int, value: Any) -> None:
    # An index may only be the next: a peer that names $[999999999] would have the memory.
    if isinstance(holder, dict) and isinstance(step, str):
        holder[step] = value
    elif isinstance(holder, list) and isinstance(step, int):
        if step == len(holder):
            holder.append(value)
        else:
            holder[step] = value
    else:
        raise TypeError(step)
