"""How a measurement is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Goal", "Table", "number", "times"]


@dataclass(frozen=True)
class Goal:
    """What the project wants of itself, and what was measured: None where it was not."""

    what: str
    value: float | None
    limit: float
    at_least: bool = False

    def __str__(self) -> str:
        bound = f"{self.what}: wanted at {'least' if self.at_least else 'most'} {self.limit:g}"
        if self.value is None:
            return f"{bound}, not measured"
        kept = self.value >= self.limit if self.at_least else self.value <= self.limit
        return f"{bound}, {self.value:,.2f} is {'kept' if kept else 'MISSED'}"


@dataclass(frozen=True)
class Table:
    """A measurement. The first and the last column are words, the others numbers."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    goals: list[Goal] = field(default_factory=list)

    def render(self, *, goals: bool = True) -> str:
        """Plain text; `goals` below the rows."""
        lines = [self.head, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        out = [self.title]
        for first, *numbers, last in lines:
            cells = [first.ljust(widths[0])]
            cells += [cell.rjust(w) for cell, w in zip(numbers, widths[1:-1], strict=True)]
            out.append("  " + "  ".join([*cells, last]).rstrip())
        if goals:
            out += [f"  {goal}" for goal in self.goals]
        return "\n".join(out)


def number(value: float | None, digits: int = 2) -> str:
    """A measured value; a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def times(value: float | None) -> str:
    """A ratio."""
    return "–" if value is None else f"{value:,.2f}×"
