"""What libcurl's callbacks stored, until whom it belongs to takes it."""

from __future__ import annotations

from collections.abc import Collection
from time import monotonic
from typing import Final, Protocol

from engine.transport.work import Work

__all__ = ["MOST", "Inbox", "Taker"]

# Bytes stored at most before they are handed over; what more libcurl has waits inside it. One
# call of libcurl reads about 180 kB from a socket, but unpacks 16 kB of gzip to 16 MB.
MOST: Final = 256 * 1024
# Bytes, and pieces, that are handed over between two looks at the clock.
_LOOK: Final = 4096
_MOST_PIECES: Final = 16

_NOBODY: Final[frozenset[Work]] = frozenset()


class Taker(Protocol):
    """Whose bytes they are: an `Owner`."""

    def received(self, data: bytes) -> None: ...


class Connecting(Protocol):
    """A transfer that is told of its connection."""

    def connection_made(self) -> None: ...


class Flooded(Protocol):
    """A transfer whose peer is faster than we are."""

    @property
    def work(self) -> Work: ...
    def go_on(self) -> None: ...


class Inbox:
    """Bytes and connections, in the order libcurl told of them.

    Attributes:
        pieces: bytes, and who takes them.
        size: how many bytes were stored since the last `hand_over` that took all.
        connected: transfers that got their connection.
        flooded: transfers that are to wait until the inbox is empty, or their work caught up.
        behind: works that have not delivered all they were given; nothing more is stored for them.
        room: the `size` up to which anything is stored, without a look at `behind`.
    """

    __slots__ = ("behind", "connected", "flooded", "pieces", "room", "size")

    def __init__(self) -> None:
        self.pieces: list[tuple[Taker, bytes]] = []
        self.size: int = 0
        self.connected: list[Connecting] = []
        self.flooded: list[Flooded] = []
        self.behind: frozenset[Work] = _NOBODY
        self.room: int = MOST

    def wait_for(self, behind: Collection[Work]) -> None:
        """Store nothing more for works that are `behind`."""
        self.behind = frozenset(behind) if behind else _NOBODY
        self.room = -1 if behind else MOST

    def hand_over(self, until: float) -> bool:
        """Give what is stored to its owners, until the clock says `until`; whether all of it was
        given. At least one piece is."""
        if self.connected:
            for transfer in self.connected:
                transfer.connection_made()
            self.connected.clear()
        pieces = self.pieces
        given, size = 0, len(pieces)
        # So many between two looks at the clock that they are about `_LOOK` bytes.
        step = max(min(_LOOK * size // (self.size or 1), _MOST_PIECES), 1)
        while given < size:
            batch = pieces[given : given + step]
            for taker, data in batch:
                taker.received(data)
            given += len(batch)
            size = len(pieces)  # one that an owner's `resume` adds meanwhile is given, too
            if monotonic() >= until:
                break
        if given < size:
            del pieces[:given]
            return False
        pieces.clear()
        self.size = 0
        return True

    def give(self, taker: Taker, until: float) -> bool:
        """Give `taker` what is stored for it, before what came earlier for others, until the clock
        says `until`; whether all of it was given."""
        mine = [piece for piece in self.pieces if piece[0] is taker]
        if not mine:
            return True
        given = 0
        for _, data in mine:
            taker.received(data)
            given += 1
            if monotonic() >= until:
                break
        others = [piece for piece in self.pieces if piece[0] is not taker]
        self.pieces[:] = mine[given:] + others
        return given == len(mine)
