"""C5: JSON and what providers mean by it, in each dialect's own words."""

from __future__ import annotations

import json
from typing import Any

import pytest

import engine
from engine import FinishReason
from engine.errors import Category
from tests.faults.case import (
    DONE,
    GOOD,
    TEXT,
    Case,
    chunked,
    each,
    steps,
    suffer,
)
from tests.faults.server import CLOSE, KEEP, FaultServer, Step

pytestmark = pytest.mark.slow

WELL = {"status": "complete", "text": TEXT}


def data(payload: object, name: str | None = None) -> bytes:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return (b"event: %s\n" % name.encode() if name else b"") + b"data: " + body + b"\n\n"


def sse(*events: bytes) -> list[Step]:
    return [chunked(events), KEEP]


def ndjson(*lines: object) -> list[Step]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
    return [head + b"".join(json.dumps(line).encode() + b"\n" for line in lines), CLOSE]


def chat(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return data({"id": "c1", "model": "m", "choices": [choice], **more})


def call(index: int, arguments: str, id: str | None = None, name: str | None = None) -> bytes:
    function: dict[str, Any] = {"arguments": arguments}
    if name is not None:
        function["name"] = name
    part: dict[str, Any] = {"index": index, "function": function}
    if id is not None:
        part |= {"id": id, "type": "function"}
    return chat({"tool_calls": [part]})


def messages(kind: str, **more: Any) -> bytes:
    return data({"type": kind, **more}, kind)


M_START = messages(
    "message_start", message={"id": "m1", "model": "m", "usage": {"input_tokens": 3}}
)
M_TEXT = messages(
    "content_block_start", index=0, content_block={"type": "text", "text": ""}
) + messages("content_block_delta", index=0, delta={"type": "text_delta", "text": TEXT})
R_CREATED = data({"type": "response.created", "response": {"id": "r1", "model": "m"}})
R_TEXT = data(
    {
        "type": "response.output_text.delta",
        "item_id": "i",
        "output_index": 0,
        "content_index": 0,
        "delta": TEXT,
    }
)
G_TEXT = data({"candidates": [{"content": {"parts": [{"text": TEXT}], "role": "model"}}]})
O_TEXT = {"model": "m", "message": {"role": "assistant", "content": TEXT}, "done": False}

# An overload as each provider writes it inside a stream: (dialect, before it, the error).
IN_STREAM = {
    "chat": ([chat({"content": TEXT})], [data({"error": {"message": "busy", "code": 503}})]),
    "messages": (
        [M_START, M_TEXT],
        [messages("error", error={"type": "overloaded_error", "message": "busy"})],
    ),
    "responses": (
        [R_CREATED, R_TEXT],
        [data({"type": "error", "code": "server_error", "message": "busy"})],
    ),
    "gemini": (
        [G_TEXT],
        [data({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}})],
    ),
}


def no_call(completion: engine.Completion, _: FaultServer) -> None:
    assert completion.message.tool_calls == []
    assert completion.finish_reason is not FinishReason.TOOL_USE


def two_calls(completion: engine.Completion, _: FaultServer) -> None:
    calls = completion.message.tool_calls
    assert [(c.name, c.input) for c in calls] == [("a", {"x": 1}), ("b", {"y": 2})]
    assert len({c.id for c in calls}) == 2


def reason(wanted: FinishReason) -> Any:
    def check(completion: engine.Completion, _: FaultServer) -> None:
        assert completion.finish_reason is wanted

    return check


