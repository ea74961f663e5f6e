"""What only its author reads goes back to the author alone."""

from __future__ import annotations

from engine.messages import Message, Text, Tool
from engine.providers.origin import format_of, is_own, is_told, tool_extra, with_extra
from tests.cases import each_case


@each_case(
    ("provider", "formats", "own", "told"),
    [
        ("openrouter", ("chat",), True, True),
        ("openrouter", (), True, True),
        ("openrouter", ("messages",), False, False),  # another format of the same provider
        ("openai", ("chat",), False, False),
        (None, ("chat",), True, True),  # the user's, in this form
        (None, ("chat", "messages"), True, True),
        (None, ("gemini",), False, False),
        (None, ("mixed",), False, False),
        (None, (), False, True),  # by hand: no format was named
    ],
)
def test_whose_a_message_is(
    provider: str | None, formats: tuple[str, ...], own: bool, told: bool
) -> None:
    message = Message("assistant", [Text("x")], provider, formats=formats)
    assert is_own(message, "openrouter", "chat") is own
    assert is_told(message, "openrouter", "chat") is told


def test_dialects_of_one_format() -> None:
    assert format_of("gemini-array") == format_of("gemini") == "gemini"
    assert format_of("ollama-generate") == "ollama"
    assert format_of("chat") == "chat"


def test_extra_wins_and_joins_what_is_inside() -> None:
    written = {"type": "x", "inner": {"a": 1, "b": 2}}
    assert with_extra(written, {"inner": {"b": 3, "c": 4}, "new": 5}) == {
        "type": "x",
        "inner": {"a": 1, "b": 3, "c": 4},
        "new": 5,
    }
    assert written == {"type": "x", "inner": {"a": 1, "b": 2}}


def test_what_a_tool_says_beside() -> None:
    tool = Tool("f", extra={"cache_control": 1}, formats=("messages",))
    assert tool_extra(tool, "messages") == {"cache_control": 1}
    assert tool_extra(tool, "chat") == {}
    assert tool_extra(Tool("f", extra={"a": 1}), "chat") == {"a": 1}
