"""A number for each of millions of rows, in 16 bytes a slot.

A dict of a million 16-byte keys takes 160 MB and more; this, with twice as many slots as rows at
most, 32. It is what lets a run of a million rows be resumed on a small machine.
"""

from __future__ import annotations

from array import array
from struct import Struct
from typing import Final

__all__ = ["MOST", "KeyTable"]

_FIRST: Final = 1 << 10

MOST: Final = (1 << 48) - 1
"""The largest number that can be kept."""


# The ten bytes of a digest that are kept.
_parts: Final = Struct("<QH6x").unpack


class KeyTable:
    """Digests of 16 bytes, each with a number from 1 to `MOST`. Ten bytes of a digest are kept: of
    ten million rows, two are taken for one another once in 24,000 million runs."""

    __slots__ = ("_count", "_keys", "_mask", "_values")

    def __init__(self) -> None:
        self._mask = _FIRST - 1
        self._keys = array("Q", bytes(8 * _FIRST))
        self._values = array("Q", bytes(8 * _FIRST))  # 16 bits of the key, 48 of the number
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, key: bytes) -> int:
        """The number of `key`; 0: it has none."""
        return self._values[self._place(*_parts(key))] & MOST

    def put(self, key: bytes, number: int) -> None:
        """Give `key` a number, in place of the one it has."""
        self.change(key, 0, number)

    def change(self, key: bytes, kept: int, added: int) -> int:
        """Give `key` the number it has, of which the bits `kept` stay, and those `added` besides;
        returns the one it had, 0 where it had none."""
        first, second = _parts(key)
        place = self._place(first, second)
        value = self._values[place]
        if not value:
            self._count += 1
            if self._count > (self._mask + 1) * 0.6:
                self._grow()
                place = self._place(first, second)
            self._keys[place] = first
        number = value & MOST
        self._values[place] = second << 48 | number & kept | added
        return number

    def _place(self, first: int, second: int) -> int:
        """Where the key of these parts is, or belongs."""
        keys, values, mask = self._keys, self._values, self._mask
        place = first & mask
        while values[place] and (keys[place] != first or values[place] >> 48 != second):
            place = place + 1 & mask
        return place

    def _grow(self) -> None:
        keys, values = self._keys, self._values
        slots = 2 * len(keys)
        mask = self._mask = slots - 1
        self._keys = new_keys = array("Q", bytes(8 * slots))
        self._values = new_values = array("Q", bytes(8 * slots))
        for key, value in zip(keys, values, strict=True):
            if value:
                place = key & mask
                while new_values[place]:
                    place = place + 1 & mask
                new_keys[place], new_values[place] = key, value
