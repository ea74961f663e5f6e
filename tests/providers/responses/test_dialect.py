"""OpenAI Responses: streams and whole answers, in the shapes of the vendor's documentation."""

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
    ImageDone,
    LogprobsDelta,
    PartInfo,
    Ping,
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
)
from engine.messages import (
    FinishReason,
    Image,
    Message,
    PartialToolCall,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from engine.providers.responses.dialect import ResponsesDialect, ResponsesParser
from engine.wire import SSERecord
from engine.wire.json import is_json
from tests.cases import each_case
from tests.volume import every

HEAD = {"id": "resp_1", "object": "response", "model": "gpt-x", "status": "in_progress"}
USAGE = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 10},
    "total_tokens": 123,
}
COUNTED = Usage(36, 87, 123, 4, 2, 10)


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode())
        for event in events
    )


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{name}", "sequence_number": 1, **fields}


CREATED = event("created", response={**HEAD, "output": [], "usage": None})


def ended(status: str = "completed", **fields: Any) -> dict[str, Any]:
    return event(status, response={**HEAD, "status": status, "usage": USAGE, **fields})


def text_item(index: int, *pieces: str, number: int = 0, **part: Any) -> list[dict[str, Any]]:
    item = {"id": f"msg_{index}", "type": "message", "role": "assistant"}
    where = {"item_id": item["id"], "output_index": index, "content_index": number}
    empty = {"type": "output_text", "text": "", "annotations": []}
    whole = {**empty, "text": "".join(pieces), **part}
    return [
        event("output_item.added", output_index=index, item={**item, "content": []}),
        event("content_part.added", **where, part=empty),
        *(event("output_text.delta", **where, delta=p, logprobs=[]) for p in pieces),
        event("output_text.done", **where, text=whole["text"]),
        event("content_part.done", **where, part=whole),
        item_done(index, {**item, "status": "completed", "content": [whole]}),
    ]


def item_done(index: int, item: dict[str, Any]) -> dict[str, Any]:
    return event("output_item.done", output_index=index, item=item)


def call_item(index: int, *pieces: str, **last: Any) -> list[dict[str, Any]]:
    item = {"id": f"fc_{index}", "type": "function_call", "name": "get_weather"}
    item = {**item, "call_id": f"call_{index}"}
    where = {"item_id": item["id"], "output_index": index}
    whole = "".join(pieces)
    return [
        event("output_item.added", output_index=index, item={**item, "arguments": ""}),
        *(event("function_call_arguments.delta", **where, delta=piece) for piece in pieces),
        event("function_call_arguments.done", **where, arguments=whole),
        item_done(index, {**item, "status": "completed", "arguments": whole, **last}),
    ]


def parse(*events: dict[str, Any] | list[dict[str, Any]]) -> tuple[list[Event], ResponsesParser]:
    flat = [e for event in events for e in (event if isinstance(event, list) else [event])]
    dialect = ResponsesDialect()
    decoder, parser = dialect.decoder(), dialect.parser()
    return parser.feed(decoder.feed(sse(*flat))) + parser.finish(), parser


def message(events: list[Event]) -> Message:
    accumulator = Accumulator()
    accumulator.extend(events)
    return accumulator.message("openai")


def content(events: list[Event]) -> list[Event]:
    return [e for e in events if type(e) not in (Start, UsageUpdate, Done)]


def test_text_comes_in_its_order_and_once() -> None:
    progress = event("in_progress", response=HEAD)
    events, parser = parse(CREATED, progress, text_item(0, "Hel", "", "lo"), ended())
    assert events == [
        Start("resp_1", "gpt-x"),
        TextDelta("Hel", 0),
        TextDelta("lo", 0),
        UsageUpdate(COUNTED),
        Done(FinishReason.STOP, COUNTED, "completed"),
    ]
    assert parser.complete


