"""A row is asked as written, or refused with its line; whatever its url names."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine.answering.response_reader import ResponseReader
from engine.events import Event
from engine.providers.chat.parser import ChatParser
from tests.batch.support import answer, ids, openai_row, provider, question, read, run_batch
from tests.server import Peer


def asked(tmp_path: Path, row: Any, **options: Any) -> tuple[str, dict[str, Any]]:
    """Path and body of the request `row` becomes."""
    with provider() as server:
        run_batch([row], tmp_path / "out.jsonl", server, max_attempts=1, **options)
        assert server.requests, read(tmp_path / "out.errors.jsonl")
        request = server.requests[0]
    return request.path, json.loads(request.body)


def refused(tmp_path: Path, row: Any, **options: Any) -> dict[str, Any]:
    with provider() as server:
        summary = run_batch([row], tmp_path / "out.jsonl", server, **options)
        assert server.requests == []
    assert summary.failed == 1
    (line,) = read(tmp_path / "out.errors.jsonl")
    return line


HI = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("row", "body"),
    [
        ({"temperature": 0.5, "max_tokens": 7}, {"temperature": 0.5, "max_tokens": 7}),
        ({"stop": "x"}, {"stop": ["x"]}),
        ({"seed": 3, "top_p": 0.1}, {"seed": 3, "top_p": 0.1}),
        ({"top_k": 1, "user": "u", "n": 2}, {"top_k": 1, "user": "u", "n": 2}),
        ({"extra_body": {"guided": 1}}, {"guided": 1}),
        ({"max_completion_tokens": 9}, {"max_tokens": 9}),
        ({"system": "s"}, {"messages": [{"role": "system", "content": "s"}, *HI]}),
    ],
)  # fmt: skip
def test_every_parameter_of_a_prompt_is_applied(
    tmp_path: Path, row: dict[str, Any], body: dict[str, Any]
) -> None:
    path, sent = asked(tmp_path, {"prompt": "hi", "model": "m", **row, "label": 1})
    assert path == "/v1/chat/completions"
    assert sent == {"model": "m", "messages": HI, **body}
    assert read(tmp_path / "out.jsonl")[0]["metadata"] == {"label": 1}


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"temperature": "hot"}, "temperature must be a number"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"max_tokens": "5"}, "max_tokens must be a whole number"),
        ({"thinking": "much"}, "thinking must be"),
        ({"tools": [1]}, "tools[0]"),
    ],
)
def test_a_parameter_that_is_wrong_is_refused_with_its_line(
    tmp_path: Path, row: dict[str, Any], why: str
) -> None:
    line = refused(tmp_path, {"custom_id": "mine", "prompt": "hi", "model": "m", **row})
    assert (line["custom_id"], line["line"]) == ("mine", 1)
    assert line["error"]["message"].startswith("line 1: ") and why in line["error"]["message"]


def test_what_a_format_has_no_word_for_is_refused(tmp_path: Path) -> None:
    row = {"prompt": "hi", "model": "m", "frequency_penalty": 1, "max_tokens": 3}
    line = refused(tmp_path, row, provider="anthropic", api_key="k")
    assert "frequency_penalty has no word in the format 'messages'" in line["error"]["message"]


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ({"model": "m", "prompt": ["a", "b"], "max_tokens": 3}, "/v1/completions"),
        ({"model": "m", "prompt": "a", "echo": True, "max_tokens": 3}, "/v1/completions"),
        ({"model": "davinci-002", "prompt": "a", "max_tokens": 3, "x": 1}, "/v1/completions"),
        ({"model": "m", "input": ["a", "b"], "dimensions": 3}, "/v1/embeddings"),
        ({"model": "text-embedding-3-small", "input": "a"}, "/v1/embeddings"),
        ({"model": "omni-moderation-latest", "input": "a"}, "/v1/moderations"),
        ({"model": "m", "query": "q", "documents": ["a"], "top_n": 2}, "/v1/rerank"),
        ({"model": "m", "messages": HI, "vendor": {"x": None}}, "/v1/chat/completions"),
        ({"model": "m", "input": HI}, "/v1/responses"),
    ],
)
def test_a_bare_body_goes_unchanged_to_where_it_belongs(
    tmp_path: Path, row: dict[str, Any], path: str
) -> None:
    assert asked(tmp_path, row) == (path, row)


ENDPOINTS = [
    "/v1/embeddings",
    "/v1/moderations",
    "/v1/rerank",
    "/v1/images/generations",
    "/v1/audio/speech",
    "/v1/some/thing?version=2",
]


@pytest.mark.parametrize("url", ENDPOINTS)
def test_whatever_url_a_row_names_is_asked_with_its_body(tmp_path: Path, url: str) -> None:
    body = {"model": "m", "anything": [1, {"x": None}], "stream": False}
    reply = {"object": "list", "data": [], "usage": {"prompt_tokens": 4, "total_tokens": 4}}
    row = {"custom_id": "a", "method": "POST", "url": url, "body": body}
    with provider(lambda peer: peer.json(json.dumps(reply).encode())) as server:
        summary = run_batch([row], tmp_path / "out.jsonl", server)
    assert summary.exit_code == 0
    assert (server.requests[0].path, json.loads(server.requests[0].body)) == (url, body)
    (line,) = read(tmp_path / "out.jsonl")
    assert line["response"]["body"] == reply
    assert line["usage"] == {"input_tokens": 4, "total_tokens": 4}


def test_it_is_asked_again_paced_and_refused_like_any_other(tmp_path: Path) -> None:
    def handler(peer: Peer) -> None:
        if len(server.requests) == 1:
            peer.json(b"{}", status="503 Oops", headers="retry-after-ms: 1\r\n")
        elif b"bad" in peer.request.body:
            peer.json(b'{"error": {"message": "no such voice"}}', status="400 Bad")
        elif b"inside" in peer.request.body:
            peer.json(b'{"error": {"message": "no", "type": "invalid_request_error"}}')
        else:
            peer.json(b'{"data": [], "error": null}')

    rows = [
        {"custom_id": name, "url": "/v1/embeddings", "body": {"model": "m", "input": name}}
        for name in ("good", "bad", "inside")
    ]
    with provider(handler) as server:
        summary = run_batch(rows, tmp_path / "out.jsonl", server, concurrency=1)
    assert (summary.done, summary.failed, len(server.requests)) == (1, 2, 4)
    lines = {line["custom_id"]: line for line in read(tmp_path / "out.errors.jsonl")}
    assert "no such voice" in lines["bad"]["error"]["message"]


def test_an_answer_that_is_no_json_is_kept(tmp_path: Path) -> None:
    def handler(peer: Peer) -> None:
        body = b"ID3\x00\xff"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: {len(body)}\r\n\r\n"
        peer.send(head.encode() + body)

    row = {"custom_id": "a", "url": "/v1/audio/speech", "body": {"model": "m", "input": "x"}}
    with provider(handler) as server:
        run_batch([row], tmp_path / "out.jsonl", server)
    body = read(tmp_path / "out.jsonl")[0]["response"]["body"]
    assert body == {"content_type": "audio/mpeg", "base64": "SUQzAP8="}


def test_an_endpoint_takes_prompts_where_it_can(tmp_path: Path) -> None:
    path, sent = asked(tmp_path, "hi", model="m", endpoint="/v1/embeddings")
    assert (path, sent) == ("/v1/embeddings", {"model": "m", "input": "hi"})
    (tmp_path / "other").mkdir()
    line = refused(tmp_path / "other", "hi", model="m", endpoint="/v1/images/edits")
    assert "cannot be asked of /v1/images/edits" in line["error"]["message"]


@pytest.mark.parametrize(
    ("options", "row", "body"),
    [
        ({"max_tokens": 5}, openai_row("a")["body"], {"max_tokens": 5}),
        ({"max_tokens": 5}, {**openai_row("a")["body"], "max_tokens": 9}, {"max_tokens": 9}),
        ({"max_tokens": 5}, {**openai_row("a")["body"], "max_completion_tokens": 9},
         {"max_completion_tokens": 9}),
        ({"temperature": 0.0}, openai_row("a")["body"], {"temperature": 0.0}),
        ({"max_tokens": 5}, {"model": "m", "input": "x"}, {"max_output_tokens": 5}),
        ({"max_tokens": 5, "temperature": 1}, {"model": "m", "prompt": "x"},
         {"max_tokens": 5, "temperature": 1}),
    ],
)  # fmt: skip
def test_limits_of_the_run_are_for_rows_that_say_none(
    tmp_path: Path, options: dict[str, Any], row: dict[str, Any], body: dict[str, Any]
) -> None:
    _, sent = asked(tmp_path, row, **options)
    assert {name: sent[name] for name in body} == body
    assert len(sent) == len({"model", "messages" if "messages" in sent else "input", *body})


def test_headers_are_sent_and_written_nowhere(tmp_path: Path) -> None:
    with provider() as server:
        run_batch(
            map(openai_row, ids(2)), tmp_path / "out.jsonl", server,
            headers={"X-Team": "canary77", "OpenAI-Beta": "x"},
        )  # fmt: skip
    assert server.requests[0].headers["x-team"] == "canary77"
    for file in tmp_path.iterdir():
        assert b"canary77" not in file.read_bytes()


def test_samples_are_asked_each_once(tmp_path: Path) -> None:
    with provider() as server:
        summary = run_batch([openai_row("a")], tmp_path / "out.jsonl", server, samples=3)
        keys = {request.headers["idempotency-key"] for request in server.requests}
    assert (summary.rows, summary.done, len(keys)) == (3, 3, 3)
    assert sorted(line["custom_id"] for line in read(tmp_path / "out.jsonl")) == [
        "a#1",
        "a#2",
        "a#3",
    ]


def test_the_text_may_stand_in_a_field_of_its_own(tmp_path: Path) -> None:
    with provider(lambda peer: peer.json(answer("yes\n"))) as server:
        run_batch([openai_row("a")], tmp_path / "out.jsonl", server, text_field="answer")
    assert read(tmp_path / "out.jsonl")[0]["answer"] == "yes\n"


def test_two_providers_of_one_format_keep_their_addresses_and_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from engine.batch import Options
    from engine.batch.reading.rendering import Address
    from engine.batch.reading.rows import Row, RowParser

    monkeypatch.setenv("GROQ_API_KEY", "key-of-groq")
    monkeypatch.setenv("MISTRAL_API_KEY", "key-of-mistral")
    address, parser = Address(Options().manifest()), RowParser()
    for _ in range(2):
        for provider_name in ("groq", "mistral"):
            line = b'{"prompt": "q", "model": "%s/x"}' % provider_name.encode()
            row = parser.parse(line, 1)
            assert isinstance(row, Row)
            rendered, _ = address.render(row, "k")
            assert provider_name in rendered.http.url
            assert f"key-of-{provider_name}" in rendered.http.headers["Authorization"]
            assert rendered.http.headers["Idempotency-Key"] == "k"


def test_an_idempotency_key_of_the_users_own_is_the_one_that_goes(tmp_path: Path) -> None:
    with provider() as server:
        run_batch(["q"], tmp_path / "o", server, model="m", headers={"idempotency-key": "mine"})
    assert server.requests[0].headers["idempotency-key"] == "mine"


def test_an_answer_that_says_it_is_a_page_is_none(tmp_path: Path) -> None:
    def handler(peer: Peer) -> None:
        body = answer()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
        peer.send(head % len(body) + body)

    with provider(handler) as server:
        summary = run_batch(["q"], tmp_path / "o", server, model="m", max_attempts=1)
    assert (summary.done, summary.failed) == (0, 1)


def test_an_answer_that_comes_as_a_stream_unasked_is_put_together(tmp_path: Path) -> None:
    def pieces(text: str) -> bytes:
        delta = {"content": text} if text else {}
        choice = {"index": 0, "delta": delta, "finish_reason": None if text else "stop"}
        return b"data: " + json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode()

    with provider(
        lambda peer: peer.stream([pieces("H") + b"\n\n", pieces("i"), b"\n\n"])
    ) as server:
        cut = run_batch([openai_row("1")], tmp_path / "cut.jsonl", server, max_attempts=1)
    assert (cut.failed, cut.errors) == (1, {"TRUNCATED": 1})
    whole = [pieces("H") + b"\n\n", pieces("i") + b"\n\n", pieces("") + b"\n\n"]
    with provider(lambda peer: peer.stream(whole)) as server:
        done = run_batch([openai_row("1")], tmp_path / "out.jsonl", server, max_attempts=1)
    (line,) = read(tmp_path / "out.jsonl")
    assert done.done == 1
    (choice,) = line["response"]["body"]["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hi", "stop")


def test_a_reading_that_raises_costs_its_row_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a dialect of the user's own may."""
    reading = ChatParser.read_whole

    def broken(parser: ChatParser, body: bytes) -> list[Event]:
        if b"bad" in body:
            raise KeyError("no such field")
        return reading(parser, body)

    monkeypatch.setattr("engine.batch.attempt.plain_answer", lambda body: None)
    monkeypatch.setattr(ChatParser, "read_whole", broken)
    rows = [openai_row("1", "good"), openai_row("2", "bad"), openai_row("3", "good")]
    with provider(lambda peer: peer.json(answer(question(peer)))) as server:
        summary = run_batch(rows, tmp_path / "out.jsonl", server, max_attempts=1)
    assert (summary.done, summary.failed, summary.errors) == (2, 1, {"CALLBACK": 1})
    assert "no such field" in summary.reasons["CALLBACK"]


