"""``python -m tests.faults.soak [--minutes N]``: mixed faults, for as long as you like.

Descriptors must be flat, memory within 5 MB, no thread left, every stream told once and exact; the
graph of it is ``soak.png``.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import engine
from tests.faults.server import CLOSE, RESET, Step, play
from tests.faults.siblings import words
from tests.server import DONE, OK_SSE, Request, chat_chunk

__all__ = ["Sample", "Soak", "problems"]

MOST_GROWTH = 5.0  # MB
_AT_ONCE = 200
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
# What becomes of an answer → the endings that tell it truly.
FAULTS: dict[str, frozenset[str]] = {
    "well": frozenset({"complete"}),
    "whole": frozenset({"complete"}),
    "cut": frozenset({"truncated"}),
    "reset": frozenset({"truncated", "error"}),
    "refused": frozenset({"error"}),
    "broken": frozenset({"error"}),
    "in the stream": frozenset({"error"}),
    "left": frozenset({"cancelled", "complete"}),
    "cursor": frozenset({"complete"}),
}


class Sample(NamedTuple):
    """What the process holds, at a moment when nothing is open."""

    seconds: float
    streams: int
    megabytes: float
    descriptors: int
    threads: int


def script(request: Request) -> Iterable[Step]:
    _, fault, name, *_ = request.path.split("/")
    fault = fault.replace("_", " ")
    pieces = words(name)[:12]
    events = [chat_chunk(piece) for piece in pieces] + [chat_chunk(finish="stop"), DONE]
    if fault in ("well", "left"):
        yield OK_SSE
        for event in events:
            yield b"%x\r\n%s\r\n" % (len(event), event)
        yield b"0\r\n\r\n"
    elif fault == "whole":
        yield _HEAD + b"".join(events)
        yield CLOSE
    elif fault in ("cut", "reset"):
        yield _HEAD + b"".join(events[:5])
        yield CLOSE if fault == "cut" else RESET
    elif fault == "refused":
        yield b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
    elif fault == "broken":
        yield _HEAD + events[0] + b"data: {broken\n\n" + events[1]
        yield CLOSE
    elif fault == "in the stream":
        yield _HEAD + events[0] + b'data: {"error":{"message":"no","type":"server_error"}}\n\n'
        yield CLOSE
    else:
        marked = [b"id: %d\n%s" % (n, event) for n, event in enumerate(events)]
        last = request.headers.get("last-event-id")
        yield _HEAD + b"".join(marked[:6] if last is None else marked[int(last) + 1 :])
        yield CLOSE


class Soak:
    """Asks on one `Multi`, a few hundred at once, and looks at what the process holds."""

    def __init__(self, multi: engine.Multi, url: str, seed: int) -> None:
        self._multi = multi
        self._url = url
        self._chance = random.Random(seed)
        self._began = monotonic()
        self._retry = engine.Retry(
            max_attempts=3, base_delay=0.0, max_delay=0.0, budget=None, reconnect=True
        )
        self._once = engine.Retry(max_attempts=1)
        self.streams: int = 0
        self.ended: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.samples: list[Sample] = []

    def round(self, count: int = _AT_ONCE) -> None:
        """So many streams, to their end."""
        for _ in range(count):
            self._ask(self._chance.choice([*FAULTS]))
        self._multi.run()

    def sample(self) -> None:
        """Look at what is held now."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.samples.append(
            Sample(
                monotonic() - self._began,
                self.streams,
                pages * os.sysconf("SC_PAGESIZE") / 1e6,
                len(os.listdir("/proc/self/fd")),
                threading.active_count(),
            )
        )

    def _ask(self, fault: str) -> None:
        self.streams += 1
        name = f"s{self._chance.randrange(50)}"
        told: list[str] = []
        client = engine.Client(
            self._multi,
            dialect="chat",
            base_url=f"{self._url}/{fault.replace(' ', '_')}/{name}/v1",
            api_key="key",
            retry=self._retry if fault == "cursor" else self._once,
            gate=None,
        )

        def done(completion: engine.Completion) -> None:
            told.append(completion.status)
            self.ended[completion.status] += 1
            wanted = "".join(words(name)[:12])
            whole = completion.status == "complete"
            exact = completion.text == wanted if whole else wanted.startswith(completion.text)
            if len(told) != 1 or completion.status not in FAULTS[fault] or not exact:
                self.wrong.append(f"{fault}: {told} {completion!r}")

        stream: engine.Stream[Any] = client.stream("m", "hi", on_done=done)
        if fault == "left":
            stream.on("text", lambda delta: engine.STOP)


def problems(soak: Soak) -> list[str]:
    """What does not hold; the first quarter is for caches to fill."""
    steady = soak.samples[len(soak.samples) // 4 :]
    first, last = steady[0], steady[-1]
    found = [*soak.wrong[:5]]
    if last.descriptors > first.descriptors:
        found.append(f"descriptors: {first.descriptors} became {last.descriptors}")
    if last.threads > first.threads:
        found.append(f"threads: {first.threads} became {last.threads}")
    if last.megabytes - first.megabytes > MOST_GROWTH:
        found.append(f"memory: {first.megabytes:.1f} MB became {last.megabytes:.1f} MB")
    return found


def draw(samples: list[Sample], path: str) -> None:
    """The graph."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(3, 1, sharex=True, figsize=(9, 7))
    seconds = [sample.seconds for sample in samples]
    for axis, name, unit in zip(
        axes, ("megabytes", "descriptors", "threads"), ("MB", "open", "alive"), strict=True
    ):
        axis.plot(seconds, [getattr(sample, name) for sample in samples])
        axis.set_ylabel(f"{name} ({unit})")
        axis.set_ylim(bottom=0)
    axes[-1].set_xlabel("seconds")
    axes[0].set_title(f"{samples[-1].streams} streams with mixed faults")
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--graph", default="soak.png")
    asked = parser.parse_args()
    until = monotonic() + asked.minutes * 60
    with play(script) as server, engine.Multi(max_connections=_AT_ONCE) as multi:
        soak = Soak(multi, server.url, asked.seed)
        while monotonic() < until or len(soak.samples) < 8:
            soak.round()
            server.requests.clear()
            server.left.clear()
            server.bytes_sent.clear()
            soak.sample()
    found = problems(soak)
    first, last = soak.samples[len(soak.samples) // 4], soak.samples[-1]
    print(
        f"{soak.streams} streams in {last.seconds:.0f} s: {dict(soak.ended)}; "
        f"memory {first.megabytes:.1f} → {last.megabytes:.1f} MB, "
        f"descriptors {first.descriptors} → {last.descriptors}, "
        f"threads {first.threads} → {last.threads}"
    )
    try:
        draw(soak.samples, asked.graph)
        print(f"the graph is {asked.graph}")
    except ImportError:
        print("no graph: matplotlib is not installed")
    for problem in found:
        print(f"does not hold: {problem}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