def test_nothing_is_complete_without_the_last_event() -> None:
    events, parser = parse(CREATED, text_item(0, "Hi"))
    assert not parser.complete
    assert not any(isinstance(event, Done) for event in events)


def test_what_follows_the_last_event_is_not_read() -> None:
    events, _ = parse(CREATED, ended(), text_item(0, "more"))
    assert isinstance(events[-1], Done)


@each_case(
    ("why", "reason"),
    [
        ("max_output_tokens", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("tomorrow", FinishReason.UNKNOWN),
    ],
)
def test_an_incomplete_response_says_why(why: str, reason: FinishReason) -> None:
    events, parser = parse(CREATED, ended("incomplete", incomplete_details={"reason": why}))
    assert events[-1] == Done(reason, COUNTED, why)
    assert parser.complete


def test_an_incomplete_response_may_not_say_why() -> None:
    events, _ = parse(CREATED, ended("incomplete", incomplete_details=None, usage=None))
    assert events[-1] == Done(FinishReason.UNKNOWN, None, "incomplete")


def test_parallel_tool_calls() -> None:
    pieces = '{"city": "Par', 'is"}'
    events, _ = parse(CREATED, call_item(0, *pieces), call_item(1, '{"city": "Rome"}'), ended())
    assert content(events)[:4] == [
        ToolCallStart("call_0", "get_weather", 0),
        ToolCallDelta('{"city": "Par', 0),
        ToolCallDelta('is"}', 0),
        ToolCallDone(ToolCall("call_0", "get_weather", '{"city": "Paris"}'), 0),
    ]
    assert [call.id for call in message(events).tool_calls] == ["call_0", "call_1"]
    assert events[-1] == Done(FinishReason.TOOL_USE, COUNTED, "completed")


def test_a_call_without_arguments_has_an_empty_object() -> None:
    events, _ = parse(CREATED, call_item(0), ended())
    assert message(events).parts == [ToolCall("call_0", "get_weather", "{}")]


def test_arguments_that_did_not_come_in_pieces_come_at_the_end() -> None:
    added, *_, done = call_item(0, '{"city": "Paris"}')
    events, _ = parse(CREATED, added, done, ended())
    assert content(events)[1] == ToolCallDelta('{"city": "Paris"}', 0)
    assert message(events).tool_calls == [ToolCall("call_0", "get_weather", '{"city": "Paris"}')]


def test_arguments_may_come_as_an_object() -> None:
    added, *_, done = call_item(0, arguments={"city": "Paris"})
    events, _ = parse(CREATED, added, done, ended())
    assert message(events).tool_calls == [ToolCall("call_0", "get_weather", '{"city":"Paris"}')]


@each_case("arguments", ['{"city": "Par', '{"city": "Paris"}', ""])
def test_an_incomplete_call_is_not_handed_over(arguments: str) -> None:
    why = {"reason": "max_output_tokens"}
    call = call_item(0, arguments, status="incomplete")
    events, _ = parse(CREATED, call, ended("incomplete", incomplete_details=why))
    assert message(events).parts == [PartialToolCall("call_0", "get_weather", arguments)]
    assert events[-1] == Done(FinishReason.LENGTH, COUNTED, "max_output_tokens")


def test_arguments_that_are_not_json_are_not_handed_over() -> None:
    events, _ = parse(CREATED, call_item(0, '{"city": Paris}'), ended())
    assert message(events).parts == [PartialToolCall("call_0", "get_weather", '{"city": Paris}')]
    assert isinstance(events[-1], Done)
    assert events[-1].finish_reason is FinishReason.ERROR


@pytest.mark.parametrize(
    ("input", "arguments"), [("print(1)", '"print(1)"'), ('{"q": 1}', '"{\\"q\\": 1}"')]
)
def test_the_text_of_a_custom_tool_becomes_json(input: str, arguments: str) -> None:
    item = {"type": "custom_tool_call", "call_id": "call_1", "name": "python"}
    where = {"output_index": 0, "item_id": "ctc_1"}
    events, _ = parse(
        CREATED,
        event("output_item.added", output_index=0, item={**item, "input": ""}),
        event("custom_tool_call_input.delta", **where, delta=input),
        event("custom_tool_call_input.done", **where, input=input),
        item_done(0, {**item, "input": input, "status": "completed"}),
        ended(),
    )
    call = ToolCall("call_1", "python", arguments, custom=True)
    assert message(events).tool_calls == [call]
    assert call.input == input
    assert isinstance(events[-1], Done)
    assert events[-1].finish_reason is FinishReason.TOOL_USE


def test_a_custom_call_that_an_answer_follows_asks_for_nothing() -> None:
    item = {"type": "custom_tool_call", "call_id": "xs_1", "name": "x_search", "input": "{}"}
    events, _ = parse(CREATED, item_done(0, item), text_item(1, "Found."), ended())
    assert isinstance(events[-1], Done)
    assert events[-1].finish_reason is FinishReason.STOP


def test_reasoning_is_sealed_by_its_encrypted_content() -> None:
    item = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "half"}
    where = {"item_id": "rs_1", "output_index": 0}
    parts = [{"type": "summary_text", "text": text} for text in ("**One**", "**Two**")]
    events, _ = parse(
        CREATED,
        event("output_item.added", output_index=0, item=item),
        event("reasoning_summary_part.added", **where, summary_index=0, part={}),
        event("reasoning_summary_text.delta", **where, summary_index=0, delta="**One"),
        event("reasoning_summary_text.delta", **where, summary_index=0, delta="**"),
        event("reasoning_summary_text.done", **where, summary_index=0, text="**One**"),
        event("reasoning_summary_text.delta", **where, summary_index=1, delta="**Two**"),
        item_done(0, {**item, "summary": parts, "encrypted_content": "gAAAA"}),
        text_item(1, "4"),
        ended(),
    )
    assert content(events) == [
        ThinkingDelta("**One", 0),
        ThinkingDelta("**", 0),
        ThinkingDelta("**Two**", 1),
        SignatureDelta("gAAAA", 1),
        PartInfo(0, id="rs_1"),
        PartInfo(1, id="rs_1"),
        TextDelta("4", 2),
    ]
    assert message(events).parts == [
        Thinking("**One**", id="rs_1"),
        Thinking("**Two**", "gAAAA", "rs_1"),
        Text("4"),
    ]


