"""How many bytes an answer may have."""

from __future__ import annotations

from collections.abc import Callable

from engine.errors import ProtocolError
from engine.events import Event

__all__ = ["Allowance", "too_large"]


class Allowance:
    """So many bytes in all the responses of one answer."""

    __slots__ = ("_left", "_most", "_provider")

    def __init__(self, most: int, provider: str) -> None:
        self._left = self._most = most
        self._provider = provider

    def of(self, read: Callable[[bytes], list[Event]]) -> Callable[[bytes], list[Event]]:
        """`read`, as long as it lasts."""

        def counted(data: bytes) -> list[Event]:
            self._left -= len(data)
            if self._left < 0:
                raise too_large(self._most, self._provider)
            return read(data)

        return counted


def too_large(limit: int, provider: str) -> ProtocolError:
    """The error for an answer of `provider` beyond `limit` bytes."""
    return ProtocolError(
        f"{provider}: the answer is larger than max_answer_bytes={limit}; raise that "
        "limit of the client if the server is meant to answer so much"
    )
