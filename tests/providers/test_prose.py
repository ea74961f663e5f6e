"""What is told in prose alone has its category and an advice that fits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.errors import Category as C
from engine.providers.refusal import http_error, stream_error
from tests.cases import each_case


def failure(http: int, message: str, **codes: Any) -> Any:
    body = json.dumps({"error": {"message": message, **codes}}).encode()
    return http_error(http, {"content-type": "application/json"}, body, "provider", "KEY")


# Status, words, codes, category; no provider's own sentence, but what theirs have in common.
TABLE: list[tuple[int, str, dict[str, Any], C]] = [
    (400, "Your account has insufficient balance", {}, C.QUOTA),
    (403, "The balance is not enough, please recharge", {}, C.QUOTA),
    (403, "There is an overdue balance on the account", {"code": "AccountOverdueError"}, C.QUOTA),
    (400, "Please pay", {"code": "Arrearage"}, C.QUOTA),
    (400, "Budget has been exceeded! Current cost: 2", {}, C.QUOTA),
    (400, "No more", {"type": "budget_exceeded"}, C.QUOTA),
    (403, "Key limit exceeded, raise it", {}, C.QUOTA),
    (429, "The team has used all available credits", {}, C.QUOTA),
    (429, "The credits are depleted", {"status": "RESOURCE_EXHAUSTED"}, C.QUOTA),
    (429, "You exceeded your current quota, please check your plan and billing", {}, C.QUOTA),
    (
        429,
        "You exceeded your current quota, please check your plan and billing",
        {"status": "RESOURCE_EXHAUSTED"},
        C.RATE_LIMIT,
    ),
    (400, "You have reached your specified API usage limits until May", {}, C.QUOTA),
    (412, "Suspended for reaching the monthly spending limit", {}, C.QUOTA),
    (403, "The free tier of it has been exhausted", {}, C.QUOTA),
    (429, "You have used up your daily free allocation", {}, C.QUOTA),
    (403, "The token quota is at its end", {"code": "token_quota_reached"}, C.QUOTA),
    (400, "Not so many", {"__type": "ServiceQuotaExceededException"}, C.QUOTA),
    (429, "Slower, please", {}, C.RATE_LIMIT),
    # Of days and months, unless it says when to come again.
    (429, "The key is limited to 1000 calls / month", {}, C.QUOTA),
    (429, "Limit exceeded: free-models-per-day", {}, C.QUOTA),
    (429, "The daily request limit is reached", {}, C.QUOTA),
    (429, "Requests per day (RPD): 200 of 200. Please try again in 7m12s.", {}, C.RATE_LIMIT),
    (429, "The key is limited to 20 calls / minute", {}, C.RATE_LIMIT),
    (429, "Limited to 60 requests per minute and 1000 per day", {}, C.RATE_LIMIT),
    (400, "A report per day is all it writes", {}, C.INVALID_ARG),
    (
        400,
        "The prompt was flagged as potentially violating the policy of usage",
        {},
        C.CONTENT_FILTER,
    ),
    (400, "gateway.ContentPolicyViolationError: no", {}, C.CONTENT_FILTER),
    (400, "The text may contain sensitive information", {}, C.CONTENT_FILTER),
    (400, "No", {"code": "SensitiveContentDetected"}, C.CONTENT_FILTER),
    (400, "输入可能包含不安全或敏感内容", {"code": "1301"}, C.CONTENT_FILTER),
    (446, "The guardrail checks have failed", {"type": "hooks_failed"}, C.CONTENT_FILTER),
    (498, "blocked output", {}, C.CONTENT_FILTER),
    (400, "The guardrail identifier does not exist", {}, C.INVALID_ARG),
    (400, "x/y is not a valid model ID", {}, C.NOT_FOUND),
    (400, "The model `x` has been decommissioned", {}, C.NOT_FOUND),
    (400, "Model does not exist. Check it", {}, C.NOT_FOUND),
    (400, "The provided model identifier is invalid.", {}, C.NOT_FOUND),
    (400, "The requested model is not supported.", {}, C.NOT_FOUND),
    (400, "Gone", {"code": "model_not_supported"}, C.NOT_FOUND),
    (404, "No route", {"error_code": "RESOURCE_DOES_NOT_EXIST"}, C.NOT_FOUND),
    (400, "The model called a tool that does not exist", {}, C.INVALID_ARG),
]


@each_case(("status", "message", "codes", "category"), TABLE)
def test_the_words_decide_where_the_status_says_too_little(
    status: int, message: str, codes: dict[str, Any], category: C
) -> None:
    error = failure(status, message, **codes)
    assert error.category is category
    assert error.retryable is (category is C.RATE_LIMIT)


@each_case(
    "message",
    [
        "the request exceeds the available context size",
        "The input (5000 tokens) is longer than the model's context",
        "the number of tokens to keep is greater than the context length",
        "`inputs` tokens + `max_new_tokens` must be <= 4096",
        "gateway.ContextWindowExceededError: no",
        "prompt is too long: 9 tokens > 8 maximum",
        "Invalid request: Your request exceeded model token limit: 8192",
        "Request too large: limit 6000, please reduce your message size",
        "When the context overflows: load a larger context, or provide a shorter input",
    ],
)
def test_what_is_too_long_is_to_be_shortened(message: str) -> None:
    error = failure(400, message)
    assert error.category is C.INVALID_ARG
    assert "shorten the input" in error.message


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens: 128000 > 64000, which is the maximum allowed number of output tokens",
        "Invalid max_output_tokens value, it must be at most 4096",
    ],
)
def test_a_limit_of_the_answer_that_is_too_high_is_to_be_lowered(message: str) -> None:
    assert "lower max_tokens" in failure(400, message).message


@each_case(
    ("status", "message", "advice"),
    [
        (
            404,
            "It is only supported in v1/responses and not in v1/chat/completions.",
            "dialect='responses'",
        ),
        (404, "A chat model. Did you mean to use v1/chat/completions?", "dialect='chat'"),
        (400, "This model only support stream mode, enable it", "ask for a stream"),
        (413, "Max size: 8 MB", "send less in one request"),
        (429, "free-models-per-day is used up", "begins anew, or raise it"),
    ],
)
def test_what_another_way_of_asking_mends_is_advised(
    status: int, message: str, advice: str
) -> None:
    assert failure(status, message).message.endswith(advice)


@each_case(
    ("message", "delay"),
    [
        ("Limit 3, used 3. Please try again in 20s.", 20),
        ("Please try again in 2m44.5s. Need more?", 164.5),
        ("Please try again in 250ms.", 0.25),
        ("Please retry after 55 seconds.", 55),
        ("request reached max RPM: 3, please try again after 1 seconds", 1),
        ("Please retry in 34.5s.", 34.5),
        ("Limit of 50 per 86400s. Please wait 43126 seconds before retrying.", 43126),
        ("Try again in 1 hour, 2 minutes and 3 seconds", 3723),
        ("Your limit resets in 3 hours", 10800),
        ("Try again in a few minutes", None),
        ("Wait, and retry after 2026-01-01", None),
        ("Try again in 5 models", None),
        ("It waited 30 s", None),
    ],
)
def test_the_delay_may_stand_in_the_prose(message: str, delay: float | None) -> None:
    told = stream_error({"error": {"code": "rate_limit_exceeded", "message": message}})
    for error in (told, failure(429, message)):
        assert error.retry_after == delay
        assert error.category is C.RATE_LIMIT
        assert ("asks to wait" in error.message) is (delay is not None)


def test_a_wrong_request_is_not_asked_to_wait_by_its_own_words() -> None:
    words = "Invalid value: 'try again in 5 minutes', in messages[0]"
    wrong = failure(400, words, type="invalid_request_error")
    assert wrong.retry_after is None
    assert "asks to wait" not in wrong.message
    plain = http_error(503, {"content-type": "text/plain"}, b"Retry in 5 s", "provider", "KEY")
    assert plain.retry_after == 5


def test_a_header_says_more_of_the_delay_than_the_prose() -> None:
    body = b'{"error": {"message": "Please try again in 9s"}}'
    assert http_error(429, {"retry-after": "2"}, body, "provider", "KEY").retry_after == 2


def test_a_path_that_nothing_answers_is_the_base_url_s_fault() -> None:
    words = {"error": "Unexpected endpoint or method. (POST /chat/completions)"}  # with HTTP 200
    error = stream_error(words)
    assert error.category is C.NOT_FOUND
    assert "base URL" in error.message


def test_a_small_server_s_words_for_too_long_are_no_failure_of_it() -> None:
    words = "Trying to keep 6541 tokens when the context overflows: provide a shorter input"
    error = stream_error({"error": {"message": words}})
    assert error.category is C.INVALID_ARG
    assert not error.retryable


def test_numbers_mean_the_same_with_a_status_and_in_a_stream() -> None:
    for code, category in (("1113", C.QUOTA), ("1301", C.CONTENT_FILTER), ("1302", C.RATE_LIMIT)):
        assert (
            failure(429 if category is C.RATE_LIMIT else 400, "No", code=code).category is category
        )
        assert stream_error({"error": {"code": code, "message": "No"}}).category is category
