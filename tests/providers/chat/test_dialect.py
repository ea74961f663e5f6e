"""Chat Completions: chunks, written from the vendors' documents, become events."""

from __future__ import annotations

import json
from typing import Any

from engine.answering.accumulate import Accumulator
from engine.errors import Category, ProtocolError
from engine.events import (
    CitationDelta,
    Done,
    Event,
    ImageDone,
    LogprobsDelta,
    Ping,
    RedactedThinkingDone,
    RefusalDelta,
    ServerToolDone,
    ServerToolStart,
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
    Audio,
    FinishReason,
    Image,
    Message,
    PartialToolCall,
    RedactedThinking,
    ToolCall,
    Usage,
)
from engine.providers.chat.dialect import ChatDialect, ChatParser
from engine.providers.contract import Endpoint
from engine.request import ModelRequest
from engine.wire import SSERecord
from tests.cases import each_case

DONE = SSERecord(b"[DONE]")


def record(data: Any, event: str = "message") -> SSERecord:
    return SSERecord(data if isinstance(data, bytes) else json.dumps(data).encode(), event)


def choice(finish: str | None = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish}


def chunk(finish: str | None = None, **delta: Any) -> SSERecord:
    return record({"id": "c1", "model": "m", "choices": [choice(finish, **delta)]})


def parse(*records: SSERecord) -> list[Event]:
    parser = ChatParser()
    events = parser.feed(list(records))
    failed = bool(events) and isinstance(events[-1], StreamError)
    if not parser.complete and not failed:
        events += parser.finish()
    assert parser.complete is (bool(events) and isinstance(events[-1], Done))
    return events


def message(events: list[Event], number: int = 0) -> Message:
    accumulator = Accumulator()
    accumulator.extend(events)
    return accumulator.message("p", number)


def of(kind: type[Event], events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_the_events_of_an_answer() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    events = parse(
        chunk(role="assistant", content=""),
        chunk(content="Hel"),
        chunk(content="lo"),
        chunk("stop"),
        record({"id": "c1", "choices": [], "usage": usage}),
        DONE,
    )
    counts = Usage(3, 2, 5)
    assert events == [
        Start("c1", "m"),
        TextDelta("Hel"),
        TextDelta("lo"),
        UsageUpdate(counts),
        Done(FinishReason.STOP, counts, "stop"),
    ]


@each_case(
    ("records", "text"),
    [
        # llama-server: the first delta has content null. Azure: the first chunk has no choices.
        ([chunk(role="assistant", content=None), chunk("stop", content="a"), DONE], "a"),
        ([record({"choices": [], "prompt_filter_results": []}), chunk(content="a"), DONE], "a"),
        # transformers serve: no finish_reason but at the end, no [DONE].
        ([record({"choices": [{"delta": {"content": "a"}}]}), chunk("stop")], "a"),
        # Perplexity repeats the whole message beside the delta.
        (
            [
                record({"choices": [{**choice(content="a"), "message": {"content": "a"}}]}),
                record({"choices": [{**choice("stop"), "message": {"content": "a"}}]}),
            ],
            "a",
        ),
        # LiteLLM: the usage chunk has an empty choice, after the finish reason.
        (
            [
                chunk(content="a"),
                chunk("stop"),
                record({"choices": [choice()], "usage": {"total_tokens": 1}}),
            ],
            "a",
        ),
        # null for everything that could be missing.
        (
            [record({"choices": None, "usage": None, "error": None}), chunk("stop", content="a")],
            "a",
        ),
        ([record({"choices": [{"delta": None}]}), chunk("stop", content="a")], "a"),
        # More after the marker does not count.
        ([chunk(content="a"), DONE, chunk(content="b"), record(b"{")], "a"),
        ([chunk(content="a"), SSERecord(b" [DONE]\r")], "a"),
        # Text as parts (Mistral), strings among them.
        ([chunk("stop", content=[{"type": "text", "text": "a"}, "b", 3, {"type": "x"}])], "ab"),
        # A lone surrogate is replaced.
        ([record(rb'{"choices":[{"delta":{"content":"a\ud83d"}}]}'), DONE], "a\ufffd"),
        # An older or newer field of an unexpected type does not lose the text.
        (
            [
                record(
                    {
                        "id": 7,
                        "choices": [{**choice("stop", content="a"), "logprobs": [1]}],
                        "usage": "none",
                        "citations": {},
                    }
                )
            ],
            "a",
        ),
    ],
)
def test_what_servers_leave_out_or_add(records: list[SSERecord], text: str) -> None:
    events = parse(*records)
    assert isinstance(events[-1], Done), events
    assert message(events).text == text


@each_case(
    ("delta", "thinking"),
    [
        ({"reasoning_content": "hm"}, "hm"),
        ({"reasoning": "hm"}, "hm"),
        ({"thinking": "hm"}, "hm"),
        ({"reasoning_content": "hm", "reasoning": "hm"}, "hm"),
        ({"reasoning_content": None, "reasoning": "hm", "content": None}, "hm"),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}, "hm"),
        ({"content": [{"type": "thinking", "thinking": "hm"}]}, "hm"),
        ({"reasoning": {"unknown": "shape"}}, ""),
    ],
)
def test_reasoning_has_many_names_and_is_never_doubled(
    delta: dict[str, Any], thinking: str
) -> None:
    events = parse(chunk(**delta), chunk("stop", content="so"), DONE)
    assert message(events).thinking == thinking
    assert message(events).text == "so"
    blocks = [event.index for event in events if isinstance(event, ThinkingDelta | TextDelta)]
    assert blocks == sorted(set(blocks))


