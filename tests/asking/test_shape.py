"""What a message tells of the formats it may be of."""

from __future__ import annotations

import pytest

from engine.asking.shape import CHAT, GEMINI, MESSAGES, TYPED, Shape
from engine.errors import ConfigError
from engine.request import Bound


def test_each_piece_narrows_the_formats_a_message_may_be_of() -> None:
    shape = Shape()
    assert shape.formats == ()
    assert shape.extra({"text": "a", "x": 1}, ("text",), TYPED, "input[0]") == {"x": 1}
    shape.narrow(MESSAGES)
    assert shape.formats == ("messages",)
    assert shape.bound() == [Bound("input[0].x", ("messages",))]


def test_what_only_an_answer_says_binds_nothing_and_what_says_nothing_is_left_out() -> None:
    shape = Shape()
    data = {"id": "m", "status": "", "usage": None, "notes": []}
    found = shape.extra(data, (), CHAT, "input[0]", ("id", "status"))
    assert found == {"id": "m", "notes": []}
    assert shape.bound() == []
    assert shape.formats == ("chat",)


def test_what_is_of_two_formats_at_once_is_refused_if_it_must_be_said() -> None:
    shape = Shape()
    shape.narrow(CHAT)
    shape.narrow(GEMINI)
    assert shape.formats == ("mixed",)  # seals of both: they go to nobody
    assert shape.bound() == []
    shape.bind(CHAT, "input[0].name")
    with pytest.raises(ConfigError, match=r"input\[0\]\.name belong to different formats"):
        shape.bound()