def test_reasoning_without_words_is_its_seal() -> None:
    item = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}
    events, _ = parse(CREATED, item_done(0, item), ended())
    assert message(events).parts == [Thinking("", "gAAAA", "rs_1")]


def test_reasoning_of_open_models_is_thinking() -> None:
    where = {"output_index": 0, "content_index": 0}
    item = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Count."}]}
    events, _ = parse(
        CREATED,
        event("reasoning_text.delta", **where, delta="Count."),
        item_done(0, item),
        ended(),
    )
    assert message(events).parts == [Thinking("Count.")]


def test_a_refusal_is_told_as_one() -> None:
    where = {"output_index": 0, "content_index": 0}
    part = {"type": "refusal", "refusal": "I can't."}
    events, _ = parse(
        CREATED,
        event("refusal.delta", **where, delta="I "),
        event("refusal.delta", **where, delta="can't."),
        event("refusal.done", **where, refusal="I can't."),
        item_done(0, {"type": "message", "content": [part]}),
        ended(),
    )
    assert content(events) == [RefusalDelta("I ", 0), RefusalDelta("can't.", 0)]
    assert message(events).refusal == "I can't."
    assert events[-1] == Done(FinishReason.REFUSAL, COUNTED, "completed")


URL = {"type": "url_citation", "url": "https://a.example", "title": "A", "start_index": 0}
FILE = {"type": "file_citation", "file_id": "file_1", "filename": "b.pdf", "index": 3}