def test_text_after_a_tool_call_is_a_block_of_its_own() -> None:
    call = {"index": 0, "id": "1", "function": {"name": "f", "arguments": "{}"}}
    events = parse(
        chunk(content="a"), chunk(tool_calls=[call]), chunk(content="b"), chunk("tool_calls")
    )
    kinds = [type(part).__name__ for part in message(events).parts]
    assert kinds == ["Text", "ToolCall", "Text"]


def piece(arguments: Any = None, **facts: Any) -> dict[str, Any]:
    function = {"arguments": arguments} if arguments is not None else {}
    if "name" in facts:
        function["name"] = facts.pop("name")
    return {**facts, "function": function}


A, B = ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", '{"y":2}')

CALLS: list[tuple[str, list[list[dict[str, Any]]], list[ToolCall]]] = [
    (
        "in pieces, one after the other",
        [
            [piece("", index=0, id="a", name="f")],
            [piece('{"x"', index=0)],
            [piece(":1}", index=0)],
            [piece('{"y":', index=1, id="b", name="g")],
            [piece("2}", index=1)],
        ],
        [A, B],
    ),
    (
        "interleaved",
        [
            [piece('{"x"', index=0, id="a", name="f"), piece('{"y"', index=1, id="b", name="g")],
            [piece(":2}", index=1), piece(":1}", index=0)],
        ],
        [A, B],
    ),
    (
        "whole, without an index",
        [[piece('{"x":1}', id="a", name="f")], [piece('{"y":2}', id="b", name="g")]],
        [A, B],
    ),
    (
        "pieces without an index go on by id",
        [
            [piece('{"x"', id="a", name="f")],
            [piece('{"y"', id="b", name="g")],
            [piece(":1}", id="a")],
            [piece(":2}", id="b")],
        ],
        [A, B],
    ),
    (
        "pieces without index or id go on with the last",
        [[piece('{"x"', id="a", name="f")], [piece(":1}")]],
        [A],
    ),
    (
        "all with the index 0 and ids of their own",
        [
            [
                piece('{"x":1}', index=0, id="a", name="f"),
                piece('{"y":2}', index=0, id="b", name="g"),
            ]
        ],
        [A, B],
    ),
    ("an index that begins at 1", [[piece('{"x":1}', index=1, id="a", name="f")]], [A]),
    (
        "the name in each piece",
        [[piece('{"x"', index=0, id="a", name="f")], [piece(":1}", index=0, id="a", name="f")]],
        [A],
    ),
    ("arguments as an object", [[piece({"x": 1}, index=0, id="a", name="f")]], [A]),
    ("no arguments at all", [[piece(None, index=0, id="a", name="f")]], [ToolCall("a", "f", "{}")]),
    ("blank arguments", [[piece(" ", index=0, id="a", name="f")]], [ToolCall("a", "f", "{}")]),
    ("a piece of nothing", [[piece("")], [{}], [piece('{"x":1}', index=0, id="a", name="f")]], [A]),
    *(
        (
            f"told once more at the end, {how}",
            [
                [piece('{"x":1}', index=0, id="a", name="f")],
                [piece('{"y":2}', index=1, id="b", name="g")],
                [piece('{"x":1}', id="a", **more), piece('{"y":2}', id="b", index=1, **last)],
            ],
            [A, B],
        )
        for how, more, last in (
            ("whole", {"index": 0, "name": "f"}, {"name": "g"}),
            ("without names", {"index": 0}, {}),
            ("without an index", {"name": "f"}, {"name": "g"}),
        )
    ),
    (
        "under one index, the second told once more",
        [
            [piece('{"x":1}', index=0, id="a", name="f")],
            [piece('{"y":2}', index=0, id="b", name="g"), piece('{"y":2}', index=0, id="b")],
        ],
        [A, B],
    ),
    (
        "an id that changes without a name is the same call",
        [[piece('{"x"', index=0, id="a", name="f")], [piece(":1}", index=0, id="z")]],
        [A],
    ),
]


