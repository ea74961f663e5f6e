"""What is sent for a question, and what of an error the user is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.asking.question import as_question
from engine.asking.rendered import Rendered, mended_request, render
from engine.asking.target import Target
from engine.errors import Category, ConfigError, ProviderError
from engine.request import HttpRequest
from tests.cases import each_case
from tests.server import HEALTHY, Peer, chat, serve

LAN = "https://llm.example/v1"


def rendered(model: str = "m", target: dict[str, Any] | None = None, **options: Any) -> Rendered:
    question = as_question(model, "hi", None, options)  # type: ignore[arg-type]
    given = {"base_url": LAN, "api_key": "sk-canary-1234", **(target or {})}
    return render(Target(**given), question, streaming=True)


def body_of(asked: Rendered) -> dict[str, Any]:
    return dict(json.loads(asked.http.body or b""))


def test_a_request_is_what_was_asked() -> None:
    asked = rendered("a/b", max_tokens=5, extra_body={"top_k": 1, "model": "other"})
    assert (asked.http.method, asked.http.url) == ("POST", f"{LAN}/chat/completions")
    assert (asked.provider, asked.model, asked.streaming) == ("llm.example", "a/b", True)
    body = body_of(asked)
    assert (body["max_tokens"], body["top_k"], body["model"]) == (5, 1, "other")
    assert asked.http.headers["Authorization"] == "Bearer sk-canary-1234"
    assert "canary" not in repr(asked)


def test_the_users_headers_are_last_and_each_is_sent_once() -> None:
    target = {"headers": {"AUTHORIZATION": "Bearer other", "X-A": "client"}}
    asked = rendered(target=target, extra_headers={"x-a": "request"})
    values = {name.lower(): value for name, value in asked.http.headers.items()}
    assert (values["authorization"], values["x-a"]) == ("Bearer other", "request")
    assert len(values) == len(asked.http.headers)


def test_each_fallback_is_rendered_for_whom_it_goes_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    question = as_question("gpt-4o", "hi", None, {"fallback": ["claude-x", "openai/gpt-5"]})
    first = render(Target(), question, streaming=False)
    assert first.fallback is not None and first.fallback.fallback is not None
    second, third = first.fallback, first.fallback.fallback
    assert [each.provider for each in (first, second, third)] == ["openai", "anthropic", "openai"]
    assert [each.dialect.name for each in (first, second, third)] == [
        "chat",
        "messages",
        "responses",
    ]
    assert [body_of(each)["model"] for each in (first, second, third)] == [
        "gpt-4o",
        "claude-x",
        "gpt-5",
    ]
    assert third.fallback is None
    assert "sk-1" not in str(second.http.headers)


def test_what_json_has_no_word_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be written as JSON"):
        rendered(extra_body={"a": object()})


@each_case(
    ("model", "told"),
    [
        ("openai/gpt-oss-20b", "leave out 'openai/'"),
        ("mistral:7b", "leave out 'mistral:'"),
        ("Qwen/Qwen3-8B", None),  # no provider's name
        ("m", None),
    ],
)
def test_a_prefix_that_was_sent_is_named_where_the_model_is_not_found(
    model: str, told: str | None
) -> None:
    asked = rendered(model)
    error = ProviderError("no such model", category=Category.NOT_FOUND)
    message = str(asked.explained(error))
    assert (told in message) if told else (message == "no such model")
    other = ProviderError("too long", category=Category.INVALID_ARG)
    assert str(asked.explained(other)) == "too long"


def test_a_prefix_that_was_not_sent_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    asked = rendered("openai/gpt-4o", {"base_url": None})
    error = ProviderError("no such model", category=Category.NOT_FOUND)
    assert str(asked.explained(error)) == "no such model"


# -- through a socket --------------------------------------------------------------------------


def test_a_server_behind_a_unix_socket_is_asked(tmp_path: Path, multi: engine.Multi) -> None:
    path = str(tmp_path / "v.sock")
    with serve(lambda peer: peer.stream(chat(*HEALTHY)), unix_socket=path) as server:
        for made in (
            {"unix_socket": path},
            {"base_url": f"http+unix://{path.replace('/', '%2F')}/v1"},
            {"base_url": "http://llm.example/v1", "unix_socket": path, "api_key": "sk-1"},
        ):
            client = engine.Client(multi, **made)  # type: ignore[arg-type]
            completion = client.stream("openai/m", "hi").result()
            assert completion.text == "".join(HEALTHY), completion.error
            whole = multi.add(
                engine.HttpRequest("POST", "http://h/v1/chat/completions", unix_socket=path)
            )
            multi.run()
            assert whole.response is not None and whole.response.http_status == 200
    assert {request.path for request in server.requests} == {"/v1/chat/completions"}


def test_a_socket_where_nobody_listens_is_named(tmp_path: Path, multi: engine.Multi) -> None:
    path = str(tmp_path / "nobody.sock")
    retry = engine.Retry(max_attempts=1)
    completion = engine.Client(multi, unix_socket=path, retry=retry).stream("m", "hi").result()
    assert completion.error is not None
    assert completion.error.category is Category.NETWORK
    assert path in str(completion.error)


# -- asked once more without what the server does not know ---------------------------------------

NO_STREAM = b'{"error": {"message": "stream is not supported", "type": "invalid_request_error"}}'

# The whole answer "Hi" in each format, and what of the address or body asked for a stream.
WHOLE: dict[str, Any] = {
    "chat": {"id": "c", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]},
    "completions": {"id": "c", "choices": [{"text": "Hi", "finish_reason": "stop"}]},
    "responses": {
        "id": "r",
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}],
    },
    "messages": {
        "id": "m",
        "type": "message",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
    },
    "gemini": {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]},
    "ollama": {"message": {"content": "Hi"}, "done": True, "done_reason": "stop"},
    "cohere": {
        "id": "c",
        "message": {"content": [{"type": "text", "text": "Hi"}]},
        "finish_reason": "COMPLETE",
    },
}


@pytest.mark.parametrize("dialect", WHOLE)
def test_a_server_that_cannot_stream_is_asked_for_the_whole(
    multi: engine.Multi, dialect: str
) -> None:
    def once(peer: Peer) -> None:
        if len(peer.server.requests) == 1:
            peer.json(NO_STREAM, "400 Bad Request")
        else:
            peer.json(json.dumps(WHOLE[dialect]).encode())

    with serve(once) as server:
        client = engine.Client(multi, base_url=server.url, dialect=dialect)
        told: list[str] = []
        completion = client.stream("m", "hi", on_text=told.append).result()
        first, second = server.requests
    assert completion.status == "complete", completion.error
    assert told == ["Hi"]
    streamed = dict.fromkeys(["stream", "stream_options"])
    asked, again = json.loads(first.body), json.loads(second.body)
    assert {k: v for k, v in asked.items() if k not in streamed} == {
        k: v for k, v in again.items() if k not in streamed
    }
    assert not again.get("stream") and "stream_options" not in again
    assert ("stream" in first.path.lower()) != asked.get("stream", False)
    assert "stream" not in second.path.lower()
    assert second.headers["accept"] == "application/json"


def test_a_server_that_says_so_twice_is_believed(multi: engine.Multi) -> None:
    with serve(lambda peer: peer.json(NO_STREAM, "400 Bad Request")) as server:
        client = engine.Client(multi, base_url=server.url)
        completion = client.stream("m", "hi").result()
        assert len(server.requests) == 2
    assert completion.error is not None
    assert completion.error.category is Category.INVALID_ARG


def test_what_cannot_be_mended_is_sent_once() -> None:
    http = HttpRequest("POST", "https://x/v1/chat/completions", {}, b'{"model": "m"}')

    def refused(status: int, words: str) -> ProviderError:
        return ProviderError(words, category=Category.INVALID_ARG, http_status=status)

    assert mended_request(http, refused(400, "stream is not supported")) is None  # was not asked
    assert mended_request(http, refused(500, "stream is not supported")) is None
    assert mended_request(http, refused(404, "no such model")) is None
    assert mended_request(HttpRequest("GET", "https://x"), refused(400, "seed: unknown")) is None


def test_an_emulator_that_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_EMULATOR_URL", "http://127.0.0.1:1/v1")
    with engine.Client(retry=engine.Retry(max_attempts=1)) as client:
        error = client.stream("emulator/demo", "hi").result().error
    assert error is not None and "engine emulate" in str(error)