INVALID = {"message": "temperature must be a number", "type": "invalid_request_error"}
REFUSED = b"data: " + json.dumps({"error": INVALID}).encode() + b"\n\n"
SPOKEN = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
FORMATS = [
    # the provider, its row, the error as a stream in its format tells it
    ("openai", openai_row("a"), REFUSED),
    ("openai", openai_row("a"), SPOKEN + REFUSED),
    (
        "openai",
        {"url": "/v1/completions", "body": {"model": "m", "prompt": "a", "max_tokens": 3}},
        REFUSED,
    ),
    (
        "openai",
        {"url": "/v1/responses", "body": {"model": "m", "input": "a"}},
        b"event: error\ndata: "
        + json.dumps({"type": "error", "error": INVALID}).encode()
        + b"\n\n",
    ),
    (
        "anthropic",
        {"prompt": "a", "model": "m", "max_tokens": 3},
        b"event: error\ndata: "
        + json.dumps({"type": "error", "error": INVALID}).encode()
        + b"\n\n",
    ),
    ("gemini", {"prompt": "a", "model": "m"}, REFUSED),
    ("gemini-interactions", {"prompt": "a", "model": "m"}, b"event: error\n" + REFUSED),
    ("ollama", {"prompt": "a", "model": "m"}, json.dumps({"error": INVALID}).encode() + b"\n"),
    ("ollama", {"prompt": "a", "model": "m"}, REFUSED),
]


