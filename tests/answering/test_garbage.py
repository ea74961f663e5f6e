"""What a finished request leaves behind: nothing that waits for the garbage collector."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from collections import Counter
from types import FunctionType, MethodType
from typing import Any

import pytest

import engine
from tests.garbage import left_in_cycles
from tests.server import HEALTHY, OK_SSE, Peer, chat, chat_chunk, serve

ENDINGS = ("complete", "truncated", "cancelled", "error", "retried")
EACH = 200


def answers(peer: Peer) -> None:
    """The ending that is asked for."""
    ending = next(word for word in ENDINGS if word.encode() in peer.request.body)
    key = peer.request.headers["idempotency-key"]
    again = [r for r in peer.server.requests if r.headers["idempotency-key"] == key][1:]
    if ending == "error":
        peer.json(b'{"error": {"message": "no such thing"}}', "400 Bad Request")
    elif ending == "retried" and not again:
        peer.json(b"{}", "503 Busy")
    elif ending == "truncated":
        peer.send(OK_SSE)
        peer.chunk(chat_chunk("All "))
    else:
        peer.stream(chat(*HEALTHY))


def ask(client: engine.Client, ended: Counter[str], each: int) -> None:
    """So many requests of each ending, all at once, and their ends."""

    def on_text(delta: str, stream: engine.Stream[Any]) -> None:
        if stream.user_data == "cancelled":
            stream.cancel()

    def on_done(completion: engine.Completion[Any], stream: engine.Stream[Any]) -> None:
        again = completion.status == "complete" and completion.attempts > 1
        ended["retried" if again else completion.status] += 1

    for _ in range(each):
        for ending in ENDINGS:
            client.stream("m", ending, on_text=on_text, on_done=on_done, user_data=ending)
    client.multi.run()


def ours(thing: object) -> bool:
    """Whether it is of the engine, and not of the server beside it."""
    if isinstance(thing, MethodType):
        return ours(thing.__self__)
    kind = thing if isinstance(thing, FunctionType) else type(thing)
    return (kind.__module__ or "").startswith(("engine", "pycurl")) or kind.__module__ == __name__


@pytest.mark.slow
def test_a_thousand_requests_of_every_ending_leave_nothing_in_a_cycle() -> None:
    ended = Counter[str]()
    retry = engine.Retry(base_delay=0.001, max_delay=0.001, budget=None)
    multi = engine.Multi(max_host_connections=20)
    with serve(answers) as server, engine.Client(multi, base_url=server.url, retry=retry) as client:
        ask(client, Counter(), 1)  # what is imported and cached at first is no garbage
        server.requests.clear()
        with left_in_cycles(ours) as left:
            ask(client, ended, EACH)
        multi.close()
    assert ended == dict.fromkeys(ENDINGS, EACH)
    assert not left


def test_an_answers_type_that_holds_its_stream_is_collected() -> None:
    kind: Any = dataclasses.make_dataclass("Answer", [])
    with (
        serve(lambda peer: peer.stream(chat("{}"))) as server,
        engine.Client(base_url=server.url) as client,
    ):
        kind.stream = client.stream("m", "q", response_format=kind)
        assert kind.stream.result().parsed == kind()
        gone = weakref.ref(kind)
        del kind
        gc.collect()
        assert gone() is None
