"""Whom a transfer tells of its way."""

from __future__ import annotations

from typing import Protocol

from engine.errors import EngineError

__all__ = ["Owner"]


class Owner(Protocol):
    """Whom a transfer tells of its way. All of it runs with signals held and must call no code of
    the user's."""

    def began(self) -> None:
        """An attempt leaves the queue."""

    def connected(self) -> None:
        """The attempt has a connection; the request goes out."""

    def received(self, data: bytes) -> None:
        """Bytes of the body came, as libcurl cut them: at most 16 KiB. Bytes of an attempt that
        was given up in the same turn come too."""

    def attempt_ended(self, error: EngineError | None) -> float | None:
        """The attempt is over; seconds to wait before the next one, or None to end it here."""
