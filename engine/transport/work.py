"""A piece of work: what a `Multi` counts as open until its completion was handed over."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Work"]


class Work(Protocol):
    """A stream, a plain request, an agent's run, a batch: what `Multi` asks of each."""

    def deliver(self, until: float) -> bool:
        """Hand over what waits, to the user's callbacks; asked for by `Driver.wants_delivery`.

        Args:
            until: seconds of time.monotonic after which no further callback is begun; ``math.inf``
                is no bound. At least one is made.

        Returns:
            whether more waits: to be asked again when the others had their turn.
        """

    def conclude(self) -> object:
        """What `info_read` returns for it; asked once, after `Driver.finished`, with signals held:
        calls no code of the user's."""

    def announce(self) -> bool:
        """Call one of the user's completion handlers, the first that was not called yet; False
        where none is left. What it raises is noted, and the next is asked for."""

    def recall(self) -> None:
        """Somebody wants to know of each text from now on: hand nothing over unnoticed."""

    def cancel(self) -> None:
        """End it now: `cancel_all`."""

    @property
    def stalled(self) -> bool:
        """Whether it goes on only when the loop that reads it takes more."""
