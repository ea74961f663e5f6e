"""Numbers in words people read."""

from __future__ import annotations

__all__ = ["duration"]


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
