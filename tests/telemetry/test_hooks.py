"""Telemetry: what is logged of a request, what OpenTelemetry is told, and what neither ever is."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

import engine
from engine import agents, telemetry
from tests.faults.server import CLOSE, STALL, Step, play
from tests.server import DONE, Request, chat, chat_chunk
from tests.telemetry.told import Told

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
USAGE = (
    b'data: {"id":"c1","model":"m-1","choices":[],'
    b'"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}\n\n'
)
WELL = HEAD + b"".join([chat_chunk("All "), chat_chunk("well."), chat_chunk(finish="stop"), USAGE])
WELL += DONE
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
CANARY = "canary-9f3a-never-to-be-seen"


def answers(*given: bytes | list[Step]) -> Any:
    left = [*given]

    def script(_: Request) -> Iterable[Step]:
        step = left.pop(0) if len(left) > 1 else left[0]
        yield from step if isinstance(step, list) else [step, CLOSE]

    return script


def ask(*given: Any, **options: Any) -> engine.Completion:
    retry = engine.Retry(base_delay=0.0, max_delay=0.0)
    with play(answers(*given)) as server:
        client = engine.Client(base_url=server.url, api_key=CANARY, retry=retry)
        with client:
            return client.stream("m", "a question", **options).result()


# -- log lines -------------------------------------------------------------------------------------


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == level]


def test_a_request_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "engine")
    ask(WELL)
    (line,) = lines(caplog, logging.INFO)
    assert " m: complete, HTTP 200, " in line
    assert "7+3 tokens" in line
    assert [r.name for r in caplog.records] == ["engine.requests"]


def test_a_retry_is_a_warning_and_so_it_is_where_nobody_configured_logging(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "engine")
    ask(BUSY, WELL)
    (line,) = [r.getMessage() for r in caplog.records]
    assert "attempt 2 in 0 s, because of SERVER" in line
    quiet = subprocess.run(
        [
            *(sys.executable, "-c"),
            "from engine.telemetry import hooks; from engine.errors import EngineError;"
            "hooks.retried('h', 2, 0.1, EngineError('no'))",
        ],
        capture_output=True,
        check=True,
    )
    assert quiet.stderr == b""


def test_heads_are_for_debugging_and_bodies_for_who_asks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "engine.requests")
    ask(BUSY, WELL)
    heads = lines(caplog, logging.DEBUG)
    assert [head[0] for head in heads] == [*"><><"]
    assert "503" in heads[1] and "200" in heads[3]
    assert "Authorization: …" in heads[0]
    assert "a question" not in caplog.text
    telemetry.log_bodies()
    try:
        ask(WELL)
    finally:
        telemetry.log_bodies(False)
    assert "a question" in caplog.text
    assert CANARY not in caplog.text


def test_a_servers_words_write_no_lines_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "engine")
    body = b'{"error":{"message":"no\\nERROR forged\\u001b[2J\\u2028line"}}'
    ask(
        b"HTTP/1.1 400 Bad\r\nx-request-id: a\x1b]0;b\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    assert caplog.records
    for record in caplog.records:
        assert all(c.isprintable() for c in record.getMessage()), record


def test_plain_requests_have_their_line_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "engine")
    with play(answers(b"HTTP/1.1 204 Gone\r\n\r\n")) as server, engine.Multi() as multi:
        multi.add(engine.HttpRequest("GET", f"{server.url}/x?key={CANARY}"))
        multi.run()
    (line,) = lines(caplog, logging.INFO)
    assert line.startswith("GET http://127.0.0.1") and "HTTP 204" in line
    assert CANARY not in line


# -- spans and metrics -----------------------------------------------------------------------------


def test_a_question_is_one_span_with_an_event_an_attempt(told: Told) -> None:
    ask(BUSY, WELL, max_tokens=5, temperature=0.5)
    (span,) = told.spans().values()
    said = dict(span.attributes or {})
    assert span.name == "chat m"
    assert span.kind.name == "CLIENT"
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.request.max_tokens"] == 5
    assert said["gen_ai.request.temperature"] == 0.5
    assert said["gen_ai.response.model"] == "m"
    assert said["gen_ai.response.finish_reasons"] == ("stop",)
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (7, 3)
    assert (said["server.address"], said["engine.status"]) == ("127.0.0.1", "complete")
    assert isinstance(said["server.port"], int)
    events = [dict(event.attributes or {}) for event in span.events]
    assert [event["engine.attempt.number"] for event in events] == [1, 2]
    assert [event["http.response.status_code"] for event in events] == [503, 200]
    assert events[0]["error.type"] == "server" and "error.type" not in events[1]
    assert span.status.is_unset
    assert span.start_time is not None and span.end_time is not None
    assert span.start_time <= min(event.timestamp for event in span.events)
    assert "a question" not in told.text() and "All well" not in told.text()


def test_times_and_tokens_are_measured(told: Told) -> None:
    heard = threading.Semaphore(0)

    def script(_: Request) -> Iterator[Step]:
        for piece in (HEAD + chat_chunk("a"), chat_chunk("b")):
            yield piece
            assert heard.acquire(timeout=60)  # what comes next is another read
            yield 0.02
        yield b"".join(chat("c"))
        yield CLOSE

    with play(script) as server, engine.Client(base_url=server.url, api_key="k") as client:
        for _ in client.stream("m", "a question").text_deltas():
            heard.release()
    found = told.metrics()
    (duration,) = found["gen_ai.client.operation.duration"]
    (first,) = found["gen_ai.client.operation.time_to_first_chunk"]
    (per_chunk,) = found["gen_ai.client.operation.time_per_output_chunk"]
    assert duration.count == first.count == 1
    assert 0 < first.sum < duration.sum
    assert per_chunk.count >= 2
    assert per_chunk.sum >= 0.04
    assert first.sum + per_chunk.sum <= duration.sum * 1.001
    ask(WELL)
    tokens = {
        point.attributes["gen_ai.token.type"]: point.sum
        for point in told.metrics()["gen_ai.client.token.usage"]
    }
    assert tokens == {"input": 7, "output": 3}


def test_a_cancelled_question_has_its_span_its_ending_and_its_usage(told: Told) -> None:
    counted = USAGE.replace(b"[]", b'[{"index":0,"delta":{"content":"a"}}]')
    stalled: list[Step] = [HEAD + counted, STALL]
    with play(answers(stalled)) as server, engine.Client(base_url=server.url, api_key="k") as c:
        stream = c.stream("m", "hi")
        for _ in stream.text_deltas():
            break
        stream.result()
    (span,) = told.spans().values()
    said = dict(span.attributes or {})
    assert (said["engine.status"], said["error.type"]) == ("cancelled", "cancelled")
    assert said["gen_ai.usage.output_tokens"] == 3
    assert span.status.is_unset
    assert len(span.events) == 1


def test_a_failure_is_one(told: Told) -> None:
    ask(HEAD + chat_chunk("half"))
    (span,) = told.spans().values()
    assert (span.attributes or {})["error.type"] == "truncated"
    assert not span.status.is_ok and not span.status.is_unset


def test_what_is_said_is_told_only_where_that_is_asked_for() -> None:
    told = Told()
    telemetry.instrument(tracer_provider=told.tracers, meter_provider=told.meters, content=True)
    try:
        ask(WELL, system="be brief")
    finally:
        telemetry.uninstrument()
    (span,) = told.spans().values()
    said = dict(span.attributes or {})
    assert "a question" in str(said["gen_ai.input.messages"])
    assert "All well." in str(said["gen_ai.output.messages"])
    assert CANARY not in told.text()


def test_it_stands_in_the_span_that_was_current(told: Told) -> None:
    with told.tracers.get_tracer("test").start_as_current_span("mine"):
        ask(WELL)
    spans = told.spans()
    parent = spans["chat m"].parent
    assert parent is not None
    assert parent.span_id == spans["mine"].context.span_id


CALL = {
    "id": "call_1",
    "type": "function",
    "index": 0,
    "function": {"name": "double", "arguments": '{"n": 21}'},
}


def run_agent(**tool: Any) -> agents.AgentResult:
    import json

    tracer = tool.pop("tracer", None)

    def double(n: int) -> int:
        """Twice `n`."""
        if tracer is not None:
            tracer.start_span("in the tool").end()
        if n > 100:
            raise ValueError(f"too much: {n}")
        return 2 * n

    arguments = tool.get("arguments", '{"n": 21}')
    call = CALL | {"function": {"name": "double", "arguments": arguments}}
    choice = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}
    first = b"data: " + json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode()
    first = HEAD + first + b"\n\n" + chat_chunk(finish="tool_calls") + DONE
    with (
        play(answers(first, WELL)) as server,
        engine.Client(base_url=server.url, api_key=CANARY) as client,
    ):
        agent = agents.FunctionAgent(client=client, model="m", tools=[double])
        return agent.run("twice 21?")


def test_a_run_its_questions_and_its_tools_are_one_tree(told: Told) -> None:
    result = run_agent(tracer=told.tracers.get_tracer("test"))
    assert result.status == "complete", result.error
    spans = told.exporter.get_finished_spans()
    by_name = told.spans()
    assert sorted(span.name for span in spans) == [
        *("chat m", "chat m", "execute_tool double", "in the tool", "invoke_agent FunctionAgent")
    ]
    run, tool = by_name["invoke_agent FunctionAgent"], by_name["execute_tool double"]
    for span in spans:
        if span.name in ("chat m", "execute_tool double"):
            assert span.parent is not None and span.parent.span_id == run.context.span_id
    inner = by_name["in the tool"].parent
    assert inner is not None and inner.span_id == tool.context.span_id
    said = dict(tool.attributes or {})
    assert said["gen_ai.tool.call.id"] == "call_1"
    assert said["gen_ai.tool.description"] == "Twice `n`."
    assert "gen_ai.tool.call.arguments" not in said
    assert (run.attributes or {})["gen_ai.usage.output_tokens"] is not None
    assert not any(value in ("21", "42") or "21}" in str(value) for value in said.values())


def test_a_tool_that_fails_says_its_kind_and_not_its_words(told: Told) -> None:
    run_agent(arguments='{"n": 101}')
    tool = told.spans()["execute_tool double"]
    assert (tool.attributes or {})["error.type"] == "callback"
    assert "too much" not in told.text()


# -- what it costs, and what it must not do --------------------------------------------------------


def test_what_an_exporter_or_a_handler_raises_hurts_no_stream(
    told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name == "engine.requests":
                raise OSError("disk full")

    handler = Broken()
    logger = logging.getLogger("engine.requests")
    caplog.set_level(logging.DEBUG, "engine.requests")
    logger.addHandler(handler)
    monkeypatch.setattr(told.exporter, "export", lambda spans: 1 / 0)
    try:
        completion = ask(BUSY, WELL)
    finally:
        logger.removeHandler(handler)
    assert (completion.status, completion.text) == ("complete", "All well.")


def test_off_it_is_not_even_imported() -> None:
    code = (
        "import engine, sys; from engine.answering.observed import observed;"
        "assert not [m for m in sys.modules if m.startswith('opentelemetry')];"
        "assert observed(None) is None"  # nothing of the question is looked at
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(engine.errors.ConfigError, match=r"streamengine\[otel\]"):
        telemetry.instrument()


def test_what_is_under_way_when_it_is_turned_off_ends_well(told: Told) -> None:
    with play(answers(WELL)) as server, engine.Client(base_url=server.url, api_key="k") as client:
        stream = client.stream("m", "hi")
        telemetry.uninstrument()
        assert stream.result().status == "complete"
    assert told.spans() == {}
