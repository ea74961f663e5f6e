"""A row of a batch has its span, whichever way it is asked."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import engine.emulator
from engine import telemetry
from engine.batch import Batch, Options, run
from engine.batch.outcome import Outcome
from engine.batch.telling import telling
from engine.telemetry.unfinished import tell_dropped
from engine.transport.deadlines import Timeouts

ROWS = [{"custom_id": f"r{n}", "prompt": f"Say {n}."} for n in range(3)]
KEY = "canary-of-a-row-never-seen"


@pytest.fixture(scope="module")
def emulator() -> Iterator[engine.emulator.Emulator]:
    with engine.emulator.start(tokens=5) as emulator:
        yield emulator


class Told:
    """What OpenTelemetry is told while it is on."""

    def __init__(self, *, content: bool = False) -> None:
        self._exporter = InMemorySpanExporter()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        telemetry.instrument(tracer_provider=tracers, content=content)

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *_: object) -> None:
        telemetry.uninstrument()

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())


def ask(
    emulator: engine.emulator.Emulator, folder: Path, rows: list[dict[str, Any]], **more: Any
) -> int:
    more = {"model": "demo", **more}
    options = Options(base_url=emulator.base_url, api_key=KEY, **more)
    return run(rows, folder / "out.jsonl", options).done


@pytest.mark.parametrize("stream", [False, True])
def test_a_span_a_row(emulator: engine.emulator.Emulator, tmp_path: Path, stream: bool) -> None:
    with Told() as told:
        assert ask(emulator, tmp_path, ROWS, stream=stream, max_tokens=4) == 3
    assert [span.name for span in told.spans] == ["chat demo"] * 3
    for span in told.spans:
        said = dict(span.attributes or {})
        assert said["engine.status"] == "complete"
        assert said["gen_ai.request.stream"] is stream
        assert said["gen_ai.request.max_tokens"] == 4
        assert said["gen_ai.usage.output_tokens"] == 4
        assert said["gen_ai.response.finish_reasons"] == ("length",)
        assert str(said["gen_ai.response.id"]).startswith("chatcmpl")
        assert said["gen_ai.response.model"] == "demo"
        assert "Say" not in span.to_json()
        assert [event.name for event in span.events] == ["attempt"]
        assert (span.events[0].attributes or {})["http.response.status_code"] == 200


def test_each_time_a_row_is_asked_has_its_span_and_its_end(
    emulator: engine.emulator.Emulator, tmp_path: Path
) -> None:
    with Told() as told:
        model = "error-503-times=1-retry_after=0"
        assert ask(emulator, tmp_path, ROWS[:1], model=model, max_attempts=3) == 1
    failed, answered = (dict(span.attributes or {}) for span in told.spans)
    assert (failed["engine.status"], failed["error.type"]) == ("error", "server")
    assert not told.spans[0].status.is_ok
    assert answered["engine.status"] == "complete"


def test_what_is_asked_and_said_is_told_where_it_is_asked_for_and_no_key(
    emulator: engine.emulator.Emulator, tmp_path: Path
) -> None:
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    asked = [{"role": "user", "content": 'Use add {"a": 1}.'}]
    body = {"model": "demo", "messages": asked, "tools": [tool]}
    row = {"custom_id": "a", "url": "/v1/chat/completions", "body": body}
    with Told(content=True) as told:
        assert ask(emulator, tmp_path, [row], model=None) == 1
    assert KEY not in told.spans[0].to_json()
    (span,) = told.spans
    said = dict(span.attributes or {})
    assert json.loads(str(said["gen_ai.input.messages"])) == asked
    (message,) = json.loads(str(said["gen_ai.output.messages"]))
    assert [part["name"] for part in message["parts"]] == ["add"]


def test_what_goes_through_as_it_is_is_called_what_it_is(
    emulator: engine.emulator.Emulator, tmp_path: Path
) -> None:
    row = {"custom_id": "a", "url": "/v1/embeddings", "body": {"model": "demo", "input": "hi"}}
    with Told() as told:
        ask(emulator, tmp_path, [row], model=None, max_attempts=1)
    (span,) = told.spans
    assert span.name == "embeddings demo"


def test_a_refused_key_is_in_no_span(emulator: engine.emulator.Emulator, tmp_path: Path) -> None:
    with Told(content=True) as told:
        ask(emulator, tmp_path, ROWS[:1], model="error-401", max_attempts=1)
    (span,) = told.spans
    assert KEY not in span.to_json()
    assert dict(span.attributes or {})["error.type"] == "auth"


def test_a_row_that_is_cancelled_ends_so(
    emulator: engine.emulator.Emulator, tmp_path: Path
) -> None:
    options = Options(base_url=emulator.base_url, api_key=KEY, model="demo-ttft=60")
    with Told() as told, engine.Multi() as multi:
        batch = Batch(multi, ROWS[:1], tmp_path / "out.jsonl", options).start()
        while not multi.statistics().streaming:
            multi.poll(0.05)
        batch.cancel()
        multi.run()
    (span,) = told.spans
    assert dict(span.attributes or {})["engine.status"] == "cancelled"
    assert span.status.status_code is StatusCode.UNSET


def test_a_row_that_nobody_takes_to_its_end_is_told_as_abandoned() -> None:
    http = engine.HttpRequest("POST", "http://127.0.0.1:1/v1/chat/completions", body=b"{}")
    rendered: Any = SimpleNamespace(
        provider="p", model="demo", dialect=SimpleNamespace(name="chat"), http=http, streaming=False
    )
    under_way: list[Any] = []
    send = telling(lambda rendered, timeouts, path, on_end: under_way.append(on_end))
    with Told() as told:
        unread: list[Any] = []
        for _ in range(3):
            send(rendered, Timeouts(), None, unread.append)
        under_way.pop()(lambda: Outcome(error=None))
        unread.pop()()
        under_way.pop()(lambda: Outcome(error=None))
        under_way.clear()  # one is asked, one is answered, and nobody will look
        unread.clear()
        gc.collect()
        tell_dropped()
    kinds = [dict(span.attributes or {}).get("error.type") for span in told.spans]
    assert kinds == [None, "abandoned", "abandoned"]


def test_off_nothing_is_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    send = telling(lambda rendered, timeouts, path, on_end: given.append(on_end))
    mark: Any = object()
    send(mark, mark, None, mark)
    assert given == [mark]
