"""Words out of a seed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.emulator.words import count_tokens, identifier, sentences, split_json, split_tokens


@given(st.text())
def test_pieces_join_to_the_text_they_were_cut_from(text: str) -> None:
    assert "".join(split_tokens(text)) == text
    assert "".join(split_json(text)) == text
    assert count_tokens(text) == len(split_tokens(text))


@given(st.text(), st.integers(0, 300))
def test_prose_has_exactly_the_tokens_asked_for(seed: str, tokens: int) -> None:
    pieces = sentences(seed, tokens)
    assert len(pieces) == tokens == count_tokens("".join(pieces))


def test_a_shorter_text_is_the_beginning_of_a_longer_one() -> None:
    assert sentences("seed", 200)[:30] == sentences("seed", 30)


def test_the_words_are_these_on_every_machine() -> None:
    assert "".join(sentences("a", 9)) == "A clock along the windmill mends its narrow statue."
    assert identifier("a") == "1ba3c523e770f3313cc91ab1"


def test_a_long_word_is_several_tokens() -> None:
    assert count_tokens("x" * 100) == 5
