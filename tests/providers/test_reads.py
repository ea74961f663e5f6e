"""A read in one step: the same events as by the decoder and the parser one after the other, and as
without any short way, however the bytes are cut and whatever is odd in them.

``ENGINE_READS`` (a number) sets how many streams are tried; the full count of a release is 100000.
"""

from __future__ import annotations

import json
import os
import random
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.events import TextDelta, Unknown
from engine.providers import dialect
from engine.wire.sse import SSERecord
from tests.cases import each_case
from tests.corpus import CORPUS, DIALECTS, recordings
from tests.test_corpus_mutated import mutated

_READS = int(os.environ.get("ENGINE_READS", "50"))

OF_MANY_SEEDS = settings(
    max_examples=_READS,
    deadline=None,
    derandomize=_READS <= 50,
    database=None,
    suppress_health_check=list(HealthCheck),
)
_LIMIT = 700  # bytes of an event: some of those below are larger

Told = tuple[list[str], str, bool]


def chat(delta: Any, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _json({"id": "c", "model": "m", "choices": [choice], "usage": None, **more})


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def filtered(severity: str, delta: Any) -> bytes:
    """As Azure writes it."""
    found = {"hate": {"filtered": False, "severity": severity}}
    offsets = {"start_offset": len(severity), "end_offset": 9}
    choice: dict[str, Any] = {"content_filter_results": found, "content_filter_offsets": offsets}
    choice |= {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    return _json({"id": "c", "model": "m", "choices": [choice], "usage": None})


def call(arguments: str, **more: Any) -> Any:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}, **more}]}


def _text(**fields: Any) -> bytes:
    """A piece of text to Responses, or another event."""
    return _json({"type": "response.output_text.delta", "delta": "t", **fields})


