"""The names of limits in each format."""

from __future__ import annotations

from typing import Any

from engine.batch.reading.defaults import most_output, with_defaults
from engine.providers import Endpoint
from tests.cases import each_case

ROW = Endpoint("x", "http://x")


@each_case(
    ("format", "body", "most"),
    [
        ("chat", {"max_tokens": 5}, 5),
        ("chat", {"max_completion_tokens": 5, "n": 3}, 15),
        ("chat", {}, None),
        ("chat", {"max_tokens": "5"}, None),
        ("completions", {"max_tokens": 5, "best_of": 4}, 20),
        ("responses", {"max_output_tokens": 5}, 5),
        ("messages", {"max_tokens": 5}, 5),
        ("gemini", {"generationConfig": {"maxOutputTokens": 5, "candidateCount": 2}}, 10),
        ("gemini", {"max_tokens": 5}, None),
        ("ollama", {"options": {"num_predict": 5}}, 5),
        ("/v1/embeddings", {"input": "x"}, 0),
        ("/v1/images/generations", {"max_tokens": 5}, None),
    ],
)
def test_the_limit_is_found(format: str, body: dict[str, Any], most: int | None) -> None:
    assert most_output(format, body) == most


@each_case(
    ("format", "body", "made"),
    [
        ("chat", {}, {"max_tokens": 9, "temperature": 0.0}),
        ("chat", {"max_completion_tokens": 1}, {"max_completion_tokens": 1, "temperature": 0.0}),
        ("chat", {"temperature": 1}, {"temperature": 1, "max_tokens": 9}),
        ("responses", {}, {"max_output_tokens": 9, "temperature": 0.0}),
        ("gemini", {}, {"generationConfig": {"maxOutputTokens": 9, "temperature": 0.0}}),
        (
            "gemini",
            {"generationConfig": {"maxOutputTokens": 1}},
            {"generationConfig": {"maxOutputTokens": 1, "temperature": 0.0}},
        ),
    ],
)
def test_what_a_row_says_itself_stays(
    format: str, body: dict[str, Any], made: dict[str, Any]
) -> None:
    before = repr(body)
    assert with_defaults(format, body, 9, 0.0, ROW) == made
    assert repr(body) == before
    assert with_defaults(format, body, None, None, ROW) is body
