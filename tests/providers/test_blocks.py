"""What all formats share: who answers and what it counted, by the last that was said of it."""

from __future__ import annotations

from typing import Any

from engine.events import LogprobsDelta
from engine.messages import Usage
from engine.providers.blocks import joined_usage, merge
from tests.cases import each_case
from tests.providers.streams import candidate, chunk, data, line, lines, named, read

_COUNT = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
_CREATED = {"type": "response.created", "response": {"id": "x", "model": "auto"}}
_START = {"type": "message_start", "message": {"id": "x", "model": "real", "content": []}}
_ENDED = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}


def _completion(**facts: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": "a", "finish_reason": "stop"}], **facts}


WHO = {
    "chat, empty at first": data(
        {"id": "", "model": "", "choices": []},
        {**chunk(content="a"), "id": "x", "model": ""},
        {**chunk("stop"), "id": "x", "model": "real"},
    ),
    "chat, others later": data(
        {**chunk(content="a"), "id": "x", "model": "real"},
        {**chunk("stop"), "id": "y", "model": "alias"},
    ),
    "completions, empty at first": data(
        {"id": "", "model": "", "choices": [{"index": 0, "text": "a"}]},
        _completion(id="x", model="real"),
    ),
    "responses, another at the end": named(
        _CREATED,
        {
            "type": "response.completed",
            "response": {"id": "x", "model": "real", "status": "completed"},
        },
    ),
    "responses, empty at the end": named(
        {"type": "response.created", "response": {"id": "x", "model": "real"}},
        {"type": "response.completed", "response": {"id": "", "model": "", "status": "completed"}},
    ),
    "gemini, late": data(
        {"candidates": [{"content": {"parts": [{"text": "a"}]}}]},
        {"candidates": [{"finishReason": "STOP"}], "responseId": "x", "modelVersion": "real"},
    ),
    "interactions, late": named(
        {"event_type": "interaction.created", "interaction": {"id": "", "status": "in_progress"}},
        {
            "event_type": "interaction.completed",
            "interaction": {"id": "x", "model": "real", "status": "completed"},
        },
    ),
}


@each_case("name", WHO)
def test_who_answers(name: str) -> None:
    reading = read(name.partition(",")[0], WHO[name])
    assert reading.status == "complete"
    assert (reading.message.id, reading.message.model) == ("x", "real")


def test_who_answers_of_those_who_say_one_of_the_two() -> None:
    cohere = named(
        {"type": "message-start", "delta": {"message": {}}},
        {"type": "message-end", "id": "x", "delta": {"finish_reason": "COMPLETE"}},
    )
    assert read("cohere", cohere).message.id == "x"
    ollama = lines({**line("a"), "model": ""}, {**line(reason="stop"), "model": "real"})
    assert read("ollama", ollama).message.model == "real"


COUNTS = {
    "chat, empty after it": data(
        {**chunk(content="a"), "usage": _COUNT}, {**chunk("stop"), "usage": {}}
    ),
    "chat, in two": data(
        {**chunk(content="a"), "usage": {"prompt_tokens": 3}},
        {**chunk("stop"), "usage": {"completion_tokens": 4, "total_tokens": 7}},
    ),
    "completions, null after it": data(
        {**_completion(), "usage": _COUNT}, {"choices": [], "usage": None}
    ),
    "gemini, empty after it": data(
        candidate(
            {"text": "a"},
            usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
        ),
        candidate(finish="STOP", usageMetadata={}),
    ),
    "messages, at the very end": named(
        {**_START, "message": {**_START["message"], "usage": {"input_tokens": 3}}},  # type: ignore[dict-item]
        _ENDED,
        {"type": "message_stop", "usage": {"output_tokens": 4}},
    ),
    "cohere, as it is billed": named(
        {"type": "message-start", "id": "c", "delta": {"message": {}}},
        {
            "type": "message-end",
            "delta": {
                "finish_reason": "COMPLETE",
                "usage": {"billed_units": {"input_tokens": 3, "output_tokens": 4}},
            },
        },
    ),
}


@each_case("name", COUNTS)
def test_a_count_is_not_undone_by_nothing(name: str) -> None:
    usage = read(name.partition(",")[0], COUNTS[name]).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (3, 4, 7)


def test_counts_are_joined_field_by_field_where_one_is_left_out() -> None:
    old = Usage(3, None, None, cached_tokens=1)
    assert joined_usage(old, Usage(None, 4, 7)) == Usage(3, 4, 7, cached_tokens=1)
    assert joined_usage(old, Usage(5, 6, 11)) == Usage(5, 6, 11)
    assert joined_usage(None, Usage(None, 4)) == Usage(None, 4)


def test_what_was_said_last_and_is_not_empty_counts() -> None:
    into: dict[str, Any] = {"tier": "flex", "cost": 1, "inner": {"a": 1}}
    merge(into, {"tier": "", "cost": 0, "inner": {"b": 2, "a": None}, "ok": False, "none": None})
    assert into == {"tier": "flex", "cost": 0, "inner": {"a": 1, "b": 2}, "ok": False}


def test_what_only_one_vendor_says_is_kept() -> None:
    metrics = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 42}}
    body = named(_START, _ENDED, {"type": "message_stop", **metrics})
    assert read("messages", body).metadata["amazon-bedrock-invocationMetrics"] == {
        "inputTokenCount": 42
    }
    likely = {"token_ids": [5], "text": "a", "logprobs": [-0.5]}
    said = {"type": "content-delta", "delta": {"message": {"content": {"text": "a"}}}}
    end = {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}
    reading = read("cohere", named(said, {**said, "logprobs": likely}, end))
    assert reading.text == "aa"
    assert LogprobsDelta([likely], 0) in reading.events


def _candidates(*finishes: str | None) -> dict[str, Any]:
    told = [{"index": n, "finishReason": finish} for n, finish in enumerate(finishes)]
    parts = {"content": {"parts": [{"text": "a"}]}}
    return {"responseId": "r", "candidates": [{**parts, **one} for one in told]}


SEVERAL = {
    "chat": data(chunk("stop", content="a"), chunk("length", index=1, content="b"), done=True),
    "completions": data(
        _completion(id="c"),
        {"choices": [{"index": 1, "text": "b", "finish_reason": "length"}]},
        done=True,
    ),
    "gemini": data(_candidates("stop", "length")),
}


@each_case("dialect", SEVERAL)
def test_each_alternative_has_its_finish_and_one_alone_needs_no_list(dialect: str) -> None:
    reading = read(dialect, SEVERAL[dialect])
    assert len(reading.messages) == 2
    assert reading.metadata["finish_reasons"] == {"0": "stop", "1": "length"}
    for body in (data(chunk("stop", content="a"), done=True), data(_candidates("STOP"))):
        name = "gemini" if b"candidates" in body else "chat"
        assert "finish_reasons" not in read(name, body).metadata
