"""Reconnecting: an answer that is cut goes on at its place, or is told to be cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

import engine
from engine import events
from tests.cases import each_case
from tests.faults.cursors import KEPT, PLAIN, WIRES, CursorServer, Wire
from tests.faults.cursors import events as answered
from tests.faults.server import CLOSE, RESET, Step, play
from tests.faults.siblings import words
from tests.server import Request

PATIENT = engine.Retry(max_attempts=6, base_delay=0.0, max_delay=0.0, budget=None, reconnect=True)


def ask(client_of: dict[str, Any], url: str, wire: Wire, name: str, **more: Any) -> engine.Stream:
    client = engine.Client(
        client_of["multi"],
        dialect=wire,
        base_url=f"{url}/{wire}/{name}/v1",
        api_key="k",
        retry=client_of["retry"],
    )
    return client.stream("m", "hi", max_tokens=9, extra_body=KEPT.get(wire), **more)


def asked(count: int, server: CursorServer, retry: engine.Retry) -> dict[str, Any]:
    """What came of `count` answers, each cut by `server`: name → (wire, completion, events)."""
    told: dict[str, Any] = {}
    with play(server.script) as peer, engine.Multi(max_connections=200) as multi:
        for number in range(count):
            wire, name = WIRES[number % len(WIRES)], f"a{number}"
            heard: list[events.Event] = []
            stream = ask(
                {"multi": multi, "retry": retry}, peer.url, wire, name, on_event=heard.append
            )
            told[name] = wire, stream, heard
        multi.run()
    return {n: (wire, stream.completion, heard) for n, (wire, stream, heard) in told.items()}


def check_exact(count: int, seed: int) -> None:
    server, cuts = CursorServer(cuts=3, seed=seed), list[int]()
    for name, (wire, done, heard) in asked(count, server, PATIENT).items():
        assert done.status == "complete", (name, wire, done)
        text = "".join(words(name))
        assert done.text == text, (name, wire)
        assert "".join(e.text for e in heard if isinstance(e, events.TextDelta)) == text
        assert sum(isinstance(e, events.Start) for e in heard) == 1
        assert sum(isinstance(e, events.Done) for e in heard) == 1
        assert not any(isinstance(e, events.Restarted) for e in heard)
        assert done.attempts == len(server.asked[f"{wire}/{name}"])
        cuts.append(done.attempts - 1)
    # A cut behind the finish reason of a chat is none: nothing of the answer was missing.
    assert max(cuts) == 3
    assert sum(cuts) > 2.8 * count


def test_answers_cut_three_times_are_exact() -> None:
    check_exact(30, seed=1)


@pytest.mark.slow
def test_a_thousand_answers_cut_three_times_are_exact() -> None:
    check_exact(1000, seed=2)


@pytest.mark.parametrize("keeps", [True, False], ids=["without-reconnect", "without-cursors"])
def test_nothing_goes_on_by_itself(keeps: bool) -> None:
    """Without `reconnect`; and with it, where the events have no id."""
    server = CursorServer(cuts=3, ids=keeps, keeps=keeps)
    retry = engine.Retry(
        max_attempts=6, base_delay=0.0, max_delay=0.0, budget=None, reconnect=not keeps
    )
    begun = 0
    for name, (wire, done, heard) in asked(30, server, retry).items():
        delivered = [e.text for e in heard if isinstance(e, events.TextDelta)]
        assert "".join(delivered) == done.text
        if wire == "responses" and not keeps:  # the whole is sent again, and what was read passed
            assert (done.status, done.text) == ("complete", "".join(words(name)))
        elif delivered:
            cut = done.status == "truncated"
            begun += cut
            assert cut or (done.status, done.text) == ("complete", "".join(words(name))), name
            assert "".join(words(name)).startswith(done.text)
    assert begun > 5


def test_a_server_that_forgets_its_places_is_found_out() -> None:
    """It has ids, and begins anew all the same: nothing is told twice."""
    server = CursorServer(cuts=1, keeps=False)
    for name, (wire, done, heard) in asked(30, server, PATIENT).items():
        text = "".join(e.text for e in heard if isinstance(e, events.TextDelta))
        assert "".join(words(name)).startswith(text), (name, wire)
        assert done.text == text
        assert done.status == "truncated" or text == "".join(words(name)), (name, wire)


@pytest.mark.parametrize("reconnect", [False, True])
def test_with_restart_the_answer_begins_anew_and_says_so(reconnect: bool) -> None:
    server = CursorServer(cuts=2, ids=reconnect, keeps=False)
    retry = engine.Retry(
        max_attempts=6,
        base_delay=0.0,
        max_delay=0.0,
        budget=None,
        reconnect=reconnect,
        restart=True,
    )
    restarted = 0
    for name, (wire, done, heard) in asked(30, server, retry).items():
        told = [e for e in heard if isinstance(e, events.TextDelta | events.Restarted)]
        starts = [n for n, e in enumerate(told) if isinstance(e, events.Restarted)]
        restarted += len(starts)
        since = told[starts[-1] + 1 :] if starts else told
        assert "".join(e.text for e in since if isinstance(e, events.TextDelta)) == done.text
        assert (done.status, done.text) == ("complete", "".join(words(name))), (name, wire)
    assert restarted > 10


def answer(status: str, body: bytes = b"", kind: str = "text/event-stream") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


PAGE, WHOLE = ("text/html", b"<html>Log in</html>"), ("application/json", b'{"id":"x"}')


@each_case(
    ("rest", "asked_for_it"),
    [
        (b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", 1),  # WHATWG: ask no more
        (answer("404 Not Found"), 1),
        (answer("410 Gone"), 1),
        (answer("400 Bad Request"), 1),
        (answer("200 OK", PAGE[1], PAGE[0]), 1),
        (answer("200 OK", WHOLE[1], WHOLE[0]), 1),
        (answer("200 OK"), 5),  # nothing came: as often as there are attempts
        (answer("200 OK", b": here\n\nretry: 0\n\n"), 5),
        (answer("500 Oops"), 5),
        (answer("503 Busy"), 5),
        (b"", 5),
        (b"HTTP/1.1 200 O", 5),
        (RESET, 5),
    ],
)
@each_case("wire", WIRES)
def test_what_a_server_says_in_place_of_the_rest(wire: Wire, rest: Step, asked_for_it: int) -> None:
    """Whatever it is: what came stays, and is told to be cut."""
    all = answered(wire, "a", ids=True)
    asked: list[str] = []

    def script(request: Request) -> Iterator[Step]:
        asked.append(request.method)
        yield PLAIN + b"".join(all[:20]) if len(asked) == 1 else rest
        yield CLOSE

    with play(script) as peer, engine.Multi() as multi:
        done = ask({"multi": multi, "retry": PATIENT}, peer.url, wire, "a").result()
    assert done.status == "truncated", done
    assert "to ask again failed" in str(done.error)
    assert done.text and "".join(words("a")).startswith(done.text)
    assert len(asked) == 1 + asked_for_it


@each_case("retry", [b"9" * 12, b"9" * 30, b"-1", b"1e9", b"x", b""])
def test_no_server_can_have_its_client_wait_for_ever(retry: bytes) -> None:
    """A wait that a stream asks for is bounded as that of a header is, and nonsense is none."""
    patience = replace(PATIENT, max_retry_after=0.0)
    all = answered("chat", "a", ids=True)
    asked: list[str] = []

    def script(request: Request) -> Iterator[Step]:
        asked.append(request.method)
        first = len(asked) == 1
        yield PLAIN + (
            b"".join(all[:20]) + b"retry: %s\n\n" % retry if first else b"".join(all[20:])
        )
        yield CLOSE

    with play(script) as peer, engine.Multi() as multi:
        done = ask({"multi": multi, "retry": patience}, peer.url, "chat", "a").result()
    assert (done.status, done.text) == ("complete", "".join(words("a")))


@each_case("at_once", [False, True])
@each_case("wire", WIRES)
def test_a_gap_in_the_rest_ends_it_there_however_it_is_cut(wire: Wire, at_once: bool) -> None:
    """What came before the gap is kept, what comes behind it is not."""
    all = answered(wire, "a", ids=True)
    kept = list[engine.events.Event]()
    asked: list[str] = []
    lost = 25

    def script(request: Request) -> Iterator[Step]:
        asked.append(request.method)
        if len(asked) == 1:
            yield PLAIN + b"".join(all[:20])
        else:
            rest = all[20:lost] + all[lost + 1 :]
            yield PLAIN
            yield from [b"".join(rest)] if at_once else [part for e in rest for part in (e, 0.001)]
        yield CLOSE

    with play(script) as peer, engine.Multi() as multi:
        setting = {"multi": multi, "retry": PATIENT}
        done = ask(setting, peer.url, wire, "a", on_event=kept.append).result()
    if wire == "interactions":  # its ids are opaque: nobody can say which is the next
        assert done.status == "complete"
        return
    told = [e.text for e in kept if isinstance(e, events.TextDelta)]
    assert done.status == "truncated"
    assert told == words("a")[: len(told)]
    before = {"chat": 1, "messages": 2, "responses": 2}[wire]
    assert len(told) == lost - before
    assert len(asked) == 2
