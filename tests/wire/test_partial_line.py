"""`PartialLine`: what is appended comes out, once, whatever the sizes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.wire.partial_line import PartialLine

PIECES = st.lists(st.integers(0, 40_000).map(lambda n: bytes(range(256)) * (n // 256) + b"x" * n))


@given(PIECES, st.binary(max_size=5))
def test_a_line_is_its_pieces_and_the_last_one(pieces: list[bytes], last: bytes) -> None:
    line = PartialLine()
    for piece in pieces:
        line.append(piece)
    assert line.size == sum(map(len, pieces))
    assert line.take(last) == b"".join((*pieces, last))


def test_after_take_it_is_empty() -> None:
    line = PartialLine()
    line.append(b"x" * 200_000)
    assert len(line.take()) == 200_000
    assert line.size == 0
    line.append(b"next")
    assert line.take() == b"next"
    assert line.take() == b""
