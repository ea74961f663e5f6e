"""What nobody took to its end is told as abandoned: when nobody holds it, or at exit."""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import engine
from engine import agents, telemetry
from engine.telemetry import hooks, unfinished
from engine.telemetry.spans import Spans
from engine.telemetry.unfinished import Unfinished, tell_dropped
from tests.faults.server import STALL, FaultServer, play
from tests.server import Request, chat_chunk
from tests.telemetry.test_hooks import CALL, HEAD
from tests.telemetry.told import Told

COUNTED = (
    b'data: {"id":"c1","model":"m-1","choices":[{"index":0,"delta":{"content":"a"}}],'
    b'"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}\n\n'
)


def quiet() -> AbstractContextManager[FaultServer]:
    """A server that goes quiet after a piece of an answer."""

    def script(request: Request) -> Iterator[Any]:
        yield HEAD + COUNTED + chat_chunk("b")
        yield STALL

    return play(script)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with quiet() as server:
        yield server


def begin(url: str, until: Callable[[Any], bool] = lambda stream: bool(stream.text)) -> Any:
    """A stream in mid-answer, whose client nobody else holds."""
    client = engine.Client(base_url=url, api_key="k")
    stream = client.stream("m", "a question")
    while not until(stream):
        client.multi.poll()
    return stream


def test_a_stream_that_nobody_holds_is_told_by_the_next_hook(
    told: Told,
    server: FaultServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Spans, "nanoseconds", lambda _, when: int(when * 1e9))
    caplog.set_level(logging.INFO, "engine.requests")
    stream = begin(server.url)
    del stream
    gc.collect()
    assert told.spans() == {}, "a finalizer tells nothing"
    (dropped,) = [n.when for n in unfinished._dropped if id(n) in unfinished._open]
    assert hooks.listens()
    (span,) = told.spans().values()
    said = dict(span.attributes or {})
    assert (said["error.type"], said["engine.status"]) == ("abandoned", "abandoned")
    assert span.end_time == int((dropped or 0) * 1e9), "when it was dropped, not when it is told"
    assert said["gen_ai.response.model"] == "m-1"
    assert said["gen_ai.usage.output_tokens"] == 3
    assert span.status.status_code.name == "ERROR"
    (attempt,) = [dict(event.attributes or {}) for event in span.events]
    assert attempt["http.response.status_code"] == 200
    (duration,) = told.metrics()["gen_ai.client.operation.duration"]
    assert duration.attributes["error.type"] == "abandoned"
    (line,) = [r.getMessage() for r in caplog.records]
    assert " m: abandoned, HTTP 200, " in line
    hooks.listens()
    assert len(told.exporter.get_finished_spans()) == 1


def test_its_span_ends_when_it_was_dropped_and_not_when_that_is_told(told: Told) -> None:
    begun: list[float] = []
    tell = begun.append
    noted = Unfinished(tell)
    del noted
    gc.collect()
    (dropped,) = [note.when for note in unfinished._dropped if note.tell is tell]
    tell_dropped()
    assert begun == [dropped]


def test_a_finalizer_takes_no_lock_and_calls_nothing() -> None:
    """It may run where its own thread holds the lock of whatever tells."""
    lock, heard = threading.Lock(), list[float]()

    def tell(when: float) -> None:
        with lock:
            heard.append(when)

    noted = Unfinished(tell)
    with lock:
        del noted
        gc.collect()
    assert heard == []
    tell_dropped()
    tell_dropped()
    assert len(heard) == 1


def test_what_is_over_is_not_abandoned_too(told: Told) -> None:
    heard: list[float] = []
    noted = Unfinished(heard.append)
    assert noted.over() and not noted.over()
    del noted
    gc.collect()
    tell_dropped()
    unfinished._tell_all()
    assert heard == []


def test_what_began_before_it_was_turned_off_is_not_told(told: Told, server: FaultServer) -> None:
    stream = begin(server.url)
    other = Told()
    telemetry.instrument(tracer_provider=other.tracers, meter_provider=other.meters)
    del stream
    gc.collect()
    tell_dropped()
    assert told.spans() == other.spans() == {}


