"""Storms of refusals: what they cost, and that what waits through them is answered."""

from __future__ import annotations

import select
import threading
from itertools import pairwise
from pathlib import Path
from time import monotonic

import pytest

import engine
from engine import Category, Multi, Retry, Timeouts
from engine.batch import Batch, Options, Summary
from tests.server import HEALTHY, Peer, chat, serve

TEXT = "".join(HEALTHY)


class Storm:
    """Refuses with `status` until it is over; counts, and notes when it was asked."""

    def __init__(self, status: str, headers: str = "", requests: float = float("inf")) -> None:
        self._status = status
        self._headers = headers
        self._lock = threading.Lock()
        self.left = requests
        self.asked: list[float] = []

    def end(self) -> int:
        """It is over; how many were refused."""
        with self._lock:
            self.left = 0
            return len(self.asked)

    def __call__(self, peer: Peer) -> None:
        with self._lock:
            self.asked.append(monotonic())
            refuses = self.left > 0
            self.left -= 1
        if refuses:
            peer.json(b'{"error":{"message":"no"}}', self._status, self._headers)
        else:
            peer.stream(chat(*HEALTHY))


class Narrow:
    """Answers so many at once, each in 20 ms, and refuses the others; counts."""

    def __init__(self, room: int, retry_after: str = "") -> None:
        self._room = threading.Semaphore(room)
        self._headers = f"Retry-After: {retry_after}\r\n" if retry_after else ""
        self.asked = 0

    def __call__(self, peer: Peer) -> None:
        self.asked += 1
        if self._room.acquire(blocking=False):
            threading.Event().wait(0.02)
            self._room.release()
            peer.stream(chat(*HEALTHY))
        else:
            peer.json(b'{"error":{"message":"full"}}', "429 Too Many Requests", self._headers)


def ended(streams: list[engine.Stream]) -> list[engine.Completion]:
    return [s.completion for s in streams if s.completion is not None]


def test_a_storm_of_503_costs_a_tenth_more(multi: Multi) -> None:
    storm = Storm("503 Overloaded")
    with serve(storm) as server:
        client = engine.Client(multi, base_url=server.url, retry=Retry(base_delay=0.01))
        streams = [client.stream("m", "hi") for _ in range(300)]
        multi.run()
        assert {c.error and c.error.category for c in ended(streams)} == {Category.SERVER}
        assert 300 < len(storm.asked) <= 300 * 1.1 + 10 + 3  # what a few seconds give back


def test_the_budget_is_a_keys_and_a_models(multi: Multi) -> None:
    storm = Storm("503 Overloaded")
    with serve(storm) as server:
        retry = Retry(max_attempts=2, base_delay=0.001, budget=0, budget_min=5)
        for number, (key, model) in enumerate([("a", "m"), ("a", "n"), ("b", "m"), ("a", "m")]):
            client = engine.Client(multi, base_url=server.url, api_key=key, retry=retry)
            before = len(storm.asked)
            streams = [client.stream(model, "hi") for _ in range(10)]
            multi.run()
            assert len(ended(streams)) == 10
            assert len(storm.asked) - before == (15 if number < 3 else 10)


@pytest.mark.slow
@pytest.mark.parametrize("status", ["408 Timeout", "504 Gateway Timeout"])
def test_a_servers_timeout_is_not_asked_again_at_once(multi: Multi, status: str) -> None:
    storm = Storm(status)
    delays: list[float] = []
    with serve(storm) as server:
        client = engine.Client(multi, base_url=server.url, retry=Retry(base_delay=0.2))
        for _ in range(5):
            stream = client.stream("m", "hi")
            delays += [e.delay for e in stream if isinstance(e, engine.events.RetryScheduled)]
            assert stream.completion is not None and stream.completion.error is not None
            assert stream.completion.error.category is Category.TIMEOUT
        assert len(delays) == 10 and all(0 < delay <= 0.4 for delay in delays)


def test_during_a_wait_that_was_asked_for_nothing_goes(multi: Multi) -> None:
    storm = Storm("429 Too Many Requests", "Retry-After: 1\r\n", requests=1)
    with serve(storm) as server:
        client = engine.Client(multi, base_url=server.url)
        first = client.stream("m", "hi")
        while not multi.statistics().backing_off:
            multi.poll(0.01)
        streams = [first, *(client.stream("m", "hi") for _ in range(20))]
        assert multi.statistics().queued == 20
        multi.run()
        assert {c.text for c in ended(streams)} == {TEXT}
        refused, *later = storm.asked
        assert len(later) == 21 and min(later) - refused > 0.9


