"""The arguments of a call as an object, for the formats that ask for one."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import ConfigError
from engine.messages import ToolCall
from engine.providers.arguments import arguments_of
from tests.cases import each_case


@each_case(
    ("written", "object"),
    [
        ('{"a":1}', {"a": 1}),
        ("null", {}),
        ("[]", {}),
        ('""', {}),
        ("[1]", {"input": [1]}),
        ('"ls"', {"input": "ls"}),
        ("0", {"input": 0}),
    ],
)
def test_whatever_a_model_wrote_goes_out_as_an_object(written: str, object: Any) -> None:
    assert arguments_of(ToolCall("a", "f", written)) == object


def test_what_is_no_json_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^input: the arguments of call 'a' are no JSON"):
        arguments_of(ToolCall("a", "f", "{"))
