"""Numbers in words people read."""

from __future__ import annotations

from math import floor, log10
from typing import Final

__all__ = ["amount", "duration", "round_top"]


def duration(seconds: float | None) -> str:
    """``350 ms``, ``12.5 s``, ``7 min``, ``3 h 20 min``, ``2 d 4 h``; None: a dash."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


_UNITS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def amount(value: float) -> str:
    """``0.04``, ``7.5``, ``950``, ``79k``, ``1.2M``: three digits at most, never a power of ten."""
    for size, unit in _UNITS:
        if value >= size * 0.9995:
            return f"{_plain(value / size)}{unit}"
    return _plain(value)


def _plain(value: float) -> str:
    if value <= 0:
        return "0"
    places = max(2 - floor(log10(value)), 0)
    text = f"{value:.{min(places, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def round_top(value: float) -> float:
    """The next of 1, 2, 2.5, 5, 10, … at or above `value`: where an axis ends."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * (1 - 1e-9))
