"""An argument of the wrong kind is named before anything is sent; what can be read only once is
read once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.agents import FunctionAgent
from engine.asking.question import as_question
from engine.errors import ConfigError
from engine.transport.multi import driver_of
from tests.cases import each_case
from tests.server import HEALTHY, Peer, chat, serve

NOWHERE = "http://127.0.0.1:1/v1"
INFINITE, NAN = float("inf"), float("nan")


@each_case(
    ("name", "value"),
    [
        ("multi", "m"),
        ("provider", 5),
        ("dialect", 5),
        ("base_url", 5),
        ("base_url", NOWHERE.encode()),
        ("api_key", 5),
        ("api_key", b"k"),
        ("timeouts", 5),
        ("timeouts", {"idle": 5}),
        ("retry", 5),
        ("headers", "X: y"),
        ("headers", [("X", "y")]),
    ],
)
def test_each_argument_of_a_client(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be .*, not {type(value).__name__}$"):
        engine.Client(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("system", 5),
        ("tools", "f"),
        ("tool_choice", 5),
        ("tool_choice", {"type": "auto"}),
        ("max_tokens", "5"),
        ("max_tokens", 5.5),
        ("max_tokens", True),
        ("temperature", "hot"),
        ("temperature", True),
        ("temperature", NAN),
        ("top_p", "1"),
        ("top_p", INFINITE),
        ("stop", 5),
        ("stop", b"END"),
        ("stop", {"END": 1}),
        ("seed", "5"),
        ("seed", 5.5),
        ("extra_body", [1]),
        ("extra_body", "{}"),
        ("extra_headers", [("X", "y")]),
        ("fallback", 5),
        ("fallback", "bc"),
        ("fallback", b"bc"),
        ("on_event", 5),
        ("on_text", "print"),
        ("on_done", []),
    ],
)
def test_each_argument_of_a_stream(multi: engine.Multi, name: str, value: Any) -> None:
    client = engine.Client(multi, base_url=NOWHERE)
    for ask in (client.stream, client.request):
        with pytest.raises(ConfigError, match=f"^{name} must be "):
            ask("m", "hi", **{name: value})
    assert len(multi) == 0


@pytest.mark.parametrize("name", ["stop", "fallback"])
def test_each_of_a_list_of_strings(multi: engine.Multi, name: str) -> None:
    arguments: dict[str, Any] = {name: ["a", 5]}
    with pytest.raises(ConfigError, match=rf"^{name}\[1\] must be a string, not int$"):
        engine.Client(multi, base_url=NOWHERE).stream("m", "hi", **arguments)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (engine.Message("user", [5]), r"input\[0\]: "),  # type: ignore[list-item]
        (engine.Message("nobody", []), r"input\[0\]: "),  # type: ignore[arg-type]
        (engine.Message("user", []), r"input\[0\] has no content"),
        (
            engine.Message("assistant", [engine.ToolCall(id="c", name="f", arguments="{")]),
            r"input\[0\]\.parts\[0\]\.arguments is a string that is no JSON",
        ),
    ],
)
def test_a_message_made_by_hand(multi: engine.Multi, item: engine.Message, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^{words}"):
        engine.Client(multi, base_url=NOWHERE).stream("m", [item])


def test_a_tool_made_by_hand(multi: engine.Multi) -> None:
    tool = engine.Tool(5, "d", {"type": "object"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^tools\[0\]: "):
        engine.Client(multi, base_url=NOWHERE).stream("m", "hi", tools=[tool])


@each_case(
    ("arguments", "name"),
    [
        ({"method": 5}, "method"),
        ({"url": 5}, "url"),
        ({"url": NOWHERE.encode()}, "url"),
        ({"headers": [("X", "y")]}, "headers"),
        ({"headers": None}, "headers"),
        ({"headers": {5: "y"}}, "header name 5"),
        ({"headers": {"X": 5}}, "header X"),
        ({"body": "text"}, "body"),
        ({"body": {"a": 1}}, "body"),
    ],
)
def test_each_argument_of_an_http_request(arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} "):
        engine.HttpRequest(**{"method": "GET", "url": NOWHERE, **arguments})


@each_case("name", ["connect", "first_event", "idle", "content", "total"])
@each_case("value", ["5", [5], 0, -1, NAN])
def test_each_timeout(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"timeouts: {name} must be"):
        engine.Timeouts(**{name: value})


@pytest.mark.parametrize("connect", [1e18, INFINITE])
def test_a_timeout_longer_than_curl_can_count_is_no_limit(
    multi: engine.Multi, connect: float
) -> None:
    timeouts = engine.Timeouts(connect=connect)
    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as server:
        client = engine.Client(multi, base_url=server.url, timeouts=timeouts)
        assert client.stream("m", "hi").result().status == "complete"


@each_case(
    ("name", "value"),
    [
        ("max_attempts", "3"),
        ("max_attempts", 2.5),
        ("max_attempts", None),
        *((n, v) for n in ("base_delay", "max_delay", "max_retry_after") for v in ("1", None, -1)),
        *((n, v) for n in ("base_delay", "max_delay", "max_retry_after") for v in (NAN, INFINITE)),
    ],
)
def test_each_argument_of_a_retry(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"retry: {name} must be"):
        engine.Retry(**{name: value})


@each_case(
    ("name", "value"),
    [
        ("max_connections", "5"),
        ("max_connections", -1),
        ("max_host_connections", 2.5),
        ("max_host_connections", 2**31),
        ("max_streams_per_connection", None),
        ("max_streams_per_connection", 0),
        ("ca_file", 5),
        ("ca_file", b"ca.pem"),
    ],
)
def test_each_argument_of_a_multi(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{name} must be "):
        engine.Multi(**{name: value})


def test_a_certificate_file_may_be_a_path() -> None:
    with engine.Multi(ca_file=Path(__file__)) as multi:
        assert driver_of(multi).ca_file == __file__  # libcurl takes strings only


@pytest.mark.parametrize("name", ["http_request", "on_data", "on_done", "timeouts"])
def test_each_argument_of_a_plain_request(multi: engine.Multi, name: str) -> None:
    arguments: dict[str, Any] = {"http_request": engine.HttpRequest("GET", NOWHERE), name: 5}
    with pytest.raises(ConfigError, match=f"^{name} must be "):
        multi.add(**arguments)
    assert len(multi) == 0


# -- what can be read only once ----------------------------------------------------------------


def refuse_first(peer: Peer) -> None:
    if len(peer.server.requests) == 1:
        peer.json(b'{"error": {"message": "no"}}', "404 Not Found")
    else:
        peer.stream(chat(*HEALTHY))


def test_a_fallback_is_asked_all_that_the_first_was(multi: engine.Multi) -> None:
    def tools() -> Iterator[engine.Tool]:
        yield engine.Tool("f", "d", {"type": "object", "properties": {}})

    with serve(refuse_first) as server:
        completion = (
            engine.Client(multi, base_url=server.url)
            .stream(
                "a",
                iter([engine.Message.user("hi")]),
                tools=tools(),
                stop=iter(["END"]),
                fallback=iter(["b"]),
            )
            .result()
        )
        first, second = (json.loads(request.body) for request in server.requests)
    assert completion.status == "complete"
    assert (first.pop("model"), second.pop("model")) == ("a", "b")
    assert first == second
    assert second["messages"] and second["tools"] and second["stop"] == ["END"]


def test_no_fallback_may_be_none(multi: engine.Multi) -> None:
    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as server:
        client = engine.Client(multi, base_url=server.url)
        completion = client.stream("m", "hi", fallback=None).result()  # type: ignore[arg-type]
    assert completion.text == "".join(HEALTHY)


def test_user_data_is_the_users_and_is_left_alone() -> None:
    mine = iter([1, 2])
    with engine.Client(base_url="http://127.0.0.1:9/v1") as client:
        stream = client.stream("m", "hi", user_data=mine)
    assert stream.user_data is mine
    assert list(mine) == [1, 2]


# -- the question itself -----------------------------------------------------------------------


def test_a_question_is_what_was_given_in_no_providers_terms() -> None:
    question = as_question(
        "a/b",
        "hi",
        None,
        {
            "system": "be brief",
            "stop": "END",
            "max_tokens": 5,
            "extra_body": {"top_k": 1},
            "extra_headers": {"X-A": "b"},
            "fallback": iter(["c/d"]),
        },
    )
    assert question.models == ("a/b", "c/d")
    assert [message.role for message in question.request.messages] == ["system", "user"]
    assert (question.request.stop, question.request.max_tokens) == (["END"], 5)
    assert question.request.extra_body == {"top_k": 1}
    assert question.extra_headers == {"X-A": "b"}
    assert question.answer_type is None


def test_what_the_user_goes_on_changing_is_no_longer_the_question() -> None:
    body, headers = {"a": 1}, {"X-A": "b"}
    question = as_question("m", "hi", None, {"extra_body": body, "extra_headers": headers})
    body["a"], headers["X-A"] = 2, "c"
    assert question.request.extra_body == {"a": 1}
    assert question.extra_headers == {"X-A": "b"}


def test_a_question_prints_no_prompt() -> None:
    assert repr(as_question("a/b", "secret", None, {})) == "Question('a/b')"


@pytest.mark.parametrize(
    ("name", "words"),
    [("max_token", "did you mean 'max_tokens'"), ("sytem", "'system'"), ("qqq", "argument 'qqq'$")],
)
def test_an_argument_that_there_is_not(multi: engine.Multi, name: str, words: str) -> None:
    arguments: dict[str, Any] = {name: "x"}
    client = engine.Client(multi, base_url=NOWHERE)
    for ask in (client.stream, client.request):
        with pytest.raises(TypeError, match=words):
            ask("m", "hi", **arguments)
    assert len(multi) == 0


def test_an_agent_is_told_of_its_options_when_it_is_made(multi: engine.Multi) -> None:
    client = engine.Client(multi, base_url=NOWHERE)
    with pytest.raises(ConfigError, match=r"^temperature must be a number, not str$"):
        FunctionAgent(client, "m", temperature="hot")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="did you mean 'temperature'"):
        FunctionAgent(client, "m", temprature=0.5)  # type: ignore[call-arg]
