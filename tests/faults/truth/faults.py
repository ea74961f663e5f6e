"""What happens to an answer, in the wire formats of Chat Completions and of Anthropic's Messages.

Taken from public reports, from what proxies do, and from the standards.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from tests.faults.server import CLOSE, KEEP, RESET, STALL, Step

Wire = Literal["chat", "messages"]
Truth = Literal["well", "failed"]

WORDS = ("All ", "is ", "well.")
TEXT = "".join(WORDS)
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
_CHUNKED = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_UNTIL_CLOSE = _HEAD + b"Connection: close\r\n\r\n"


def event(payload: object, name: str | None = None) -> bytes:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + body + b"\n\n"


def chat(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return event(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "gpt-4o-mini",
            "choices": [choice],
        }
    )


def _message(kind: str, **more: Any) -> bytes:
    return event({"type": kind, **more}, kind)


def words(wire: Wire) -> list[bytes]:
    """The events before the end: what opens the answer, and its text."""
    if wire == "chat":
        return [chat({"role": "assistant", "content": ""}), *(chat({"content": w}) for w in WORDS)]
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }
    start = {"type": "text", "text": ""}
    deltas = ({"type": "text_delta", "text": w} for w in WORDS)
    return [
        _message("message_start", message=message),
        _message("content_block_start", index=0, content_block=start),
        *(_message("content_block_delta", index=0, delta=delta) for delta in deltas),
    ]


def ending(wire: Wire) -> list[bytes]:
    """The events that end it."""
    if wire == "chat":
        return [chat({}, "stop"), b"data: [DONE]\n\n"]
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        _message("content_block_stop", index=0),
        _message("message_delta", delta=delta, usage={"output_tokens": 5}),
        _message("message_stop"),
    ]


def failure(wire: Wire) -> bytes:
    """An error inside the stream."""
    if wire == "chat":
        return event({"error": {"message": "overloaded", "type": "server_error", "code": 503}})
    error = {"type": "overloaded_error", "message": "Overloaded"}
    return _message("error", error=error)


def whole(wire: Wire) -> list[bytes]:
    return [*words(wire), *ending(wire)]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunked(events: Iterable[bytes], end: bytes = b"0\r\n\r\n") -> list[Step]:
    return [_CHUNKED + b"".join(map(chunk, events)) + end]


def answer(status: str, body: bytes, kind: str = "application/json", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass(frozen=True)
class Fault:
    """What happens, what is true of the answer then, and how much of its text may be there."""

    name: str
    steps: Callable[[Wire], list[Step]]
    truth: Truth = "failed"
    text: str = TEXT
    wires: tuple[Wire, ...] = ("chat", "messages")
    source: str = ""


def cut(end: Step, framing: bytes = _UNTIL_CLOSE) -> Callable[[Wire], list[Step]]:
    return lambda wire: [framing + b"".join(words(wire)), 0.05, end]


def _sized(wire: Wire) -> list[Step]:
    body = b"".join(words(wire))
    return [_HEAD + b"Content-Length: %d\r\n\r\n" % (len(body) + 500) + body, 0.05, CLOSE]


def _gzip_cut(wire: Wire) -> list[Step]:
    head = _HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
    packed = gzip.compress(b"".join(words(wire)))
    return [head + packed[:-8], 0.05, CLOSE]


def _in_words(wire: Wire, odd: bytes) -> list[Step]:
    said = words(wire)
    return [*chunked([*said[:-1], odd, said[-1], *ending(wire)]), KEEP]


def _mid_event(wire: Wire) -> list[Step]:
    last = words(wire)[-1]
    return [_UNTIL_CLOSE + b"".join(words(wire)[:-1]) + last[: len(last) // 2], 0.05, CLOSE]


def _unfinished_event(wire: Wire) -> list[Step]:
    events = whole(wire)
    return [*chunked([*events[:-1], events[-1].rstrip(b"\n")]), KEEP]


def _in_bytes(wire: Wire, body: bytes) -> list[Step]:
    return [
        _CHUNKED + b"".join(chunk(body[i : i + 1]) for i in range(len(body))) + b"0\r\n\r\n",
        KEEP,
    ]


_ODD = event({"object": "something.new", "type": "something_new"}, "something_new")
_PAGE = b"<!doctype html><html><title>Sign in</title>"
_NO_TEXT = ""

FAULTS: tuple[Fault, ...] = (
    Fault("closed before the end marker", cut(CLOSE), source="litellm#42085"),
    Fault("reset before the end marker", cut(RESET)),
    Fault(
        "chunked, closed before the last chunk", lambda w: [*chunked(words(w), b""), 0.05, CLOSE]
    ),
    Fault(
        "chunked, well-ended, without the end marker",
        lambda w: [*chunked(words(w)), KEEP],
        source="agent-afk#635: a proxy that ends what was cut",
    ),
    Fault("shorter than its Content-Length", _sized),
    Fault("gzip, cut", _gzip_cut),
    Fault("cut inside an event", _mid_event),
    Fault(
        "an error in the stream, after text",
        lambda w: [*chunked([*words(w), failure(w)]), KEEP],
        source="anthropic-sdk-python#688",
    ),
    Fault(
        "an error in the stream, before text",
        lambda w: [*chunked([words(w)[0], failure(w)]), KEEP],
        text=_NO_TEXT,
    ),
    Fault(
        "an error in the stream, and [DONE]",
        lambda w: [*chunked([*words(w), failure(w), b"data: [DONE]\n\n"]), KEEP],
        wires=("chat",),
        source="vllm",
    ),
    Fault(
        "an error in a choice",
        lambda w: [
            *chunked(
                [
                    *words(w),
                    chat({}, None).replace(
                        b'"logprobs"', b'"error": {"code": 502, "message": "upstream"}, "logprobs"'
                    ),
                    chat({}, "error"),
                    b"data: [DONE]\n\n",
                ]
            ),
            KEEP,
        ],
        wires=("chat",),
        source="OpenRouter's reference; genkit#6079",
    ),
    Fault(
        "an SSE field `error:`",
        lambda w: [*chunked([*words(w), b'error: {"code": 500, "message": "broke"}\n\n']), KEEP],
        wires=("chat",),
        source="llama.cpp#16104",
    ),
    Fault(
        "bare JSON as the last line",
        lambda w: [*chunked([*words(w), b'{"error": {"message": "broke", "code": 500}}\n']), KEEP],
        wires=("chat",),
        source="lemonade#2826",
    ),
    Fault(
        "the finish reason `error`",
        lambda w: [*chunked([*words(w), chat({}, "error"), b"data: [DONE]\n\n"]), KEEP],
        wires=("chat",),
        source="OpenRouter",
    ),
    Fault(
        "200 with an empty body",
        lambda w: [answer("200 OK", b"", "text/event-stream"), KEEP],
        text=_NO_TEXT,
        source="openai-python#1597",
    ),
    Fault("204", lambda w: [b"HTTP/1.1 204 No Content\r\n\r\n", KEEP], text=_NO_TEXT),
    Fault(
        "200 with a login page",
        lambda w: [answer("200 OK", _PAGE, "text/html"), KEEP],
        text=_NO_TEXT,
        source="captive portals",
    ),
    Fault(
        "200 with a login page as an event stream",
        lambda w: [answer("200 OK", _PAGE, "text/event-stream"), KEEP],
        text=_NO_TEXT,
    ),
    Fault(
        "200 with a JSON error",
        lambda w: [answer("200 OK", b'{"error": {"message": "no credit", "code": 402}}'), KEEP],
        text=_NO_TEXT,
        source="gateways",
    ),
    Fault(
        "200 with {code, msg}",
        lambda w: [answer("200 OK", b'{"code": 1001, "msg": "busy", "success": false}'), KEEP],
        text=_NO_TEXT,
        source="gateways",
    ),
    Fault(
        "comments, and then closed",
        lambda w: [_UNTIL_CLOSE + b": wait\n\n" * 20, 0.05, CLOSE],
        text=_NO_TEXT,
    ),
    Fault(
        "cut in the head", lambda w: [b"HTTP/1.1 200 OK\r\nContent-Ty", 0.05, CLOSE], text=_NO_TEXT
    ),
    Fault(
        "broken JSON in the middle",
        lambda w: _in_words(w, b'data: {"choices": [{"delta": {"content": "lo\n\n'),
        text="",
    ),
    Fault(
        "bad UTF-8 in the text",
        lambda w: [
            *chunked([*words(w)[:-1], words(w)[-1].replace(b"well", b"w\xffll"), *ending(w)]),
            KEEP,
        ],
        "well",
        "All is w\ufffdll.",
    ),
    Fault(
        "silence in the middle, for ever",
        lambda w: [*chunked(words(w), b""), STALL],
        source="openai-node: the timeout ends with the headers",
    ),
    Fault("silence before the head, for ever", lambda w: [STALL], text=_NO_TEXT),
    Fault(
        "pings for ever",
        lambda w: [*chunked(words(w), b""), *([0.1, chunk(b": ping\n\n")] * 600), CLOSE],
        source="pi#5558",
    ),
    Fault("the connection closed with no answer", lambda w: [CLOSE], text=_NO_TEXT),
    Fault(
        "503", lambda w: [answer("503 No", b'{"error": {"message": "busy"}}'), KEEP], text=_NO_TEXT
    ),
    Fault(
        "a redirect to elsewhere",
        lambda w: [answer("302 Found", b"", more="Location: http://127.0.0.1:9/\r\n"), KEEP],
        text=_NO_TEXT,
    ),
    Fault("bad chunk size", lambda w: [*chunked(words(w), b""), b"zz\r\nhello\r\n", CLOSE]),
    # -- what is odd and well ----------------------------------------------------------------------
    Fault("all well", lambda w: [*chunked(whole(w)), KEEP], "well"),
    Fault("byte by byte", lambda w: _in_bytes(w, b"".join(whole(w))), "well"),
    Fault(
        "a BOM", lambda w: [*chunked([b"\xef\xbb\xbf", *whole(w)]), KEEP], "well", source="WHATWG"
    ),
    Fault(
        "lines that end in CR",
        lambda w: [*chunked([b"".join(whole(w)).replace(b"\n", b"\r")]), KEEP],
        "well",
        source="WHATWG",
    ),
    Fault(
        "U+2028 in the text",
        lambda w: [
            *chunked(
                [*words(w)[:-1], words(w)[-1].replace(b"well", "we\u2028ll".encode()), *ending(w)]
            ),
            KEEP,
        ],
        "well",
        "All is we\u2028ll.",
        source="httpx-sse#34",
    ),
    Fault("no [DONE]", lambda w: [*chunked(whole(w)[:-1]), KEEP], "well", wires=("chat",)),
    Fault(
        "the last event without its blank line",
        _unfinished_event,
        "well",
        source="apogee#139: llama-server",
    ),
    Fault("an event nobody knows", lambda w: _in_words(w, _ODD), "well"),
    Fault(
        "an empty data event",
        lambda w: _in_words(w, b"data: \n\n"),
        "well",
        source="coddy-agent#106",
    ),
    Fault(
        "data that is no JSON, beside the text",
        lambda w: _in_words(w, b"data: ping\n\n"),
        "well",
        source="sse-starlette",
    ),
    Fault(
        "usage of null, and a chunk without choices",
        lambda w: _in_words(w, event({"choices": [], "usage": None})),
        "well",
        wires=("chat",),
    ),
    Fault(
        "closed after the end marker, no last chunk",
        lambda w: [*chunked(whole(w), b""), 0.05, CLOSE],
        "well",
    ),
    Fault("reset after the end marker", lambda w: [*chunked(whole(w), b""), 0.05, RESET], "well"),
    Fault(
        "the server never closes after the marker",
        lambda w: [*chunked(whole(w), b""), STALL],
        "well",
    ),
    Fault(
        "keep-alive comments of 3 seconds, then the answer",
        lambda w: [
            _CHUNKED,
            *([0.1, chunk(b": wait\n\n")] * 30),
            b"".join(map(chunk, whole(w))) + b"0\r\n\r\n",
            KEEP,
        ],
        "well",
        source="DeepSeek",
    ),
)