# By dialect: the data of events, the usual ones first.
DATA: dict[str, list[bytes]] = {
    "chat": [
        chat({"content": " a"}),
        chat({"content": "é\\"}),
        chat({"role": "assistant", "content": ""}),
        chat({"content": "x"}, obfuscation="p" * 9),
        chat({"content": "y"}, "stop"),
        chat({}, "stop"),
        chat({"content": "l" * 800}),
        chat({"reasoning_content": "hm"}),
        chat({"reasoning_content": "so", "content": None}),
        chat({"reasoning": "hm"}),
        chat({"reasoning": "hm", "reasoning_content": "hm", "content": ""}),
        chat({"reasoning_content": "hm", "content": "and"}),
        chat({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
        filtered("safe", {"content": "f"}),
        filtered("safe", {"content": "g"}),
        filtered("high", {"content": "h"}),
        filtered("high", {"content": ""}),
        chat({"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f"}}]}),
        chat(call('{"a":1')),
        chat(call("}")),
        chat({}, "tool_calls"),
        chat({"content": "z"}, usage={"prompt_tokens": 1, "completion_tokens": 2}),
        _json({"id": "c", "choices": [], "usage": {"prompt_tokens": 1}}),
        _json({"error": {"message": "no", "code": 500}}),
        b'{"choices":[{"index":0,"delta":{"content":"\xff"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"\\ude00"}}]}',
        b'{"choices":[{"index":0,\n"delta":{"content":"two lines"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"cut',
        b"[DONE]",
    ],
    "messages": [
        _json({"type": "content_block_delta", "index": 0, "delta": d})
        for d in (
            {"type": "text_delta", "text": " a"},
            {"type": "text_delta", "text": ""},
            {"type": "thinking_delta", "thinking": "t"},
            {"type": "input_json_delta", "partial_json": "{}"},
            {"type": "text_delta", "text": "a", "thinking": "b"},
            {"type": "text_delta", "text": 3},
            {"text": "b"},
        )
    ]
    + [
        _json({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta"}}),
        _json({"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}),
        _json({"type": "content_block_start", "index": 1, "content_block": {"type": "text"}}),
        _json({"type": "content_block_stop", "index": 0}),
        _json({"type": "message_start", "message": {"id": "m", "model": "x", "content": []}}),
        _json({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        _json({"type": "message_stop"}),
        _json({"type": "ping"}),
    ],
    "responses": [
        _json({"type": "response.output_text.delta", "output_index": 0, "delta": " a"}),
        _json({"type": "response.output_text.delta", "output_index": 0, "delta": ""}),
        _json({"type": "response.output_text.delta", "output_index": 1, "delta": "b"}),
        _json({"type": "response.output_text.delta", "delta": "c", "logprobs": [{"token": "c"}]}),
        b'{"type":"response.output_text.delta","output_index":0,"delta":"\\ud83d"}',
        *(_text(item_id=id) for id in ("a", "b", [None], 5)),
        *(_text(item_id=id, output_index=0) for id in ("a", "b", [None], 5)),
        _text(item_id="b", output_index=1),
        _text(item_id="a", output_index=0, content_index=1),
        _text(item_id="a", output_index=0, type="response.refusal.delta"),
        _text(item_id="a", output_index=0, type="response.output_text.done", text="t"),
        _text(item_id="b", type="response.function_call_arguments.delta"),
        *(
            _text(type=f"response.output_item.{step}", output_index=0, item={"id": id, "type": t})
            for step in ("added", "done")
            for id, t in (("a", "message"), ("b", "message"), ("c", "function_call"))
        ),
        _json({"type": "response.created", "response": {"id": "r", "model": "m"}}),
        _json({"type": "response.completed", "response": {"id": "r", "status": "completed"}}),
        _json({"type": "error", "message": "no"}),
    ],
    "gemini": [
        _json({"candidates": [{"content": {"parts": [{"text": " a"}]}}]}),
        _json({"candidates": [{"content": {"parts": [{"text": ""}]}}]}),
        _json({"candidates": [{"content": {"parts": [{"text": "t", "thought": True}]}}]}),
        _json({"candidates": [{"content": {"parts": [{"text": "b"}]}, "finishReason": "STOP"}]}),
        _json({"candidates": [{"content": {"parts": [{"text": "c"}], "role": "model"}}],
               "usageMetadata": {"promptTokenCount": 3}}),
        _json({"error": {"message": "no"}}),
        b'{"candidates":[{"content":{"parts":[{"text":"\\ud83d"}]}}]}',
    ],
    "ollama": [
        _json({"model": "m", "message": {"content": " a"}, "done": False}),
        _json({"model": "m", "message": {"content": ""}, "done": False}),
        _json({"model": "m", "message": {"content": "", "thinking": "t"}, "done": False}),
        _json({"model": "m", "message": {"content": "b"}, "done": True, "done_reason": "stop"}),
        _json({"error": "no"}),
        b'{"message":{"content":"\\ud83d"}}',
    ],
}  # fmt: skip


def framed(name: str, data: bytes, frame: int, rng: random.Random) -> bytes:
    """`data` as an event, most often as the provider writes it."""
    if name == "ollama":
        return data.replace(b"\n", b" ") + (b"\n" if frame else b"\r\n\n")
    kind = b""
    if name in ("messages", "responses"):
        kind = b"event: " + json.loads(data)["type"].encode() + b"\n"
    whole = kind + b"data: " + data + b"\n\n"
    match frame:
        case 0:
            return whole.replace(b"\n", rng.choice((b"\r\n", b"\r")))
        case 1:
            return rng.choice((b": hi\n", b": hi\n\n", b"id: 7\n", b"x: y\n", b"\n")) + whole
        case 2:
            half = len(data) // 2
            return kind + b"data: " + data[:half] + b"\ndata: " + data[half:] + b"\n\n"
        case 3:
            return kind + b"data:" + data + b"\n\n"
        case 4:
            return b"event: other\ndata: " + data + b"\n\n"
        case 5:
            return kind + b"data: " + data + b"\n"
    return whole


def made(name: str, rng: random.Random) -> list[bytes]:
    """A stream, an event a read as a rule."""
    crlf = rng.random() < 0.3
    units = [b"\xef\xbb\xbf"] if rng.random() < 0.1 else []
    some = DATA[name][: rng.choice((2, 4, 99))]
    if rng.random() < 0.5:
        some = rng.sample(DATA[name], 3)
    for _ in range(rng.randrange(12)):
        data = rng.choice(some)
        unit = framed(name, data, rng.randrange(6) if rng.random() < 0.15 else 9, rng)
        units.append(unit.replace(b"\n", b"\r\n") if crlf and b"\r" not in unit else unit)
    return cut(units, rng)


def cut(units: list[bytes], rng: random.Random) -> list[bytes]:
    """Most reads end where an event does."""
    parts: list[bytes] = []
    for unit in units:
        if rng.random() < 0.1:
            at = rng.randrange(len(unit) + 1)
            parts += [unit[:at], unit[at:]]
        elif parts and rng.random() < 0.1:
            parts[-1] += unit
        else:
            parts.append(unit)
    return [part for part in parts if part]


# Fields of a text's event that say nothing of it: one of another type is told as `Unknown` where
# the event is looked at closely, and not where it is taken for a piece of text.
_NOT_READ = ("responseId", "modelVersion")


def told(events: list[Any], failure: str, parser: Any) -> Told:
    seen = [e for e in events if type(e) is not Unknown or e.name not in _NOT_READ]
    words = [re.sub(r"made_[\w-]+", "made", repr(event)) for event in seen]
    # In any order: what changed in the middle of a stream is put beside what was known.
    facts = sorted((name, repr(value)) for name, value in parser.metadata.items())
    return [*words, repr(facts)], failure, parser.complete


def in_one_step(name: str, parts: list[bytes], limit: int) -> Told:
    decoder, parser = dialect(name).decoder(), dialect(name).parser()
    decoder.limit = limit  # type: ignore[attr-defined]
    read = parser.read_from(decoder)  # type: ignore[attr-defined]
    return _run(read, decoder, parser, parts)


def in_two_steps(name: str, parts: list[bytes], limit: int) -> Told:
    decoder, parser = dialect(name).decoder(), dialect(name).parser()
    decoder.limit = limit  # type: ignore[attr-defined]
    return _run(lambda part: parser.feed(decoder.feed(part)), decoder, parser, parts)


def without_short_ways(name: str, parts: list[bytes], limit: int) -> Told:
    """Each record looked at as if it were none of the usual ones."""
    decoder, parser = dialect(name).decoder(), dialect(name).parser()
    decoder.limit = limit  # type: ignore[attr-defined]
    plain = getattr(decoder, "_plain", b"").removeprefix(b"event: ").decode() or "message"

    def feed(records: list[Any]) -> list[Any]:
        events: list[Any] = []
        for record in records:
            if name == "chat":
                parser._misses = 99  # type: ignore[attr-defined]
            if name == "gemini":
                parser._plain = False  # type: ignore[attr-defined]
            whole = type(record) is bytes and not name.startswith("ollama")
            events += parser.feed([SSERecord(record, plain) if whole else record])
        return events

    return _run(lambda part: feed(decoder.feed(part)), decoder, parser, parts, feed)


def _run(read: Any, decoder: Any, parser: Any, parts: list[bytes], feed: Any = None) -> Told:
    events: list[Any] = []
    try:
        for part in parts:
            events += read(part)
        events += (feed or parser.feed)(decoder.finish())
        if not parser.complete:
            events += parser.finish()
    except ProtocolError as error:
        return told(events, str(error), parser)
    return told(events, "", parser)


def check(name: str, parts: list[bytes], limit: int) -> None:
    one = in_one_step(name, parts, limit)
    assert one == in_two_steps(name, parts, limit)
    assert one == without_short_ways(name, parts, limit)


@pytest.mark.parametrize("name", DATA)
@OF_MANY_SEEDS
@given(seed=st.integers(0, 2**48))
def test_a_read_in_one_step_gives_what_two_steps_give(name: str, seed: int) -> None:
    rng = random.Random(seed)
    check(name, made(name, rng), rng.choice((_LIMIT, 1 << 24)))


_ALL = [r for r in recordings() if r.wire in DIALECTS and r.wire != "gemini-array"]


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")
def test_recorded_streams_as_they_came_and_mutated_give_the_same_in_one_step() -> None:
    rng = random.Random(5)
    for recording in _ALL:
        end = b"\n" if recording.wire == "ollama" else b"\n\n"
        if b"\r\n\r\n" in recording.body:
            end = b"\r\n\r\n"
        bodies = [recording.body]
        if len(recording.body) < 20_000:
            bodies += [mutated(recording, rng) for _ in range(_READS // 50)]
        for body in bodies:
            units = [unit + end for unit in body.split(end)]
            check(recording.dialect or "", cut(units, rng), 1 << 24)


def test_an_event_a_read_leaves_the_decoder_alone() -> None:
    decoder, parser = dialect("chat").decoder(), dialect("chat").parser()
    read = parser.read_from(decoder)  # type: ignore[attr-defined]
    seen: list[bytes] = []
    feed = decoder.feed
    piece = b"data: " + DATA["chat"][0] + b"\n\n"
    read(piece)
    parser._decoder = type("Seen", (), {"feed": lambda _, part: seen.append(part) or feed(part)})()  # type: ignore[attr-defined,func-returns-value]
    assert read(piece) == [TextDelta(" a")]
    assert not seen


@each_case("name", DATA)
def test_the_limit_holds_for_an_event_that_comes_alone(name: str) -> None:
    decoder, parser = dialect(name).decoder(), dialect(name).parser()
    decoder.limit = _LIMIT  # type: ignore[attr-defined]
    read = parser.read_from(decoder)  # type: ignore[attr-defined]
    piece = framed(name, DATA[name][0], 9, random.Random(1))
    for _ in range(3):
        read(piece)
    read(piece.replace(b" a", b"a" * (_LIMIT - len(piece))))
    for late in (piece.replace(b" a", b"a" * _LIMIT), piece):
        with pytest.raises(ProtocolError, match=r"larger than|longer than"):
            read(late)


@each_case("name", DATA)
def test_what_was_left_open_before_an_event_is_heeded(name: str) -> None:
    piece = framed(name, DATA[name][0], 9, random.Random(1))
    crlf = piece.replace(b"\n", b"\r\n")
    for left in (
        b"x: ",
        b": ",
        b"event: other\n",
        b"id: 7\n\n",
        b"data: {",
        b"{",
        b"\r",
        b"data: ",
    ):
        for event in (piece, crlf):
            check(name, [event, event, left, event, event], 1 << 24)
            check(name, [left, event, event], 1 << 24)


def test_findings_beside_each_piece_are_kept_as_they_were_said_last() -> None:
    decoder, parser = dialect("chat").decoder(), dialect("chat").parser()
    read = parser.read_from(decoder)  # type: ignore[attr-defined]
    for severity in ("safe", "safe", "high"):
        read(b"data: " + filtered(severity, {"content": "a"}) + b"\n\n")
    told = parser.metadata  # type: ignore[attr-defined]
    assert told["content_filter_results"] == {"hate": {"filtered": False, "severity": "high"}}
    assert told["content_filter_offsets"] == {"start_offset": 4, "end_offset": 9}


@each_case("odd", [{}, None, "none", [1], {"hate": None}, 0])
@each_case("name", ["content_filter_results", "content_filter_offsets"])
def test_findings_of_any_kind_are_kept_alike_however_they_come(name: str, odd: Any) -> None:
    def beside(found: Any, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": {"content": "a"}, "finish_reason": finish, name: found}
        return b"data: " + _json({"id": "c", "model": "m", "choices": [choice]}) + b"\n\n"

    plain, safe, high = b"data: " + chat({"content": " a"}) + b"\n\n", {"hate": 1}, {"hate": 2}
    check("chat", [plain, beside(safe), beside(odd), beside(safe), b"data: [DONE]\n\n"], 1 << 24)
    # What comes between two that are the same is looked at closely, and says something else.
    closely = b"data: " + chat({"content": "b", "name": "x"}) + b"\n\n"
    closely = closely.replace(b'"index":0', b'"index":0,"%s":%s' % (name.encode(), _json(high)))
    stream = [plain, beside(safe), closely, beside(safe), beside(odd, "stop")]
    check("chat", stream, 1 << 24)
    check("chat", [b"".join(stream)], 1 << 24)
    check("chat", [b"".join([*stream[:4], plain, b"data: [DONE]\n\n"])], 1 << 24)


@pytest.mark.parametrize("nothing", [{}, None])
def test_a_count_that_says_nothing_leaves_the_last_one(nothing: Any) -> None:
    def text(count: Any) -> bytes:
        candidate = {"content": {"parts": [{"text": "a"}], "role": "model"}, "index": 0}
        return b"data: " + _json({"candidates": [candidate], "usageMetadata": count}) + b"\r\n\r\n"

    counted = text({"promptTokenCount": 3, "totalTokenCount": 5})
    check("gemini", [counted, counted, text(nothing), b'data: {"candidates"\r\n\r\n'], 1 << 24)
    check("gemini", [counted, counted, text(nothing)], 1 << 24)


def test_blank_lines_between_objects_say_nothing() -> None:
    line = DATA["ollama"][0]
    check("ollama", [line + b"\n", line + b"\n", b" \t\n", b"\n", line + b" \n"], 1 << 24)
