"""Every protocol, as aimock speaks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import engine
from engine import Category, FinishReason
from tests.servers import aimock
from tests.servers.answers import CALLS, LONG, TEXT, THOUGHT
from tests.servers.providers import PROVIDERS, TOOLS, Provider

each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda p: p.dialect)


@pytest.fixture(params=["streamed", "whole"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ask(
    provider: Provider, url: str, multi: engine.Multi, way: str, *arguments: Any, **more: Any
) -> engine.Completion:
    client = provider.client(url, multi)
    start = client.stream if way == "streamed" else client.request
    return start("any-model", *arguments, **more).result()


@each_provider
def test_a_text_is_exact_and_its_usage(
    mock: str, multi: engine.Multi, provider: Provider, way: str
) -> None:
    deltas: list[str] = []
    completion = ask(
        provider, mock, multi, way, "text", on_text=lambda delta, _: deltas.append(delta)
    )
    assert completion.status == "complete", completion.error
    assert completion.text == "".join(deltas) == TEXT
    assert completion.finish_reason is FinishReason.STOP
    assert (len(deltas) > 10) is (way == "streamed")
    assert completion.http_status == 200 and completion.timing.http_version == "1.1"
    # aimock's Ollama counts nothing.
    counted = (0, 0) if provider.dialect == "ollama" else (11, 7)
    assert completion.usage is not None and not completion.usage.partial
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == counted


# aimock's Ollama has OpenAI's `reasoning_content` where Ollama has `thinking`.
@pytest.mark.parametrize(
    "provider", [p for p in PROVIDERS if p.dialect != "ollama"], ids=lambda p: p.dialect
)
def test_thinking_is_told_apart_from_the_text(
    mock: str, multi: engine.Multi, provider: Provider, way: str
) -> None:
    completion = ask(provider, mock, multi, way, "thinking", thinking="low")
    assert completion.status == "complete", completion.error
    assert (completion.message.thinking, completion.text) == (THOUGHT, TEXT)


@each_provider
def test_two_tools_at_once_and_the_answer_to_their_results(
    mock: str, multi: engine.Multi, provider: Provider, way: str
) -> None:
    first = ask(provider, mock, multi, way, "tools", tools=TOOLS)
    assert first.status == "complete", first.error
    calls = first.message.tool_calls
    assert [(call.name, call.input) for call in calls] == CALLS
    assert first.text == TEXT
    # aimock's Gemini says FUNCTION_CALL, which is none of Gemini's reasons (STOP is).
    assert first.finish_reason is FinishReason.TOOL_USE
    results = [
        engine.Message.tool(engine.ToolResult(call.id, "sunny", name=call.name)) for call in calls
    ]
    turns = [engine.Message.user("tools"), first.message, *results]
    second = ask(provider, mock, multi, way, turns, tools=TOOLS)
    assert (second.status, second.text) == ("complete", "Bright."), second.error


# aimock's Responses and Ollama end as if there had been no limit.
@pytest.mark.parametrize(
    "provider",
    [p for p in PROVIDERS if p.dialect in ("chat", "messages", "gemini")],
    ids=lambda p: p.dialect,
)
def test_an_answer_that_met_its_limit_says_so(
    mock: str, multi: engine.Multi, provider: Provider, way: str
) -> None:
    completion = ask(provider, mock, multi, way, "limit")
    assert completion.status == "complete", completion.error
    assert completion.finish_reason is FinishReason.LENGTH


@each_provider
@pytest.mark.parametrize(
    ("prompt", "status", "category", "retryable"),
    [
        ("error-400", 400, Category.INVALID_ARG, False),
        ("error-401", 401, Category.AUTH, False),
        ("a prompt that no fixture has", 404, Category.NOT_FOUND, False),
        ("error-429", 429, Category.RATE_LIMIT, True),
        ("error-500", 500, Category.SERVER, True),
    ],
)
def test_a_refusal_has_its_category(
    mock: str,
    multi: engine.Multi,
    provider: Provider,
    prompt: str,
    status: int,
    category: Category,
    retryable: bool,
) -> None:
    completion = ask(provider, mock, multi, "streamed", prompt)
    error = completion.error
    assert (completion.status, completion.http_status) == ("error", status)
    assert error is not None
    assert (error.category, error.retryable) == (category, retryable)
    assert error.retry_after == (1.0 if status == 429 else None)
    assert error.request_id == completion.headers["x-request-id"]


@each_provider
def test_a_failure_that_passes_is_outlasted(
    mock: str, multi: engine.Multi, provider: Provider
) -> None:
    client = provider.client(mock, multi, attempts=2)
    scope = {"X-Test-Id": provider.dialect}  # aimock counts the requests of each apart
    completion = client.stream("any-model", "passing", extra_headers=scope).result()
    assert (completion.status, completion.attempts) == ("complete", 2), completion.error
    assert completion.text == TEXT


@each_provider
def test_a_stream_that_is_cut_is_truncated_and_keeps_what_came(
    mock: str, multi: engine.Multi, provider: Provider
) -> None:
    completion = ask(provider, mock, multi, "streamed", "cut")
    assert completion.status == "truncated"
    assert completion.error is not None and completion.error.category is Category.TRUNCATED
    assert completion.finish_reason is None
    assert LONG.startswith(completion.text) and completion.text != LONG


CHAOS = {
    "drop": (500, Category.SERVER),
    "malformed": (200, Category.PROTOCOL),
    "ratelimit": (429, Category.RATE_LIMIT),
    "disconnect": (None, Category.NETWORK),
}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if kind == "malformed" else pytest.mark.slow) for kind in CHAOS],
)
def test_chaos_is_told_as_what_it_was(multi: engine.Multi, tmp_path: Path, kind: str) -> None:
    with aimock.running(
        [aimock.answer("hi", {"content": "hi"})], tmp_path, f"--chaos-{kind}", "1"
    ) as url:
        started = [p.client(url, multi).stream("any-model", "hi") for p in PROVIDERS]
        multi.run()
    for stream in started:
        completion = stream.completion
        assert completion is not None and completion.error is not None
        assert (completion.status, completion.text) == ("error", "")
        assert (completion.http_status, completion.error.category) == CHAOS[kind]


@pytest.mark.slow
def test_in_chaos_each_stream_is_exact_or_an_error(multi: engine.Multi, tmp_path: Path) -> None:
    answers = [aimock.answer("hi", {"content": TEXT})]
    flags = ("--chaos-drop", "0.2", "--chaos-malformed", "0.2", "--chaos-disconnect", "0.2")
    with aimock.running(answers, tmp_path, *flags) as url:
        clients = [p.client(url, multi, attempts=3) for p in PROVIDERS]
        started = [client.stream("any-model", "hi") for client in clients * 20]
        multi.run()
    # About one in four of a hundred streams fails for good: neither kind is ever missing.
    assert {s.completion.status for s in started if s.completion} == {"complete", "error"}
    for stream in started:
        completion = stream.completion
        assert completion is not None
        if completion.status == "complete":
            assert (completion.text, completion.error) == (TEXT, None)
        else:
            assert (completion.status, completion.text) == ("error", "")
            assert completion.error is not None
