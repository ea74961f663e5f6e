"""A key, wherever it was given and wherever a server echoes it, is nowhere to be read after."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import engine
from engine import telemetry
from engine.batch import Options, run
from tests.server import OK_SSE, Peer, Server, serve

CANARY = "canary-4b1d-never-to-be-seen"
ECHO = f"x-echo: Bearer {CANARY}\r\nx-request-id: req-{CANARY}\r\nset-cookie: sid={CANARY}\r\n"
ERROR = {
    "error": {
        "message": f"wrong key {CANARY}",
        "type": f"bad_{CANARY}",
        "code": CANARY,
        "param": CANARY,
    }
}


def refused(status: str) -> Callable[[Peer], object]:
    return lambda peer: peer.json(json.dumps(ERROR).encode(), status, ECHO)


def in_the_stream(peer: Peer) -> None:
    peer.send(OK_SSE.replace(b"\r\n\r\n", f"\r\n{ECHO}\r\n".encode()))
    peer.chunk(b"data: " + json.dumps(ERROR).encode() + b"\n\n")
    peer.end()


def odd(body: str, content_type: str) -> Callable[[Peer], object]:
    data = body.replace("KEY", CANARY).encode()

    def handler(peer: Peer) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{ECHO}"
        peer.send(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        peer.keep_open = True

    return handler


ANSWERS: dict[str, Callable[[Peer], object]] = {
    **{status: refused(status) for status in ("400 Bad Request", "401 Unauthorized")},
    **{status: refused(status) for status in ("404 Not Found", "429 Too Many", "500 Error")},
    "redirect": lambda peer: peer.json(
        b"", "302 Found", f"Location: https://h/?key={CANARY}\r\n{ECHO}"
    ),
    "in the stream": in_the_stream,
    "no JSON": odd("data: {KEY\n\n", "text/event-stream"),
    "a page": odd("<html>Bearer KEY</html>", "text/html"),
    "cut": odd('data: {"choices": [{"delta": {"content": "hi"}}]}\n\n', "text/event-stream"),
    "a whole error": odd('{"error": "no such key: KEY"}', "application/json"),
    "an odd object": odd('{"code": "KEY", "message": "KEY"}', "application/json"),
}

GIVEN: dict[str, dict[str, Any]] = {
    "api_key": {"client": {"api_key": CANARY}},
    "headers": {"client": {"headers": {"Authorization": f"Bearer {CANARY}"}}},
    "cookie": {"client": {"headers": {"Cookie": f"a=b; sid={CANARY}"}}},
    "extra_headers": {"stream": {"extra_headers": {"X-Auth-Token": CANARY}}},
    "query": {"query": f"?key={CANARY}"},
    "anthropic": {"client": {"api_key": CANARY, "provider": "anthropic"}},
    "gemini": {"client": {"api_key": CANARY, "provider": "gemini"}},
    "responses": {"client": {"api_key": CANARY, "dialect": "responses"}},
    "ollama": {"client": {"api_key": CANARY, "provider": "ollama"}},
}


def everything(error: BaseException | None) -> str:
    """What may be printed of an error, all that it holds, and its traceback."""
    if error is None:
        return ""
    held = {name: getattr(error, name) for name in vars(error)}
    return f"{error} {error!r} {held!r} {error.args!r} {''.join(traceback.format_exception(error))}"


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        *(("api_key", answered) for answered in ANSWERS),
        *((given, "401 Unauthorized") for given in GIVEN if given != "api_key"),
        *((given, "in the stream") for given in ("query", "extra_headers", "responses")),
    ],
)
def test_of_a_stream(
    given: str,
    answered: str,
    caplog: pytest.LogCaptureFixture,
    multi: engine.Multi,
    spans: InMemorySpanExporter,
) -> None:
    caplog.set_level(logging.DEBUG)
    with serve(ANSWERS[answered]) as server:
        ask_and_look(server, GIVEN[given], multi)
        sent = [f"{request.path} {request.headers}" for request in server.requests]
        assert sent and all(CANARY in each for each in sent)
    assert "> POST" in caplog.text and "< " in caplog.text
    assert CANARY not in caplog.text
    told = "".join(span.to_json() for span in spans.get_finished_spans())
    assert told and CANARY not in told


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """What OpenTelemetry is told, with contents; bodies are logged too."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry.instrument(tracer_provider=provider, content=True)
    telemetry.log_bodies()
    yield exporter
    telemetry.uninstrument()
    telemetry.log_bodies(False)


def ask_and_look(server: Server, how: dict[str, Any], multi: engine.Multi) -> None:
    url = f"{server.url}/v1{how.get('query', '')}"
    retry = engine.Retry(max_attempts=2, base_delay=0.001, max_delay=0.002)
    client = engine.Client(multi, base_url=url, retry=retry, gate=None, **how.get("client", {}))
    events: list[Any] = []
    for ask in (client.stream, client.request):
        stream = ask("m", "hi", on_event=events.append, **how.get("stream", {}))
        shown = f"{client!r} {multi!r} {stream!r}"
        completion = stream.result()
        shown += f"{stream!r} {completion!r} {events!r} {completion.headers} "
        shown += everything(completion.error)
        try:
            completion.raise_for_status()
        except engine.EngineError:
            shown += traceback.format_exc()
        assert CANARY not in shown


