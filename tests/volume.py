"""How much is tried: the whole in the slow part, a tenth where a person waits for the result."""

from __future__ import annotations

whole = False


def examples(number: int) -> int:
    """Of `number` examples, how many this run tries."""
    return number if whole else max(number // 10, 5)
