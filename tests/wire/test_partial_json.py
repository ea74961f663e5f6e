"""`decode_partial`: a preview of JSON that is still arriving."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.wire.partial_json import decode_partial
from tests.cases import each_case

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@each_case(
    ("text", "value"),
    [
        ("", None),
        (" ", None),
        ("{", {}),
        ('{"city"', {}),
        ('{"city":', {}),
        ('{"city": "Par', {"city": "Par"}),
        ('{"city": "Par\\', {"city": "Par"}),
        ('{"city": "Par\\\\', {"city": "Par\\"}),
        ('{"city": "Par\\u00e', {"city": "Par"}),
        ('{"city": "Paris", ', {"city": "Paris"}),
        ('{"city": "Paris", "days', {"city": "Paris"}),
        ('{"days": 1', {}),
        ('{"days": 12,', {"days": 12}),
        ('{"deep": {"list": [1, 2, {"x": tr', {"deep": {"list": [1, 2, {}]}}),
        ('{"deep": {"list": [true', {"deep": {"list": [True]}}),
        ("[[", [[]]),
        ('"half a str', "half a str"),
        ("}", None),
        ("{]", None),
        ("no JSON at all", None),
    ],
)
def test_what_is_there_is_shown(text: str, value: Any) -> None:
    assert decode_partial(text) == value


@given(VALUES)
def test_the_whole_text_gives_the_whole_value(value: Any) -> None:
    if isinstance(value, int) and not isinstance(value, bool):
        return  # a bare number may always go on
    assert decode_partial(json.dumps(value)) == value


@given(st.dictionaries(st.text(max_size=6), VALUES, max_size=4), st.data())
def test_each_beginning_of_an_object_gives_an_object_that_grows(value: Any, data: Any) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    cut = data.draw(st.integers(1, len(text)))
    seen = decode_partial(text[:cut])
    assert isinstance(seen, dict)
    assert list(seen) == list(value)[: len(seen)]


@given(st.text(max_size=40))
def test_no_text_raises(text: str) -> None:
    decode_partial(text)