def shown_of(client: engine.Client, times: int = 1) -> str:
    """All that can be printed of what `client` asks, a question after another."""
    shown = f"{client!r}"
    for _ in range(times):
        stream = client.stream("m", "hi")
        completion = stream.result()
        assert completion.error is not None
        shown += f"{stream!r} {completion!r} {completion.headers} {everything(completion.error)}"
        shown += everything(completion.error.__cause__)
    return shown


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:9/v1?key={CANARY}",
        f"http://user:{CANARY}@127.0.0.1:9/v1",
        f"https://127.0.0.1:9/{'long/' * 50}?a=b&key={CANARY}#x",
        f"ftp://127.0.0.1/v1?key={CANARY}",
        f"http://example.com/v1?api_key={CANARY}",
        f"http://127.0.0.1:99999/v1?key={CANARY}",
    ],
)
def test_of_an_address_that_nobody_answers(
    url: str, multi: engine.Multi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    retry = engine.Retry(max_attempts=1)
    try:
        shown = shown_of(engine.Client(multi, base_url=url, retry=retry))
    except engine.EngineError as error:
        shown = everything(error)
    assert CANARY not in shown + caplog.text


@pytest.mark.parametrize("listens", [False, True])
def test_of_a_proxy_with_a_password(
    listens: bool,
    multi: engine.Multi,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    realm = f'Proxy-Authenticate: Basic realm="{CANARY}"\r\n'
    with serve(lambda peer: peer.json(CANARY.encode(), "407 No", realm)) as proxy:
        port = proxy.port if listens else 9
        monkeypatch.setenv("https_proxy", f"http://user:{CANARY}@127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        retry = engine.Retry(max_attempts=1)
        client = engine.Client(multi, base_url="https://llm.example/v1", api_key="k", retry=retry)
        shown = shown_of(client)
        assert "proxy" in shown and CANARY not in shown + caplog.text


@pytest.mark.parametrize("place", ["api_key", "query"])
def test_of_a_key_that_is_written_otherwise_in_an_address(
    place: str, multi: engine.Multi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = "can/ary+4b1d=never&seen"
    quoted = quote(key, safe="")

    def echo(peer: Peer) -> None:
        body = {"error": {"message": f"no key {key}, nor {quoted}", "code": quoted}}
        head = f"Location: /x?key={quoted}\r\nx-echo: {key}\r\n"
        peer.json(json.dumps(body).encode(), "401 No", head)

    with serve(echo) as server:
        if place == "query":
            client = engine.Client(multi, base_url=f"{server.url}/v1?key={quoted}")
        else:
            client = engine.Client(multi, base_url=server.url, api_key=key)
        shown = shown_of(client) + caplog.text
    assert "401" in shown and key not in shown and quoted not in shown


def test_of_who_is_turned_away_at_the_gate(
    multi: engine.Multi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = json.dumps(ERROR).encode()
    refuse = f"Retry-After: 3600\r\n{ECHO}"
    with serve(lambda peer: peer.json(body, "429 Too Many", refuse)) as server:
        client = engine.Client(multi, base_url=server.url, api_key=CANARY)
        shown = shown_of(client, times=2)
        assert len(server.requests) == 1
    assert "not sent" in shown and CANARY not in shown + caplog.text


def test_of_a_plain_request(multi: engine.Multi) -> None:
    with serve(refused("401 Unauthorized")) as server:
        request = engine.HttpRequest(
            "POST", f"{server.url}/v1?key={CANARY}", {"Authorization": f"Bearer {CANARY}"}, b"{}"
        )
        exchange = multi.add(request)
        multi.run()
    response = exchange.response
    assert response is not None
    shown = f"{request!r} {exchange!r} {response!r} {response.headers} {everything(response.error)}"
    assert CANARY not in shown


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("answered", ["401 Unauthorized", "in the stream", "a whole error", "cut"])
def test_of_a_batch(answered: str, streamed: bool, tmp_path: Path) -> None:
    rows = [{"custom_id": "a", "prompt": "hi"}, {"custom_id": "b", "prompt": "ho"}]
    with serve(ANSWERS[answered]) as server:
        options = Options(
            model="m",
            base_url=f"{server.url}/v1",
            api_key=CANARY,
            max_attempts=1,
            stream=streamed,
        )
        summary = run(rows, tmp_path / "out.jsonl", options)
    written = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert "out.jsonl" in written
    assert [name for name, data in written.items() if CANARY.encode() in data] == []
    assert CANARY not in repr(summary) + repr(options)


@pytest.mark.slow
def test_of_the_commands(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"custom_id": "a", "prompt": "hi"}\n')
    with serve(refused("401 Unauthorized")) as server:
        url = f"{server.url}/v1?key={CANARY}"
        environ = dict.fromkeys(("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"), url)
        environ |= dict.fromkeys(("OPENAI_API_KEY", "MY_KEY"), CANARY)
        environ |= {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        asked = ("--base-url", url, "--api-key-env", "MY_KEY", "-m", "m")
        for command in (
            ("providers",),
            ("doctor",),
            ("doctor", "--json"),
            ("chat", *asked, "hi"),
            ("chat", "-m", "openai/gpt-4o", "hi"),
            ("agent", *asked, "hi"),
            ("batch", "rows.jsonl", "-o", "out.jsonl", "--report", "report.html", *asked),
        ):
            done = subprocess.run(
                [sys.executable, "-m", "engine", *command],
                capture_output=True,
                text=True,
                cwd=tmp_path,
                env=environ,
                stdin=subprocess.DEVNULL,
            )
            assert CANARY not in done.stdout + done.stderr, command
            assert "Traceback" not in done.stderr
        assert len(server.requests) >= 4
    held = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in held if CANARY.encode() in path.read_bytes()] == []
