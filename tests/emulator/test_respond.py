"""Paths, settings of a request, and every way to fail, in every dialect."""

from __future__ import annotations

import json
from typing import Any

from engine.emulator.respond import Ending, Reply, Responder
from engine.emulator.settings import Settings
from tests.cases import each_case
from tests.emulator.asking import ask, body_of, events_of, json_of

USER = [{"role": "user", "content": "Hello"}]
# path, body of a stream, body of a whole answer, the end marker of a stream
DIALECTS: dict[str, tuple[str, dict[str, Any], bytes]] = {
    "chat": ("/v1/chat/completions", {"messages": USER, "stream": True}, b"[DONE]"),
    "responses": ("/v1/responses", {"input": "Hello", "stream": True}, b"response.completed"),
    "messages": (
        "/v1/messages",
        {"messages": USER, "max_tokens": 4096, "stream": True},
        b"message_stop",
    ),
    "gemini": (
        "/v1beta/models/MODEL:streamGenerateContent",
        {"contents": [{"parts": [{"text": "Hello"}]}]},
        b"finishReason",
    ),
    "ollama": ("/api/chat", {"messages": USER}, b'"done":true'),
    "ollama-generate": ("/api/generate", {"prompt": "Hello"}, b'"done":true'),
    "completions": ("/v1/completions", {"prompt": "Hello", "stream": True}, b"[DONE]"),
}
every_dialect = each_case("dialect", DIALECTS)


def stream(dialect: str, model: str = "demo", **more: Any) -> Reply:
    path, body, _ = DIALECTS[dialect]
    headers = {"anthropic-version": "2023-06-01", **more.pop("headers", {})}
    query = {"alt": "sse", **more.pop("query", {})}
    path = path.replace("MODEL", model)
    return ask(path, {"model": model, **body}, headers=headers, query=query, **more)


def whole(dialect: str, model: str = "demo", **more: Any) -> Reply:
    path, body, _ = DIALECTS[dialect]
    path = path.replace("MODEL", model).replace("streamG", "g")
    body = {"model": model, **body, "stream": False}
    return ask(path, body, headers={"anthropic-version": "2023-06-01"}, **more)


# -- paths -----------------------------------------------------------------------------------


@each_case(
    "path",
    [
        "/chat/completions",
        "/v1/chat/completions",
        "/v1/v1/chat/completions/",
        "/openai/deployments/gpt/chat/completions",
    ],
)
def test_a_path_is_told_by_its_end(path: str) -> None:
    reply = ask(path, {"model": "demo", "messages": USER})
    assert json_of(reply)["object"] == "chat.completion"


@each_case("prefix", ["", "/v1", "/v1beta", "/v1/v1"])
def test_every_dialect_is_found_under_every_prefix(prefix: str) -> None:
    for path in ("/messages", "/responses", "/completions", "/api/chat", "/api/generate"):
        assert ask(prefix + path, {}).status == 400
    assert ask(f"{prefix}/models/a-tokens%3D1:generateContent", {"contents": []}).status == 400


@each_case(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 404),
        ("POST", "/v1/rerank", 404),
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/chat/completions/x", 404),
    ],
)
def test_what_is_not_there_is_told(method: str, path: str, status: int) -> None:
    reply = ask(path, b"", method=method)
    assert reply.status == status
    assert json_of(reply)["error"]["message"]


@each_case("path", ["/", "/v1/models", "/models"])
def test_models_are_listed(path: str) -> None:
    models = json_of(ask(path, b"", method="GET"))
    assert models["object"] == "list"
    assert "demo" in [model["id"] for model in models["data"]]


def test_any_model_is_there() -> None:
    assert json_of(ask("/v1/models/gpt-4o", b"", method="GET"))["id"] == "gpt-4o"
    tags = json_of(ask("/api/tags", b"", method="GET"))
    assert "demo" in [model["name"] for model in tags["models"]]


# -- settings of a request -------------------------------------------------------------------


