"""The engine's own client and the emulator, in every dialect both speak."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import engine
from engine.emulator.server import Server
from engine.emulator.settings import Settings
from engine.providers import endpoint, register_dialect
from engine.providers.completions import CompletionsDialect
from engine.providers.gemini.dialect import GeminiArrayDialect, GeminiDialect
from engine.providers.messages.dialect import MessagesDialect
from engine.providers.ollama.dialect import OllamaDialect, OllamaGenerateDialect
from engine.providers.responses.dialect import ResponsesDialect
from tests.cases import each_case
from tests.emulator.asking import WEATHER, serving

for one in (
    ResponsesDialect(),
    MessagesDialect(),
    GeminiDialect(),
    GeminiArrayDialect(),
    OllamaDialect(),
    OllamaGenerateDialect(),
    CompletionsDialect(),
):
    register_dialect(one)

DIALECTS = (*endpoint("emulator").dialects, "gemini-array")
WITH_TOOLS = ("chat", "responses", "messages", "gemini", "gemini-array", "ollama")
WITH_THINKING = (*WITH_TOOLS, "ollama-generate")

TOOLS = [
    engine.Tool(name="get_weather", parameters=WEATHER),
    engine.Tool(name="get_time", parameters={"type": "object", "properties": {}}),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(Settings(tokens=12, thinking=5)) as running:
        yield running


@pytest.fixture(params=["streamed", "whole"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def client(server: Server, name: str, attempts: int = 1) -> engine.Client:
    return engine.Client(
        provider="emulator",
        base_url=f"{server.url}/v1",
        dialect=name,
        retry=engine.Retry(max_attempts=attempts),
    )


def ask(of: engine.Client, way: str, *arguments: object, **more: object) -> engine.Completion:
    call = of.stream if way == "streamed" else of.request
    with of:
        return call(*arguments, **more).result()  # type: ignore[arg-type]


@each_case("name", DIALECTS)
def test_an_answer_is_complete_and_the_same_in_every_dialect(
    server: Server, name: str, way: str
) -> None:
    completion = ask(client(server, name), way, "emulator/demo", "Why is the sky blue?")
    expected = ask(client(server, "chat"), "whole", "emulator/demo", "Why is the sky blue?")
    assert completion.status == "complete", completion.error
    assert completion.message.text == expected.message.text != ""
    assert completion.finish_reason is engine.FinishReason.STOP
    assert completion.usage is not None
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (5, 12)


@each_case("name", WITH_TOOLS)
def test_a_conversation_with_two_tools_at_once_and_thinking(
    server: Server, name: str, way: str
) -> None:
    prompt = 'Use get_weather for "Oslo" 3 days and get_time'
    arguments = {"tools": TOOLS, "thinking": "low"}
    first = ask(client(server, name), way, "emulator/demo", prompt, **arguments)
    assert first.status == "complete", first.error
    assert first.finish_reason is engine.FinishReason.TOOL_USE
    calls = first.message.tool_calls
    assert [(call.name, call.input) for call in calls] == [
        ("get_weather", {"city": "Oslo", "days": 3}),
        ("get_time", {}),
    ]
    results = [
        engine.Message.tool(engine.ToolResult(call.id, f"from {call.name}", name=call.name))
        for call in calls
    ]
    turns = [engine.Message.user(prompt), first.message, *results]
    second = ask(client(server, name), way, "emulator/demo", turns, **arguments)
    assert second.status == "complete", second.error
    assert (
        second.message.text == "Tool 1 answered: from get_weather\nTool 2 answered: from get_time"
    )


@each_case("name", WITH_THINKING)
def test_thinking_is_told_apart_from_the_text(server: Server, name: str, way: str) -> None:
    completion = ask(client(server, name), way, "emulator/demo", "Hello", thinking="high")
    assert completion.status == "complete", completion.error
    assert len(completion.message.thinking.split()) == 5
    assert len(completion.message.text.split()) == 12


@each_case("name", DIALECTS)
@each_case(
    ("model", "status", "category"),
    [
        ("error-400", "error", engine.Category.INVALID_ARG),
        ("error-401", "error", engine.Category.AUTH),
        ("error-404", "error", engine.Category.NOT_FOUND),
        ("error-429", "error", engine.Category.RATE_LIMIT),
        ("error-500", "error", engine.Category.SERVER),
        ("error-529", "error", engine.Category.SERVER),
        ("cut", "truncated", engine.Category.TRUNCATED),
        ("end", "truncated", engine.Category.TRUNCATED),
        ("malformed", "error", engine.Category.PROTOCOL),
        ("html", "error", engine.Category.PROTOCOL),
        ("drop", "error", engine.Category.NETWORK),
    ],
)
def test_a_failure_has_the_same_category_in_every_dialect(
    server: Server, name: str, model: str, status: str, category: engine.Category
) -> None:
    completion = ask(client(server, name), "streamed", f"emulator/{model}", "Hello")
    assert completion.error is not None
    assert (completion.status, completion.error.category) == (status, category)
    if model == "error-429":
        assert completion.error.retry_after == 1.0
    if status == "truncated":
        assert completion.message.text != ""


@each_case("name", DIALECTS)
def test_a_failure_that_passes_is_outlasted(server: Server, name: str) -> None:
    model = "emulator/error-503-times=2-retry_after=0.01"
    completion = ask(client(server, name, attempts=3), "streamed", model, f"Hello by {name}")
    assert completion.status == "complete", completion.error
    assert completion.attempts == 3


@each_case("name", DIALECTS)
def test_a_limit_is_kept(server: Server, name: str, way: str) -> None:
    completion = ask(client(server, name), way, "emulator/demo", "Hello", max_tokens=4)
    assert completion.finish_reason is engine.FinishReason.LENGTH
    assert len(completion.message.text.split()) == 4


@each_case("name", WITH_TOOLS)
def test_a_script_is_played_turn_by_turn(server: Server, name: str) -> None:
    prompt = """[[script: [
        {"tool": "get_weather", "arguments": {"city": "Oslo", "days": 1}},
        {"text": "And now", "tool": "get_time"},
        "It is done."
    ]]]"""
    turns: list[engine.Message] = [engine.Message.user(prompt)]
    seen: list[list[str]] = []
    for _ in range(3):
        completion = ask(client(server, name), "streamed", "emulator/demo", turns, tools=TOOLS)
        assert completion.status == "complete", completion.error
        calls = completion.message.tool_calls
        seen.append([completion.message.text, *(call.name for call in calls)])
        turns.append(completion.message)
        turns += [
            engine.Message.tool(engine.ToolResult(call.id, "fine", name=call.name))
            for call in calls
        ]
    assert seen == [["", "get_weather"], ["And now", "get_time"], ["It is done."]]