@each_case(("deltas", "calls"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS])
def test_tool_calls(deltas: list[list[dict[str, Any]]], calls: list[ToolCall]) -> None:
    events = parse(*(chunk(tool_calls=pieces) for pieces in deltas), chunk("tool_calls"), DONE)
    assert message(events).tool_calls == calls
    for call in calls:
        (begun,) = (event for event in of(ToolCallStart, events) if event.id == call.id)
        text = "".join(e.arguments for e in of(ToolCallDelta, events) if e.index == begun.index)
        assert text.strip() in (call.arguments, "")
        assert ToolCallDone(call, begun.index) in events
    assert events[-1] == Done(FinishReason.TOOL_USE, None, "tool_calls")


def test_calls_without_an_id_get_one_that_is_their_own() -> None:
    whole = [piece('{"x":1}', name="f"), piece('{"y":2}', name="f")]
    repeated = [piece('{"x":', index=0, name="f"), piece("1}", index=0, name="f")]
    two = message(parse(chunk("tool_calls", tool_calls=whole))).tool_calls
    assert [(call.name, call.arguments) for call in two] == [("f", '{"x":1}'), ("f", '{"y":2}')]
    assert two[0].id != two[1].id
    (one,) = message(parse(chunk("tool_calls", tool_calls=repeated))).tool_calls
    assert (one.name, one.arguments) == ("f", '{"x":1}')


@each_case(
    ("arguments", "finish", "whole"),
    [
        ('{"x":', "tool_calls", False),
        ('{"x":1} extra', "tool_calls", False),
        ('{"x":1}', "length", False),  # the format has no marker that a call is over
        ('{"x":1}', "tool_calls", True),
        ("", "length", False),
        ("", "stop", True),
    ],
)
def test_a_call_that_is_not_whole_is_never_handed_over(
    arguments: str, finish: str, whole: bool
) -> None:
    call = piece(arguments, index=0, id="a", name="f")
    events = parse(chunk(tool_calls=[call]), chunk(finish), DONE)
    assert bool(of(ToolCallDone, events)) is whole
    if not whole:
        assert message(events).parts == [PartialToolCall("a", "f", arguments)]


