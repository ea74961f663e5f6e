"""A number for each of many rows, in little memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.batch.reading.key_table import MOST, KeyTable
from engine.batch.reading.rows import digest


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, MOST))))
def test_it_is_a_dict(puts: list[tuple[int, int]]) -> None:
    table, known = KeyTable(), dict[bytes, int]()
    for name, number in puts:
        key = digest(b"%d" % name)
        table.put(key, number)
        known[key] = number
    assert len(table) == len(known)
    assert all(table.get(digest(b"%d" % n)) == known.get(digest(b"%d" % n), 0) for n in range(41))


def test_keys_that_fall_into_one_place_are_told_apart() -> None:
    table = KeyTable()
    keys = [bytes([0] * 7 + [n, 5, 5]) + bytes(6) for n in range(200)]
    keys += [bytes([0] * 8 + [n, 9]) + bytes(6) for n in range(200)]
    for number, key in enumerate(keys, 1):
        table.put(key, number)
    assert [table.get(key) for key in keys] == list(range(1, 401))


def test_a_row_takes_few_bytes() -> None:
    table = KeyTable()
    for n in range(20_000):
        table.put(digest(b"%d" % n), n + 1)
    assert table.get(digest(b"19999")) == 20_000
    slots = len(table._keys)
    assert slots * 16 <= 20_000 * 60


def test_a_change_keeps_the_bits_it_is_told_to_and_says_what_was_there() -> None:
    table = KeyTable()
    key = digest(b"a")
    assert table.change(key, 0, 0b1010) == 0
    assert table.change(key, 0b0010, 0b0100) == 0b1010
    assert (table.get(key), len(table)) == (0b0110, 1)