@pytest.mark.parametrize(("vendor", "row", "told"), FORMATS)
def test_an_error_told_in_a_stream_that_nobody_asked_for_is_the_error_of_its_row(
    tmp_path: Path, vendor: str, row: dict[str, Any], told: bytes
) -> None:
    with provider(lambda peer: peer.stream([told])) as server:
        summary = run_batch([row], tmp_path / "o", server, provider=vendor, api_key="key-of-mine")
        assert len(server.requests) == 1
    assert summary.errors == {"INVALID_ARG": 1}
    assert "temperature must be a number" in summary.reasons["INVALID_ARG"]


def test_a_key_refused_inside_such_a_stream_is_asked_once(tmp_path: Path) -> None:
    said = b'data: {"error":{"message":"Incorrect API key provided","type":"invalid_api_key"}}\n\n'
    with provider(lambda peer: peer.stream([said])) as server:
        run_batch([openai_row("a")], tmp_path / "o", server)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ([b"data: {bad json}\n\n"], "JSON"),
        ([SPOKEN, b"data: {bad json}\n\n"], "JSON"),
        ([SPOKEN, b"data: " + b"x" * 2000 + b"\n\n"], "max_event_bytes=1000"),
        ([b"data: " + b"x" * 2000 + b"\n\n"], "max_event_bytes=1000"),
    ],
)
def test_what_cannot_be_read_in_such_a_stream_is_told_as_that_and_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: list[bytes], why: str
) -> None:
    limited = partial(ResponseReader, max_event_bytes=1000)
    monkeypatch.setattr("engine.batch.attempt.ResponseReader", limited)
    with provider(lambda peer: peer.stream(pieces)) as server:
        summary = run_batch([openai_row("a")], tmp_path / "o", server)
        assert len(server.requests) == 1
    assert summary.errors == {"PROTOCOL": 1}
    assert why in summary.reasons["PROTOCOL"]


