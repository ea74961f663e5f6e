"""Anthropic Messages: streams and whole answers, in the shapes of the vendor's documentation."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from engine.answering.accumulate import Accumulator
from engine.errors import Category, ProtocolError
from engine.events import (
    CitationDelta,
    Done,
    Event,
    Ping,
    RedactedThinkingDone,
    RefusalDelta,
    ServerToolDone,
    ServerToolStart,
    SignatureDelta,
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStart,
    Unknown,
    UsageUpdate,
    VendorItemDone,
)
from engine.messages import (
    FinishReason,
    Message,
    PartialToolCall,
    RedactedThinking,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    Usage,
    VendorItem,
)
from engine.providers.messages.dialect import MessagesDialect, MessagesParser
from engine.wire import SSERecord
from engine.wire.json import is_json
from tests.cases import each_case
from tests.volume import every

HEAD = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "claude-x"}
USAGE = {"input_tokens": 25, "output_tokens": 1}


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode())
        for event in events
    )


def start(**more: Any) -> dict[str, Any]:
    return {"type": "message_start", "message": {**HEAD, "usage": USAGE, **more}}


def block(index: int, data: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": data},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(*pieces: str) -> list[dict[str, Any]]:
    return [{"type": "text_delta", "text": piece} for piece in pieces]


def arguments(*pieces: str) -> list[dict[str, Any]]:
    return [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def stop(reason: str | None = "end_turn", **usage: Any) -> list[dict[str, Any]]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 15, **usage}},
        {"type": "message_stop"},
    ]


def parse(*events: dict[str, Any] | list[dict[str, Any]]) -> tuple[list[Event], MessagesParser]:
    flat = [e for event in events for e in (event if isinstance(event, list) else [event])]
    dialect = MessagesDialect()
    decoder, parser = dialect.decoder(), dialect.parser()
    return parser.feed(decoder.feed(sse(*flat))) + parser.finish(), parser


def message(events: list[Event]) -> Message:
    accumulator = Accumulator()
    accumulator.extend(events)
    return accumulator.message("anthropic")


def content(events: list[Event]) -> list[Event]:
    return [e for e in events if type(e) not in (Start, UsageUpdate, Done)]


WEATHER = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}


def test_text_comes_in_its_order_with_both_counts() -> None:
    events, parser = parse(
        start(), block(0, {"type": "text", "text": ""}, *text("Hel", "lo")), stop()
    )
    first = Usage(input_tokens=25, output_tokens=1, total_tokens=26)
    last = Usage(input_tokens=25, output_tokens=15, total_tokens=40)
    assert events == [
        Start("msg_1", "claude-x"),
        UsageUpdate(first),
        TextDelta("Hel", 0),
        TextDelta("lo", 0),
        UsageUpdate(last),
        Done(FinishReason.STOP, last, "end_turn"),
    ]
    assert parser.complete


def test_nothing_is_complete_without_message_stop() -> None:
    events, parser = parse(start(), block(0, {"type": "text", "text": ""}, *text("Hi")), stop()[:1])
    assert not parser.complete
    assert not any(isinstance(event, Done) for event in events)


@each_case("cut", range(1, 50))
def test_the_end_marker_counts_without_its_blank_line(cut: int) -> None:
    body = sse(start(), *stop()).rstrip()
    dialect = MessagesDialect()
    decoder, parser = dialect.decoder(), dialect.parser()
    events = parser.feed(decoder.feed(body[:-cut])) + parser.feed(decoder.finish())
    assert not parser.complete
    assert [type(event) for event in events] == [Start, UsageUpdate, UsageUpdate]

    decoder, parser = dialect.decoder(), dialect.parser()
    events = parser.feed(decoder.feed(body)) + parser.feed(decoder.finish())
    assert parser.complete
    assert isinstance(events[-1], Done)


def test_what_follows_message_stop_is_not_read() -> None:
    events, _ = parse(start(), stop(), start())
    assert isinstance(events[-1], Done)
    assert sum(isinstance(event, Start) for event in events) == 1


@each_case(
    ("word", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_USE),
        ("pause_turn", FinishReason.PAUSE),
        ("refusal", FinishReason.REFUSAL),
        ("tomorrow", FinishReason.UNKNOWN),
        (None, FinishReason.UNKNOWN),
    ],
)
def test_stop_reasons(word: str | None, reason: FinishReason) -> None:
    events, _ = parse(start(), stop(word))
    assert isinstance(events[-1], Done)
    assert (events[-1].finish_reason, events[-1].finish_reason_raw) == (reason, word)


def test_input_tokens_hold_the_cache_and_later_counts_replace_earlier_ones() -> None:
    begun = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 1000,
        "output_tokens": 3,
    }
    details = {"output_tokens_details": {"thinking_tokens": 7}}
    events, _ = parse(start(usage=begun), stop(input_tokens=12, **details))
    assert isinstance(events[-1], Done)
    assert events[-1].usage == Usage(
        input_tokens=1112,
        output_tokens=15,
        total_tokens=1127,
        cached_tokens=1000,
        cache_write_tokens=100,
        reasoning_tokens=7,
    )


def test_a_negative_count_is_no_count() -> None:
    events, _ = parse(
        start(usage={"input_tokens": -1, "output_tokens": -1}), stop(output_tokens=-2)
    )
    assert isinstance(events[-1], Done)
    assert events[-1].usage == Usage()


def test_thinking_keeps_its_signature() -> None:
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    deltas = [
        {"type": "thinking_delta", "thinking": "Let me see"},
        {"type": "thinking_delta", "thinking": "."},
        {"type": "signature_delta", "signature": "EqQB"},
    ]
    events, _ = parse(
        start(),
        block(0, thinking, *deltas),
        block(1, {"type": "text", "text": ""}, *text("4")),
        stop(),
    )
    assert content(events) == [
        ThinkingDelta("Let me see", 0),
        ThinkingDelta(".", 0),
        SignatureDelta("EqQB", 0),
        TextDelta("4", 1),
    ]
    assert message(events).parts == [Thinking("Let me see.", "EqQB"), Text("4")]


def test_thinking_that_is_not_shown_still_has_its_seal() -> None:
    seal = {"type": "signature_delta", "signature": "EqQB"}
    events, _ = parse(start(), block(0, {"type": "thinking", "thinking": ""}, seal), stop())
    assert message(events).parts == [Thinking("", "EqQB")]


def test_redacted_thinking_is_kept_whole() -> None:
    events, _ = parse(start(), block(0, {"type": "redacted_thinking", "data": "EmwKA"}), stop())
    assert content(events) == [RedactedThinkingDone("EmwKA", 0)]
    assert message(events).parts == [RedactedThinking("EmwKA")]


def test_parallel_tool_calls() -> None:
    time = {"type": "tool_use", "id": "toolu_2", "name": "get_time", "input": {}}
    events, _ = parse(
        start(),
        block(0, WEATHER, *arguments("", '{"city": "Par', 'is"}')),
        block(1, time, *arguments('{"zone": "CET"}')),
        stop("tool_use"),
    )
    assert content(events)[:4] == [
        ToolCallStart("toolu_1", "get_weather", 0),
        ToolCallDelta('{"city": "Par', 0),
        ToolCallDelta('is"}', 0),
        ToolCallDone(ToolCall("toolu_1", "get_weather", '{"city": "Paris"}'), 0),
    ]
    assert message(events).tool_calls == [
        ToolCall("toolu_1", "get_weather", '{"city": "Paris"}'),
        ToolCall("toolu_2", "get_time", '{"zone": "CET"}'),
    ]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    events, _ = parse(start(), block(0, WEATHER, *arguments("")), stop("tool_use"))
    assert message(events).parts == [ToolCall("toolu_1", "get_weather", "{}")]


def test_a_call_cut_before_its_first_argument_is_not_handed_over() -> None:
    events, _ = parse(start(), block(0, WEATHER), stop("max_tokens"))
    assert message(events).parts == [PartialToolCall("toolu_1", "get_weather", "")]


@pytest.mark.parametrize("closed", [True, False])
def test_a_call_cut_in_its_arguments_is_not_handed_over(closed: bool) -> None:
    call = block(0, WEATHER, *arguments('{"city": "Par'))
    events, _ = parse(start(), call if closed else call[:-1], stop("max_tokens"))
    assert message(events).parts == [PartialToolCall("toolu_1", "get_weather", '{"city": "Par')]


def test_a_server_tool_and_its_result_are_kept_whole() -> None:
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    found = {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [{"type": "web_search_result", "url": "https://a.example", "title": "A"}],
    }
    events, _ = parse(
        start(), block(0, use, *arguments('{"query":', ' "x"}')), block(1, found), stop()
    )
    assert content(events) == [
        ServerToolStart("web_search", use, 0),
        ServerToolDone(ServerTool("web_search", {**use, "input": {"query": "x"}}), 0),
        ServerToolDone(ServerTool("web_search_tool_result", found), 1),
    ]


def test_a_server_tool_that_was_cut_keeps_its_words() -> None:
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    events, _ = parse(start(), block(0, use, *arguments('{"que')), stop("max_tokens"))
    assert content(events) == [
        ServerToolStart("web_search", use, 0),
        ServerToolDone(ServerTool("web_search", {**use, "input": '{"que'}), 0),
    ]


def test_a_compaction_takes_its_delta() -> None:
    delta = {"type": "compaction_delta", "content": "So far: …"}
    events, _ = parse(start(), block(0, {"type": "compaction", "content": None}, delta), stop())
    whole = {"type": "compaction", "content": "So far: …"}
    assert content(events) == [VendorItemDone(VendorItem("compaction", whole, "messages"), 0)]


def test_citations_belong_to_their_text() -> None:
    web = {
        "type": "web_search_result_location",
        "url": "https://a.example",
        "title": "A",
        "cited_text": "four",
        "encrypted_index": "Eo8",
    }
    page = {"type": "page_location", "document_title": "B", "cited_text": "five"}
    deltas = [{"type": "citations_delta", "citation": citation} for citation in (web, page)]
    events, _ = parse(
        start(),
        block(0, {"type": "text", "text": "", "citations": []}, *text("4"), *deltas),
        stop(),
    )
    (part,) = message(events).parts
    assert isinstance(part, Text)
    assert [(c.url, c.title, c.quote, c.data) for c in part.citations] == [
        ("https://a.example", "A", "four", web),
        (None, "B", "five", page),
    ]


def test_a_refusal_with_an_explanation() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "This could do harm."}
    last = stop("refusal")
    last[0]["delta"]["stop_details"] = details
    events, _ = parse(start(), block(0, {"type": "text", "text": ""}, *text("Hi")), last)
    assert RefusalDelta("This could do harm.", 1) in events
    assert message(events).refusal == "This could do harm."
    assert message(events).text == "Hi"


def test_a_ping_is_a_ping() -> None:
    events, _ = parse(start(), {"type": "ping"}, stop())
    assert Ping() in events


@each_case(
    ("kind", "category"),
    [
        ("overloaded_error", Category.SERVER),
        ("rate_limit_error", Category.RATE_LIMIT),
        ("authentication_error", Category.AUTH),
        ("permission_error", Category.AUTH),
        ("not_found_error", Category.NOT_FOUND),
        ("invalid_request_error", Category.INVALID_ARG),
        ("billing_error", Category.QUOTA),
        ("timeout_error", Category.TIMEOUT),
        ("api_error", Category.SERVER),
    ],
)
def test_an_error_inside_the_stream_has_its_category(kind: str, category: Category) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "No."}, "request_id": "req_1"}
    events, parser = parse(start(), error, stop())
    assert isinstance(events[-1], StreamError)
    assert events[-1].error.category is category
    assert events[-1].error.request_id == "req_1"
    assert not parser.complete


def test_an_error_without_a_type_is_an_error() -> None:
    parser = MessagesParser()
    events = parser.feed([SSERecord(b'{"error": {"message": "upstream died"}}')])
    assert isinstance(events[-1], StreamError)


def test_what_tomorrow_brings_is_passed_on() -> None:
    invented = {"type": "message_mood", "mood": "good"}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "glow_delta", "glow": 1}}
    events, parser = parse(start(), invented, delta, stop())
    assert content(events) == [
        Unknown("message_mood", invented),
        Unknown("content_block_delta", delta),
    ]
    assert parser.complete


def test_a_text_of_another_type_ends_the_stream_and_one_beside_it_is_told() -> None:
    def delta(**facts: Any) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": 0, "delta": facts}

    events, _ = parse(start(), delta(type="text_delta", text=5), stop())
    assert isinstance(events[-1], StreamError)
    events, parser = parse(start(), delta(type="text_delta", text="a", signature=[5]), stop())
    assert content(events) == [Unknown("delta.signature", [5]), TextDelta("a")]
    assert parser.complete


def test_pieces_of_arguments_that_belong_to_no_call_keep_all_calls_back() -> None:
    stray = {
        "type": "content_block_delta",
        "index": 7,
        "delta": {"type": "input_json_delta", "partial_json": '{"city":"Paris"}'},
    }
    events, _ = parse(start(), block(0, WEATHER), stray, stop("tool_use"))
    assert message(events).tool_calls == []
    assert events[-1].finish_reason is FinishReason.ERROR


@each_case("word", ["refusal", "max_tokens", "pause_turn", "of_tomorrow"])
def test_a_call_without_arguments_is_not_handed_over_after_such_an_end(word: str) -> None:
    events, _ = parse(start(), block(0, WEATHER), stop(word))
    assert message(events).parts == [PartialToolCall("toolu_1", "get_weather", "")]
    whole = block(0, WEATHER, *arguments('{"city": "Paris"}'))
    assert len(message(parse(start(), whole, stop(word))[0]).tool_calls) == 1


def test_a_block_of_tomorrow_is_kept_for_the_next_turn() -> None:
    data = {"type": "hologram", "rays": [1, 2]}
    events, _ = parse(start(), block(0, data), stop())
    assert message(events).parts == [VendorItem("hologram", data, "messages")]


def test_deltas_without_a_start_open_their_block() -> None:
    deltas = [{"type": "thinking_delta", "thinking": "Hm"}], text("Hi")
    events, _ = parse(
        start(),
        [{"type": "content_block_delta", "index": n, "delta": d[0]} for n, d in enumerate(deltas)],
        {"type": "content_block_stop", "index": 7},
        stop(),
    )
    assert message(events).parts == [Thinking("Hm"), Text("Hi")]


def test_a_call_without_a_stop_is_whole_when_the_message_stops_for_it() -> None:
    call = block(0, WEATHER, *arguments('{"city": "Paris"}'))[:-1]
    events, _ = parse(start(), call, stop("tool_use"))
    assert message(events).tool_calls == [ToolCall("toolu_1", "get_weather", '{"city": "Paris"}')]
    events, _ = parse(start(), call, stop("refusal"))
    assert message(events).tool_calls == []


def test_a_second_message_start_does_not_mix_the_calls() -> None:
    first = block(0, WEATHER, *arguments('{"city": "Par'))[:-1]
    again = block(0, {**WEATHER, "id": "toolu_9"}, *arguments('{"city": "Paris"}'))
    events, _ = parse(start(), first, start(), again, stop("tool_use"))
    assert message(events).tool_calls == [ToolCall("toolu_9", "get_weather", '{"city": "Paris"}')]


def test_the_type_may_stand_in_the_event_line_only() -> None:
    parser = MessagesParser()
    records = [
        SSERecord(b'{"message": {"id": "m"}}', "message_start"),
        SSERecord(b'{"index": 0, "delta": {"text": "Hi"}}', "content_block_delta"),
        SSERecord(b"{}", "message_delta"),
        SSERecord(b"{}", "message_stop"),
    ]
    assert message(parser.feed(records)).text == "Hi"
    assert parser.complete


def test_a_done_marker_of_a_proxy_is_neither_content_nor_end() -> None:
    parser = MessagesParser()
    assert parser.feed([SSERecord(b"[DONE]")]) == []
    assert not parser.complete


@each_case(
    ("reason", "complete"),
    [("end_turn", True), ("tool_use", True), ("max_tokens", True), (None, False)],
)
def test_behind_a_stop_reason_it_is_the_end_where_a_proxy_has_no_other(
    reason: str | None, complete: bool
) -> None:
    parser = MessagesParser()
    delta = {"type": "message_delta", "delta": {"stop_reason": reason}}
    records = [
        SSERecord(json.dumps(e).encode(), e["type"]) for e in (start(), *block(0, WEATHER), delta)
    ]
    parser.feed(records)
    events = parser.feed([SSERecord(b" [DONE] ")])
    assert parser.complete is complete
    assert sum(isinstance(event, Done) for event in events) == complete
    assert parser.feed([SSERecord(b"[DONE]")]) + parser.finish() == []


@pytest.mark.parametrize("data", [b"{", b'{"a":' * 100_000])
def test_what_is_not_json_ends_the_stream(data: bytes) -> None:
    parser = MessagesParser()
    events = parser.feed([SSERecord(data), SSERecord(b'{"type": "ping"}')])
    assert len(events) == 1
    assert isinstance(events[0], StreamError)
    assert isinstance(events[0].error, ProtocolError)


def test_json_too_deep_to_read_is_a_protocol_error() -> None:
    data = b'{"index": "x", "y": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    (event,) = MessagesParser().feed([SSERecord(data)])
    assert isinstance(event, StreamError)
    assert isinstance(event.error, ProtocolError)


def test_a_lone_surrogate_is_mended() -> None:
    data = (
        rb'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\ud800"}}'
    )
    parser = MessagesParser()
    assert parser.feed([SSERecord(data)]) == []
    assert parser.finish() == [TextDelta("\ufffd", 0)]


def test_a_character_in_two_deltas_is_one() -> None:
    def half(escape: str) -> SSERecord:
        text = json.dumps(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": "TEXT"},
            }
        )
        return SSERecord(text.replace("TEXT", escape).encode())

    parser = MessagesParser()
    events = parser.feed([half("a\\ud83d"), SSERecord(b'{"type":"ping"}'), half("\\ude00b")])
    events += parser.feed([half("c\\ud83d"), half("d")])
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "a\U0001f600bc\ufffdd"


# -- whole answers -----------------------------------------------------------------------------

CONTENT: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Hm", "signature": "EqQB"},
    {"type": "redacted_thinking", "data": "EmwKA"},
    {"type": "text", "text": "Four.", "citations": [{"type": "page_location", "cited_text": "4"}]},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
    {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}},
    {"type": "tool_use", "id": "toolu_2", "name": "get_time", "input": {}},
]


def test_a_whole_answer_gives_what_a_stream_of_it_gives() -> None:
    dialect = MessagesDialect()
    usage = {**USAGE, "output_tokens": 15}
    whole = {**HEAD, "content": CONTENT, "stop_reason": "tool_use", "usage": usage}
    events = dialect.parse_answer(json.dumps(whole).encode())
    page = {"type": "citations_delta", "citation": CONTENT[2]["citations"][0]}
    streamed, _ = parse(
        start(),
        block(
            0,
            {"type": "thinking", "thinking": ""},
            {"type": "thinking_delta", "thinking": "Hm"},
            {"type": "signature_delta", "signature": "EqQB"},
        ),
        block(1, CONTENT[1]),
        block(2, {"type": "text", "text": ""}, *text("Four."), page),
        block(3, {**CONTENT[3], "input": {}}, *arguments('{"query":"x"}')),
        block(4, {**CONTENT[4], "input": {}}, *arguments('{"city":"Paris"}')),
        block(5, CONTENT[5]),
        stop("tool_use"),
    )
    told = [event for event in content(streamed) if not isinstance(event, ServerToolStart)]
    assert content(events) == told
    assert events[-1] == streamed[-1]


def test_content_at_the_start_of_a_stream_is_told() -> None:
    events, _ = parse(start(content=[{"type": "text", "text": "On "}]), stop())
    assert message(events).text == "On "


@each_case(
    ("body", "category"),
    [
        ({"type": "error", "error": {"type": "overloaded_error"}}, Category.SERVER),
        ({"object": "chat.completion", "choices": []}, Category.PROTOCOL),
        ([], Category.PROTOCOL),
    ],
)
def test_a_whole_answer_that_is_none(body: Any, category: Category) -> None:
    (event,) = MessagesDialect().parse_answer(json.dumps(body).encode())
    assert isinstance(event, StreamError)
    assert event.error.category is category


def test_odd_types_in_a_block_do_no_harm() -> None:
    data: list[dict[str, Any]] = [
        {"type": "text", "text": 5, "citations": 7},
        {"type": "text", "text": "", "citations": ["p. 4"]},
        {"type": "thinking", "thinking": None, "signature": []},
        {"type": "tool_use", "id": 3, "name": None, "input": [1]},
    ]
    events, parser = parse(start(), *(block(n, d) for n, d in enumerate(data)), stop())
    assert parser.complete
    assert next(e for e in content(events) if isinstance(e, CitationDelta)).citation.data == {
        "citation": "p. 4"
    }
    (call,) = (part for part in message(events).parts if isinstance(part, PartialToolCall))
    assert (call.name, call.arguments) == ("", "[1]")
    assert SignatureDelta not in {type(event) for event in events}


def test_a_message_may_end_without_a_count() -> None:
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    events, _ = parse({"type": "message_start", "message": HEAD}, delta, {"type": "message_stop"})
    assert events[-1] == Done(FinishReason.STOP, Usage(), "end_turn")


def test_empty_deltas_are_no_events() -> None:
    signature = {"type": "signature_delta", "signature": ""}
    events, _ = parse(
        start(),
        block(0, {"type": "text", "text": ""}, *text(""), signature, *text("Hi", "")),
        stop(),
    )
    assert content(events) == [TextDelta("Hi", 0)]


# -- what a peer may do ------------------------------------------------------------------------


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of each value in `value`."""
    if path:
        yield path
    children: Any = ()
    if isinstance(value, dict | list):
        children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        yield from paths(child, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    changed = copy.deepcopy(value)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = by
    return changed


EVERYTHING: list[dict[str, Any]] = [
    start(),
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Hm"},
        {"type": "signature_delta", "signature": "EqQB"},
    ),
    *block(1, {"type": "redacted_thinking", "data": "EmwKA"}),
    *block(
        2,
        {"type": "text", "text": "", "citations": []},
        *text("Fo", "ur."),
        {"type": "citations_delta", "citation": {"type": "page_location", "cited_text": "4"}},
    ),
    *block(3, {**CONTENT[3], "input": {}}, *arguments('{"query":', '"x"}')),
    {"type": "ping"},
    *block(4, WEATHER, *arguments('{"city":', '"Paris"}')),
    *stop("tool_use"),
]