def test_citations_are_told_once_wherever_they_come() -> None:
    added = event("output_text.annotation.added", output_index=0, content_index=0, annotation=URL)
    begin, *rest = text_item(0, "See.", annotations=[URL, FILE])
    events, _ = parse(CREATED, begin, *rest[:2], added, *rest[2:], ended())
    (part,) = message(events).parts
    assert isinstance(part, Text)
    assert [(c.url, c.title, c.data) for c in part.citations] == [
        ("https://a.example", "A", URL),
        (None, "b.pdf", FILE),
    ]


def test_a_citation_of_another_make_is_kept() -> None:
    added = event(
        "output_text.annotation.added", output_index=0, content_index=0, annotation="p. 4"
    )
    events, _ = parse(CREATED, added, ended())
    assert isinstance(events[1], CitationDelta)
    assert events[1].citation.data == {"annotation": "p. 4"}


LOGPROBS = [{"token": "Hi", "logprob": -0.1, "top_logprobs": []}]


def test_logprobs_belong_to_their_text() -> None:
    where = {"output_index": 0, "content_index": 0}
    events, _ = parse(
        CREATED,
        event("output_text.delta", **where, delta="Hi", logprobs=LOGPROBS),
        event("output_text.delta", **where, delta="!", logprobs=LOGPROBS),
        ended(),
    )
    assert content(events) == [
        TextDelta("Hi", 0),
        LogprobsDelta(LOGPROBS, 0),
        TextDelta("!", 0),
        LogprobsDelta(LOGPROBS, 0),
    ]


SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"query": "x"}}
MCP = {"id": "mcp_1", "type": "mcp_call", "name": "echo", "server_label": "s", "output": "hi"}


def test_server_tools_are_kept_whole_in_the_order_they_began() -> None:
    progress = event("web_search_call.searching", output_index=0, item_id="ws_1")
    events, _ = parse(
        CREATED,
        event("output_item.added", output_index=0, item={**SEARCH, "status": "in_progress"}),
        event("output_item.added", output_index=1, item={**MCP, "output": None}),
        progress,
        item_done(1, MCP),
        item_done(0, SEARCH),
        ended(),
    )
    assert content(events)[:3] == [
        ServerToolStart("web_search_call", {**SEARCH, "status": "in_progress"}, 0),
        ServerToolStart("echo", {**MCP, "output": None}, 1),
        Unknown("response.web_search_call.searching", progress),
    ]
    assert ServerToolDone(ServerTool("echo", MCP), 1) in events
    assert message(events).parts == [
        ServerTool("web_search_call", SEARCH),
        ServerTool("echo", MCP),
    ]


@pytest.mark.parametrize(
    ("result", "image"),
    [
        ("iVBORw0", Image(data="iVBORw0", media_type="image/webp")),
        ("https://a.example/i.png", Image(url="https://a.example/i.png")),
    ],
)
def test_a_generated_image_is_an_image_beside_its_call(result: str, image: Image) -> None:
    call = {"type": "image_generation_call", "result": result, "output_format": "webp"}
    events, _ = parse(CREATED, item_done(0, call), ended())
    assert content(events) == [
        ServerToolDone(ServerTool("image_generation_call", call), 0),
        ImageDone(image, 1),
    ]


def test_an_image_that_failed_is_none() -> None:
    call = {"type": "image_generation_call", "status": "failed", "result": None}
    events, _ = parse(CREATED, item_done(0, call), ended())
    assert [type(e) for e in content(events)] == [ServerToolDone]


@each_case(
    ("code", "category"),
    [
        ("rate_limit_exceeded", Category.RATE_LIMIT),
        ("server_error", Category.SERVER),
        ("insufficient_quota", Category.QUOTA),
        ("invalid_api_key", Category.AUTH),
    ],
)
def test_a_failed_response_is_an_error_of_its_category(code: str, category: Category) -> None:
    failed = ended("failed", error={"code": code, "message": "No."})
    events, parser = parse(CREATED, text_item(0, "Hi"), failed)
    assert isinstance(events[-1], StreamError)
    assert events[-1].error.category is category
    assert UsageUpdate(COUNTED) in events
    assert not parser.complete