NESTED = b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
LONG_NUMBER = b'"created": ' + b"9" * 5000
CASES = [
    *(
        Case(
            f"P01 {name}",
            steps(*sse(*GOOD[:3], data(bad), *GOOD[3:])),
            category=Category.PROTOCOL,
            text=TEXT,
        )
        for name, bad in (
            ("JSON that is cut", b'{"choices": [{"delta": {"content": "lo'),
            ("text of a wrong type", b'{"choices": [{"index": 0, "delta": {"content": 7}}]}'),
        )
    ),
    Case(
        "P02 what nobody knows",
        steps(
            *sse(
                data({"object": "new.thing", "choices": []}),
                data({"choices": None}),
                data(b"[]"),
                data(b"null"),
                data(b"ping"),
                *GOOD[:3],
                data({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}),
                data({"choices": [None]}),
                data({"choices": [{"index": 0, "delta": []}]}),
                *GOOD[3:],
            )
        ),
        **WELL,
    ),
    *(
        Case(
            f"P03 {dialect}",
            each(sse(*error), sse(*error)),
            category=Category.SERVER,
            requests=2,
            attempts=2,
            client={"dialect": dialect},
        )
        for dialect, (_, error) in IN_STREAM.items()
    ),
    *(
        Case(
            f"P04 {dialect}",
            steps(*sse(*before, *error)),
            category=Category.SERVER,
            text=TEXT,
            attempts=3,
            client={"dialect": dialect},
        )
        for dialect, (before, error) in IN_STREAM.items()
    ),
    Case(
        "P04 ollama",
        steps(*ndjson(O_TEXT, {"error": "busy"})),
        category=Category.SERVER,
        text=TEXT,
        attempts=3,
        client={"dialect": "ollama", "api_key": None},
    ),
    Case(
        "P05 arguments that are cut",
        steps(*sse(call(0, '{"command": "rm -rf /tmp/x', "c1", "run")), CLOSE),
        status="truncated",
        category=Category.TRUNCATED,
        check=no_call,
    ),
    Case(
        "P05 arguments that are cut by the limit",
        steps(*sse(call(0, '{"path": "/tmp/x', "c1", "run"), chat(finish="length"), DONE)),
        status="complete",
        check=no_call,
    ),
    Case(
        "P05 two calls, interleaved",
        steps(
            *sse(
                call(0, "", "c1", "a"),
                call(1, "", "c2", "b"),
                call(0, '{"x"'),
                call(1, '{"y"'),
                call(0, ": 1}"),
                call(1, ": 2}"),
                chat(finish="tool_calls"),
                DONE,
            )
        ),
        status="complete",
        check=two_calls,
    ),
    Case(
        "P05 two calls under one id",
        steps(
            *sse(
                call(0, '{"x": 1}', "c1", "a"),
                call(1, '{"y": 2}', "c1", "b"),
                chat(finish="tool_calls"),
                DONE,
            )
        ),
        status="complete",
        check=two_calls,
    ),
    Case(
        "P06 a hundred thousand brackets",
        steps(*sse(*GOOD[:3], data(NESTED), *GOOD[3:])),
        category=Category.PROTOCOL,
        text=TEXT,
    ),
    Case(
        "P06 NaN beside the words",
        steps(
            *sse(
                *GOOD[:3],
                data(b'{"choices": [], "usage": {"prompt_tokens": NaN, "cost": -Infinity}}'),
                *GOOD[3:],
            )
        ),
        **WELL,
    ),
    Case(
        "P06 one key twice",
        steps(*sse(GOOD[0].replace(b'"id"', b'"id": "x", "id"'), *GOOD[1:])),
        **WELL,
    ),
    Case(
        "P06 a number of 5,000 digits",
        steps(
            *sse(
                GOOD[0].replace(b'"model"', b'"created": ' + b"9" * 5000 + b', "model"'), *GOOD[1:]
            )
        ),
        **WELL,
    ),
    *(
        Case(
            f"P07 {word}", steps(*sse(*GOOD[:3], chat(finish=word), DONE)), check=reason(r), **WELL
        )
        for word, r in (
            ("length", FinishReason.LENGTH),
            ("content_filter", FinishReason.CONTENT_FILTER),
            ("stop", FinishReason.STOP),
        )
    ),
    *(
        Case(
            f"P07 {word}",
            steps(
                *sse(
                    M_START,
                    M_TEXT,
                    messages(
                        "message_delta", delta={"stop_reason": word}, usage={"output_tokens": 3}
                    ),
                    messages("message_stop"),
                )
            ),
            check=reason(r),
            client={"dialect": "messages"},
            **WELL,
        )
        for word, r in (("refusal", FinishReason.REFUSAL), ("pause_turn", FinishReason.PAUSE))
    ),
    Case(
        "P08 the model changes in the middle",
        steps(*sse(GOOD[0], GOOD[1].replace(b'"m"', b'"n"'), GOOD[2], GOOD[3], DONE)),
        **WELL,
    ),
    *(
        Case(
            f"P09 {word}",
            steps(*sse(data({"candidates": [{"finishReason": word}]}))),
            status="complete",
            check=reason(FinishReason.CONTENT_FILTER),
            client={"dialect": "gemini"},
        )
        for word in ("SAFETY", "RECITATION")
    ),
    Case(
        "P09 the prompt is blocked",
        steps(*sse(data({"promptFeedback": {"blockReason": "SAFETY"}}))),
        status="complete",
        check=reason(FinishReason.CONTENT_FILTER),
        client={"dialect": "gemini"},
    ),
    Case(
        "P10 done is missing",
        steps(*ndjson(O_TEXT)),
        status="truncated",
        category=Category.TRUNCATED,
        text=TEXT,
        client={"dialect": "ollama", "api_key": None},
    ),
    *(
        Case(
            f"P11 usage {usage}",
            steps(*sse(*GOOD[:4], data({"choices": [], "usage": usage}), DONE)),
            **WELL,
        )
        for usage in (None, {}, {"prompt_tokens": -5, "completion_tokens": "many"}, [1])
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_of_the_meaning(case: Case) -> None:
    suffer(case)