@each_case("odd", [None, 5, -1.5, "odd", [], {}, ["odd"], {"odd": 1}, 10**30])
def test_a_field_of_another_type_never_raises(odd: Any) -> None:
    for number, original in enumerate(EVERYTHING):
        for path in [*paths(original)][:: every(4)]:
            changed = replaced(original, path, odd)
            name = original["type"]
            parser = MessagesParser()
            seen: list[Event] = []
            for record in EVERYTHING[:number], [changed], EVERYTHING[number + 1 :]:
                seen += parser.feed([SSERecord(json.dumps(e).encode(), name) for e in record])
            seen += parser.finish()
            whole = message(seen)
            assert isinstance(whole.text + whole.thinking + (whole.refusal or ""), str)
            assert all(is_json(call.arguments) for call in whole.tool_calls)


def test_the_events_are_the_same_however_the_bytes_are_cut() -> None:
    body = sse(*EVERYTHING)
    whole, parser = parse(EVERYTHING)
    assert parser.complete
    for size in (1, 7, 100):
        dialect = MessagesDialect()
        decoder, parser = dialect.decoder(), dialect.parser()
        cut: list[Event] = []
        for begin in range(0, len(body), size):
            cut += parser.feed(decoder.feed(body[begin : begin + size]))
        assert cut == whole
