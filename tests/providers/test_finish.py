"""Finish words: one table, and one rule for which of several words counts."""

from __future__ import annotations

from engine.messages import FinishReason as F
from engine.providers.finish import Finish, reason_of
from tests.cases import each_case


@each_case(
    ("word", "reason"),
    [
        ("stop", F.STOP),
        ("STOP", F.STOP),
        ("end_turn", F.STOP),
        ("eos_token", F.STOP),
        ("eosFound", F.STOP),
        ("COMPLETE", F.STOP),
        ("MAX_TOKENS", F.LENGTH),
        ("maxPredictedTokensReached", F.LENGTH),
        ("model_context_window_exceeded", F.LENGTH),
        ("tool_calls", F.TOOL_USE),
        ("requires_action", F.TOOL_USE),
        ("content_filter: PROHIBITED_CONTENT", F.CONTENT_FILTER),
        ("function_call_filter: MALFORMED_FUNCTION_CALL", F.ERROR),
        ("content_filter: of tomorrow", F.CONTENT_FILTER),
        ("sensitive", F.CONTENT_FILTER),
        ("refusal", F.REFUSAL),
        ("<|im_end|>", F.STOP),
        ("</s>", F.STOP),
        ("matched_stop", F.STOP),
        ("out_of_tokens", F.LENGTH),
        ("max_tool_calls", F.LENGTH),
        ("policy_violation", F.CONTENT_FILTER),
        ("engine_overloaded", F.ERROR),
        ("pause_turn", F.PAUSE),
        ("abort", F.ERROR),
        ("NO_IMAGE", F.ERROR),
        ("of tomorrow", F.UNKNOWN),
        ("", F.UNKNOWN),
        (None, F.UNKNOWN),
    ],
)
def test_a_word_means_the_same_in_any_spelling(word: str | None, reason: F) -> None:
    assert reason_of(word) is reason


@each_case(
    ("said", "counts"),
    [
        (("length", "stop"), "length"),
        (("tool_calls", "stop"), "tool_calls"),
        (("stop", "tool_calls"), "tool_calls"),
        (("stop", "eos"), "eos"),
        (("content_filter", "length"), "content_filter"),
        (("stop", "error"), "error"),
        (("of tomorrow", "stop"), "stop"),
        (("stop", "of tomorrow"), "stop"),
    ],
)
def test_the_more_telling_of_two_words_counts(said: tuple[str, str], counts: str) -> None:
    finish = Finish()
    for word in said:
        finish = finish.said(word)
    assert finish.word == counts
    assert finish.stands


def test_content_after_a_word_withdraws_it() -> None:
    finish = Finish().said("length").withdrawn()
    assert not finish.stands
    assert finish.reason is F.LENGTH  # still the last that was said
    finish = finish.said("stop")
    assert (finish.word, finish.stands) == ("stop", True)


@each_case(
    ("word", "called", "partial", "told"),
    [
        ("stop", False, False, F.STOP),
        ("stop", True, False, F.TOOL_USE),
        (None, True, False, F.TOOL_USE),
        (None, False, False, F.UNKNOWN),
        ("stop", True, True, F.ERROR),
        ("tool_calls", False, True, F.ERROR),
        ("length", True, True, F.LENGTH),
        ("content_filter", False, True, F.CONTENT_FILTER),
    ],
)
def test_the_reason_says_whether_the_turn_is_whole(
    word: str | None, called: bool, partial: bool, told: F
) -> None:
    finish = Finish()
    if word is not None:
        finish = finish.said(word)
    assert finish.told(called=called, partial=partial) is told


def test_a_refusal_stays_one_whatever_else_is_said() -> None:
    refused = Finish().refusing()
    assert refused.withdrawn().refused
    assert refused.said("stop").refused
    assert refused.said("stop").withdrawn().refused
