"""JSON that is still arriving: what is shown is always a beginning of what it becomes."""

from __future__ import annotations

import json
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.wire.growing_json import GrowingJson
from tests.cases import each_case

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def fed(*pieces: str) -> Any:
    growing = GrowingJson()
    for piece in pieces:
        growing.feed(piece)
    assert growing.text == "".join(pieces)
    return growing.value


@given(values, st.booleans(), st.integers(1, 4))
def test_at_the_end_it_is_the_value(value: Any, ascii: bool, size: int) -> None:
    text = json.dumps(value, ensure_ascii=ascii) + " "
    assert fed(*(text[n : n + size] for n in range(0, len(text), size))) == value


@each_case(
    ("text", "value"),
    [
        ("", None),
        ("{", {}),
        ('{"a', {}),
        ('{"a"', {}),
        ('{"a":', {}),
        ('{"a": 12', {}),
        ('{"a": 12,', {"a": 12}),
        ('{"a": tru', {}),
        ('{"a": "he', {"a": "he"}),
        ('{"a": "he\\', {"a": "he"}),
        ('{"a": "\\ud83d', {"a": ""}),
        ('{"a": "\\ud83d\\ude00', {"a": "😀"}),
        ('{"a": [1, {"b": "c', {"a": [1, {"b": "c"}]}),
        ("[1, 2] [3", [1, 2]),
        ('{"a" 1}', {}),
        ("no", None),
    ],
)
def test_what_is_cut_is_left_out_or_shown_as_far_as_it_came(text: str, value: Any) -> None:
    assert fed(text) == value
    assert fed(*text) == value


def test_a_look_costs_what_is_new() -> None:
    def cost(members: int) -> float:
        growing = GrowingJson()
        growing.feed('{"a": "b"')
        begin = time.thread_time()
        for number in range(members):
            growing.feed(f', "k{number}": [1, "x"]')
            assert growing.value is not None
        return time.thread_time() - begin

    cost(100)
    small, large = min(cost(200) for _ in range(3)), min(cost(1_600) for _ in range(3))
    # Eight times the members: linear is 8, a decode of all of them at each look is 64.
    assert large < 32 * small


def test_a_look_at_a_long_string_costs_a_copy_and_no_decode() -> None:
    def looks() -> float:
        growing = GrowingJson()
        growing.feed('{"a": "')
        begin = time.thread_time()
        for _ in range(1_600):
            growing.feed("x" * 50)
            assert growing.value is not None
        return time.thread_time() - begin

    def decodes() -> float:
        text = '{"a": "'
        begin = time.thread_time()
        for _ in range(1_600):
            text += "x" * 50
            assert json.loads(text + '"}') is not None
        return time.thread_time() - begin

    assert 3 * min(looks() for _ in range(3)) < decodes()  # alone: 12 to 18 times less