def test_a_call_of_a_stream_that_was_cut_is_not_handed_over() -> None:
    events = parse(chunk(tool_calls=[piece('{"x":1}', index=0, id="a", name="f")]))
    assert not of(ToolCallDone, events)
    assert not of(Done, events)


def test_the_function_call_of_old_models() -> None:
    events = parse(
        chunk(function_call={"name": "f", "arguments": '{"x"'}),
        chunk(function_call={"arguments": ":1}"}),
        chunk("function_call"),
    )
    (call,) = message(events).tool_calls
    assert (call.name, call.input) == ("f", {"x": 1})
    assert isinstance(events[-1], Done)
    assert events[-1].finish_reason is FinishReason.TOOL_USE


def test_stop_after_a_tool_call_is_tool_use() -> None:
    events = parse(chunk(tool_calls=[piece("{}", index=0, id="a", name="f")]), chunk("stop"))
    assert events[-1] == Done(FinishReason.TOOL_USE, None, "stop")


@each_case(
    ("word", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("eos", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("model_length", FinishReason.LENGTH),
        ("tool_calls", FinishReason.TOOL_USE),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("insufficient_system_resource", FinishReason.ERROR),
        ("tomorrow", FinishReason.UNKNOWN),
        (None, FinishReason.UNKNOWN),
    ],
)
def test_finish_reasons_keep_the_providers_word(word: str | None, reason: FinishReason) -> None:
    assert parse(chunk(word, content="a"), DONE)[-1] == Done(reason, None, word)


def test_alternatives_are_told_apart_and_all_must_finish() -> None:
    def both(**delta: Any) -> SSERecord:
        return record({"choices": [choice(**delta), choice(index=1, **delta)]})

    begun = [both(content="a"), record({"choices": [choice("length", 1, content="!")]})]
    assert not of(Done, parse(*begun))
    events = parse(*begun, chunk("stop", content="?"))
    assert message(events).text == "a?"
    assert message(events, 1).text == "a!"
    assert events[-1] == Done(FinishReason.STOP, None, "stop")
    late = parse(chunk("stop", content="a"), record({"choices": [choice("length", 1)]}), DONE)
    assert late[-1] == events[-1]  # the first choice's reason, whichever came last
    indexes = {(event.choice, event.index) for event in of(TextDelta, events)}
    assert len({index for _, index in indexes}) == 2


USAGES: list[tuple[dict[str, Any], Usage]] = [
    (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
        Usage(10, 5, 15, cached_tokens=4, reasoning_tokens=3),
    ),
    ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 8}, Usage(9, cached_tokens=8)),
    ({"prompt_tokens": 9, "cached_tokens": 8}, Usage(9, cached_tokens=8)),
    ({"prompt_tokens": 9, "cache_creation_input_tokens": 2}, Usage(9, cache_write_tokens=2)),
    ({"prompt_tokens": 9, "prompt_tokens_details": None}, Usage(9)),
    ({"prompt_tokens": -1, "completion_tokens": 2}, Usage(None, 2)),
    ({"prompt_tokens": 9.5, "completion_tokens": 2}, Usage(None, 2)),
]


@each_case(("given", "usage"), USAGES)
def test_usage_wherever_it_comes(given: dict[str, Any], usage: Usage) -> None:
    last = {"id": "c1", "choices": []}
    places = [
        record({**last, "usage": given}),
        record({**last, "x_groq": {"id": "r", "usage": given}}),
        record({"choices": [{**choice(), "usage": given}]}),  # Moonshot
        record({"usage": given}),
    ]
    for place in places:
        events = parse(chunk("stop", content="a"), place, record({**last, "usage": None}), DONE)
        assert UsageUpdate(usage) in events
        assert events[-1] == Done(FinishReason.STOP, usage, "stop")