@pytest.mark.parametrize("how", ["the stream", "the run"])
def test_a_run_and_its_tool_that_nobody_holds_are_told(told: Told, how: str) -> None:
    import json

    choice = {"index": 0, "delta": {"tool_calls": [CALL]}, "finish_reason": None}
    first = b"data: " + json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode()
    begun = [False]

    def script(request: Request) -> Iterator[Any]:
        if how == "the stream":
            yield HEAD + COUNTED
        else:
            yield HEAD + first + b"\n\n" + chat_chunk(finish="tool_calls") + b"data: [DONE]\n\n"
        yield STALL

    def double(n: int, context: agents.ToolContext) -> Any:
        begun[0] = True
        return context.multi.add(engine.HttpRequest("GET", f"{server.url}/quiet"))

    with play(script) as server:
        client = engine.Client(base_url=server.url, api_key="k")
        run = agents.FunctionAgent(client, "m", [double]).run_stream("twice 21?")
        run.on("token", lambda: begun.__setitem__(0, True))
        while not begun[0]:
            client.multi.poll()
        del run, client
        gc.collect()
        tell_dropped()
    spans = told.exporter.get_finished_spans()
    ended = {span.name: (span.attributes or {}).get("error.type") for span in spans}
    if how == "the stream":
        assert ended == {"chat m": "abandoned", "invoke_agent FunctionAgent": "abandoned"}
    else:
        last = "execute_tool double"
        assert ended == {
            "chat m": None,
            last: "abandoned",
            "invoke_agent FunctionAgent": "abandoned",
        }


# Each end is one of a process of its own, all children of one that has imported what they need.
PROGRAM = """
import os, sys, threading
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
import engine
from engine import telemetry

def line(kind):
    return lambda it: f"{kind} {it.to_json(indent=None)}\\n"

def instrument():
    tracers = TracerProvider()
    shown = ConsoleSpanExporter(formatter=line("SPAN"))
    tracers.add_span_processor(BatchSpanProcessor(shown))
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter(formatter=line("METRIC")))
    telemetry.instrument(tracer_provider=tracers, meter_provider=MeterProvider([reader]))

def become(end):
    for name, number in (("out", 1), ("err", 2)):
        with open(f"{folder}/{end}.{name}", "wb") as file:
            os.dup2(file.fileno(), number)

url, folder, *ends = sys.argv[1:]
end = None
for number in range(0, len(ends), 2):
    child = os.fork()
    if not child:
        end, code = ends[number : number + 2]
        break
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, ends[number]
if end is not None:
    become(end)
    instrument()
    client = engine.Client(base_url=url, api_key="k")
    stream = client.stream("m", "hi")
    while not stream.text:
        client.multi.poll()
    exec(code)
"""
ENDS = {
    "left open": ("", "abandoned"),
    "dropped": ("del client, stream; import gc; gc.collect()", "abandoned"),
    "dropped in a cycle": ("stream.user_data = [stream]; del client, stream", "abandoned"),
    "raised": ("raise SystemExit(0)", "abandoned"),
    "held by a thread": (
        "threading.Thread(target=lambda s=stream: threading.Event().wait(), daemon=True).start()",
        "abandoned",
    ),
    "cancelled": ("stream.cancel()", "cancelled"),
    "left by break": ("for event in stream: break", "cancelled"),
    "in a child too": (
        "if os.fork() == 0: sys.exit(0)\nos.wait()",
        "abandoned",
    ),
    "closed": ("client.close()", "cancelled"),
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what each process printed that ended with a stream in mid-answer."""
    folder = tmp_path_factory.mktemp("ended")
    ends = [word for end, (code, _) in ENDS.items() for word in (end, code)]
    with quiet() as server:
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM, server.url, str(folder), *ends],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
        )
    assert ran.returncode == 0, ran.stderr
    return folder


@pytest.mark.parametrize("end", ENDS)
def test_what_is_open_when_the_process_ends_is_told(ended: Path, end: str) -> None:
    _, kind = ENDS[end]
    told, errors = ((ended / f"{end}.{name}").read_text() for name in ("out", "err"))
    spans = [line for line in told.splitlines() if line.startswith("SPAN")]
    assert len(spans) == 1, told + errors
    assert f'"error.type": "{kind}"' in spans[0]
    (metrics,) = [line for line in told.splitlines() if "operation.duration" in line]
    assert f'"error.type": "{kind}"' in metrics
    assert "Traceback" not in errors and "shutdown" not in errors, errors