@pytest.mark.parametrize(
    "error",
    [
        {"type": "error", "code": "server_error", "message": "No.", "param": None},
        {"type": "error", "error": {"type": "server_error", "message": "No."}},
    ],
)
def test_an_error_event_ends_the_stream_when_nothing_explains_it(error: dict[str, Any]) -> None:
    events, _ = parse(CREATED, error)
    assert isinstance(events[-1], StreamError)
    assert events[-1].error.category is Category.SERVER


def test_the_failed_response_explains_the_error_event() -> None:
    vague = {"type": "error", "error": {"code": "unknown-error", "message": "?"}}
    exact = {"code": "rate_limit_exceeded", "message": "Slow down."}
    events, _ = parse(CREATED, vague, ended("failed", error=exact))
    assert isinstance(events[-1], StreamError)
    assert events[-1].error.category is Category.RATE_LIMIT
    assert sum(isinstance(event, StreamError) for event in events) == 1


def test_a_failed_response_without_an_error_has_the_one_before() -> None:
    before = {"type": "error", "code": "server_error", "message": "Broke."}
    events, _ = parse(CREATED, before, ended("failed"))
    assert isinstance(events[-1], StreamError)
    assert "Broke" in events[-1].error.message


@pytest.mark.parametrize("error", [None, {"code": "server_error", "message": "Broke."}])
def test_a_last_event_does_not_make_a_failed_response_complete(error: Any) -> None:
    for status in ("failed", "cancelled"):
        last = event("completed", response={**HEAD, "status": status, "error": error})
        events, parser = parse(CREATED, text_item(0, "Hi"), last)
        assert isinstance(events[-1], StreamError) and not parser.complete
    cut = {**HEAD, "status": "incomplete"}
    events, parser = parse(CREATED, event("completed", response=cut))
    assert parser.complete and events[-1].finish_reason != FinishReason.STOP  # type: ignore[attr-defined]


def test_a_failed_response_without_a_word() -> None:
    events, _ = parse(CREATED, ended("failed"))
    assert isinstance(events[-1], StreamError)
    assert "'failed'" in events[-1].error.message


def test_an_error_without_a_type_is_an_error() -> None:
    parser = ResponsesParser()
    events = parser.feed([SSERecord(b'{"error": {"message": "upstream died"}}')]) + parser.finish()
    assert isinstance(events[-1], StreamError)


def test_a_server_without_event_lines() -> None:
    events = [CREATED, *text_item(0, "Hel", "lo"), ended()]
    parser = ResponsesParser()
    records = [SSERecord(json.dumps(event).encode()) for event in events]
    assert message(parser.feed(records)).text == "Hello"
    assert parser.complete


def test_a_response_may_be_done_by_that_name() -> None:
    last = {**ended(), "type": "response.done"}
    said, parser = parse(CREATED, text_item(0, "a"), last)
    assert parser.complete
    assert said == parse(CREATED, text_item(0, "a"), ended())[0]
    failed = {**ended("failed", error={"code": "server_error"}), "type": "response.done"}
    assert isinstance(parse(CREATED, failed)[0][-1], StreamError)


def test_a_server_that_tells_only_whole_items() -> None:
    *_, item = text_item(0, "Hello", annotations=[URL], logprobs=LOGPROBS)
    events, _ = parse(item, item, ended())
    assert content(events)[:2] == [TextDelta("Hello", 0), LogprobsDelta(LOGPROBS, 0)]
    assert message(events).text == "Hello"


def test_a_server_that_tells_only_the_end() -> None:
    output = [text_item(0, "Hello")[-1]["item"], call_item(1, "{}")[-1]["item"]]
    events, _ = parse(ended(output=output))
    assert events[0] == Start("resp_1", "gpt-x")
    assert message(events).parts == [Text("Hello"), ToolCall("call_1", "get_weather", "{}")]


