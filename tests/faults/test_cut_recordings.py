"""Recorded streams, cut at each byte of what goes over the wire, in each framing: an answer is
complete only where its marker had arrived."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import engine
from tests.corpus import Recording, recordings
from tests.faults.case import chunk
from tests.faults.h2_server import ErrorCodes, H2Peer, play_h2
from tests.faults.server import CLOSE, play
from tests.test_corpus import IN_SCOPE, has_marker

pytestmark = pytest.mark.skipif(not recordings(), reason="the corpus is not here")

_AT_ONCE = 200
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n"
_ENDS = {
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n",
    "length": b"Content-Length: %d\r\n\r\n",
    "close": b"Connection: close\r\n\r\n",
    "gzip": b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n",
}


def _short() -> list[Recording]:
    """The twenty shortest whole answers, at most three of a format."""
    of: dict[str, list[Recording]] = {}
    for recording in sorted(IN_SCOPE, key=lambda r: len(r.body)):
        if not recording.fails and len(recording.body) > 200:
            of.setdefault(recording.wire, []).append(recording)
    return [r for n in range(3) for rs in of.values() for r in rs[n : n + 1]][:20]


SHORT = _short()


def _framed(recording: Recording, framing: str) -> bytes:
    """The head and the body of `recording` as they go over HTTP/1.1."""
    head = (_HEAD % recording.content_type.encode()) + _ENDS[framing]
    body = recording.body
    if framing == "chunked":
        parts = [body[at : at + 97] for at in range(0, len(body), 97)]
        return head + b"".join(map(chunk, parts)) + b"0\r\n\r\n"
    if framing == "length":
        return head % len(body) + body
    if framing == "gzip":
        packer = zlib.compressobj(wbits=31)
        return head + packer.compress(body) + packer.flush()
    return head + body


def _came(sent: bytes, framing: str) -> bytes:
    """As much of the body as `sent` can give."""
    body = sent.partition(b"\r\n\r\n")[2]
    if framing == "gzip":
        return zlib.decompressobj(wbits=31).decompress(body)
    if framing != "chunked":
        return body
    plain = b""
    while True:
        size, found, rest = body.partition(b"\r\n")
        if not found or not int(size, 16):
            return plain
        plain += rest[: int(size, 16)]
        body = rest[int(size, 16) + 2 :]


def _ended(
    url: str, recording: Recording, cuts: range, **options: Any
) -> Iterator[tuple[int, engine.Completion]]:
    with engine.Multi(**options) as multi:
        for at in range(0, len(cuts), _AT_ONCE):
            streams = []
            for cut in cuts[at : at + _AT_ONCE]:
                client = engine.Client(
                    multi,
                    dialect=recording.dialect,
                    base_url=f"{url}/{cut}",
                    api_key="key",
                    retry=engine.Retry(max_attempts=1, unknown="fail"),
                    timeouts=engine.Timeouts(connect=60.0),
                )
                streams.append((cut, client.stream("m", "hi", max_tokens=9)))
            multi.run()
            for cut, stream in streams:
                yield cut, stream.result()


def _judge(
    recording: Recording,
    came: Callable[[int], bytes],
    ended: Iterator[tuple[int, engine.Completion]],
) -> None:
    completion = None
    for cut, completion in ended:
        if completion.status == "complete":
            assert has_marker(recording, came(cut)), f"complete after {cut} bytes"
        else:
            assert completion.status in ("truncated", "error"), (cut, completion)
    assert completion is not None and completion.status == "complete", "all had come"


_STEP = [
    pytest.param(19, marks=pytest.mark.slow, id="each 19th"),
    pytest.param(1, marks=[pytest.mark.nightly, pytest.mark.timeout(600)], id="each"),
]


@pytest.mark.parametrize("step", _STEP)
@pytest.mark.parametrize("framing", _ENDS)
@pytest.mark.parametrize("recording", SHORT, ids=str)
def test_a_recording_cut_at_a_byte_is_complete_only_after_its_marker(
    recording: Recording, framing: str, step: int
) -> None:
    whole = _framed(recording, framing)
    cuts = range(len(whole) % step, len(whole) + 1, step)
    with play(lambda r: iter([whole[: int(r.path.split("/")[1])], CLOSE])) as server:
        _judge(
            recording,
            lambda cut: _came(whole[:cut], framing),
            _ended(server.url, recording, cuts),
        )


@pytest.mark.parametrize("step", _STEP)
@pytest.mark.parametrize("recording", SHORT, ids=str)
def test_a_recording_cut_at_a_byte_over_http2_is_complete_only_after_its_marker(
    recording: Recording, step: int, tmp_path: Path
) -> None:
    body = recording.body

    def answer(peer: H2Peer) -> None:
        cut = int(peer.headers[":path"].split("/")[1])
        peer.head(kind=recording.content_type)
        if cut:
            peer.data(body[:cut], end=cut == len(body))
        if cut < len(body):
            peer.reset(ErrorCodes.INTERNAL_ERROR)

    cuts = range(len(body) % step, len(body) + 1, step)
    with play_h2(answer, tmp_path) as server:
        _judge(
            recording,
            lambda cut: body[:cut],
            _ended(server.url, recording, cuts, ca_file=server.ca_file),
        )
