"""Streams of Gemini's Interactions API, as its documentation and its recordings have them."""

from __future__ import annotations

import json
from typing import Any

import pytest

import engine
from engine import events
from engine.messages import (
    Citation,
    FinishReason,
    Image,
    PartialToolCall,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    Usage,
    VendorItem,
)
from tests.corpus import CORPUS
from tests.server import serve

ID = {"id": "v1_x", "status": "in_progress", "object": "interaction", "model": "gemini-x"}
COUNTS = {
    "total_tokens": 60,
    "total_input_tokens": 10,
    "total_tool_use_tokens": 5,
    "total_output_tokens": 25,
    "total_thought_tokens": 20,
    "total_cached_tokens": 4,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 10}],
}


def stream(*steps: list[dict[str, Any]], status: str = "completed", **facts: Any) -> bytes:
    """The bytes of a stream: each step is its beginning and its deltas."""
    told: list[dict[str, Any]] = [{"event_type": "interaction.created", "interaction": ID}]
    for index, (step, *deltas) in enumerate(steps):
        told.append({"event_type": "step.start", "index": index, "step": step})
        told += [{"event_type": "step.delta", "index": index, "delta": delta} for delta in deltas]
        told.append({"event_type": "step.stop", "index": index})
    end = {**ID, "status": status, "usage": COUNTS, "service_tier": "standard", **facts}
    return framed(*told, {"event_type": "interaction.completed", "interaction": end})


def framed(*told: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (one["event_type"].encode(), json.dumps(one).encode())
        for one in told
    )


def asked(multi: engine.Multi, body: bytes, whole: bool = False) -> Any:
    """The completion, and all events."""
    seen: list[Any] = []
    kind = "application/json" if whole else "text/event-stream"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    with serve(lambda peer: peer.send(head.encode() + body)) as server:
        client = engine.Client(
            multi,
            provider="gemini",
            dialect="interactions",
            base_url=server.url,
            api_key="k",
            retry=engine.Retry(max_attempts=1),
        )
        completion = client.stream("gemini-x", "hi", on_event=seen.append).result()
    return completion, seen


THOUGHT = [
    {"type": "thought"},
    {"type": "thought_summary", "content": {"type": "text", "text": "hm"}},
    {"type": "thought_signature", "signature": "SEAL"},
]
SOURCE = {"type": "url_citation", "url": "https://x", "title": "X", "start_index": 0}
SAID = [
    {"type": "model_output"},
    {"type": "text", "text": "Hi "},
    {"type": "text", "text": "there"},
    {"type": "text_annotation_delta", "annotations": [SOURCE]},
]
SEARCH = [
    {"type": "google_search_call", "id": "s1", "signature": ""},
    {"type": "google_search_call", "arguments": {"queries": ["q"]}},
]


def test_thoughts_words_sources_and_searches(multi: engine.Multi) -> None:
    completion, seen = asked(multi, stream(THOUGHT, SEARCH, SAID))
    assert completion.status == "complete"
    assert completion.finish_reason is FinishReason.STOP
    assert completion.message.parts == [
        Thinking("hm", "SEAL"),
        ServerTool("google_search_call", {**SEARCH[0], **SEARCH[1]}),
        Text("Hi there", [Citation("https://x", "X", None, SOURCE)]),
    ]
    assert (completion.message.id, completion.message.model) == ("v1_x", "gemini-x")
    assert completion.usage == Usage(15, 45, 60, 4, None, 20)
    assert completion.provider_metadata["service_tier"] == "standard"
    assert completion.provider_metadata["usage"] == COUNTS
    begun = [event for event in seen if isinstance(event, events.ServerToolStart)]
    assert [event.name for event in begun] == ["google_search_call"]
    assert not any(isinstance(event, events.Unknown) for event in seen)


CALL = {"type": "function_call", "id": "c1", "name": "f", "arguments": {}, "signature": "S"}


@pytest.mark.parametrize(
    ("deltas", "start"),
    [
        (
            [
                {"type": "arguments_delta", "arguments": '{"a":'},
                {"type": "arguments_delta", "arguments": "1}"},
            ],
            {},
        ),
        ([{"type": "arguments_delta", "partial_arguments": '{"a":1}'}], {}),
        ([{"type": "arguments", "partial_arguments": '{"a":1}'}], {}),
        ([{"type": "function_call", "arguments": {"a": 1}}], {}),
        ([], {"a": 1}),
    ],
)
def test_a_call_in_each_of_its_forms(
    multi: engine.Multi, deltas: list[dict[str, Any]], start: dict[str, Any]
) -> None:
    body = stream(THOUGHT, [{**CALL, "arguments": start}, *deltas], status="requires_action")
    completion, _ = asked(multi, body)
    assert completion.finish_reason is FinishReason.TOOL_USE
    (call,) = completion.message.tool_calls
    assert (call.id, call.name, call.input, call.signature) == ("c1", "f", {"a": 1}, "S")


def test_arguments_under_the_number_of_the_thought_belong_to_the_call(multi: engine.Multi) -> None:
    told = [
        {"event_type": "interaction.created", "interaction": ID},
        {"event_type": "step.start", "index": 0, "step": {"type": "thought"}},
        {"event_type": "step.start", "index": 1, "step": CALL},
        {
            "event_type": "step.delta",
            "index": 0,
            "delta": {"type": "arguments_delta", "arguments": '{"a":1}'},
        },
        {
            "event_type": "interaction.completed",
            "interaction": {**ID, "status": "requires_action"},
        },
    ]
    completion, _ = asked(multi, framed(*told))
    assert completion.message.tool_calls == [ToolCall("c1", "f", '{"a":1}', "S")]


