"""Refusals, by vendor: the shapes are those of each vendor's error documentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Category, EngineError, ProtocolError
from engine.providers.refusal import http_error, is_error, stream_error
from engine.wire.headers import parse_head
from engine.wire.redaction import hide_secrets, redact
from tests.cases import each_case
from tests.corpus import CORPUS

C = Category


def refuse(status: int, body: Any, headers: dict[str, str] | None = None) -> EngineError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http_error(status, headers or {}, data, "vendor", "VENDOR_API_KEY")


def openai(message: str, type: str, code: str | None = None, param: str | None = None) -> Any:
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def anthropic(type: str, message: str = "Words.") -> Any:
    return {"type": "error", "error": {"type": type, "message": message}, "request_id": "req_1"}


def google(code: int, status: str, message: str = "Words.", details: Any = ()) -> Any:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}
GEMINI_QUOTA = "You exceeded your current quota, please check your plan and billing details."
PER_DAY = {"violations": ["odd", {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
KEY_INVALID = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}

DOCUMENTED: list[tuple[int, Any, Category]] = [
    # OpenAI, and those with its shape.
    (400, openai("Unknown parameter: 'x'.", "invalid_request_error", param="x"), C.INVALID_ARG),
    (400, openai("No such model", "invalid_request_error", "model_not_found"), C.NOT_FOUND),
    (400, openai("Filtered", "invalid_request_error", "content_filter"), C.CONTENT_FILTER),
    (400, openai("Flagged", "x", "content_policy_violation"), C.CONTENT_FILTER),
    (400, openai("Limit", "invalid_request_error", "billing_hard_limit_reached"), C.QUOTA),
    (401, openai("Incorrect API key provided", "invalid_request_error"), C.AUTH),
    (403, openai("Country not supported", "request_forbidden"), C.AUTH),
    (404, openai("No such model", "invalid_request_error", "model_not_found"), C.NOT_FOUND),
    (405, {"detail": "Method Not Allowed"}, C.NOT_FOUND),  # where nobody is asked
    (407, b"<h1>Proxy Authentication Required</h1>", C.NETWORK),  # a proxy, on plain http
    (407, openai("Bad login", "authentication_error"), C.NETWORK),
    (408, b"", C.TIMEOUT),
    (409, openai("Conflict", "conflict_error"), C.SERVER),
    (413, openai("Request too large", "tokens", "rate_limit_exceeded"), C.INVALID_ARG),  # Groq
    (422, openai("Unprocessable", "invalid_request_error"), C.INVALID_ARG),
    (425, b"", C.SERVER),
    (429, openai("Rate limit reached", "tokens", "rate_limit_exceeded"), C.RATE_LIMIT),
    (429, openai("You exceeded your current quota", "insufficient_quota"), C.QUOTA),
    (429, openai("Suspended", "exceeded_current_quota_error"), C.QUOTA),  # Moonshot
    (498, openai("Capacity", "flex"), C.RATE_LIMIT),  # Groq
    (500, openai("The server had an error", "server_error"), C.SERVER),
    (503, openai("Slow down", "server_error"), C.SERVER),
    (402, openai("Insufficient Balance", "unknown_error", "invalid_request_error"), C.QUOTA),
    (400, openai("Filtered", "x", "content_filter"), C.CONTENT_FILTER),
    (429, {"error": {"code": "RateLimitReached", "message": "Words."}}, C.RATE_LIMIT),  # Azure
    # Anthropic.
    (400, anthropic("invalid_request_error"), C.INVALID_ARG),
    (400, anthropic("invalid_request_error", "Your credit balance is too low to"), C.QUOTA),
    (
        400,
        anthropic("invalid_request_error", "Output blocked by content filtering policy"),
        C.CONTENT_FILTER,
    ),
    (401, anthropic("authentication_error"), C.AUTH),
    (403, anthropic("permission_error"), C.AUTH),
    (403, anthropic("billing_error"), C.QUOTA),
    (404, anthropic("not_found_error"), C.NOT_FOUND),
    (413, anthropic("request_too_large"), C.INVALID_ARG),
    (429, anthropic("rate_limit_error"), C.RATE_LIMIT),
    (500, anthropic("api_error"), C.SERVER),
    (504, anthropic("timeout_error"), C.TIMEOUT),
    (529, anthropic("overloaded_error"), C.SERVER),
    # Google.
    (400, google(400, "INVALID_ARGUMENT"), C.INVALID_ARG),
    (400, google(400, "INVALID_ARGUMENT", "Key.", [KEY_INVALID]), C.AUTH),
    (400, google(400, "FAILED_PRECONDITION"), C.INVALID_ARG),
    (403, google(403, "PERMISSION_DENIED"), C.AUTH),
    (404, google(404, "NOT_FOUND"), C.NOT_FOUND),
    (429, google(429, "RESOURCE_EXHAUSTED", GEMINI_QUOTA, [RETRY_INFO]), C.RATE_LIMIT),
    (429, google(429, "RESOURCE_EXHAUSTED", GEMINI_QUOTA, [PER_DAY, RETRY_INFO]), C.QUOTA),
    (429, [google(429, "RESOURCE_EXHAUSTED")], C.RATE_LIMIT),
    (500, google(500, "INTERNAL"), C.SERVER),
    (503, google(503, "UNAVAILABLE"), C.SERVER),
    (504, google(504, "DEADLINE_EXCEEDED"), C.TIMEOUT),
    # Others.
    (400, {"code": "x", "error": "Incorrect API key provided: ab***yz."}, C.AUTH),  # xAI
    (403, {"code": "x", "error": "Your team doesn't have any credits yet."}, C.QUOTA),  # xAI
    (402, {"error": {"code": 402, "message": "Insufficient credits"}}, C.QUOTA),  # OpenRouter
    (403, {"error": {"code": 403, "message": "Input was flagged by moderation"}}, C.CONTENT_FILTER),
    (502, {"error": {"code": 502, "message": "Provider returned error"}}, C.SERVER),
    (401, {"detail": "Invalid API Key"}, C.AUTH),  # Mistral
    (422, {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs"}]}, C.INVALID_ARG),
    (422, {"object": "error", "message": {"detail": [{"msg": "Extra"}]}}, C.INVALID_ARG),
    (404, {"error": "model 'x' not found"}, C.NOT_FOUND),  # Ollama
    (400, {"object": "error", "message": "M", "type": "BadRequestError"}, C.INVALID_ARG),  # vLLM
    (503, {"error": {"code": 503, "message": "Loading", "type": "unavailable_error"}}, C.SERVER),
    (429, {"error": "Model is overloaded", "error_type": "overloaded"}, C.RATE_LIMIT),  # TGI
    (401, {"code": "InvalidApiKey", "message": "M", "request_id": "r"}, C.AUTH),  # DashScope
    (400, {"code": "DataInspectionFailed", "message": "M"}, C.CONTENT_FILTER),
    (400, {"code": "Throttling.RateQuota", "message": "M"}, C.RATE_LIMIT),
    (
        400,
        {"error_type": "TOO_MANY_TOKENS", "id": "1", "message": "too many tokens"},
        C.INVALID_ARG,
    ),
    (418, b"I am a teapot", C.UNKNOWN),
    (520, b"<html><title>520</title></html>", C.SERVER),  # Cloudflare
]


@each_case(
    ("status", "body", "category", "advice"),
    [
        (
            400,
            openai("Invalid model name passed in model=x", "None"),
            C.NOT_FOUND,
            "check the model's name",
        ),
        (
            400,
            openai("'tools' is not supported with this model", "invalid_request_error"),
            C.INVALID_ARG,
            "takes no tools",
        ),
        (400, {"error": "gemma does not support tools"}, C.INVALID_ARG, "takes no tools"),
        (
            400,
            openai("Previous response with id 'r' not found.", "x", "previous_response_not_found"),
            C.NOT_FOUND,
            "previous_response_id",
        ),
        (401, {"error": "Invalid token"}, C.AUTH, "check KEY"),
        (400, {"error": {"message": "Invalid token", "code": 400}}, C.AUTH, "check KEY"),
        (
            403,
            {
                "error": {
                    "code": 403,
                    "message": "No.",
                    "metadata": {"reasons": ["violence"], "flagged_input": "…"},
                }
            },
            C.CONTENT_FILTER,
            "change the content",
        ),
        (
            404,
            openai("No endpoints found that support tool use", "x"),
            C.NOT_FOUND,
            "none of the providers behind it",
        ),
    ],
)
def test_the_advice_fits_the_words(status: int, body: Any, category: Category, advice: str) -> None:
    error = http_error(status, {}, json.dumps(body).encode(), "vendor", "KEY")
    assert error.category is category, str(error)
    assert advice in str(error)


@each_case(
    "body",
    [
        b'event: error\ndata: {"error":{"message":"No credit","code":"insufficient_quota"}}\n\n',
        b'data: {"error":{"message":"No credit","code":"insufficient_quota"}}\n\ndata: [DONE]\n\n',
        b'id:1\nevent:error\n:HTTP_STATUS/429\ndata:{"code":"insufficient_quota","message":"No"}',
        b'{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}',
    ],
)
def test_a_refusal_in_the_clothes_of_a_stream_is_read(body: bytes) -> None:
    error = http_error(429, {}, body, "vendor")
    assert error.category is C.QUOTA, str(error)
    assert "data:" not in str(error)


RETRYABLE = {C.RATE_LIMIT, C.SERVER, C.TIMEOUT}


@each_case(("status", "body", "category"), DOCUMENTED)
def test_documented_errors_have_their_category(status: int, body: Any, category: Category) -> None:
    error = refuse(status, body)
    assert error.category is category, str(error)
    assert error.retryable is (category in RETRYABLE)
    assert error.http_status == status
    assert error.provider == "vendor"
    assert str(error).startswith("vendor: ")
    assert f"(HTTP {status}); " in str(error)


@each_case(
    ("data", "category"),
    [
        (anthropic("overloaded_error"), C.SERVER),
        (anthropic("rate_limit_error"), C.RATE_LIMIT),
        (openai("Quota", "insufficient_quota", "insufficient_quota"), C.QUOTA),
        (openai("Key", "authentication_error"), C.AUTH),
        ({"code": "rate_limit_exceeded", "message": "Slow down"}, C.RATE_LIMIT),
        ({"code": "server_error", "message": "Sorry"}, C.SERVER),
        ({"error": {"code": 502, "message": "Bad gateway"}}, C.SERVER),
        ({"error": {"code": "429", "message": "Slow down"}}, C.RATE_LIMIT),
        ({"error": {"message": "M", "code": "tool_use_failed", "status_code": 400}}, C.INVALID_ARG),
        (google(503, "UNAVAILABLE"), C.SERVER),
        ({"error": "the model runner has stopped"}, C.SERVER),
        ("out of memory", C.SERVER),
        ({"error": None}, C.SERVER),
        ([], C.SERVER),
        (None, C.SERVER),
    ],
)
def test_errors_inside_a_stream_have_the_category_of_the_status(
    data: Any, category: Category
) -> None:
    error = stream_error(data, "vendor")
    assert error.category is category, str(error)
    assert error.retryable is (category in RETRYABLE)


def test_the_wait_is_the_finest_the_provider_tells() -> None:
    body = google(429, "RESOURCE_EXHAUSTED", details=[RETRY_INFO])
    reset = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}
    assert refuse(429, body, {**reset, "retry-after": "2"}).retry_after == 2
    assert refuse(429, body, reset).retry_after == 17
    assert refuse(429, b"", reset).retry_after == 360
    assert refuse(429, b"", {"x-ratelimit-reset-tokens": "6m0s"}).retry_after is None
    assert refuse(500, b"", reset).retry_after is None
    assert "it asks to wait 17 s" in str(refuse(429, body))


def test_x_should_retry_is_obeyed_but_not_for_an_empty_account() -> None:
    assert not refuse(500, b"", {"x-should-retry": "false"}).retryable
    assert refuse(400, b"", {"x-should-retry": "true"}).retryable
    quota = openai("Quota", "insufficient_quota")
    assert not refuse(429, quota, {"x-should-retry": "true"}).retryable


@each_case(
    ("words", "on_500", "on_400"),
    [
        *[(no, False, False) for no in ("false", "FALSE", " False ", "false, False", "false;q=1")],
        *[(yes, True, True) for yes in ("true", "TRUE", "True\t", "true, TRUE")],
        *[(nothing, True, False) for nothing in ("", "true, false", "untrue", "1", "no")],
    ],
)
def test_x_should_retry_is_a_word_in_any_case(words: str, on_500: bool, on_400: bool) -> None:
    headers = {"x-should-retry": words}
    assert (refuse(500, b"", headers).retryable, refuse(400, b"", headers).retryable) == (
        on_500,
        on_400,
    )


@each_case("kind", ["text/html", "Text/HTML; charset=utf-8", "APPLICATION/XHTML+XML"])
def test_a_page_is_told_without_its_tags_in_any_case(kind: str) -> None:
    assert "<b>" not in str(refuse(502, b"Bad <b>gateway</b>", {"content-type": kind}))


@each_case(
    ("headers", "body", "request_id"),
    [
        ({"x-request-id": "a", "cf-ray": "r"}, {"request_id": "b"}, "a"),
        ({"request-id": "a"}, {}, "a"),
        ({"cf-ray": "r"}, {"request_id": "b"}, "b"),
        ({"cf-ray": "r"}, {"error": {"message": "m", "request_id": "b"}}, "b"),
        ({}, {"id": "c", "message": "m"}, "c"),
        ({"mistral-correlation-id": "d", "cf-ray": "r"}, {}, "d"),
        ({"cf-ray": "r"}, {}, "r"),
        ({"cf-ray": "r", "x-databricks-request-id": "e"}, {}, "e"),
        ({"nvcf-reqid": "f"}, {"request_id": "b"}, "f"),
        ({"x-tt-logid": "g"}, {}, "g"),
        ({"x-request-id": "a", "x-siliconcloud-trace-id": "h"}, {}, "a"),
        ({"msh-request-id": ""}, {}, None),
        ({}, {"request_id": 7}, None),
    ],
)
def test_the_request_id_is_the_vendors_own_before_any_tracing_id(
    headers: dict[str, str], body: Any, request_id: str | None
) -> None:
    assert refuse(400, body, headers).request_id == request_id


@each_case(
    ("status", "body", "advice"),
    [
        (401, {}, "check VENDOR_API_KEY"),
        (403, {}, "check VENDOR_API_KEY and what it may be used for"),
        (404, {}, "check the model's name and the base URL"),
        (429, {}, "wait, or send less at once"),
        (400, openai("Bad 'stop'", "x", param="stop"), "correct or leave out 'stop'"),
        (400, openai("Empty", "x", param="messages"), "correct 'messages'"),
        (400, openai("max_tokens exceed 9", "x", param="max_tokens"), "leave out 'max_tokens'"),
        (400, openai("prompt is too long: 9 tokens", "x"), "shorten the input"),
        (400, {}, "correct the request"),
    ],
)
def test_the_message_says_what_to_do_next(status: int, body: Any, advice: str) -> None:
    assert str(refuse(status, body)).endswith(advice) or advice in str(refuse(status, body))


def test_upstream_reasons_and_places_are_in_the_message() -> None:
    upstream = {"message": "Provider returned error", "metadata": {"raw": "cold start"}}
    assert "Provider returned error: cold start" in str(refuse(502, {"error": upstream}))
    place = {"detail": [{"loc": ["body", "model"], "msg": "Field required"}]}
    assert "body.model: Field required" in str(refuse(422, place))
    assert "one; two" in str(refuse(422, {"detail": ["one", "two"]}))


def test_a_redirect_is_not_a_refusal_but_never_followed() -> None:
    error = refuse(302, b"", {"location": "https://elsewhere.example/"})
    assert isinstance(error, ProtocolError)
    assert "elsewhere.example" in str(error)
    assert not error.retryable
    assert "to '" not in str(refuse(301, b"", {}))


@each_case("status", [304, 305, 306, 399])
def test_what_leads_nowhere_is_no_redirect(status: int) -> None:
    error = refuse(status, b"", {"location": "https://elsewhere.example/"})
    assert isinstance(error, ProtocolError) and not error.retryable
    assert f"HTTP {status}" in str(error) and "redirect" not in str(error)


@each_case(
    ("status", "said"),
    [
        (421, "no reason given but the status, Misdirected Request (HTTP 421); check the base URL"),
        (431, "Request Header Fields Too Large (HTTP 431); correct the request"),
        (500, "Internal Server Error (HTTP 500); try again later"),
        (599, "no reason given (HTTP 599); try again later"),
    ],
)
def test_a_status_without_words_is_told_by_its_name(status: int, said: str) -> None:
    assert said in str(refuse(status, b""))
    assert "words" in str(refuse(421, b"Something of its own"))


def test_a_login_of_the_network_is_asked_for_once() -> None:
    error = refuse(511, b"<html>Log in</html>")
    assert (error.category, error.retryable) == (Category.NETWORK, False)
    assert "wants a login" in str(error) and "VENDOR_API_KEY" not in str(error)


@each_case(
    ("location", "shown"),
    [
        (
            "https://user:hunter2@login.example/in?token=hunter2#hunter2",
            "https://…@login.example/in",
        ),
        ("//hunter2@login.example/in", "//…@login.example/in"),
        ("/in?session=hunter2", "/in"),
    ],
)
def test_a_redirect_is_told_without_the_secrets_of_its_address(location: str, shown: str) -> None:
    error = refuse(307, b"", {"location": location})
    assert f"to '{shown}'" in str(error) and "hunter2" not in f"{error!r} {error.detail}"


def test_any_body_gives_safe_text() -> None:
    page = b"<html><script>alert(1)</script><h1>Bad\x1b[31m gateway</h1></html>"
    error = refuse(502, page)
    assert "Bad [31m gateway" in str(error)
    assert "alert" not in str(error)
    binary = refuse(500, bytes(range(256)) * 100)
    assert str(binary).isprintable()
    assert binary.detail is not None
    assert binary.detail.isprintable()
    assert len(str(refuse(500, {"error": "x" * 100_000}))) < 1200
    assert "no reason given" in str(refuse(500, b""))


CANARY = "canary-7f3a9c-of-no-known-shape"


def test_keys_that_a_server_echoes_are_cut_out() -> None:
    body = openai(f"Incorrect API key provided: {CANARY}", "invalid_request_error")
    for error in (refuse(401, body), stream_error(body, "vendor")):
        assert CANARY in str(error)
        hidden = hide_secrets(error, ["", CANARY])
        assert hidden is error
        for text in (str(error), repr(error), error.message, error.detail):
            assert CANARY not in (text or "")
    assert hide_secrets(ProtocolError(f"odd {CANARY}"), [CANARY]).detail is None
    assert redact("sent sk-proj-abcdefghijklmnop and Bearer abcdefghijk") == "sent sk-p… and Bear…"
    assert redact("nothing to hide", ["", "hide"]) == "nothing to …"


@each_case(
    ("data", "verdict"),
    [
        ({"error": "x"}, True),
        ({"detail": "x"}, True),
        ({"object": "error", "message": "x"}, True),
        ({"message": "x", "code": 400}, True),
        ({"type": "transcript.text.delta", "text": "x"}, False),
        ({"message": "x"}, False),
        ({"message": {}, "type": "x"}, False),
        ([], False),
        ("error", False),
    ],
)
def test_only_what_says_so_is_an_error(data: Any, verdict: bool) -> None:
    assert is_error(data) is verdict


# Recorded errors: (category, retry_after, request id) by file. "*": redacted by the recorder.
RECORDED: dict[str, tuple[Category, float | None, str | None]] = {
    "anthropic-400-invalid-request-error-ruby_llm": (C.INVALID_ARG, None, "*"),
    "anthropic-401-authentication-error-mirascope": (C.AUTH, None, "req_011CWdN9puFcKqYXBieKVDvB"),
    "anthropic-404-not-found-error-mirascope": (C.NOT_FOUND, None, "req_011CWbzir7YEuX1ZFfJx5mA4"),
    "azure-401-x-ruby_llm": (C.AUTH, None, "5dbe34e9-da3c-4e3c-a7e7-6295264bde58"),
    "azure-429-ratelimitreached-ruby_llm": (
        C.RATE_LIMIT,
        1.0,
        "d3be1dcd-5e15-488e-b48f-a3066967d205",
    ),
    "bedrock-400-x-ruby_llm": (C.INVALID_ARG, None, "8090a430-9830-442b-a193-749569a08e0f"),
    "bedrock-403-x-ruby_llm": (C.AUTH, None, "ee1ff1e8-b620-4099-aa92-9719b631ac15"),
    "cohere-400-x-ruby_llm": (C.INVALID_ARG, None, "c167e04b-cfc2-44a9-927c-6d78c47fb5fe"),
    "cohere-401-x-ruby_llm": (C.AUTH, None, "2d4609a6-d1f9-4cf4-8d09-af865409bdc2"),
    "deepseek-400-invalid-request-error-ruby_llm": (
        C.INVALID_ARG,
        None,
        "20f7a0db0e3f4d45c852a9c27a2d1ade",
    ),
    "deepseek-401-invalid-request-error-ruby_llm": (
        C.AUTH,
        None,
        "4594b6332801e2c2b26d054c3aba58b2",
    ),
    "google-400-invalid-argument-mirascope": (C.AUTH, None, None),
    "google-403-permission-denied-langchaingo": (C.AUTH, None, None),
    "google-404-not-found-mirascope": (C.NOT_FOUND, None, None),
    "google-429-resource-exhausted-ruby_llm": (C.RATE_LIMIT, 48.0, None),
    "groq-404-model-not-found-pydantic-ai": (C.NOT_FOUND, None, None),
    "huggingface-404-raw-langchaingo": (
        C.NOT_FOUND,
        None,
        "Root=1-68a31e6d-2b6c0a240c504c04298015bb",
    ),
    "mistral-401-x-ruby_llm": (C.AUTH, None, "01a01a71-adef-761b-9fa0-bffc7640e912"),
    "ollama-400-invalid-request-error-ruby_llm": (C.INVALID_ARG, None, "*"),
    "ollama-401-api-error-ruby_llm": (C.AUTH, None, "*"),
    "openai-400-context-length-exceeded-ruby_llm": (C.INVALID_ARG, None, "*"),
    "openai-400-decimal-below-min-value-pydantic-ai": (C.INVALID_ARG, None, None),
    "openai-400-empty-array-ai-gateway": (
        C.INVALID_ARG,
        None,
        "req_c8581ad40f2c494682c45001d68b9047",
    ),
    "openai-400-integer-below-min-value-ai-gateway": (
        C.INVALID_ARG,
        None,
        "req_96a7b85e5dd14da684787c5a02d8f353",
    ),
    "openai-400-invalid-function-parameters-mirascope": (
        C.INVALID_ARG,
        None,
        "req_17e18735d7994330ae0fe919450a5056",
    ),
    "openai-400-invalid-request-error-pydantic-ai": (C.INVALID_ARG, None, None),
    "openai-400-invalid-value-pydantic-ai": (C.INVALID_ARG, None, None),
    "openai-400-model-not-found-mirascope": (
        C.NOT_FOUND,
        None,
        "req_615f20173fcd4480857baa324f783430",
    ),
    "openai-400-unsupported-file-pydantic-ai": (C.INVALID_ARG, None, None),
    "openai-400-unsupported-parameter-ai-gateway": (
        C.INVALID_ARG,
        None,
        "req_13d9b359dc234adc87be3833cacab1c6",
    ),
    "openai-400-unsupported-parameter-mirascope": (
        C.INVALID_ARG,
        None,
        "req_3855783c722245b6ab7e4e7f7b2d85ce",
    ),
    "openai-400-unsupported-value-mirascope": (
        C.INVALID_ARG,
        None,
        "req_20fdf26c64344c77a9396511e221cbb1",
    ),
    "openai-400-unsupported-value-pydantic-ai": (C.INVALID_ARG, None, None),
    "openai-401-invalid-api-key-mirascope": (
        C.AUTH,
        None,
        "req_31f5616fbb0d4dd888a6980225b0dd68",
    ),
    "openai-404-model-not-found-mirascope": (
        C.NOT_FOUND,
        None,
        "req_254c1c5474fb4a81bd33af25f8780da9",
    ),
    "openai-500-server-error-ruby-openai": (
        C.SERVER,
        None,
        "req_35c852d7d417877c0fbb3134de873c76",
    ),
    "openrouter-400-x-ruby_llm": (C.INVALID_ARG, None, "*"),
    "openrouter-401-x-ruby_llm": (C.AUTH, None, "*"),
    # Its X-RateLimit-Reset is a moment that is past by now.
    "openrouter-429-x-langchaingo": (C.RATE_LIMIT, None, None),
    "openrouter-429-x-pydantic-ai": (C.RATE_LIMIT, None, None),
    "perplexity-400-too-many-prompt-tokens-ruby_llm": (C.INVALID_ARG, None, "*"),
    "perplexity-401-invalid-api-key-ruby_llm": (C.AUTH, None, "*"),
    "together-401-invalid-api-key-mirascope": (C.AUTH, None, "oVRNYEd-62bZhn-9c648c8e7ee608d2"),
    "vertex-400-invalid-argument-ruby_llm": (C.INVALID_ARG, None, None),
}


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")
def test_no_recorded_error_is_left_out() -> None:
    assert {path.stem for path in (CORPUS / "errors").glob("*.http")} == set(RECORDED)


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")
@each_case("name", RECORDED)
def test_recorded_errors(name: str) -> None:
    status, headers, body = _recorded(CORPUS / "errors" / f"{name}.http")
    category, retry_after, request_id = RECORDED[name]
    error = http_error(status, headers, body, name.partition("-")[0], "VENDOR_API_KEY")
    assert error.category is category, str(error)
    assert error.retryable is (category in RETRYABLE)
    assert error.retry_after == retry_after
    if request_id == "*":
        assert error.request_id is not None
        assert error.request_id.startswith("<")
    else:
        assert error.request_id == request_id
    said, _, advice = str(error).rpartition("; ")
    assert said.endswith(f"(HTTP {status})")
    assert len(said) > len("anthropic: (HTTP 400)")
    assert advice


def _recorded(path: Path) -> tuple[int, dict[str, str], bytes]:
    data = path.read_bytes().replace(b"\r\n", b"\n", 1)
    separator = b"\r\n\r\n" if b"\r\n\r\n" in data else b"\n\n"
    lines, _, body = data.partition(separator)
    head = parse_head([line + b"\r\n" for line in lines.splitlines()] + [b"\r\n"])
    assert head is not None
    return head.status, head.headers, body


def test_a_proxys_login_is_not_asked_for_twice() -> None:
    error = refuse(407, b"no")
    assert not error.retryable and "proxy" in str(error) and "VENDOR_API_KEY" not in str(error)
