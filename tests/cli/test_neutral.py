"""Nothing a model writes reaches the terminal as an order."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from engine.cli.neutral import neutralise, one_line
from tests.cases import each_case


@each_case(
    ("text", "shown"),
    [
        ("plain, übung, 日本語, 👍🏽\n\tnext", "plain, übung, 日本語, 👍🏽\n\tnext"),
        ("\x1b[31mred", "␛[31mred"),
        ("\x1b]52;c;aGk=\x07", "␛]52;c;aGk=␇"),
        ("\x9b2J", "\ufffd2J"),
        ("one\r\ntwo\rthree", "one\ntwothree"),
        ("a\x08b\x7fc\x00", "a␈b␡c␀"),
        ("ab\u202edc\u202c", "abdc"),
        ("pay\u200bpal\ufeff", "paypal"),
        ("hi\U000e0041", "hi"),
        ("\ud83d", "\ufffd"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert neutralise(text) == shown


@given(st.text(st.characters(codec=None)))
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    kinds = {unicodedata.category(c) for c in neutralise(text).replace("\n", "").replace("\t", "")}
    assert not kinds & {"Cc", "Cs"}
    bidirectional = {unicodedata.bidirectional(c) for c in neutralise(text)}
    assert not bidirectional & {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN"}


@given(st.text(st.characters(codec=None)), st.integers(0, 50))
def test_cut_anywhere_it_is_the_same(text: str, cut: int) -> None:
    assert neutralise(text[:cut]) + neutralise(text[cut:]) == neutralise(text)


def test_one_line_has_no_breaks() -> None:
    assert one_line("a\n b\r\n\tc \x1b[0m") == "a b c ␛[0m"