def test_a_call_that_was_cut_is_not_handed_over(multi: engine.Multi) -> None:
    cut = [CALL, {"type": "arguments_delta", "arguments": '{"a":'}]
    completion, _ = asked(multi, stream(cut, status="incomplete"))
    assert completion.finish_reason is FinishReason.LENGTH
    assert completion.message.parts == [PartialToolCall("c1", "f", '{"a":')]


def test_pictures_and_what_is_not_known_keep_their_places(multi: engine.Multi) -> None:
    picture = {"type": "image", "data": "AAAA", "mime_type": "image/png"}
    odd = {"type": "hologram", "x": 1}
    said = [{"type": "model_output"}, {"type": "text", "text": "a"}, picture]
    completion, _ = asked(multi, stream([*said, {"type": "text", "text": "b"}], [odd]))
    assert completion.message.parts == [
        Text("a"),
        Image(data="AAAA", media_type="image/png"),
        Text("b"),
        VendorItem("hologram", odd, "interactions"),
    ]


def test_what_fails_is_told(multi: engine.Multi) -> None:
    error = {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}
    begun = stream(SAID)[: stream(SAID).index(b"event: interaction.completed")]
    for end in (
        framed({"event_type": "error", "error": error}),
        framed({"event_type": "interaction.completed", "interaction": {**ID, "error": error}}),
    ):
        completion, _ = asked(multi, begun + end)
        assert completion.status == "error"
        assert completion.error.category is engine.Category.SERVER
        assert completion.text == "Hi there"
    completion, _ = asked(multi, begun + b"data: [DONE]\n\n")
    assert completion.status == "truncated"


def test_a_status_ends_it_where_no_other_end_comes(multi: engine.Multi) -> None:
    begun = stream(SAID)[: stream(SAID).index(b"event: interaction.completed")]
    for status, ending in (
        ("completed", "complete"),
        ("requires_action", "complete"),
        ("failed", "error"),
        ("in_progress", "truncated"),
    ):
        last = {"event_type": "interaction.status_update", "status": status}
        assert asked(multi, begun + framed(last))[0].status == ending, status
        named = {"event_type": f"interaction.{status}", "interaction": {**ID, "status": status}}
        assert asked(multi, begun + framed(named))[0].status == ending, status


def test_an_end_that_brings_the_steps_itself(multi: engine.Multi) -> None:
    output = {"type": "model_output", "content": [{"type": "text", "text": "Hi there"}]}
    assert asked(multi, stream(steps=[output]))[0].text == "Hi there"
    assert asked(multi, stream(SAID, steps=[output]))[0].text == "Hi there"


def test_what_goes_on_in_the_background_is_no_answer(multi: engine.Multi) -> None:
    completion, _ = asked(multi, json.dumps(ID).encode(), whole=True)
    assert completion.status == "error"
    assert "'v1_x' is still being made" in completion.error.message
    assert not completion.error.retryable


def test_a_text_of_the_older_revision_begins_with_its_type_alone(multi: engine.Multi) -> None:
    text = {"type": "text", "text": "Hi"}
    completion, _ = asked(
        multi,
        framed(
            {"event_type": "interaction.start", "interaction": ID},
            {"event_type": "content.start", "index": 0, "content": {"type": "text"}},
            {"event_type": "content.delta", "index": 0, "delta": text},
            {"event_type": "interaction.complete", "interaction": {**ID, "status": "completed"}},
        ),
    )
    assert completion.message.parts == [Text("Hi")]


def test_a_whole_answer_gives_the_same_message(multi: engine.Multi) -> None:
    output = {"type": "model_output", "content": [{"type": "text", "text": "Hi there"}]}
    output["content"][0]["annotations"] = [SOURCE]  # type: ignore[index]
    thought = {"type": "thought", "signature": "SEAL", "summary": [{"type": "text", "text": "hm"}]}
    asked_first = {"type": "user_input", "content": [{"type": "text", "text": "hi"}]}
    whole = {**ID, "status": "completed", "usage": COUNTS, "steps": [asked_first, thought, output]}
    completion, _ = asked(multi, json.dumps(whole).encode(), whole=True)
    streamed, _ = asked(multi, stream(THOUGHT, SAID))
    assert completion.message == streamed.message
    assert completion.usage == streamed.usage


FILES = sorted((CORPUS / "gemini-interactions").glob("*.sse")) if CORPUS.exists() else []


@pytest.mark.skipif(not FILES, reason="the corpus is not here")
def test_recorded_streams(multi: engine.Multi) -> None:
    for file in FILES:
        told = [
            json.loads(line[5:])
            for line in file.read_text("utf-8").splitlines()
            if line.startswith("data: {")
        ]
        deltas = [one["delta"] for one in told if "delta" in one]
        completion, seen = asked(multi, file.read_bytes())
        assert completion.status == "complete", (file, completion.error)
        assert completion.text == "".join(delta.get("text", "") for delta in deltas)
        sealed = [part.signature for part in completion.message.parts if isinstance(part, Thinking)]
        assert sealed == [d["signature"] for d in deltas if d["type"] == "thought_signature"]
        counts = told[-1]["interaction"]["usage"]
        assert completion.usage.total_tokens == counts["total_tokens"]
        assert completion.message.id == told[0]["interaction"]["id"]
        assert not any(isinstance(event, events.Unknown) for event in seen)
