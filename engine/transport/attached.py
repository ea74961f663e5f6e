"""What hooks a `Multi` into a host loop."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Attached"]


class Attached(Protocol):
    """A host loop's watch of the descriptor."""

    def detach(self) -> None:
        """Watch it no more. Idempotent; from the thread of the `Multi`."""