def test_an_answer_printed_over_several_lines_under_the_type_of_lines_is_one(
    tmp_path: Path,
) -> None:
    said = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True}
    body = json.dumps(said, indent=2).encode()
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
    reply = f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
    row = {"prompt": "a", "model": "m"}
    with provider(lambda peer: peer.send(reply)) as server:
        summary = run_batch([row], tmp_path / "o", server, provider="ollama")
        assert (summary.done, len(server.requests)) == (1, 1)
    assert read(tmp_path / "o")[0]["response"]["body"]["choices"][0]["message"]["content"] == "Hi"


STOPPED = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("pieces", "errors"),
    [
        ([SPOKEN, STOPPED, DONE], {}),
        ([SPOKEN, STOPPED], {}),  # some never send the marker
        ([SPOKEN], {"TRUNCATED": 1}),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_an_answer_that_is_told_to_its_end_is_one_however_its_connection_closes(
    tmp_path: Path, pieces: list[bytes], errors: dict[str, int], streaming: bool
) -> None:
    def handler(peer: Peer) -> None:
        peer.at_once(pieces, end=False)

    with provider(handler) as server:
        row = openai_row("a")
        summary = run_batch([row], tmp_path / "o", server, max_attempts=1, stream=streaming)
    assert summary.errors == errors
    if not errors:
        (line,) = read(tmp_path / "o")
        assert line["response"]["body"]["choices"][0]["message"]["content"] == "x"