def test_the_last_usage_that_says_something_wins() -> None:
    def counted(number: int | None) -> SSERecord:
        usage = {} if number is None else {"completion_tokens": number}
        return record({"choices": [choice(content="a")], "usage": usage})

    events = parse(counted(1), counted(2), counted(None), chunk("stop"), DONE)
    assert events[-1] == Done(FinishReason.STOP, Usage(None, 2), "stop")


@each_case(
    ("last", "category", "words"),
    [
        (
            {"error": {"message": "Overloaded", "type": "server_error"}},
            Category.SERVER,
            "Overloaded",
        ),
        ({"error": {"code": 429, "message": "Slow"}, "choices": []}, Category.RATE_LIMIT, "Slow"),
        ({"error": "it broke"}, Category.SERVER, "it broke"),
        ({"error": {"code": "502", "message": "Bad"}, "id": "c1"}, Category.SERVER, "Bad"),
        ({"x_groq": {"error": "over capacity"}}, Category.SERVER, "over capacity"),
        ({"object": "error", "message": "M", "code": 400}, Category.INVALID_ARG, "M"),
        ({"detail": "no such model"}, Category.NOT_FOUND, "no such model"),
        ({"message": "M", "type": "rate_limit_error"}, Category.RATE_LIMIT, "M"),
    ],
)
def test_an_error_inside_the_stream_ends_it(last: Any, category: Category, words: str) -> None:
    events = parse(chunk(content="kept"), record(last), chunk(content="late"), DONE)
    failure = events[-1]
    assert isinstance(failure, StreamError)
    assert failure.error.category is category
    assert words in str(failure.error)
    assert message(events).text == "kept"


def test_text_that_comes_with_an_error_does_not_follow_it() -> None:
    last = {"error": "it broke", "choices": [choice("error", content="late")]}
    events = parse(chunk(content="kept"), record(last))
    assert isinstance(events[-1], StreamError)
    assert message(events).text == "kept"


def test_an_event_named_error_is_one_whatever_it_holds() -> None:
    events = parse(record({"statusCode": 500, "reason": "x"}, event="error"))
    assert isinstance(events[-1], StreamError)


@each_case("data", [b"{", b"[1]", b"[" * 10**5, b'{"choices":[{"delta":"word"}]}'])
def test_a_record_whose_words_cannot_be_read_ends_the_stream(data: bytes) -> None:
    failure = parse(chunk(content="kept"), SSERecord(data), chunk("stop"))[-1]
    assert isinstance(failure, StreamError)
    assert isinstance(failure.error, ProtocolError)


@each_case("data", [b"<html>", b'"text"', b"\xff", b"null", b"[]", b"5", b"{}"])
def test_a_record_that_is_no_object_cannot_be_a_word_and_is_told(data: bytes) -> None:
    events = parse(chunk(content="a"), SSERecord(data), chunk(content="b"), chunk("stop"), DONE)
    assert message(events).text == "ab"
    assert events[-1] == Done(FinishReason.STOP, None, "stop")
    assert of(Unknown, events)


@each_case("ping", [SSERecord(b""), SSERecord(b"2026", "ping"), SSERecord(b"ping")])
def test_a_sign_of_life_is_a_ping(ping: SSERecord) -> None:
    events = parse(ping, chunk(content="a"), ping, chunk("stop"), DONE)
    assert message(events).text == "a"
    assert len(of(Ping, events)) == 2
    assert not of(Unknown, events)


@each_case("data", [b"{", b'{"choices":[{"delta":{"content":5}}]}', b'{"x":'])
def test_what_is_odd_after_the_finish_reason_spoils_nothing(data: bytes) -> None:
    events = parse(chunk("stop", content="a"), SSERecord(data), DONE)
    assert events[-1] == Done(FinishReason.STOP, None, "stop")
    assert of(Unknown, events)


