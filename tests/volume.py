"""How much is tried: the whole in the slow part, a tenth where a person waits for the result."""

from __future__ import annotations

whole = False


def examples(number: int, least: int = 5) -> int:
    """Of `number` examples, how many this run tries: `least` are enough for a kind of which there
    are many beside it."""
    return number if whole else max(number // 10, least)


def every(number: int) -> int:
    """The step in which this run goes through places of which the slow part tries each."""
    return 1 if whole else number