@every_dialect
def test_length_is_set_by_model_header_query_and_flag_in_that_order(dialect: str) -> None:
    def size(**more: Any) -> int:
        return len(body_of(stream(dialect, **more)))

    flag = Settings(tokens=80)
    query = {"tokens": "40"}
    header = {"x-emulator-tokens": "20"}
    sizes = [
        size(settings=flag),
        size(settings=flag, query=query),
        size(settings=flag, query=query, headers=header),
        size(settings=flag, query=query, headers=header, model="demo-tokens=10"),
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 4


def test_pace_is_set_by_the_request_alone() -> None:
    reply = stream("chat", "demo-ttft=0.5-tps=20")
    assert (reply.delay, reply.interval) == (0.5, 0.05)
    reply = whole("chat", "demo-ttft=0.5-tps=20-tokens=11")
    assert (reply.delay, reply.interval) == (1.0, 0)


def test_other_words_of_a_query_are_the_vendors_and_of_our_headers_are_slips() -> None:
    assert stream("chat", query={"api-version": "2024-10-21", "key": "x"}).status == 200
    reply = stream("chat", headers={"x-emulator-speed": "9"})
    assert reply.status == 400
    assert "speed" in json_of(reply)["error"]["message"]


@every_dialect
def test_a_settings_slip_in_the_model_is_a_bad_request(dialect: str) -> None:
    assert stream(dialect, "demo-tokens=lots").status == 400


# -- failures --------------------------------------------------------------------------------


@every_dialect
@each_case("status", [401, 403, 404, 429, 500, 503, 529])
def test_a_status_is_an_error_in_the_dialects_shape(dialect: str, status: int) -> None:
    for reply in (stream(dialect, f"error-{status}"), whole(dialect, f"error-{status}")):
        assert reply.status == status
        assert str(status) in json.dumps(json_of(reply))
        assert "error" in json_of(reply)
        assert ("retry-after" in dict(reply.headers)) is (status in (429, 503))


def test_the_wait_asked_for_is_set() -> None:
    assert ("retry-after", "7") in stream("chat", "error-429-retry_after=7").headers
    headers = dict(stream("chat", "error-429-retry_after=0").headers)
    assert "retry-after" not in headers


@every_dialect
def test_every_good_stream_has_its_end_marker(dialect: str) -> None:
    reply = stream(dialect)
    assert reply.ending is Ending.DONE
    assert DIALECTS[dialect][2] in body_of(reply)


@every_dialect
@each_case(
    ("error", "ending"),
    [
        ("cut", Ending.CUT),
        ("reset", Ending.RESET),
        ("stall", Ending.STALL),
        ("end", Ending.DONE),
        ("instream-error", Ending.DONE),
    ],
)
@each_case("after", [0, 3, 1000])
def test_what_fails_in_mid_stream_has_no_end_marker(
    dialect: str, error: str, ending: Ending, after: int
) -> None:
    reply = stream(dialect, f"{error}-after={after}")
    body = body_of(reply)
    assert reply.status == 200
    assert reply.ending is ending
    assert DIALECTS[dialect][2] not in body
    assert body or after == 0


@every_dialect
def test_after_says_how_much_comes_before(dialect: str) -> None:
    good = body_of(stream(dialect, "demo", headers={"x-emulator-error": ""}))
    for after in (1, 5):
        part = body_of(
            stream(
                dialect, "demo", headers={"x-emulator-error": "cut", "x-emulator-after": str(after)}
            )
        )
        assert good.startswith(part) and len(part) < len(good)


@every_dialect
def test_malformed_is_a_record_that_is_not_json_and_more_after_it(dialect: str) -> None:
    body = body_of(stream(dialect, "malformed"))
    assert DIALECTS[dialect][2] in body
    records = [line.removeprefix(b"data:").strip() for line in body.splitlines()]
    wrong = [r for r in records if r.startswith((b"{", b"[{")) and not _is_json(r)]
    assert len(wrong) == 1


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@every_dialect
def test_an_error_in_mid_stream_is_a_record(dialect: str) -> None:
    good = body_of(stream(dialect, "cut"))
    body = body_of(stream(dialect, "instream-error"))
    assert b"error" in body[len(good) - 40 :].lower()


@every_dialect
def test_empty_and_html_and_drop_are_no_answer(dialect: str) -> None:
    for reply in (stream(dialect, "empty"), whole(dialect, "empty")):
        assert (reply.status, body_of(reply)) == (200, b"")
    for reply in (stream(dialect, "html"), whole(dialect, "html")):
        assert dict(reply.headers)["content-type"] == "text/html"
        assert reply.status == 200
    for reply in (stream(dialect, "drop"), whole(dialect, "drop")):
        assert (reply.head, reply.ending) == (False, Ending.CUT)


@every_dialect
@each_case("error", ["malformed", "end"])
def test_a_whole_answer_can_be_no_json(dialect: str, error: str) -> None:
    assert not _is_json(body_of(whole(dialect, error)))


@every_dialect
def test_a_whole_answer_can_be_an_error_with_200(dialect: str) -> None:
    reply = whole(dialect, "instream-error")
    assert reply.status == 200
    assert "error" in json_of(reply)


def test_only_the_first_times_fail_each_conversation_by_itself() -> None:
    responder = Responder(Settings())

    def status(prompt: str) -> int:
        body = {"model": "error-429-times=2", "messages": [{"role": "user", "content": prompt}]}
        return ask("/v1/chat/completions", body, responder=responder).status

    assert [status("one") for _ in range(4)] == [429, 429, 200, 200]
    assert [status("two") for _ in range(3)] == [429, 429, 200]
    assert status("one") == 200


def test_a_server_may_be_set_to_fail_and_a_request_not_to() -> None:
    settings = Settings(error="error-500")
    assert stream("chat", settings=settings).status == 500
    assert stream("chat", settings=settings, headers={"x-emulator-error": ""}).status == 200


def test_a_turn_of_a_script_can_fail_in_mid_stream() -> None:
    prompt = '[[script: [{"error": "cut", "text": "never told to the end of it"}]]]'
    body = {"model": "demo", "stream": True, "messages": [{"role": "user", "content": prompt}]}
    reply = ask("/v1/chat/completions", body)
    assert reply.ending is Ending.CUT
    text = "".join(e["choices"][0]["delta"]["content"] for e in events_of(reply))
    assert text == "never told to"
