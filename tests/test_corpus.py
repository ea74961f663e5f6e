"""The judge: what real servers sent, replayed over a socket and cut in every way.

Skipped where ``../shared/corpus`` is absent. ``ENGINE_CORPUS_CUTS`` (a number) sets how many random
cuts are tried; the full count of a release is 60000.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
import threading
from collections.abc import Iterator
from functools import cache

import pytest

import engine
from engine.errors import Category, EngineError
from engine.providers import dialect
from tests.cases import each_case
from tests.corpus import (
    CORPUS,
    DIALECTS,
    OUT_OF_SCOPE,
    Given,
    Recording,
    differences,
    pieces,
    random_pieces,
    recordings,
    replay,
)
from tests.server import Peer, serve
from tests.volume import every, examples

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")

ALL = recordings()
IN_SCOPE = [recording for recording in ALL if recording.wire in DIALECTS]

# Streams whose answer differs from the reading the corpus believes, and why ours is right.
_PARTIAL_ARGS = (
    "the arguments come in pieces (partialArgs) with a JSON path each; the SDK hands over every "
    "piece as a call without a name, ours puts the calls together"
)
KNOWN = {
    "gemini/vercel-ai-google-stream-no-args-tool-call.sse": _PARTIAL_ARGS,
    "gemini/vercel-ai-google-vertex-stream-tool-call-arguments-nested.1.sse": _PARTIAL_ARGS,
}

# The category of each error that came inside a stream.
CATEGORIES = {
    "anthropic/anthropic-sdk-python-test_error_type.sse": Category.SERVER,
    "groq/pydantic-ai-test_tool_use_failed_error_streaming.sse": Category.INVALID_ARG,
    "groq/pydantic-ai-test_tool_use_failed_error_streaming_with_text.sse": Category.INVALID_ARG,
    "openrouter/pydantic-ai-test_openrouter_stream_error.sse": Category.INVALID_ARG,
    "openai-responses/prism-stream-unknown-error-responses-1.sse": Category.RATE_LIMIT,
    "openai-responses/vercel-ai-openai-error.1.sse": Category.QUOTA,
}

# -- over a socket -----------------------------------------------------------------------------

WAYS = ("recorded", "random")
_AT_ONCE = 64
# Bytes that go out one in a packet; after them, one in a chunk of the transfer coding.
_PACKETS = 1500


def _parts(recording: Recording, way: str) -> Iterator[bytes]:
    body = recording.body
    if way == "recorded":
        return pieces(body, recording.cuts or [])
    if way == "random":
        return iter(random_pieces(body, seed=len(body)))
    return (body[i : i + 1] for i in range(len(body)))


def _send(peer: Peer, recording: Recording, way: str) -> None:
    peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: {recording.content_type}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    peer.send(head.encode())
    parts = _parts(recording, way)
    if way == "bytes":
        for part in itertools.islice(parts, _PACKETS):
            peer.chunk(part)
        peer.send(b"".join(b"1\r\n%b\r\n" % part for part in parts))
    else:
        for part in parts:
            peer.chunk(part)
    peer.end()


def _given(completion: engine.Completion) -> Given:
    return Given(
        completion.status,
        completion.messages,
        completion.finish_reason_raw,
        completion.usage,
        completion.error,
    )


class _Replay:
    """All streams in all ways, once, through one `Multi`."""

    def __init__(self) -> None:
        self.given: dict[tuple[str, str], Given | EngineError] = {}

    def run(self, ways: tuple[str, ...]) -> None:
        with serve(self._handle) as server:
            jobs = [(n, way) for way in ways for n in range(len(IN_SCOPE))]
            multi = engine.Multi()
            open_streams = 0
            while jobs or open_streams:
                while jobs and open_streams < _AT_ONCE:
                    number, way = jobs.pop()
                    open_streams += self._start(multi, server.url, number, way)
                multi.poll(10)
                open_streams = len(multi)
            multi.close()

    def _handle(self, peer: Peer) -> None:
        _, number, way, *_ = peer.request.path.split("/")
        _send(peer, IN_SCOPE[int(number)], way)

    def _start(self, multi: engine.Multi, url: str, number: int, way: str) -> bool:
        recording = IN_SCOPE[number]
        key = (recording.file, way)

        def done(completion: engine.Completion) -> None:
            self.given[key] = _given(completion)

        try:
            client = engine.Client(
                multi,
                dialect=recording.dialect,
                base_url=f"{url}/{number}/{way}",
                api_key="key",
                retry=engine.Retry(max_attempts=1),
                # A busy machine may be long in taking a connection.
                timeouts=engine.Timeouts(connect=60.0),
            )
            client.stream("model", "hi", max_tokens=9, on_done=done)
        except EngineError as error:
            self.given[key] = error
            return False
        return True


@cache
def _replayed(ways: tuple[str, ...]) -> dict[tuple[str, str], Given | EngineError]:
    replayed = _Replay()
    replayed.run(ways)
    return replayed.given


def _assert_recorded(recording: Recording, given: Given | EngineError, way: str) -> None:
    if isinstance(given, EngineError):
        raise given
    found = differences(recording, given)
    if recording.file in KNOWN:
        assert found, f"{recording.file} is listed as different and is not"
    else:
        assert not found, f"cut {way}: {found}; {given.error}"
    if recording.fails:
        assert given.error is not None
        assert given.error.category is CATEGORIES[recording.file]


@each_case("recording", IN_SCOPE, ids=str)
def test_a_stream_over_a_socket_gives_what_was_recorded(recording: Recording) -> None:
    for way in WAYS:
        _assert_recorded(recording, _replayed(WAYS)[recording.file, way], way)


@pytest.mark.slow
@pytest.mark.parametrize("recording", IN_SCOPE, ids=str)
def test_a_stream_byte_by_byte_over_a_socket_gives_what_was_recorded(recording: Recording) -> None:
    _assert_recorded(recording, _replayed(("bytes",))[recording.file, "bytes"], "bytes")


def test_no_recording_is_forgotten() -> None:
    assert len(ALL) == 194
    assert {recording.wire for recording in ALL} == set(DIALECTS) | set(OUT_OF_SCOPE)
    assert {recording.file for recording in IN_SCOPE if recording.fails} == set(CATEGORIES)
    assert len(KNOWN) <= round(len(ALL) / 100)


def test_hundreds_of_streams_of_all_dialects_at_once_are_exact() -> None:
    wanted = [recording for recording in IN_SCOPE if len(recording.body) < 20_000][:200]
    given: list[Given | None] = [None] * len(wanted)
    everyone_is_here = threading.Event()
    waiting = itertools.count(1)

    def handle(peer: Peer) -> None:
        if next(waiting) == len(wanted):
            everyone_is_here.set()
        assert everyone_is_here.wait(30)
        _send(peer, wanted[int(peer.request.path.split("/")[1])], "random")

    def done(completion: engine.Completion, stream: engine.Stream) -> None:
        given[stream.user_data] = _given(completion)

    with serve(handle) as server, engine.Multi() as multi:
        for number, recording in enumerate(wanted):
            url = f"{server.url}/{number}"
            client = engine.Client(multi, dialect=recording.dialect, base_url=url, api_key="key")
            client.stream("model", "hi", max_tokens=9, on_done=done, user_data=number)
        multi.run()
    for recording, outcome in zip(wanted, given, strict=True):
        assert outcome is not None
        if recording.file not in KNOWN:
            assert differences(recording, outcome) == []


# -- without a socket --------------------------------------------------------------------------

_CUTS = int(os.environ.get("ENGINE_CORPUS_CUTS", examples(10_000)))


@cache
def _whole(recording: Recording) -> Given:
    return replay(recording, dialect(recording.dialect or ""), [recording.body])


@each_case("recording", IN_SCOPE, ids=str)
def test_any_cut_gives_the_events_of_the_whole(recording: Recording) -> None:
    format = dialect(recording.dialect or "")
    whole = _whole(recording)
    # Short streams are cut more often: as many bytes are read for each recording.
    share = _CUTS / len(IN_SCOPE) * 20_000 / (len(recording.body) + 10_000)
    for seed in range(max(round(share), 3)):
        given = replay(recording, format, random_pieces(recording.body, seed))
        assert given.events == whole.events, f"seed {seed}"
        assert (given.status, str(given.error)) == (whole.status, str(whole.error))


@pytest.mark.parametrize(
    "recording",
    [
        # Replaying each beginning takes time that grows with the square of the length.
        pytest.param(r, marks=pytest.mark.slow if len(r.body) > 1_000 else ())
        for r in IN_SCOPE
        if len(r.body) < 4_000 and not r.fails
    ],
    ids=str,
)
def test_no_beginning_of_a_stream_is_complete_without_its_marker(recording: Recording) -> None:
    """Cut at every byte: complete only where the bytes hold the end marker, whole; once complete,
    all longer beginnings are too, and the text never shrinks."""
    format = dialect(recording.dialect or "")
    body = recording.body
    text = ""
    ended = False
    for length in [*range(0, len(body), every(5)), len(body)]:
        given = replay(recording, format, [body[:length]])
        complete = given.status == "complete"
        assert complete or not ended, f"complete before byte {length}, and no more there"
        assert not complete or has_marker(recording, body[:length]), f"no marker in {length} bytes"
        assert given.messages[0].text.startswith(text)
        text = given.messages[0].text
        ended = complete
    assert ended


# What must have come whole before an answer may be called complete.
_MARKERS = {
    "openai-chat": (b"data: [DONE]", b"data:[DONE]", b'"finish_reason":"', b'"finish_reason": "'),
    "openai-completions": (b"data: [DONE]", b'"finish_reason":"', b'"finish_reason": "'),
    "openai-responses": (b"response.completed", b"response.incomplete", b"response.failed"),
    "anthropic": (b'"message_stop"',),
    "cohere-v2": (b'"message-end"',),
    "gemini": (b'"finishReason"', b'"blockReason"'),
    "gemini-interactions": (b'"interaction.completed"',),
    "gemini-array": (b'"finishReason"', b'"blockReason"'),
    "ollama": (b'"done":true', b'"done": true'),
}


def has_marker(recording: Recording, beginning: bytes) -> bool:
    return any(marker in beginning for marker in _MARKERS[recording.wire])


@each_case("recording", [r for r in ALL if r.wire in OUT_OF_SCOPE], ids=str)
def test_a_stream_in_no_format_of_ours_is_never_taken_for_an_answer(recording: Recording) -> None:
    given = replay(recording, dialect("chat"), [recording.body])
    assert given.status in ("error", "truncated")
    assert given.messages[0].parts == []


def test_random_pieces_are_a_partition() -> None:
    rng = random.Random(1)
    for seed in range(200):
        body = rng.randbytes(rng.randrange(0, 300))
        assert b"".join(random_pieces(body, seed)) == body
