"""Gemini: chunks to events, for both framings."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from engine import events
from engine.answering.accumulate import Accumulator
from engine.errors import Category, EngineError
from engine.events import Event
from engine.messages import (
    Audio,
    Citation,
    FinishReason,
    Image,
    Message,
    PartialToolCall,
    Refusal,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    Usage,
    VendorItem,
)
from engine.providers.gemini import parser as gemini_parser
from engine.providers.gemini.dialect import GeminiArrayDialect, GeminiDialect
from engine.providers.gemini.types import Candidate
from tests.cases import each_case
from tests.providers.streams import data, read
from tests.volume import examples

SSE, ARRAY = GeminiDialect(), GeminiArrayDialect()
JSON = dict[str, Any]


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)


def parts(*parts: JSON, finish: str | None = None, **more: Any) -> JSON:
    candidate: JSON = {"content": {"parts": list(parts), "role": "model"}, "index": 0, **more}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-2.5-flash", "responseId": "r1"}


def replay(dialect: GeminiDialect, pieces: Iterable[bytes]) -> tuple[list[Event], bool]:
    decoder, parser = dialect.decoder(), dialect.parser()
    seen = [event for piece in pieces for event in parser.feed(decoder.feed(piece))]
    seen += parser.feed(decoder.finish())
    if not parser.complete:
        seen += parser.finish()
    return seen, parser.complete


def streamed(*chunks: Any) -> list[Event]:
    return replay(SSE, [sse(*chunks)])[0]


def message(seen: list[Event]) -> Message:
    accumulator = Accumulator()
    accumulator.extend(seen)
    return accumulator.message("gemini")


def done(seen: list[Event]) -> events.Done:
    (last,) = [event for event in seen if isinstance(event, events.Done)]
    assert seen[-1] is last
    return last


def failure(seen: list[Event]) -> EngineError:
    last = seen[-1]
    assert isinstance(last, events.StreamError)
    return last.error


# -- text and the end --------------------------------------------------------------------------

HELLO = [
    {**parts({"text": "Hel"}), "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}},
    {
        **parts({"text": "lo"}, finish="STOP"),
        "usageMetadata": {
            "promptTokenCount": 4,
            "candidatesTokenCount": 2,
            "thoughtsTokenCount": 30,
            "cachedContentTokenCount": 1,
            "totalTokenCount": 36,
        },
    },
]
HELLO_USAGE = Usage(4, 32, 36, cached_tokens=1, reasoning_tokens=30)


def test_text_arrives_as_it_comes_and_ends_with_the_bytes() -> None:
    decoder, parser = SSE.decoder(), SSE.parser()
    first = parser.feed(decoder.feed(sse(HELLO[0])))
    assert first == [
        events.Start("r1", "gemini-2.5-flash"),
        events.TextDelta("Hel"),
    ]
    assert parser.untold_usage() == Usage(4, None, 4)
    assert parser.feed(decoder.feed(sse(HELLO[1])))[0] == events.TextDelta("lo")
    assert not parser.complete  # a chunk with usage may follow
    assert parser.finish() == [
        events.UsageUpdate(HELLO_USAGE),
        events.Done(FinishReason.STOP, HELLO_USAGE, "STOP"),
    ]
    assert parser.complete


def test_bytes_that_end_without_a_finish_reason_are_not_complete() -> None:
    seen, complete = replay(SSE, [sse(HELLO[0])])
    assert not complete
    assert message(seen).text == "Hel"
    assert not any(isinstance(event, events.Done) for event in seen)


def test_usage_after_the_finish_reason_is_the_one_told() -> None:
    late = {"usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 9}}
    assert done(streamed(*HELLO, late)).usage == Usage(4, 9)


def test_a_finish_reason_may_be_taken_back() -> None:
    # What Google's test data has for recited text: STOP, and then RECITATION without content.
    last = {"candidates": [{"finishReason": "RECITATION", "index": 0}]}
    end = done(streamed(parts({"text": "x"}, finish="STOP"), last))
    assert (end.finish_reason, end.finish_reason_raw) == (FinishReason.CONTENT_FILTER, "RECITATION")


@each_case(
    ("word", "reason"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("BLOCKLIST", FinishReason.CONTENT_FILTER),
        ("PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER),
        ("SPII", FinishReason.CONTENT_FILTER),
        ("IMAGE_SAFETY", FinishReason.CONTENT_FILTER),
        ("MALFORMED_FUNCTION_CALL", FinishReason.ERROR),
        ("UNEXPECTED_TOOL_CALL", FinishReason.ERROR),
        ("LANGUAGE", FinishReason.CONTENT_FILTER),
        ("SOMETHING_NEW", FinishReason.UNKNOWN),
    ],
)
def test_each_finish_reason(word: str, reason: FinishReason) -> None:
    end = done(streamed(parts({"text": "x"}, finish=word)))
    assert (end.finish_reason, end.finish_reason_raw) == (reason, word)


def test_a_finish_reason_told_as_a_number_has_its_word() -> None:
    chunk = parts({"text": "x"})
    chunk["candidates"][0]["finishReason"] = 2
    assert done(streamed(chunk)).finish_reason_raw == "MAX_TOKENS"


def test_an_unspecified_finish_reason_is_none() -> None:
    assert not replay(SSE, [sse(parts({"text": "x"}, finish="FINISH_REASON_UNSPECIFIED"))])[1]


def test_the_last_event_needs_no_blank_line_where_its_json_is_whole() -> None:
    body = sse(*HELLO)
    assert replay(SSE, [body[:-2]])[1]
    assert not replay(SSE, [body[:-5]])[1]


def test_a_blocked_prompt_has_no_candidates_and_is_complete() -> None:
    feedback = {"blockReason": "SAFETY", "blockReasonMessage": "Not allowed"}
    seen = streamed({"promptFeedback": feedback}, {"promptFeedback": {"blockReason": 2}})
    end = done(seen)
    assert (end.finish_reason, end.finish_reason_raw) == (FinishReason.CONTENT_FILTER, "SAFETY")
    assert message(seen).parts == [Refusal("SAFETY")]
    assert events.Unknown("blockReasonMessage", "Not allowed") in seen


def test_a_block_without_a_message() -> None:
    seen = streamed({"promptFeedback": {"blockReason": 2}})
    assert message(seen).parts == [Refusal("OTHER")]


def test_feedback_without_a_block_changes_nothing() -> None:
    chunk = {**HELLO[1], "promptFeedback": {"safetyRatings": []}}
    assert done(streamed(chunk)).finish_reason is FinishReason.STOP


def test_tokens_of_googles_own_tools_belong_to_the_input() -> None:
    usage = {
        "promptTokenCount": 100,
        "toolUsePromptTokenCount": 20,
        "candidatesTokenCount": 3,
        "totalTokenCount": 123,
    }
    chunk = {**parts({"text": "x"}, finish="STOP"), "usageMetadata": usage}
    assert done(streamed(chunk)).usage == Usage(120, 3, 123)


# -- thoughts and signatures -------------------------------------------------------------------


def test_thoughts_are_thinking_and_a_signature_stays_with_its_part() -> None:
    seen = streamed(
        parts({"text": "Let me ", "thought": True}),
        parts({"text": "see", "thought": True}),
        parts({"text": "It is "}),
        parts({"text": "4", "thoughtSignature": "c2Vh"}),
        parts({"text": ", yes."}),
        parts({"text": "", "thoughtSignature": "bA=="}, finish="STOP"),
    )
    assert message(seen).parts == [
        Thinking("Let me see"),
        Text("It is "),
        Text("4", signature="c2Vh"),
        Text(", yes."),
        Thinking("", signature="bA=="),
    ]
    assert message(seen).text == "It is 4, yes."


# -- calls -------------------------------------------------------------------------------------

WEATHER = {"name": "get_weather", "args": {"city": "Paris"}}


def test_a_call_comes_whole_and_keeps_id_and_signature() -> None:
    call = {"functionCall": {"id": "8f2c", **WEATHER}, "thoughtSignature": "c2Vh"}
    seen = streamed(parts(call, {"functionCall": {"id": "8f2d", "name": "now"}}, finish="STOP"))
    assert [event for event in seen if getattr(event, "index", 1) == 0][1:4] == [
        events.ToolCallStart("8f2c", "get_weather"),
        events.ToolCallDelta('{"city": "Paris"}'),
        events.ToolCallDone(ToolCall("8f2c", "get_weather", '{"city": "Paris"}', "c2Vh")),
    ]
    assert message(seen).tool_calls[1] == ToolCall("8f2d", "now", "{}")
    assert done(seen).finish_reason is FinishReason.TOOL_USE
    assert done(seen).finish_reason_raw == "STOP"


def test_made_up_ids_differ_between_calls_and_answers_and_not_between_readings() -> None:
    def ids(response: str | None) -> list[str]:
        chunk = parts({"functionCall": WEATHER}, {"functionCall": WEATHER}, finish="STOP")
        chunk["responseId"] = response
        return [call.id for call in message(streamed(chunk)).tool_calls]

    assert ids("a") == ids("a")
    every = [*ids("a"), *ids("b"), *ids(None), *ids(None)]
    assert len(set(every)) == len(every)
    assert {len(id) for id in every} == {22}


def piece(*arguments: JSON, more: bool = True, **call: Any) -> JSON:
    call = {**call, "partialArgs": list(arguments)} if arguments else call
    return parts({"functionCall": {**call, "willContinue": True} if more else call})


def test_a_call_may_come_value_by_value() -> None:
    seen = streamed(
        piece(name="cook"),
        piece({"jsonPath": "$.dish.name", "stringValue": "La", "willContinue": True}),
        piece({"jsonPath": "$.dish.name", "stringValue": "sagna", "willContinue": True}),
        piece({"jsonPath": "$.dish.name", "stringValue": ""}),
        piece({"jsonPath": "$.dish.steps[0].text", "stringValue": "Boil"}),
        piece({"jsonPath": "$.dish.steps[1]['time in s']", "numberValue": 90}),
        piece({"jsonPath": "$.dish.steps[0].text", "stringValue": " it"}),
        piece({"jsonPath": "$.hot", "boolValue": False}, {"jsonPath": "$.hot", "boolValue": True}),
        piece({"jsonPath": "$.marks[0]", "numberValue": 1}),
        piece({"jsonPath": "$.marks[0]", "numberValue": 2.5}),
        piece({"jsonPath": "$.later", "willContinue": True}),
        piece({"jsonPath": '$.wine["a.b"]', "nullValue": None}),
        piece(more=False),
        parts({"functionCall": {}}, finish="STOP"),  # the end of nothing
    )
    (call,) = message(seen).tool_calls
    assert call.input == {
        "dish": {"name": "Lasagna", "steps": [{"text": "Boil it"}, {"time in s": 90}]},
        "hot": True,
        "marks": [2.5],
        "wine": {"a.b": None},
    }


@each_case(
    "path",
    ["", "$", "id", "$.a[99999999]", "$..a", "$.a[*]", "$.a.b", "$.a[0]", "$[0]", "$" + ".a" * 99],
)
def test_arguments_in_an_impossible_place_are_never_handed_over(path: str) -> None:
    seen = streamed(
        piece(name="cook"),
        piece({"jsonPath": "$.a", "numberValue": 1}),
        piece({"jsonPath": path, "stringValue": "x"}),
        piece(more=False),
        parts(finish="STOP"),
    )
    assert message(seen).tool_calls == []
    assert isinstance(message(seen).parts[0], PartialToolCall)
    assert done(seen).finish_reason is FinishReason.ERROR


def test_a_call_that_was_cut_is_never_handed_over() -> None:
    seen = streamed(piece(name="cook"), piece({"jsonPath": "$.a", "stringValue": "x"}))
    assert message(seen).tool_calls == []


# -- other parts -------------------------------------------------------------------------------


def test_code_that_ran_is_a_part_as_it_came() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1+1"}, "thoughtSignature": "c2Vh"}
    result = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}}
    seen = streamed(parts(code), parts(result), parts({"text": "2"}, finish="STOP"))
    assert message(seen).parts == [
        ServerTool("executableCode", code),
        ServerTool("codeExecutionResult", result),
        Text("2"),
    ]


def test_images_are_whole_parts() -> None:
    blob = {"inlineData": {"mimeType": "image/png", "data": "iVBO"}, "thoughtSignature": "c2Vh"}
    seen = streamed(parts({"text": "Here:"}), parts(blob, finish="STOP"))
    assert message(seen).parts == [
        Text("Here:"),
        Image(data="iVBO", media_type="image/png"),
        Thinking("", signature="c2Vh"),
    ]


def test_a_part_of_a_new_kind_is_kept_for_the_next_turn() -> None:
    new = {"hologram": {"layers": 3}}
    seen = streamed(parts({"text": "x"}, new))
    assert message(seen).parts == [Text("x"), VendorItem("hologram", new, "gemini")]


def test_sound_is_sound_and_other_data_is_kept() -> None:
    pieces = [{"inlineData": {"mimeType": "audio/pcm", "data": data}} for data in ("AAAA", "BBBB")]
    paper = {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}}
    seen = streamed(parts(*pieces), parts(paper, finish="STOP"))
    assert message(seen).parts == [
        Audio("AAAABBBB", "audio/pcm"),
        VendorItem("inlineData", paper, "gemini"),
    ]


def test_candidates_are_choices() -> None:
    def chunk(finish: str | None, *texts: str) -> JSON:
        return {
            "candidates": [
                {"index": i, "content": {"parts": [{"text": t}]}, "finishReason": finish}
                for i, t in enumerate(texts)
            ]
        }

    seen = streamed(chunk(None, "A", "B"), chunk("STOP", "a", "b"))
    accumulator = Accumulator()
    accumulator.extend(seen)
    assert [accumulator.message(None, choice).text for choice in (0, 1)] == ["Aa", "Bb"]
    assert done(seen).finish_reason is FinishReason.STOP
    # One that never said why it ended was cut.
    assert not replay(SSE, [sse(chunk("STOP", "A"), chunk(None, "", "B"))])[1]


def test_citations_belong_to_the_text_and_come_once() -> None:
    source = {"startIndex": 0, "endIndex": 3, "uri": "https://e.org", "license": "MIT"}
    cited = {"citationMetadata": {"citationSources": [source]}}
    seen = streamed(parts({"text": "abc"}, **cited), parts({"text": "d"}, finish="STOP", **cited))
    assert message(seen).parts == [
        Text("abcd", [Citation("https://e.org", None, None, source)]),
    ]


def test_grounding_is_a_citation_for_each_passage_and_source() -> None:
    web = {"web": {"uri": "https://e.org", "title": "E"}}
    file = {"retrievedContext": {"title": "F", "text": "…"}}
    support = {"segment": {"endIndex": 3, "text": "abc"}, "groundingChunkIndices": [0, 1, 7]}
    grounding = {"groundingChunks": [web, file], "groundingSupports": [support]}
    seen = streamed(parts({"text": "abc"}, finish="STOP", groundingMetadata=grounding))
    (text,) = message(seen).parts
    assert isinstance(text, Text)
    assert [(c.url, c.title, c.quote) for c in text.citations] == [
        ("https://e.org", "E", "abc"),
        (None, "F", "abc"),
    ]
    assert text.citations[0].data == {"groundingChunk": web, "groundingSupport": support}
    assert events.Unknown("groundingMetadata", grounding) in seen


def test_sources_without_passages_are_citations_too() -> None:
    grounding = {"groundingChunks": [{"web": {"uri": "https://e.org"}}]}
    seen = streamed(parts(finish="STOP", groundingMetadata=grounding))
    assert message(seen).parts[0] == Text(
        "", [Citation("https://e.org", data={"groundingChunk": grounding["groundingChunks"][0]})]
    )


def test_logprobs_of_the_chosen_tokens() -> None:
    chosen = [{"token": "a", "logProbability": -0.1}, {"token": "b", "logProbability": -0.2}]
    top = [{"candidates": [{"token": "a"}, {"token": "c"}]}]
    result = {"chosenCandidates": chosen, "topCandidates": top}
    seen = streamed(parts({"text": "ab"}, finish="STOP", logprobsResult=result))
    accumulator = Accumulator()
    accumulator.extend(seen)
    assert accumulator.logprobs == [
        {**chosen[0], "topCandidates": top[0]["candidates"]},
        chosen[1],
    ]


# -- errors ------------------------------------------------------------------------------------

OVERLOADED = {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}


@each_case(
    "error",
    [OVERLOADED, [OVERLOADED], {"message": "Overloaded.", "status": "UNAVAILABLE"}],
    ids=["bare", "in a list", "without its wrapping"],
)
def test_an_error_inside_the_stream_ends_it_and_keeps_what_came(error: Any) -> None:
    seen = streamed(HELLO[0], error, HELLO[1])
    assert failure(seen).category is Category.SERVER
    assert failure(seen).retryable
    assert message(seen).text == "Hel"
    assert events.UsageUpdate(Usage(4, None, 4)) in seen


def test_an_error_as_the_first_chunk_is_no_start() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}]
    quota = {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Slow", "details": details}
    (only,) = streamed({"error": quota})
    assert failure([only]).category is Category.RATE_LIMIT
    assert failure([only]).retry_after == 17


@each_case("data", [b"nonsense", b"[]", b"[1]", b"1", b"null"])
def test_a_record_that_is_no_object_cannot_be_a_word_and_is_told(data: bytes) -> None:
    seen, complete = replay(SSE, [b"data: " + data + b"\n\n" + sse(*HELLO)])
    assert message(seen).text == "Hello"
    assert complete
    assert isinstance(seen[0], events.Unknown)


@each_case("data", [b"[{", b'{"candidates":3}', b'{"candidates":[{"content":"x"}]}'])
def test_what_is_no_chunk_is_a_protocol_error(data: bytes) -> None:
    seen, complete = replay(SSE, [b"data: " + data + b"\n\n"])
    assert failure(seen).category is Category.PROTOCOL
    assert not complete


@each_case("body", [b"{}", b"[]", b'{"models":[]}'])
def test_nothing_that_is_no_answer_passes_for_one(body: bytes) -> None:
    assert failure(SSE.parse_answer(body)).category is Category.PROTOCOL


# -- the other framing, whole answers, wrappers -------------------------------------------------


def test_the_array_form_gives_the_same_in_any_pieces() -> None:
    body = json.dumps(HELLO, indent=2).encode().replace(b"\n  },", b"\n  }\n,\r\n")
    expected = message(streamed(*HELLO))
    for size in (1, 7, 64, len(body)):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        seen, complete = replay(ARRAY, pieces)
        assert complete
        assert message(seen) == expected
        assert done(seen) == events.Done(FinishReason.STOP, HELLO_USAGE, "STOP")


def test_an_array_that_comes_unasked_is_a_stream() -> None:
    """As behind a gateway that drops ``alt=sse``."""
    body = json.dumps(HELLO, indent=2).encode()
    reading = read("gemini", body, content_type="application/json")
    assert (reading.status, reading.text) == ("complete", "Hello")
    cut = read("gemini", body[: body.rindex(b"{")], content_type="application/json; charset=UTF-8")
    assert cut.status == "truncated"
    assert cut.text
    failed = read("gemini", json.dumps([HELLO[0], OVERLOADED]).encode(), content_type="text/plain")
    assert failed.status == "error"
    assert failed.text == cut.text
    assert failed.error is not None
    assert failed.error.category is Category.SERVER
    asked_whole = read("gemini", body, content_type="application/json", streaming=False)
    assert (asked_whole.status, asked_whole.text) == ("complete", "Hello")


def test_an_answer_without_a_candidate_is_none_however_it_comes() -> None:
    counted = {"usageMetadata": {"promptTokenCount": 3}, "responseId": "r", "modelVersion": "g"}
    for empty in (counted, {**counted, "candidates": []}):
        whole = read("gemini", json.dumps(empty).encode(), content_type="application/json")
        streams = read("gemini", data(empty))
        assert (whole.status, streams.status) == ("truncated", "truncated")
    blocked = {**counted, "promptFeedback": {"blockReason": "SAFETY"}}
    reading = read("gemini", json.dumps(blocked).encode(), content_type="application/json")
    assert (reading.status, reading.finish) == ("complete", FinishReason.CONTENT_FILTER)


def test_an_error_as_an_element_of_the_array_ends_the_stream() -> None:
    seen, _ = replay(ARRAY, [json.dumps([HELLO[0], OVERLOADED]).encode()])
    assert failure(seen).category is Category.SERVER


def test_an_error_in_place_of_the_array_is_that_error() -> None:
    seen, _ = replay(ARRAY, [json.dumps(OVERLOADED).encode()])
    assert failure(seen).category is Category.SERVER


def test_invalid_utf8_in_the_array_is_replaced() -> None:
    body = json.dumps([parts({"text": "?"}, finish="STOP")]).encode().replace(b"?", b"\xff")
    assert message(replay(ARRAY, [body])[0]).text == "�"


def test_an_answer_that_was_not_streamed_gives_the_same_events() -> None:
    whole = {**HELLO[1], **parts({"text": "Hello"}, finish="STOP")}
    for body in (whole, HELLO):
        seen = SSE.parse_answer(json.dumps(body).encode())
        assert message(seen) == message(streamed(*HELLO))
        assert done(seen).usage == HELLO_USAGE


def test_chunks_inside_a_response_are_read() -> None:
    seen = streamed(*[{"response": chunk} for chunk in HELLO])
    assert message(seen) == message(streamed(*HELLO))


def test_no_cut_and_no_misfit_field_breaks_the_parser() -> None:
    rng = random.Random(7)
    call = {"functionCall": WEATHER, "thoughtSignature": "c2Vh"}
    grounded = {"groundingMetadata": {"groundingChunks": [{"web": {}}], "groundingSupports": [{}]}}
    original = [*HELLO, parts(call, {"x": 1}), parts({"text": "z"}, finish="STOP", **grounded)]

    def bent(value: Any) -> Any:
        if rng.random() < 0.08:
            return rng.choice([None, 1, "x", [], {}, True, [None], {"a": 1}, "\ud83d"])
        if isinstance(value, dict):
            return {key: bent(inner) for key, inner in value.items() if rng.random() > 0.05}
        return [bent(inner) for inner in value] if isinstance(value, list) else value

    for _ in range(examples(1500)):
        chunks = [bent(chunk) for chunk in original]
        seen, complete = replay(SSE, [sse(*chunks)])
        ends = [e for e in seen if isinstance(e, events.Done | events.StreamError)]
        assert ends == seen[-1:] if complete else len(ends) <= 1
        message(seen)
        SSE.parse_answer(json.dumps(chunks[0]).encode())


def test_a_part_that_is_no_json_costs_no_word_before_it() -> None:
    broken = b'data: {"candidates":[{"content":{"parts":[{"te\x1b[":"B"}]}}]}\r\n\r\n'
    told, complete = replay(GeminiDialect(), [sse(parts({"text": "A"})) + broken])
    assert not complete
    assert [e.text for e in told if isinstance(e, events.TextDelta)] == ["A"]
    assert isinstance(told[-1], events.StreamError)
    assert told[-1].error.category is Category.PROTOCOL


# What may stand beside the text of a candidate, and says something.
BESIDE: JSON = {
    "index": 1, "finishReason": "MAX_TOKENS", "finishMessage": "m",
    "citationMetadata": {"citationSources": [{"uri": "u"}]},
    "groundingMetadata": {"webSearchQueries": ["q"]}, "urlContextMetadata": {"urlMetadata": [1]},
    "logprobsResult": {"chosenCandidates": [{"token": "a", "logProbability": -1}]},
}  # fmt: skip


def test_all_that_may_stand_beside_text_is_tried() -> None:
    assert {*BESIDE, "content"} == {*Candidate.__struct_fields__}


@each_case("name", BESIDE)
def test_what_stands_beside_text_is_told(name: str) -> None:
    text = parts({"text": "a"})
    chunks = [text, text, parts({"text": "b"}, **{name: BESIDE[name]})]

    def refuse(data: bytes) -> Any:
        raise msgspec.ValidationError("looked at closely")

    at_once = streamed(*chunks), streamed(*chunks, text)
    assert at_once[0] != streamed(text, text, parts({"text": "b"}))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gemini_parser, "decode_plain", refuse)
        assert (streamed(*chunks), streamed(*chunks, text)) == at_once
