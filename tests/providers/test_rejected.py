"""Asked once more without what the server does not know."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import Category, EngineError, ProviderError
from engine.providers.refusal import http_error
from engine.providers.rejected import without_rejected_field

BODY: dict[str, Any] = {
    "model": "m",
    "messages": [],
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 9,
    "seed": 1,
    "user": "u",
    "temperature": 0,
}


def refusal(status: int, body: str) -> EngineError:
    return http_error(status, {}, body.encode(), "vendor")


@pytest.mark.parametrize(
    ("status", "body", "field"),
    [
        # Mistral, FastAPI with pydantic.
        (
            422,
            '{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],'
            '"msg":"Extra inputs are not permitted"}]}',
            "stream_options",
        ),
        # transformers serve.
        (
            422,
            '{"detail":"Unexpected fields in the request: {\'stream_options\'}"}',
            "stream_options",
        ),
        (400, '{"error":{"message":"Unknown parameter: \'seed\'.","param":"seed"}}', "seed"),
        (400, '{"error":{"message":"property \'user\' is unsupported"}}', "user"),
        (400, '{"message":"body.user: unexpected"}', "user"),
        (
            400,
            '{"error":{"message":"stream_options is not supported by this model"}}',
            "stream_options",
        ),
    ],
)
def test_a_field_the_server_does_not_know_is_left_out(status: int, body: str, field: str) -> None:
    before = dict(BODY)
    again = without_rejected_field(BODY, refusal(status, body))
    assert again == {name: value for name, value in BODY.items() if name != field}
    assert before == BODY


def test_the_limit_of_the_output_has_two_names() -> None:
    openai = refusal(
        400,
        '{"error":{"message":"Unsupported parameter: \'max_tokens\' is not supported with this '
        'model. Use \'max_completion_tokens\' instead.","param":"max_tokens"}}',
    )
    again = without_rejected_field(BODY, openai)
    assert again is not None
    assert again["max_completion_tokens"] == 9
    assert "max_tokens" not in again
    mistral = refusal(422, '{"detail":"Extra inputs: max_completion_tokens, not permitted"}')
    assert without_rejected_field(again, mistral) == BODY | {}
    both = {**BODY, "max_completion_tokens": 9}
    assert without_rejected_field(both, openai) is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, '{"error":{"message":"Unsupported value: \'temperature\'","param":"temperature"}}'),
        (400, '{"error":{"message":"Invalid value for \'seed\': must be an integer"}}'),
        (400, '{"error":{"message":"unsupported role; the user must speak first"}}'),
        (400, '{"error":{"message":"Unknown parameter: \'tools\'"}}'),
        (400, '{"error":{"message":"Unknown parameter: \'store\'"}}'),  # not in the body
        (401, '{"error":{"message":"Unknown parameter: \'seed\'"}}'),
        (500, '{"error":{"message":"stream_options is not supported"}}'),
        (400, "Bad Request"),
        (422, ""),
    ],
)
def test_nothing_else_is_left_out(status: int, body: str) -> None:
    assert without_rejected_field(BODY, refusal(status, body)) is None


def test_an_error_without_a_status_changes_nothing() -> None:
    error = ProviderError("seed: unknown stream_options", category=Category.INVALID_ARG)
    assert without_rejected_field(BODY, error) is None
