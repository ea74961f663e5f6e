"""What cannot be said in a format is refused before anything is sent, by its place."""

from __future__ import annotations

from typing import Any

import pytest

from engine.asking.body import render_body
from engine.asking.question import as_question
from engine.errors import ConfigError
from engine.providers import dialect, endpoint
from tests.cases import each_case

ASKED = {"role": "user", "content": "hi"}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
CACHED = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}


def render(provider: str, name: str, input: Any, **options: Any) -> dict[str, Any]:
    request = as_question("m", input, None, options).request  # type: ignore[arg-type]
    return render_body(dialect(name), request, endpoint(provider))


@each_case(
    ("provider", "name", "input", "place"),
    [
        (
            "anthropic",
            "messages",
            [ASKED, {"role": "user", "content": ["a", SOUND]}],
            r"1\]\.content\[1\]",
        ),
        ("ollama", "ollama", [ASKED, {"role": "user", "content": [SOUND]}], r"1\]\.content\[0\]"),
        (
            "ollama",
            "ollama",
            [{"role": "user", "content": [{"type": "image_url", "image_url": "https://x"}]}],
            r"0\]\.content\[0\]: Ollama takes images as data",
        ),
        (
            "openai",
            "chat",
            [{"role": "user", "content": ["a", {"type": "input_file", "file_url": "https://x"}]}],
            r"0\]\.content\[1\]: the chat format takes documents as data",
        ),
        (
            "gemini",
            "gemini",
            [{"role": "user", "content": [CACHED]}],
            r"0\]\.content\[0\]\.cache_c",
        ),
        ("anthropic", "messages", [{**ASKED, "name": "alice"}], r"0\]\.name means nothing in the"),
        (
            "openai",
            "responses",
            [ASKED, {"role": "assistant", "prefix": True, "content": "x"}],
            "1",
        ),
    ],
)
@each_case("system", [None, "be brief"])
def test_a_piece_is_named_by_its_place(
    provider: str, name: str, input: Any, place: str, system: str | None
) -> None:
    with pytest.raises(ConfigError, match=r"^input\[" + place):
        render(provider, name, input, system=system)


def test_a_tool_and_the_system_text_have_places_too() -> None:
    with pytest.raises(ConfigError, match=r"^tools\[0\] means nothing in the gemini format"):
        render("gemini", "gemini", "hi", tools=[{"type": "web_search"}])
    with pytest.raises(ConfigError, match=r"^system\.content\[0\]\.cache_control means nothing"):
        render("gemini", "gemini", "hi", system=[CACHED])
    body = render("anthropic", "messages", "hi", system=[CACHED])
    assert body["system"] == [CACHED]


def test_an_error_of_no_message_keeps_its_words() -> None:
    with pytest.raises(ConfigError, match=r"^input: legacy completions take one prompt"):
        render("openai", "completions", [ASKED, ASKED])
    with pytest.raises(ConfigError, match=r"^seed: "):
        render("anthropic", "messages", "hi", seed=1)
