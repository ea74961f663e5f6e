"""A whole message after its pieces adds what they did not say, and nothing twice."""

from __future__ import annotations

from typing import Any

from engine.messages import FinishReason
from tests.cases import each_case
from tests.providers.streams import JSON, chat, chunk, piece, pieces, read

CALL: JSON = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
WHOLE: JSON = {"role": "assistant", "content": "Hello"}


def message(finish: str = "stop", index: int = 0, **said: Any) -> JSON:
    choice = {"index": index, "message": {**WHOLE, **said}, "finish_reason": finish}
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    return {**chunk(), "object": "chat.completion", "choices": [choice], "usage": usage}


TEXT = [chunk(content="Hel", role="assistant"), chunk(content="lo")]
THOUGHT = [chunk(reasoning_content="H"), chunk(reasoning_content="m")]
CALLED = [pieces(piece(0, "a", "f", "")), pieces(piece(0, arguments='{"x": 1}'))]
THINKS: JSON = {"reasoning_content": "Hm"}
CALLS: JSON = {"tool_calls": [CALL]}
STREAMS: dict[str, tuple[list[JSON], JSON, str, list[tuple[str, Any]]]] = {
    "nothing before": ([], {}, "", []),
    "a role before": ([chunk(role="assistant", content="")], {}, "", []),
    "text before": (TEXT, {}, "", []),
    "text, and fields of its own": (TEXT, {"name": "MM", "audio_content": ""}, "", []),
    "a thought, all of it": (THOUGHT + TEXT, THINKS, "Hm", []),
    "a thought alone": (THOUGHT, THINKS, "Hm", []),
    "no thought": (TEXT, THINKS, "Hm", []),
    "a call, all of it": (TEXT + CALLED, CALLS, "", [("f", {"x": 1})]),
    "a call alone": (CALLED, {**CALLS, "content": "Hello"}, "", [("f", {"x": 1})]),
    "no call": (TEXT, CALLS, "", [("f", {"x": 1})]),
    "a call without an id": (
        TEXT + CALLED, {"tool_calls": [{**CALL, "id": ""}]}, "", [("f", {"x": 1})]),
}  # fmt: skip


@each_case("name", STREAMS)
@each_case("marker", [True, False])
def test_it_is_said_once(name: str, marker: bool) -> None:
    before, also, thought, calls = STREAMS[name]
    body = chat(*before, message(**also), finish=None)
    reading = read("chat", body if marker else body.removesuffix(b"data: [DONE]\n\n"))
    assert reading.status == "complete" and reading.text == "Hello"
    assert reading.message.thinking == thought and reading.calls == calls
    assert reading.usage is not None and reading.usage.output_tokens == 4
    assert reading.finish is (FinishReason.TOOL_USE if calls else FinishReason.STOP)


DETAIL: JSON = {"type": "reasoning.text", "text": "Hm", "index": 0}
REPEATED: dict[str, Any] = {
    "reasoning_content": "Hm", "reasoning": "Hm", "thinking": "Hm",
    "reasoning_details": [DETAIL],
    "thinking_blocks": [{"type": "thinking", "thinking": "Hm"}],
    "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}],
    "function_call": {"name": "f", "arguments": '{"x": 1}'},
}  # fmt: skip


@each_case("name", REPEATED)
def test_each_field_is_said_once(name: str) -> None:
    said = {name: REPEATED[name]}
    before = [chunk(**said), *TEXT]
    once = read("chat", chat(*before, chunk("stop"), finish=None))
    assert once.message.thinking or once.calls or once.message.parts[0].citations  # type: ignore[union-attr]
    again = read("chat", chat(*before, message(**said), finish=None))
    assert again.messages == once.messages
    assert again.metadata.get(name) == once.metadata.get(name)


def test_each_alternative_is_said_once() -> None:
    body = chat(*TEXT, message(), message(index=1, content="Hallo"), finish=None)
    assert [each.text for each in read("chat", body).messages] == ["Hello", "Hallo"]


def test_a_refusal_is_said_once() -> None:
    body = chat(chunk(refusal="No"), message(content=None, refusal="No"), finish=None)
    assert [part.text for part in read("chat", body).message.parts] == ["No"]  # type: ignore[union-attr]
