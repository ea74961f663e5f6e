"""Ollama: lines to events, requests to JSON, and what OLLAMA_HOST means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine import events
from engine.answering.accumulate import Accumulator
from engine.errors import Category, ConfigError
from engine.events import Event
from engine.messages import (
    Document,
    FinishReason,
    Image,
    Message,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from engine.providers.endpoints import endpoint
from engine.providers.ollama.dialect import OllamaDialect, OllamaGenerateDialect, ollama_base_url
from engine.request import ModelRequest
from tests.cases import each_case

CHAT, GENERATE = OllamaDialect(), OllamaGenerateDialect()
JSON = dict[str, Any]


def line(content: str | None = None, **message: Any) -> JSON:
    if content is not None:
        message["content"] = content
    return {
        "model": "llama3.2",
        "created_at": "2025-08-04T08:52:19.385406455-07:00",
        "message": {"role": "assistant", **message},
        "done": False,
    }


def end(reason: str | None = "stop", **counts: int) -> JSON:
    last = {**line(""), "done": True, **counts}
    return last if reason is None else {**last, "done_reason": reason}


def streamed(*lines: JSON, size: int | None = None) -> tuple[list[Event], bool]:
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    decoder, parser = CHAT.decoder(), CHAT.parser()
    step = size or len(body)
    seen: list[Event] = []
    for at in range(0, len(body), step):
        seen += parser.feed(decoder.feed(body[at : at + step]))
    seen += parser.feed(decoder.finish())
    if not parser.complete:
        seen += parser.finish()
    return seen, parser.complete


def message(seen: list[Event]) -> Message:
    accumulator = Accumulator()
    accumulator.extend(seen)
    return accumulator.message("ollama")


# -- answers -----------------------------------------------------------------------------------


def test_text_ends_with_the_line_that_is_done() -> None:
    seen, complete = streamed(
        line("The"), line(" sky"), end(prompt_eval_count=26, eval_count=282), line("never")
    )
    usage = Usage(26, 282, 308)
    assert seen == [
        events.Start(None, "llama3.2"),
        events.TextDelta("The"),
        events.TextDelta(" sky"),
        events.UsageUpdate(usage),
        events.Done(FinishReason.STOP, usage, "stop"),
    ]
    assert complete


def test_generate_gives_the_same_events() -> None:
    chat, _ = streamed(line("a", thinking="hm"), line("b"), end())
    lines: list[JSON] = [
        {"model": "llama3.2", "response": "a", "thinking": "hm", "done": False},
        {"model": "llama3.2", "response": "b", "done": False},
        {"model": "llama3.2", "response": "", "done": True, "done_reason": "stop", "context": [1]},
    ]
    assert streamed(*lines)[0] == chat


def test_bytes_that_end_before_done_are_not_complete() -> None:
    seen, complete = streamed(line("The"))
    assert not complete
    assert message(seen).text == "The"
    assert not any(isinstance(event, events.Done) for event in seen)


def test_a_last_line_may_have_a_reason_and_no_done() -> None:
    counts = {"prompt_eval_count": 26, "eval_count": 282}
    without: JSON = {**end("length", **counts), "done": False}
    seen, complete = streamed(line("The"), without)
    assert complete
    assert seen[-1] == events.Done(FinishReason.LENGTH, Usage(26, 282, 308), "length")
    del without["done"]
    assert streamed(line("The"), without) == (seen, True)
    generated = {"response": "", "done": False, "done_reason": "stop"}
    assert streamed({"response": "a", "done": False}, generated)[1]
    # What follows says that it was not the last.
    assert not streamed(line("The"), without, line(" sky"))[1]
    assert streamed(line("The"), without, line(" sky"), end())[1]


def test_the_last_line_needs_no_newline() -> None:
    parser, decoder = CHAT.parser(), CHAT.decoder()
    assert parser.feed(decoder.feed(json.dumps(end()).encode())) == []
    parser.feed(decoder.finish())
    assert parser.complete


def test_thinking_text_calls_and_images_are_parts_in_order() -> None:
    weather = {"function": {"name": "get_weather", "arguments": {"city": "Toronto"}}}
    known = {"id": "call_x1", "function": {"index": 1, "name": "now", "arguments": None}}
    seen, _ = streamed(
        line("", thinking="Let me "),
        line("", thinking="see."),
        line("One"),
        line(" moment", thinking="…"),
        line("", tool_calls=[weather]),
        line("x", tool_calls=[known]),
        line("", images=["iVBO"]),
        end(),
    )
    parts = message(seen).parts
    first = parts[4]
    assert isinstance(first, ToolCall)
    assert parts == [
        Thinking("Let me see."),
        Text("One"),
        Thinking("…"),
        Text(" moment"),
        ToolCall(first.id, "get_weather", '{"city": "Toronto"}'),
        Text("x"),
        ToolCall("call_x1", "now", "{}"),
        Image(data="iVBO"),
    ]
    assert len(first.id) == 22
    last = seen[-1]
    assert isinstance(last, events.Done)
    assert (last.finish_reason, last.finish_reason_raw) == (FinishReason.TOOL_USE, "stop")


def test_made_up_ids_differ_between_answers_and_not_between_readings() -> None:
    def ids(time: str) -> list[str]:
        call = {"function": {"name": "f", "arguments": {}}}
        answer = {**line(tool_calls=[call, call]), "created_at": time}
        return [call.id for call in message(streamed(answer, end())[0]).tool_calls]

    assert ids("2025-08-04T08:52:19.1Z") == ids("2025-08-04T08:52:19.1Z")
    assert len({*ids("2025-08-04T08:52:19.1Z"), *ids("2025-08-04T08:52:19.2Z")}) == 4


@each_case(
    ("last", "expected"),
    [
        (end("length"), (FinishReason.LENGTH, "length")),
        (end("load"), (FinishReason.ERROR, "load")),  # the model was loaded, and said nothing
        (end(None), (FinishReason.UNKNOWN, None)),
    ],
)
def test_each_done_reason(last: JSON, expected: tuple[FinishReason, str | None]) -> None:
    done = streamed(line("x"), last)[0][-1]
    assert isinstance(done, events.Done)
    assert (done.finish_reason, done.finish_reason_raw) == expected


def test_a_prompt_that_was_cached_whole_has_no_count() -> None:
    done = streamed(line("x"), end(eval_count=3))[0][-1]
    assert isinstance(done, events.Done)
    assert done.usage == Usage(None, 3, None)


def test_logprobs_of_each_line() -> None:
    tokens = [{"token": "The", "logprob": -0.1}]
    seen, _ = streamed(line("x"), {**line("The"), "logprobs": tokens}, end())
    assert events.LogprobsDelta(tokens, 0) in seen
    assert message(seen).text == "xThe"


def test_an_error_line_ends_the_stream_and_keeps_what_came() -> None:
    seen, complete = streamed(line("The"), {"error": "an error was encountered"}, line("never"))
    last = seen[-1]
    assert isinstance(last, events.StreamError)
    assert "an error was encountered" in str(last.error)
    assert message(seen).text == "The"
    assert not complete


def test_an_error_as_the_first_line_is_no_start() -> None:
    (only,), _ = streamed({"error": "model 'x' not found"})
    assert isinstance(only, events.StreamError)


def test_a_lone_surrogate_in_the_arguments_is_mended() -> None:
    body = b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":"\\ud83d"}}}]}}'
    assert message(CHAT.parser().feed([body])).tool_calls[0].input == {"a": "\ufffd"}


@each_case("record", [b"nonsense", b"[]", b"null", b"7"])
def test_a_line_that_is_no_object_cannot_be_a_word_and_is_told(record: bytes) -> None:
    parser = CHAT.parser()
    last = {**line("b"), "done": True, "done_reason": "stop"}
    lines = [json.dumps(line("a")).encode(), record, json.dumps(last).encode()]
    seen = parser.feed(lines)
    assert message(seen).text == "ab"
    assert parser.complete
    assert any(isinstance(event, events.Unknown) for event in seen)


@each_case("record", [b"{", b'{"message":3}', b'{"done":"x"}'])
def test_what_is_no_line_is_a_protocol_error(record: bytes) -> None:
    last = CHAT.parser().feed([record])[-1]
    assert isinstance(last, events.StreamError)
    assert last.error.category is Category.PROTOCOL


def test_invalid_utf8_is_replaced() -> None:
    seen = CHAT.parser().feed([json.dumps(line("?")).encode().replace(b"?", b"\xff")])
    assert message(seen).text == "�"


def test_an_answer_that_was_not_streamed_gives_the_same_message() -> None:
    whole = {**line("Hello", thinking="hm"), "done": True, "done_reason": "stop"}
    seen = CHAT.parse_answer(json.dumps(whole).encode())
    assert message(seen) == message(streamed(whole)[0])
    assert isinstance(seen[-1], events.Done)


def test_nothing_that_is_no_answer_passes_for_one() -> None:
    only = CHAT.parse_answer(b'{"models":[]}')[-1]
    assert isinstance(only, events.StreamError)
    assert only.error.category is Category.PROTOCOL
    (told,) = CHAT.parse_answer(b'{"detail":"Not Found"}')
    assert isinstance(told, events.StreamError)
    assert "Not Found" in str(told.error)


@each_case("size", [1, 3, 50])
def test_no_cut_changes_anything(size: int) -> None:
    lines = [line("Hé"), line("llo", thinking="…"), end(eval_count=2)]
    assert streamed(*lines, size=size) == streamed(*lines)


# -- requests: https://docs.ollama.com/api/chat, /api/generate, /capabilities ------------------

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("get_weather", "Get the weather in a city", SCHEMA)
ASKED = [Message.user("why is the sky blue?")]
CHAT_BODY = {
    "model": "llama3.2",
    "messages": [{"role": "user", "content": "why is the sky blue?"}],
    "stream": True,
}


def render(messages: list[Message], model: str = "llama3.2", **more: Any) -> JSON:
    request = ModelRequest(model, messages, **more)
    return json.loads(json.dumps(CHAT.render(request, endpoint("ollama"))))


def generate(messages: list[Message], **more: Any) -> JSON:
    request = ModelRequest("llama3.2", messages, **more)
    return json.loads(json.dumps(GENERATE.render(request, endpoint("ollama"))))


FIELDS: list[tuple[str, JSON, JSON]] = [
    ("a stream", {}, {}),
    ("no stream", {"stream": False}, {"stream": False}),
    (
        "sampling and limits",
        {"max_tokens": 9, "temperature": 0.0, "top_p": 0.5, "seed": 123, "stop": ["\n"]},
        {
            "options": {
                "num_predict": 9,
                "temperature": 0.0,
                "top_p": 0.5,
                "seed": 123,
                "stop": ["\n"],
            }
        },
    ),
    ("JSON", {"response_format": "json"}, {"format": "json"}),
    (
        "JSON of a schema",
        {"response_format": {"name": "x", "schema": SCHEMA, "strict": True}},
        {"format": SCHEMA},
    ),
    ("thinking off", {"thinking": "none"}, {"think": False}),
    ("thinking on", {"thinking": "high"}, {"think": True}),
]


@each_case(("given", "sent"), [c[1:] for c in FIELDS], ids=[c[0] for c in FIELDS])
def test_each_argument_on_both_paths(given: JSON, sent: JSON) -> None:
    assert render(ASKED, **given) == {**CHAT_BODY, **sent}
    prompt = {"model": "llama3.2", "prompt": "why is the sky blue?", "stream": True}
    assert generate(ASKED, **given) == {**prompt, **sent}


def test_only_gpt_oss_has_levels_of_thinking() -> None:
    assert render(ASKED, "gpt-oss:20b", thinking="medium")["think"] == "medium"


def test_tools() -> None:
    tool = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the weather in a city",
            "parameters": SCHEMA,
        },
    }
    assert render(ASKED, tools=[WEATHER]) == {**CHAT_BODY, "tools": [tool]}
    assert render(ASKED, tools=[WEATHER], tool_choice="auto")["tools"] == [tool]
    assert render(ASKED, tools=[WEATHER], tool_choice="none") == CHAT_BODY


def test_a_conversation_with_calls_and_results() -> None:
    seen, _ = streamed(
        line("", thinking="Hm."),
        line("", tool_calls=[{"function": {"name": "get_weather", "arguments": {"city": "Rome"}}}]),
        end(),
    )
    answer = message(seen)
    body = render(
        [
            Message.system("Be brief."),
            Message.user("Rome?", Image(data="iVBO")),
            answer,
            Message.tool(ToolResult(answer.tool_calls[0].id, "11 degrees")),
            Message.assistant("Cold."),
        ]
    )
    call = {"function": {"name": "get_weather", "arguments": {"city": "Rome"}}}
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Rome?", "images": ["iVBO"]},
        {"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [call]},
        {"role": "tool", "content": "11 degrees", "tool_name": "get_weather"},
        {"role": "assistant", "content": "Cold."},
    ]


def test_ids_that_are_not_ours_and_foreign_thinking() -> None:
    answer = Message("assistant", [Thinking("x", "seal"), ToolCall("call_1", "f", "{}")], "openai")
    results = Message.tool(ToolResult("call_1", "1"), ToolResult("", "2", "g"), ToolResult("", "3"))
    assert render([*ASKED, answer, results])["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "function": {"name": "f", "arguments": {}}}],
        },
        {"role": "tool", "content": "1", "tool_name": "f", "tool_call_id": "call_1"},
        {"role": "tool", "content": "2", "tool_name": "g"},
        {"role": "tool", "content": "3"},
    ]


def test_generate_takes_a_system_text_and_images() -> None:
    body = generate([Message.system("Be brief."), Message.user("What?", Image(data="iVBO"))])
    assert body == {
        "model": "llama3.2",
        "prompt": "What?",
        "system": "Be brief.",
        "images": ["iVBO"],
        "stream": True,
    }


@each_case(
    ("messages", "more", "words"),
    [
        ([Message.user(Image(url="https://e.org/a.png"))], {}, "input: .*data"),
        ([Message.user(Document(data="JVBE"))], {}, "input: .*Document"),
        ([Message("assistant", [ToolCall("c1", "t", "{")])], {}, "input: .*'c1'"),
        (ASKED, {"tools": [WEATHER], "tool_choice": "required"}, "tool_choice"),
        (ASKED, {"tools": [WEATHER], "tool_choice": "get_weather"}, "tool_choice"),
        (ASKED, {"tools": [Tool("t", strict=True)]}, "tools: .*strict"),
        (ASKED, {"response_format": {"name": "x"}}, "response_format"),
    ],
)
def test_what_ollama_cannot_be_told_is_named(
    messages: list[Message], more: JSON, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        render(messages, **more)


@each_case(
    ("messages", "more", "words"),
    [
        ([*ASKED, Message.assistant("Rayleigh"), *ASKED], {}, "input: "),
        ([Message.assistant("Rayleigh")], {}, "input: "),
        (ASKED, {"tools": [WEATHER]}, "tools: "),
        (ASKED, {"tool_choice": "auto"}, "tool_choice: "),
    ],
)
def test_what_generate_cannot_be_told_is_named(
    messages: list[Message], more: JSON, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        generate(messages, **more)


def test_paths() -> None:
    request = ModelRequest("llama3.2", ASKED)
    assert (CHAT.path(request), GENERATE.path(request)) == ("/api/chat", "/api/generate")
    assert CHAT.headers(request) == {}


# -- OLLAMA_HOST -------------------------------------------------------------------------------


@each_case(
    ("value", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        (":56789", "http://127.0.0.1:56789"),
        ("1.2.3.4:", "http://1.2.3.4:11434"),
        ("1.2.3.4:56789", "http://1.2.3.4:56789"),
        ("http://1.2.3.4", "http://1.2.3.4:80"),
        ("https://1.2.3.4", "https://1.2.3.4:443"),
        ("https://1.2.3.4:56789", "https://1.2.3.4:56789"),
        ("example.com", "http://example.com:11434"),
        ("http://example.com", "http://example.com:80"),
        ("https://example.com:56789/path/", "https://example.com:56789/path"),
        ("example.com:56789/path", "http://example.com:56789/path"),
        ("example.com/path", "http://example.com:11434/path"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[0001:002:003:0004::1]:56789", "http://[1:2:3:4::1]:56789"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]:8080", "http://[::1]:8080"),
        (' "localhost" ', "http://localhost:11434"),
        ("ollama.com", "https://ollama.com:443"),
    ],
)
def test_ollama_host_means_what_it_means_to_ollama(value: str, url: str) -> None:
    assert ollama_base_url(value) == url


@each_case("value", ["h:66000", "h:x", "h:-1", "[::1]:1x"])
def test_a_port_that_is_none_is_named(value: str) -> None:
    with pytest.raises(ConfigError, match="OLLAMA_HOST"):
        ollama_base_url(value)
