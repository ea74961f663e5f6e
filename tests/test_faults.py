"""What servers do wrong, with healthy streams beside it: never a silent success, never a raw error.

Each case runs beside siblings on the same `Multi`, whose text must come exact.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

import engine
from engine.errors import Category, EngineError
from tests.cases import each_case
from tests.server import DONE, HEALTHY, OK_JSON, OK_SSE, Peer, chat, chat_chunk, serve
from tests.volume import every

TEXT = "".join(HEALTHY)
WHOLE = (
    b'{"id": "c1", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", '
    b'"message": {"role": "assistant", "content": "All is well."}}]}'
)


def hurt(
    handler: Callable[[Peer], object], attempts: int = 1, siblings: int = 3
) -> engine.Completion:
    """The completion of a stream that `handler` answers; its siblings must not notice."""
    with serve(lambda peer: peer.sibling() or handler(peer)) as server, engine.Multi() as multi:
        healthy = engine.Client(multi, base_url=f"{server.url}/healthy")
        client = engine.Client(
            multi,
            base_url=server.url,
            retry=engine.Retry(max_attempts=attempts, base_delay=0.001),
            timeouts=engine.Timeouts(total=10),
        )
        beside = [healthy.stream("m", "hi") for _ in range(siblings)]
        stream = client.stream("m", "hi")
        beside += [healthy.stream("m", "hi") for _ in range(siblings)]
        multi.run()
        assert [s.completion and s.completion.text for s in beside] == [TEXT] * 2 * siblings
        assert stream.completion is not None
        if stream.completion.status != "complete":
            error = stream.completion.error
            assert isinstance(error, EngineError)
            assert str(error), "an error says what and what next"
        return stream.completion


def raw(data: bytes, reset: bool = False) -> Callable[[Peer], None]:
    """Send exactly that, and close."""

    def handle(peer: Peer) -> None:
        peer.send(data)
        if reset:
            peer.reset()

    return handle


def chunked(*pieces: bytes) -> bytes:
    return OK_SSE + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


GOOD = chunked(*chat(*HEALTHY))
CLOSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def marker_at(stream: bytes) -> int:
    """Where the finish reason's event, which makes an answer complete, is whole: its blank line may
    be missing where the bytes end."""
    return stream.index(b"\n\n", stream.index(b'"stop"'))


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(GOOD, id="chunked"),
        pytest.param(CLOSE + b"".join(chat(*HEALTHY)), id="until the connection closes"),
        pytest.param(
            CLOSE.replace(
                b"Connection: close", b"Content-Length: %d" % len(b"".join(chat(*HEALTHY)))
            )
            + b"".join(chat(*HEALTHY)),
            id="by length",
        ),
    ],
)
@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_a_stream_cut_at_any_byte_is_complete_only_after_its_marker(
    stream: bytes, reset: bool
) -> None:
    cuts = range(0, len(stream), every(12) if reset else every(7))

    def handle(peer: Peer) -> None:
        cut = int(peer.request.path.split("/")[1])
        peer.send(stream[:cut])
        if reset:
            peer.reset()

    # All begin in one turn, so that each has a connection of its own.
    with serve(handle) as server, engine.Multi(turn_seconds=None) as multi:
        retry = engine.Retry(max_attempts=1)
        streams = {
            cut: engine.Client(multi, base_url=f"{server.url}/{cut}", retry=retry).stream("m", "x")
            for cut in cuts
        }
        multi.run()
    head = stream.index(b"\r\n\r\n") + 4
    for cut, each in streams.items():
        completion = each.completion
        assert completion is not None
        if cut < marker_at(stream):
            assert completion.status in ("truncated", "error"), (cut, completion)
            assert completion.error is not None and completion.finish_reason is None
        elif not reset:
            assert (completion.status, completion.text) == ("complete", TEXT), (cut, completion)
        assert TEXT.startswith(completion.text)
        if cut < head:
            assert completion.status == "error", (cut, completion)
        elif head < cut < marker_at(stream) and not reset:
            assert completion.status == "truncated", (cut, completion.error)


CASES: list[tuple[str, bytes, str, Category]] = [
    ("a web page", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 21\r\n\r\n"
     b"<html>Log in!</html>\n", "error", Category.PROTOCOL),
    ("a web page that says it is a stream", chunked(b"<!doctype html><p>Log in"), "error",
     Category.PROTOCOL),
    ("an empty 200", OK_JSON + b"Content-Length: 0\r\n\r\n", "truncated", Category.TRUNCATED),
    ("an empty stream", chunked(), "truncated", Category.TRUNCATED),
    ("204", b"HTTP/1.1 204 No Content\r\n\r\n", "truncated", Category.TRUNCATED),
    ("comments only", chunked(b": ping\n\n", b": ping\n\n"), "truncated", Category.TRUNCATED),
    ("no marker", chunked(*chat(*HEALTHY)[:3]), "truncated", Category.TRUNCATED),
    ("a data line that is no JSON", chunked(b"data: {oops\n\n"), "error", Category.PROTOCOL),
    ("a data line that is no UTF-8", chunked(b"data: \xff\xfe\n\n"), "error", Category.PROTOCOL),
    ("bad chunk size", OK_SSE + b"zz\r\nhello\r\n", "error", Category.PROTOCOL),
    ("huge chunk size", OK_SSE + b"f" * 20 + b"\r\nx\r\n", "error", Category.PROTOCOL),
    ("HTTP/0.9", b"hello there\n", "error", Category.PROTOCOL),
    ("an SSH server", b"SSH-2.0-OpenSSH_9.2\r\n", "error", Category.PROTOCOL),
    ("two lengths", OK_JSON + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "error",
     Category.PROTOCOL),
    ("a negative length", OK_JSON + b"Content-Length: -5\r\n\r\nhello", "error", Category.PROTOCOL),
    ("a header line of 200 kB", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", "error",
     Category.PROTOCOL),
    ("5,000 header lines", b"HTTP/1.1 200 OK\r\n" + b"X: " + b"\r\nX: ".join([b"y" * 80] * 5000)
     + b"\r\n\r\n", "error", Category.PROTOCOL),
    ("closed without a word", b"", "error", Category.NETWORK),
    ("only a status line", b"HTTP/1.1 200 OK\r\n", "error", Category.NETWORK),
]  # fmt: skip


@each_case(("data", "status", "category"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_what_is_no_stream_is_told_apart(data: bytes, status: str, category: Category) -> None:
    completion = hurt(raw(data))
    assert (completion.status, completion.error and completion.error.category) == (status, category)


def test_bad_framing_after_text_keeps_the_text() -> None:
    first = chat("so far")[0]
    begun = OK_SSE + b"%x\r\n%s\r\n" % (len(first), first)
    completion = hurt(raw(begun + b"zz\r\n"))
    assert completion.status == "error" and completion.text == "so far"


def test_json_in_answer_to_a_stream_request_is_read_as_the_answer() -> None:
    completion = hurt(lambda peer: peer.json(WHOLE))
    assert (completion.status, completion.text) == ("complete", TEXT)


def test_bytes_after_the_marker_change_nothing() -> None:
    for extra in (b"data: {oops\n\n", DONE, b"\x00garbage", chat_chunk("more")):
        completion = hurt(raw(chunked(*chat(*HEALTHY), extra)), siblings=1)
        assert (completion.status, completion.text) == ("complete", TEXT), extra


def test_a_server_that_never_closes_after_the_marker_is_left() -> None:
    def stay(peer: Peer) -> None:
        peer.send(OK_SSE)
        for event in chat(*HEALTHY):
            peer.chunk(event)
        peer.wait_closed()

    assert hurt(stay).status == "complete"


def test_a_gzip_stream_is_read_and_one_that_is_cut_is_truncated() -> None:
    packed = gzip.compress(b"".join(chat(*HEALTHY)))
    head = CLOSE.replace(b"Connection", b"Content-Encoding: gzip\r\nConnection")
    assert hurt(raw(head + packed)).text == TEXT
    assert hurt(raw(head + packed[: len(packed) // 2])).status == "truncated"
    assert hurt(raw(head + b"this is not gzip")).status in ("error", "truncated")


def test_a_redirect_is_an_error_and_carries_no_key_on() -> None:
    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as thief:
        completion = hurt(lambda peer: peer.json(b"", "307 Moved", f"Location: {thief.url}\r\n"))
        assert thief.connections == 0
    assert completion.status == "error" and completion.http_status == 307


@each_case(
    ("status", "category", "tries"),
    [
        (400, Category.INVALID_ARG, 1),
        (401, Category.AUTH, 1),
        (403, Category.AUTH, 1),
        (404, Category.NOT_FOUND, 1),
        (408, Category.TIMEOUT, 3),
        (422, Category.INVALID_ARG, 1),
        (429, Category.RATE_LIMIT, 3),
        (500, Category.SERVER, 3),
        (502, Category.SERVER, 3),
        (503, Category.SERVER, 3),
        (529, Category.SERVER, 3),
    ],
)
def test_a_status_has_its_category_and_its_number_of_tries(
    status: int, category: Category, tries: int
) -> None:
    seen: list[str] = []

    def refuse(peer: Peer) -> None:
        seen.append(peer.request.path)
        peer.json(b'{"error": {"message": "because"}}', f"{status} No", "x-request-id: r1\r\n")

    completion = hurt(refuse, attempts=3)
    assert completion.status == "error" and completion.http_status == status
    error = completion.error
    assert error is not None
    assert (error.category, error.http_status, error.request_id) == (category, status, "r1")
    assert "because" in str(error)
    assert len(seen) == completion.attempts == tries


def test_an_error_page_of_ten_megabytes_is_cut_to_a_sane_length() -> None:
    body = b"<html>" + b"sorry " * 1_700_000
    completion = hurt(lambda peer: peer.json(body, "500 Oops"))
    assert completion.error is not None
    assert len(str(completion.error)) + len(completion.error.detail or "") < 100_000


def test_a_key_never_appears_in_what_is_shown() -> None:
    key = "sk-canary-0123456789"
    with serve(lambda peer: peer.json(b'{"error": {"message": "bad"}}', "401 No")) as server:
        client = engine.Client(base_url=server.url, api_key=key)
        stream = client.stream("m", "hi")
        completion = stream.result()
        assert key in server.requests[0].headers["authorization"]
        shown = f"{client!r} {stream!r} {completion!r} {completion.error!r} {client.multi!r}"
        error = vars(completion.error) if completion.error else ""
        shown += f"{error} {stream._attempts._transfer!r}"
        client.close()
    assert key not in shown