def test_another_key_or_model_does_not_wait_with_it(multi: Multi) -> None:
    storm = Storm("429 Too Many Requests", "Retry-After: 30\r\n", requests=1)
    with serve(storm) as server:
        refused = engine.Client(multi, base_url=server.url).stream("m", "hi")
        while not multi.statistics().backing_off:
            multi.poll(0.01)
        for key, model in (("other", "m"), (None, "other")):
            client = engine.Client(multi, base_url=server.url, api_key=key)
            assert client.stream(model, "hi").result().text == TEXT
        refused.cancel()


def test_who_measures_goes_past_the_gate(multi: Multi) -> None:
    storm = Storm("429 Too Many Requests", "Retry-After: 30\r\n", requests=1)
    with serve(storm) as server:
        refused = engine.Client(multi, base_url=server.url).stream("m", "hi")
        while not multi.statistics().backing_off:
            multi.poll(0.01)
        client = engine.Client(multi, base_url=server.url, gate=None)
        assert client.stream("m", "hi").result().text == TEXT
        refused.cancel()


def test_the_wait_counts_into_the_total_and_cancelling_ends_it(multi: Multi) -> None:
    storm = Storm("429 Too Many Requests", "Retry-After: 30\r\n", requests=1)
    with serve(storm) as server:
        patient = engine.Client(multi, base_url=server.url).stream("m", "hi")
        while not multi.statistics().backing_off:
            multi.poll(1)
        client = engine.Client(multi, base_url=server.url, timeouts=Timeouts(total=0.2))
        waiting, cancelled = client.stream("m", "hi"), client.stream("m", "hi")
        cancelled.cancel()
        done = waiting.result()
        assert done.error is not None and done.error.phase == "total"
        assert cancelled.result().status == "cancelled"
        assert (done.attempts, len(storm.asked)) == (0, 1)
        assert patient.completion is None


def test_the_wait_after_a_refusal_counts_into_the_total(multi: Multi) -> None:
    storm = Storm("429 Too Many Requests", "Retry-After: 30\r\n", requests=1)
    with serve(storm) as server:
        client = engine.Client(multi, base_url=server.url, timeouts=Timeouts(total=0.5))
        done = client.stream("m", "hi").result()
        assert done.error is not None and done.error.phase == "total"
        assert len(storm.asked) <= 1  # none where the machine was slower than the limit


def test_a_wait_longer_than_ones_patience_is_told_at_once_and_falls_back(multi: Multi) -> None:
    storm = Storm("429 Too Many Requests", "Retry-After: 3600\r\n", requests=1)
    with serve(storm) as server:
        client = engine.Client(multi, base_url=server.url)
        for asked in (1, 1):
            done = client.stream("m", "hi").result()
            assert done.error is not None and done.error.category is Category.RATE_LIMIT
            assert done.error.retry_after == pytest.approx(3600, abs=30)
            assert len(storm.asked) == asked
        done = client.stream("m", "hi", fallback=["other"]).result()
        assert (done.status, done.text) == ("complete", TEXT)


def test_a_host_that_watches_the_descriptor_alone_sees_it_open(multi: Multi) -> None:
    storm = Storm("429 Too Many Requests", "Retry-After: 0.3\r\n", requests=1)
    with serve(storm) as server:
        client = engine.Client(multi, base_url=server.url)
        streams = [client.stream("m", "hi") for _ in range(3)]
        while len(multi):
            select.select(*multi.fdset(), multi.timeout())
            multi.perform()
            multi.info_read()
        assert {c.text for c in ended(streams)} == {TEXT}


@pytest.mark.slow
@pytest.mark.parametrize(("at_once", "attempts"), [(150, 5), (20, 20)])
def test_who_refuses_by_number_is_not_asked_one_by_one(
    multi: Multi, at_once: int, attempts: int
) -> None:
    """The first hundred, whatever the time: a wait for each would take twenty seconds."""
    waits = [waits_of_a_storm(multi, at_once, attempts)]
    while min(waits) > 12 and len(waits) < 4:  # a machine that stands still is a wait, too
        waits.append(waits_of_a_storm(multi, at_once, attempts))
    assert min(waits) <= 12


def waits_of_a_storm(multi: Multi, at_once: int, attempts: int) -> int:
    """How often the server heard nothing for a while: 150 requests, 100 refusals."""
    storm = Storm("429 Too Many Requests", "Retry-After: 0.2\r\n", requests=100)
    with serve(storm) as server:
        client = engine.Client(multi, base_url=server.url, retry=Retry(max_attempts=attempts))
        streams: list[engine.Stream] = []
        while len(streams) < 150 or len(ended(streams)) < 150:
            open_ = len(streams) - len(ended(streams))
            many = min(at_once - open_, 150 - len(streams))
            streams += [client.stream("m", "hi") for _ in range(many)]
            multi.poll(0.05)
        assert {c.text for c in ended(streams)} == {TEXT}
        assert len(storm.asked) == 250
        return sum(b - a > 0.1 for a, b in pairwise(sorted(storm.asked)))