def test_an_item_that_was_left_open_is_told_by_the_end() -> None:
    output = [text_item(0, "Hello")[-1]["item"], call_item(1, "{}")[-1]["item"]]
    events, _ = parse(CREATED, text_item(0, "Hello"), call_item(1, "{}")[:-1], ended(output=output))
    assert message(events).parts == [Text("Hello"), ToolCall("call_1", "get_weather", "{}")]


def test_parts_numbered_over_all_items_are_told_once() -> None:
    events, _ = parse(CREATED, text_item(1, "Hello", number=1), ended())
    assert message(events).text == "Hello"


def test_ids_that_change_from_event_to_event_do_no_harm() -> None:
    events = [CREATED, *text_item(0, "Hel", "lo"), ended()]
    for number, changed in enumerate(events):
        changed["item_id"] = f"id-{number}"
    assert message(parse(events)[0]).text == "Hello"


def test_pings_are_pings() -> None:
    events, _ = parse(CREATED, {"type": "keepalive"}, {"type": "ping"}, ended())
    assert content(events) == [Ping(), Ping()]


def test_what_tomorrow_brings_is_passed_on() -> None:
    invented = event("mood", mood="good")
    misfit = event("output_text.delta", output_index="first", delta="x")
    stray = event("function_call_arguments.delta", output_index=9, delta="{}")
    events, parser = parse(CREATED, invented, misfit, stray, ended())
    assert content(events) == [
        Unknown("response.mood", invented),
        Unknown("output_index", "first"),
        TextDelta("x", 0),
        ToolCallStart("made_ostrQ5nmH2In8TaoI", "", 1),
        ToolCallDelta("{}", 1),
    ]
    assert parser.complete


def test_a_usage_of_another_make_does_not_lose_the_end() -> None:
    events, parser = parse(CREATED, text_item(0, "Hi"), ended(usage={"input_tokens": "many"}))
    assert parser.complete
    assert isinstance(events[-1], Done)


def test_a_negative_count_is_no_count() -> None:
    events, _ = parse(CREATED, ended(usage={"input_tokens": -1, "output_tokens": 2}))
    assert isinstance(events[-1], Done)
    assert events[-1].usage == Usage(output_tokens=2)


def test_a_done_marker_is_no_end() -> None:
    parser = ResponsesParser()
    assert parser.feed([SSERecord(b"[DONE]")]) == []
    assert not parser.complete


@pytest.mark.parametrize("data", [b"{", b'{"a":' * 100_000])
def test_what_is_not_json_ends_the_stream(data: bytes) -> None:
    parser = ResponsesParser()
    events = parser.feed([SSERecord(data), SSERecord(b'{"type": "ping"}')])
    assert len(events) == 1
    assert isinstance(events[0], StreamError)
    assert isinstance(events[0].error, ProtocolError)


def test_json_too_deep_to_read_is_a_protocol_error() -> None:
    data = b'{"type": 5, "y": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    (event,) = ResponsesParser().feed([SSERecord(data)])
    assert isinstance(event, StreamError)
    assert isinstance(event.error, ProtocolError)


def test_a_lone_surrogate_is_mended() -> None:
    data = rb'{"type":"response.output_text.delta","output_index":0,"delta":"\ud800"}'
    parser = ResponsesParser()
    assert parser.feed([SSERecord(data, "response.output_text.delta")]) == []
    assert parser.finish() == [TextDelta("\ufffd", 0)]


# -- whole answers -----------------------------------------------------------------------------


