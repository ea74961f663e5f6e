"""What hooks a `Multi` into a host loop."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Attached"]


class Attached(Protocol):
    """A host loop's watch of the descriptor."""

    def detach(self) -> None:
        """Watch it no more. Idempotent; from the thread of the `Multi`."""

    def wait(self, seconds: float | None) -> bool:
        """Let the host's other tasks run until it made a turn, or so long; False: it has no such
        tasks, or this is inside of a turn."""