def test_a_text_that_cannot_be_read_ends_the_stream_and_a_call_stays_partial() -> None:
    failure = parse(chunk(content=5), DONE)[-1]
    assert isinstance(failure, StreamError)
    assert isinstance(failure.error, ProtocolError)
    good = chunk(tool_calls=[piece('{"x":1}', index=0, id="a", name="f")])
    for odd in ("odd", [5], [{"index": 0, "function": {"arguments": 5.5}}]):
        events = parse(good, chunk(tool_calls=odd), chunk("tool_calls"), DONE)
        assert events[-1] == Done(FinishReason.ERROR, None, "tool_calls")
        assert message(events).parts == [PartialToolCall("a", "f", '{"x":1}')]
        assert of(Unknown, events)


def test_a_marker_alone_is_no_answer() -> None:
    for records in ([DONE], [record({"type": "transcript.text.delta", "delta": "x"}), DONE]):
        failure = parse(*records)[-1]
        assert isinstance(failure, StreamError)
        assert isinstance(failure.error, ProtocolError)
        assert "dialect" in str(failure.error)


@each_case("records", [[], [chunk(content="a")], [record({"choices": []})]])
def test_without_marker_and_finish_reason_nothing_is_complete(records: list[SSERecord]) -> None:
    assert not of(Done, parse(*records))


