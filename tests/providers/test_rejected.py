"""Asked once more without what the server does not know."""

from __future__ import annotations

from typing import Any

from engine.errors import Category, EngineError, ProviderError
from engine.providers.refusal import http_error
from engine.providers.rejected import (
    refuses_streams,
    without_rejected_field,
    without_stream,
)
from tests.cases import each_case

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


@each_case(
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
        (400, '{"message":"invalid params, unknown parameter seed"}', "seed"),
        (400, '{"message":"Argument not supported on this model: seed"}', "seed"),
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


@each_case(
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


@each_case(
    "words",
    [
        "stream is not supported",
        "Streaming is not supported for this model.",
        "This model does not support streaming",
        "streaming responses are not currently supported",
        "Your organization must be verified to stream this model.",
        "Unsupported value: 'stream' does not support true with this model.",
        "stream=true is not supported",
        "`stream` must be false",
        "models/x is not supported for streamGenerateContent.",
        "unsupported parameter: stream",
        "only non-streaming requests are possible",
        "The model is not supported in streaming mode",
        "Streaming is disabled for this key",
        "stream should be false here",
        "This one doesn't support the streaming API",
        "Stream mode is currently unavailable",
        "Extra inputs are not permitted: stream",
        "Unrecognized request argument supplied: stream",
        "streamGenerateContent is not supported",
    ],
)
def test_a_server_that_cannot_stream_is_understood(words: str) -> None:
    error = refusal(400, f'{{"error":{{"message":"{words}"}}}}')
    assert refuses_streams(error)


@each_case(
    "words",
    [
        "stream_options is not supported",
        "tools is not supported",
        "the upstream is not available",
        "Invalid value for 'stream': must be a boolean",
        "streams of consciousness are welcome",
        "This model only supports stream mode",
        "it only supports streaming calls; set stream to true",
        "Unrecognized request argument supplied: stream_options",
    ],
)
def test_other_words_do_not_end_streaming(words: str) -> None:
    assert not refuses_streams(refusal(400, f'{{"error":{{"message":"{words}"}}}}'))
    assert not refuses_streams(refusal(500, '{"error":{"message":"stream is not supported"}}'))


def test_each_format_says_in_its_own_way_that_the_answer_shall_come_whole() -> None:
    asked = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
    chat = "https://x/v1/chat/completions"
    assert without_stream(chat, asked) == (chat, {"model": "m"})
    ollama = "http://x/api/chat"
    assert without_stream(ollama, {"stream": True}) == (ollama, {"stream": False})
    gemini = "https://x/v1beta/models/m:streamGenerateContent?alt=sse&key=k"
    assert without_stream(gemini, {}) == ("https://x/v1beta/models/m:generateContent?key=k", {})
    assert without_stream(chat, {"model": "m"}) is None


def test_what_a_server_gave_and_another_does_not_take_back_is_left_out_of_the_history() -> None:
    history = [{"role": "user"}, {"role": "assistant", "reasoning_content": "hm", "content": "x"}]
    error = refusal(
        422,
        '{"detail":[{"type":"extra_forbidden","loc":["body","messages",1,"reasoning_content"],'
        '"msg":"Extra inputs are not permitted"}]}',
    )
    again = without_rejected_field({"messages": history}, error)
    assert again == {"messages": [{"role": "user"}, {"role": "assistant", "content": "x"}]}
    assert "reasoning_content" in history[1]


def test_the_newer_name_of_a_role_is_exchanged() -> None:
    error = refusal(
        422, '{"error":{"message":"unknown variant `developer`, expected one of `system`"}}'
    )
    asked = {"messages": [{"role": "developer", "content": "x"}]}
    again = without_rejected_field(asked, error)
    assert again == {"messages": [{"role": "system", "content": "x"}]}
    assert without_rejected_field({"messages": [{"role": "user"}]}, error) is None


def test_all_that_a_server_lists_is_left_out_at_once() -> None:
    error = refusal(
        422,
        '{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"]},'
        '{"type":"extra_forbidden","loc":["body","seed"]}]}',
    )
    again = without_rejected_field(BODY, error)
    assert again is not None and again.keys() == BODY.keys() - {"stream_options", "seed"}


def test_summaries_that_an_organisation_may_not_have() -> None:
    error = refusal(
        400,
        '{"error":{"message":"Your organization must be verified to generate reasoning summaries.",'
        '"param":"reasoning.summary","code":"unsupported_value"}}',
    )
    again = without_rejected_field({"reasoning": {"effort": "low", "summary": "auto"}}, error)
    assert again == {"reasoning": {"effort": "low"}}