@pytest.mark.slow
def test_a_storm_of_429_costs_each_request_once_more_and_a_few_to_ask(multi: Multi) -> None:
    storm = Storm("429 Too Many Requests")
    with serve(storm) as server:
        client = engine.Client(multi, base_url=server.url, retry=Retry(max_attempts=20))
        streams = [client.stream("m", "hi") for _ in range(500)]
        until = monotonic() + 5
        while monotonic() < until:
            multi.poll(0.1)
        in_storm = storm.end()
        multi.run()
        assert {c.text for c in ended(streams)} == {TEXT}
        # Each may be refused once on an average; one asks now and then after that.
        assert in_storm <= 500 + 8
        assert len(storm.asked) == in_storm + 500


@pytest.mark.slow
@pytest.mark.parametrize("retry_after", ["", "0.2"])
@pytest.mark.parametrize("room", [1, 2, 3, 8])
def test_a_server_with_room_for_a_few_is_kept_busy_and_refuses_few(
    multi: Multi, room: int, retry_after: str
) -> None:
    """Beside the time the same server takes where never more are asked than it has room for."""
    beside = []
    while not beside or (beside[-1] > 0 and len(beside) < 4):  # a machine may stand still once
        narrow = Narrow(room, retry_after)
        with serve(narrow) as server:
            ideal = never_more_than(room, multi, server.url)
            narrow.asked = 0
            client = engine.Client(multi, base_url=server.url, retry=Retry(max_attempts=20))
            begun = monotonic()
            streams = [client.stream("m", "hi") for _ in range(min(60 * room, 200))]
            multi.run()
            took = monotonic() - begun
        assert {c.text for c in ended(streams)} == {TEXT}
        assert len(ended(streams)) == len(streams)
        assert narrow.asked < 2.1 * len(streams) + 5
        # It stops a second where nothing is said of how long, and opens one by one.
        beside.append(took - (1.5 * ideal + 2))
    assert min(beside) <= 0


def never_more_than(room: int, multi: Multi, url: str) -> float:
    """The seconds that as many answers take where so many are asked at once."""
    client = engine.Client(multi, base_url=url, gate=None)
    begun = monotonic()
    left = min(60 * room, 200)
    asked = [client.stream("m", "hi") for _ in range(room)]
    while asked:
        multi.poll(0.01)
        for stream in [s for s in asked if s.completion is not None]:
            asked.remove(stream)
            left -= 1
            if left >= room:
                asked.append(client.stream("m", "hi"))
    return monotonic() - begun


def run_batch(multi: Multi, home: Path, options: Options, rows: int) -> Summary:
    input = home / "in.jsonl"
    input.write_text("".join(f'{{"id": "r{n}", "prompt": "Say {n}"}}\n' for n in range(rows)))
    batch = Batch(multi, input, home / "out.jsonl", options)
    batch.start()
    multi.run()
    assert batch.summary is not None
    return batch.summary


@pytest.mark.slow
@pytest.mark.parametrize("headers", ["", "Retry-After: 0.2\r\n"])
@pytest.mark.parametrize("status", ["503 Overloaded", "429 Too Many Requests"])
def test_a_storm_costs_a_batch_each_refusal_once_more(
    multi: Multi, tmp_path: Path, status: str, headers: str
) -> None:
    storm = Storm(status, headers, requests=20)
    with serve(storm) as server:
        options = Options(model="m", base_url=server.url, api_key="k", concurrency=20, stream=True)
        summary = run_batch(multi, tmp_path, options, 60)
        assert (summary.done, summary.failed) == (60, 0)
        assert len(storm.asked) == 80


@pytest.mark.slow
def test_under_a_fifth_refused_it_goes_on(multi: Multi) -> None:
    """One in ten is refused for a minute: nobody else waits for it."""
    count = [0]
    lock = threading.Lock()

    def handle(peer: Peer) -> None:
        with lock:
            count[0] += 1
            refuses = count[0] % 10 == 0
        if refuses:
            peer.json(b'{"error":{"message":"no"}}', "429 No", "Retry-After: 60\r\n")
        else:
            peer.stream(chat(*HEALTHY))

    with serve(handle) as server:
        client = engine.Client(multi, base_url=server.url, retry=Retry(max_attempts=1))
        answered = 0
        until = monotonic() + 30
        for _ in range(200):
            done = client.stream("m", "hi").result()
            answered += done.status == "complete"
        assert answered == 180 and monotonic() < until