def test_refusals_logprobs_images_audio_and_server_tools() -> None:
    tool = {"type": "search", "arguments": "{}"}
    audio = {"id": "audio_1", "transcript": "Hel", "data": "UklG"}
    events = parse(
        record({"choices": [{**choice(content="a"), "logprobs": {"content": [{"token": "a"}]}}]}),
        chunk(refusal="I cannot"),
        chunk(refusal="."),
        chunk(images=[{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]),
        chunk(images=["https://x/i.png", 3]),
        chunk(audio=audio),
        chunk(executed_tools=[tool]),
        chunk(executed_tools=[{**tool, "output": "found"}]),
        chunk("stop"),
    )
    assert of(LogprobsDelta, events) == [LogprobsDelta([{"token": "a"}])]
    assert message(events).refusal == "I cannot."
    assert len({event.index for event in of(RefusalDelta, events)}) == 1
    images = [event.image for event in of(ImageDone, events)]
    assert images == [Image(data="AA==", media_type="image/png"), Image(url="https://x/i.png")]
    (unknown,) = of(Unknown, events)
    assert (unknown.name, unknown.data) == ("images", 3)
    assert Audio("UklG", None, "Hel", "audio_1") in message(events).parts
    assert [event.name for event in of(ServerToolStart, events)] == ["search"]
    (ran,) = of(ServerToolDone, events)
    assert (ran.tool.name, ran.tool.data["output"]) == ("search", "found")


def test_extras_that_come_with_an_empty_text_are_not_lost() -> None:
    events = parse(chunk(content="a"), chunk(content="", images=["https://x/i.png"]), chunk("stop"))
    assert len(of(ImageDone, events)) == 1


def test_citations_of_each_vendor() -> None:
    url = {"type": "url_citation", "url_citation": {"url": "https://a", "title": "A"}}
    events = parse(chunk(content="a"), chunk(annotations=[url, "odd", 3]), chunk("stop"))
    (first, odd) = (event.citation for event in of(CitationDelta, events))
    assert (first.url, first.title, first.data) == ("https://a", "A", url)
    assert odd.url == "odd"
    broken = {"type": "url_citation", "url_citation": 3}
    (event,) = of(CitationDelta, parse(chunk(content="a", annotations=[broken]), chunk("stop")))
    assert (event.citation.url, event.citation.data) == (None, broken)
    sources = [{"title": "A", "url": "https://a", "snippet": "words"}]
    perplexity = {"citations": ["https://a"], "search_results": sources, "usage": {}}
    for extra in (perplexity, {"citations": ["https://a"], "usage": {}}):
        events = parse(
            record({"choices": [choice(content="a")], **extra}),
            record({"choices": [choice("stop")], **extra}),
        )
        (event,) = of(CitationDelta, events)
        assert event.citation.url == "https://a"
        assert isinstance(events[-1], Done)


def test_reasoning_to_send_back_is_kept_whole() -> None:
    def details(**facts: Any) -> SSERecord:
        text = facts.get("text")
        detail = {"type": "reasoning.text", "index": 0, "format": "f", **facts}
        return chunk(reasoning=text, reasoning_details=[detail], content="")

    events = parse(
        details(text="I "),
        details(text="think"),
        details(signature="sig"),
        chunk(reasoning_details=[{"type": "reasoning.encrypted", "index": 1, "data": "enc"}]),
        chunk("stop", content="so"),
    )
    (sealed,) = of(RedactedThinkingDone, events)
    whole = [
        {
            "type": "reasoning.text",
            "index": 0,
            "format": "f",
            "text": "I think",
            "signature": "sig",
        },
        {"type": "reasoning.encrypted", "index": 1, "data": "enc"},
    ]
    assert json.loads(sealed.data) == {"reasoning_details": whole}
    assert message(events).thinking == "I think"
    assert RedactedThinking(sealed.data) in message(events).parts


def test_reasoning_without_a_seal_needs_no_sending_back() -> None:
    detail = {"type": "reasoning.text", "text": "hm", "index": 0}
    events = parse(chunk(reasoning="hm", reasoning_details=[detail, 3]), chunk("stop"))
    assert not of(RedactedThinkingDone, events)


def test_litellm_thinking_blocks_are_kept_whole() -> None:
    def block(**facts: Any) -> SSERecord:
        return chunk(thinking_blocks=[{"type": "thinking", **facts}])

    events = parse(block(thinking="a"), block(thinking="b"), block(signature="s"), chunk("stop"))
    (sealed,) = of(RedactedThinkingDone, events)
    whole = {"type": "thinking", "thinking": "ab", "signature": "s"}
    assert json.loads(sealed.data) == {"thinking_blocks": [whole]}


def test_geminis_seal_of_a_call_is_kept() -> None:
    call = piece(
        "{}", index=0, id="a", name="f", extra_content={"google": {"thought_signature": "s"}}
    )
    odd = piece("{}", index=1, id="b", name="g", extra_content={"google": 3})
    events = parse(chunk(tool_calls=[call, odd]), chunk("tool_calls"))
    assert [c.signature for c in message(events).tool_calls] == ["s", None]


def test_the_dialect_decodes_an_event_stream() -> None:
    dialect = ChatDialect()
    request = ModelRequest("m", [Message.user("hi")])
    assert dialect.path(request) == "/chat/completions"
    assert dialect.headers(request) == {}
    assert dialect.render(request, Endpoint("", ""))["model"] == "m"
    decoder, parser = dialect.decoder(), dialect.parser()
    data = b'data: {"choices":[{"delta":{"content":"a"}}]}\r\n\r\ndata: [DONE]\r\n\r\n'
    events = [event for byte in data for event in parser.feed(decoder.feed(bytes([byte])))]
    assert [type(event) for event in events] == [Start, TextDelta, Done]


def test_a_whole_answer_gives_the_same_events() -> None:
    dialect = ChatDialect()
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    body = {
        "id": "c1",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "tool_calls": [call]},
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
    events = dialect.parse_answer(json.dumps(body).encode())
    assert events[0] == Start("c1", "m")
    assert message(events).text == "Hi"
    assert message(events).tool_calls == [A]
    assert events[-1] == Done(FinishReason.TOOL_USE, Usage(1, 2, 3), "tool_calls")


@each_case("body", [b"", b"{", b"{}", b'{"foo":1}', b"[]", b"null", b"\xff{", b"[DONE]"])
def test_a_whole_answer_that_is_none_is_a_protocol_error(body: bytes) -> None:
    failure = ChatDialect().parse_answer(body)[-1]
    assert isinstance(failure, StreamError)
    assert isinstance(failure.error, ProtocolError)


def test_a_whole_answer_may_be_an_error() -> None:
    failure = ChatDialect().parse_answer(b'{"error":{"message":"No","code":"invalid_api_key"}}')[-1]
    assert isinstance(failure, StreamError)
    assert failure.error.category is Category.AUTH


def test_a_call_that_is_also_told_as_a_function_call_is_one() -> None:
    both = [
        chunk(
            tool_calls=[piece(part, index=0, id="a", name="f")],
            function_call={"name": "f", "arguments": part},
        )
        for part in ('{"x"', ":1}")
    ]
    (call,) = message(parse(*both, chunk("tool_calls"))).tool_calls
    assert (call.id, call.name, call.input) == ("a", "f", {"x": 1})


@each_case("index", [None, 0])
@each_case("whole", [True, False])
def test_equal_calls_of_one_chunk_under_one_id_are_as_many(index: int | None, whole: bool) -> None:
    """To roll two dice: an id that is the name of the function."""
    numbered = {} if index is None else {"index": index}
    calls = [piece('{"s":6}', id="roll", name="roll", **numbered) for _ in range(2)]
    if whole:
        said = {
            "message": {"role": "assistant", "tool_calls": calls},
            "finish_reason": "tool_calls",
        }
        events = ChatDialect().parse_answer(json.dumps({"choices": [said]}).encode())
    else:
        events = parse(chunk(tool_calls=calls), chunk("tool_calls"))
    one, two = message(events).tool_calls
    assert one.input == two.input == {"s": 6} and one.id != two.id


def told(id: str, index: int | None = 0) -> dict[str, Any]:
    numbered = {} if index is None else {"index": index}
    return piece('{"s":6}', id=id, name="roll", **numbered)


@each_case(
    ("chunks", "count"),
    [
        ([[piece("", id="a", name="roll", index=0), piece('{"s":6}', index=0), told("a")]], 1),
        ([[piece("", id="a", name="roll"), piece('{"s":6}'), told("a", None)]], 1),
        ([[told("a"), told("b", 1), told("a"), told("b", 1)]], 2),
        ([[told("a"), told("a")], [told("a"), told("a")]], 2),
        ([[told("a", None), told("a", None)], [told("a", None), told("a", None)]], 2),
        ([[told("a"), told("a")], [told("a")], [told("a")]], 2),
        ([[told("a"), told("a"), told("a")]], 3),
        ([[told("a", None), told("b", None), told("a", None)]], 3),
        ([[{**told("a"), "extra_content": {"google": {}}}, told("a")]], 2),
        ([[told("a")], [told("a")]], 1),
        ([[told("a")], [piece('{"s":6}', id="a", name="other", index=0)]], 2),
        ([[told("a"), told("b")]], 2),
    ],
)
def test_what_is_told_again_is_no_further_call(
    chunks: list[list[dict[str, Any]]], count: int
) -> None:
    events = parse(*(chunk(tool_calls=calls) for calls in chunks), chunk("tool_calls"))
    calls = message(events).tool_calls
    assert [call.input for call in calls] == [{"s": 6}] * count
    assert len({call.id for call in calls}) == count


def test_one_id_with_other_arguments_is_another_call() -> None:
    """Two calls are two: only what is the same in all is told once more."""
    first, second = piece('{"x":1}', index=0, id="a", name="f"), piece('{"x":2}', index=0, id="a")
    second["function"]["name"] = "f"
    events = parse(chunk(tool_calls=[first]), chunk(tool_calls=[second]), chunk("tool_calls"))
    one, two = message(events).tool_calls
    assert (one.input, two.input) == ({"x": 1}, {"x": 2}) and one.id != two.id
    apart = [piece('{"x":1}', index=n, id="a", name="f") for n in (0, 1)]
    assert len(message(parse(chunk(tool_calls=apart), chunk("tool_calls"))).tool_calls) == 2
    without_ids = [piece('{"x":1}', index=0, name="f")] * 2  # without ids nothing says so
    assert len(message(parse(chunk(tool_calls=without_ids), chunk("tool_calls"))).tool_calls) == 2