def test_a_whole_answer_gives_what_a_stream_of_it_gives() -> None:
    reasoning = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Hm"}],
        "encrypted_content": "gAAAA",
    }
    where = {"output_index": 0, "summary_index": 0}
    streamed, _ = parse(
        CREATED,
        event("reasoning_summary_text.delta", **where, delta="Hm"),
        item_done(0, reasoning),
        item_done(1, SEARCH),
        text_item(2, "Hello", annotations=[URL]),
        call_item(3, '{"city": "Paris"}'),
        ended(),
    )
    output = [
        reasoning,
        SEARCH,
        text_item(2, "Hello", annotations=[URL])[-1]["item"],
        call_item(3, '{"city": "Paris"}')[-1]["item"],
    ]
    body = {**HEAD, "status": "completed", "output": output, "usage": USAGE}
    assert ResponsesDialect().parse_answer(json.dumps(body).encode()) == streamed


@each_case(
    ("body", "category"),
    [
        ({"error": {"code": "server_error", "message": "No."}}, Category.SERVER),
        (
            {**HEAD, "status": "failed", "error": {"code": "rate_limit_exceeded"}},
            Category.RATE_LIMIT,
        ),
        ({**HEAD, "status": "queued"}, Category.INVALID_ARG),  # in the background
        (HEAD, Category.INVALID_ARG),
        ({**HEAD, "status": "cancelled"}, Category.SERVER),
        ({"object": "chat.completion", "choices": []}, Category.PROTOCOL),
        ([], Category.PROTOCOL),
    ],
)
def test_a_whole_answer_that_is_none(body: Any, category: Category) -> None:
    events = ResponsesDialect().parse_answer(json.dumps(body).encode())
    assert isinstance(events[-1], StreamError)
    assert events[-1].error.category is category


def test_empty_deltas_are_no_events() -> None:
    names = ("output_text", "refusal", "reasoning_summary_text", "reasoning_text")
    deltas = [event(f"{name}.delta", output_index=n, delta="") for n, name in enumerate(names)]
    refused = item_done(1, {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]})
    events, _ = parse(CREATED, deltas, refused, ended())
    assert content(events) == []


def test_a_refusal_that_came_whole() -> None:
    item = {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}
    events, _ = parse(CREATED, item_done(0, item), ended())
    assert message(events).refusal == "No."


def test_an_end_that_names_items_nobody_announced() -> None:
    output = [text_item(0, "Hello")[-1]["item"], SEARCH]
    begun = event("output_item.added", output_index=0, item={"type": "message"})
    events, _ = parse(CREATED, begun, ended(output=output))
    assert message(events).parts == [Text("Hello")]


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


REASONING = {
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Hm"}],
    "encrypted_content": "gAAAA",
}
EVERYTHING: list[dict[str, Any]] = [
    CREATED,
    event("output_item.added", output_index=0, item={**REASONING, "summary": []}),
    event("reasoning_summary_text.delta", output_index=0, summary_index=0, delta="Hm"),
    item_done(0, REASONING),
    item_done(1, SEARCH),
    *text_item(2, "Fo", "ur.", annotations=[URL], logprobs=LOGPROBS),
    event("refusal.delta", output_index=3, content_index=0, delta="No."),
    item_done(3, {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}),
    *call_item(4, '{"city":', '"Paris"}'),
    item_done(5, {"type": "image_generation_call", "result": "iVBOR", "output_format": "png"}),
    ended(output=[REASONING, SEARCH], incomplete_details=None, error=None),
]


@each_case("odd", [None, 5, -1.5, "odd", [], {}, ["odd"], {"odd": 1}, 10**30])
def test_a_field_of_another_type_never_raises(odd: Any) -> None:
    for number, original in enumerate(EVERYTHING):
        for path in [*paths(original)][:: every(4)]:
            changed = replaced(original, path, odd)
            name = original["type"]
            parser = ResponsesParser()
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
        dialect = ResponsesDialect()
        decoder, parser = dialect.decoder(), dialect.parser()
        cut: list[Event] = []
        for begin in range(0, len(body), size):
            cut += parser.feed(decoder.feed(body[begin : begin + size]))
        assert cut == whole
