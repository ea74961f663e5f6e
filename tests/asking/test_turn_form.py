"""A turn of a dialogue of which all but the messages is known is sent as if nothing were known."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from engine.asking import form as forming
from engine.asking.dialogue import Dialogue, Known
from engine.asking.form import Forms
from engine.asking.question import as_question
from engine.asking.rendered import Rendered, render
from engine.asking.target import Target
from engine.errors import ConfigError
from engine.messages import Image, Message, Tool, ToolResult
from engine.providers import Endpoint, dialect, endpoints, register_dialect
from engine.providers.chat.dialect import ChatDialect
from engine.request import ModelRequest
from tests.asking.test_dialogue import answer, edit
from tests.asking.test_form import SCHEMA, URL, ask, made, shown
from tests.cases import each_case
from tests.volume import examples

PLACES = [row.name for row in endpoints() if "chat" in row.dialects and row.streams]
TOOL = Tool("f", "does", SCHEMA)
OPTIONS: list[dict[str, Any]] = [
    {},
    {"tools": [TOOL], "system": "be brief", "tool_choice": "required"},
    {"max_tokens": 5, "extra_headers": {"X-A": "b"}, "extra_body": {"a": {"b": [1, None]}}},
    {"extra_body": {"messages": []}},
    {"extra_body": {"model": "another"}, "fallback": ["n", "o"]},
]


def plain(target: Target, messages: list[Message], streaming: bool = True, **options: Any) -> Any:
    """What is sent where nothing is known, or why nothing can be."""
    try:
        question = as_question("m", list(messages), None, options)  # type: ignore[arg-type]
        return shown(render(target, question, streaming=streaming))
    except ConfigError as error:
        return str(error)


def turn(forms: Forms, target: Target, dialogue: Any, **options: Any) -> Any:
    """The same of a dialogue."""
    try:
        return shown(ask(forms, target, dialogue, **options))
    except ConfigError as error:
        return str(error)


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> list[Rendered]:
    """What was rendered as a whole."""
    rendered: list[Rendered] = []

    def noting(*arguments: Any, **options: Any) -> Rendered:
        rendered.append(render(*arguments, **options))
        return rendered[-1]

    monkeypatch.setattr(forming, "render", noting)
    return rendered


@each_case("provider", [*PLACES, None])
def test_it_is_what_would_be_rendered(provider: str | None) -> None:
    place: dict[str, Any] = (
        {"provider": provider, "dialect": "chat"} if provider else {"base_url": URL}
    )
    target, forms = Target(api_key="k", **place), Forms()
    for seed in range(examples(8, least=1)):
        dice, known = random.Random(f"{provider} {seed}"), Known()
        messages = [Message.user("Please.")]
        for number in range(6):
            for _ in range(dice.choice((0, 0, 1, 2))):
                edit(messages, dice)
            messages += answer(
                dice.choice((number, 1)), dice.choice((provider or "127.0.0.1:1", "other"))
            )
            for options in OPTIONS:
                options = {**options, "streaming": dice.random() < 0.8}
                asked = turn(forms, target, Dialogue(messages, known), **options)
                assert asked == plain(target, messages, **options), messages


def test_all_but_the_messages_is_rendered_twice_only(whole: list[Rendered]) -> None:
    target, forms = Target(base_url=URL), Forms()
    for _ in range(5):
        known, messages = Known(), [Message.user("Please.")]
        for number in range(4):
            options = {**OPTIONS[1], "fallback": ["n"]}
            assert turn(forms, target, Dialogue(messages, known), **options)
            messages += answer(number, "127.0.0.1:1", odd=False)
    assert len(whole) == 2 and made(forms) == 1


def test_each_thing_that_can_be_asked_tells_two_turns_apart() -> None:
    target, forms = Target(base_url=URL), Forms()
    other = Tool("f", "does", {**SCHEMA, "additionalProperties": False})
    everything: list[dict[str, Any]] = [
        *OPTIONS,
        {"tools": [TOOL]},
        {"tools": [other]},
        {"tools": [msgspec.structs.replace(TOOL, strict=True)]},
        {"tools": [msgspec.structs.replace(TOOL, extra={"a": 1}, formats=("chat",))]},
        {"tools": [TOOL, msgspec.structs.replace(other, name="g")]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]},
        {"tools": [{"type": "web_search"}]},
        {"temperature": 1},
        {"temperature": 1.0},
        {"system": [{"type": "text", "text": "be brief"}]},
        {"streaming": False},
    ]
    messages = [Message.user("Please."), *answer(1, "x", odd=False)]
    expected = [plain(target, messages, **options) for options in everything]
    for _ in range(4):
        for options, told in zip(everything, expected, strict=True):
            assert turn(forms, target, Dialogue(messages, Known()), **options) == told


def test_a_schema_that_changes_in_place_is_seen() -> None:
    target, forms, parameters = Target(base_url=URL), Forms(), dict(SCHEMA)
    tools = [Tool("f", "does", parameters)]
    for number in range(4):
        parameters["title"] = f"number {number}"
        messages = [Message.user("Please.")]
        asked = turn(forms, target, Dialogue(messages, Known()), tools=tools)
        assert asked == plain(target, messages, tools=tools)


CHANGED: dict[str, tuple[Any, Callable[[Any], None]]] = {
    "extra_headers": ({"X-A": "a"}, lambda given: given.update({"X-A": given["X-A"] + "a"})),
    "extra_body": ({"a": {"b": [1]}}, lambda given: given["a"]["b"].append(1)),
    "stop": (["a"], lambda given: given.append(given[-1] + "a")),
    "fallback": (["n"], lambda given: given.append(given[-1] + "n")),
    "tools": ([TOOL], lambda given: given.append(msgspec.structs.replace(TOOL, name="g"))),
}


@each_case("name", CHANGED)
def test_what_changes_in_place_between_two_turns_is_seen(name: str) -> None:
    target, forms, known = Target(base_url=URL), Forms(), Known()
    given, change = copy.deepcopy(CHANGED[name][0]), CHANGED[name][1]
    messages, before = [Message.user("Please.")], None
    for number in range(8):
        asked = turn(forms, target, Dialogue(messages, known), **{name: given})
        assert asked == plain(target, messages, **{name: given})
        if number % 4 == 3:  # it was asked often enough to be remembered
            assert asked != before
            before = asked
            change(given)


def test_what_is_no_tool_is_refused_though_it_says_what_a_tool_said() -> None:
    Like = msgspec.defstruct("Like", TOOL.__struct_fields__)
    target, forms, messages = Target(base_url=URL), Forms(), [Message.user("Please.")]
    for _ in range(3):
        turn(forms, target, Dialogue(messages, Known()), tools=[TOOL])
    assert made(forms) == 1
    tools = [SimpleNamespace(definition=Like(*msgspec.structs.astuple(TOOL)))]
    told = turn(forms, target, Dialogue(messages, Known()), tools=tools)
    assert told == plain(target, messages, tools=tools) and "tools[0] is no tool" in told


def test_what_is_long_makes_no_form() -> None:
    target, forms, messages = Target(base_url=URL), Forms(), [Message.user("Please.")]
    tools = [Tool("f", "does " * 5_000, SCHEMA)]
    for _ in range(3):
        asked = turn(forms, target, Dialogue(messages, Known()), tools=tools)
        assert asked == plain(target, messages, tools=tools)
    assert len(forms) == 0


def test_tools_that_can_be_read_once_are_read_once() -> None:
    target, forms, messages = Target(base_url=URL), Forms(), [Message.user("Please.")]
    expected = plain(target, messages, tools=[TOOL])
    for _ in range(3):
        asked = turn(forms, target, Dialogue(messages, Known()), tools=iter([TOOL]))
        assert asked == expected


def test_what_is_wrong_is_told_as_where_nothing_is_known(whole: list[Rendered]) -> None:
    target, forms = Target(base_url=URL), Forms()
    right = [Message.user("Please.")]
    for _ in range(3):
        turn(forms, target, Dialogue(right, Known()))
    for wrong in (
        [Message("user", [])],
        [],
        [Message.system("only instructions")],
        [*right, Message("user", [Image()])],
        [*right, Message("user", [ToolResult("c", "\ud800")])],
    ):
        told = turn(forms, target, Dialogue(wrong, Known()))
        assert isinstance(told, str) and told == plain(target, wrong)
    assert len(whole) == 2, "the form was forgotten over it"


def test_a_dialect_of_somebody_else_renders_each_turn() -> None:
    format = dialect("chat")

    class Counting(ChatDialect):
        turns = 0

        def render(self, request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
            Counting.turns += 1
            return {"turns": Counting.turns}

    target, forms = Target(base_url=URL), Forms()
    try:
        register_dialect(Counting())
        for number in range(1, 5):
            rendered = ask(forms, target, Dialogue([Message.user("Please.")], Known()))
            assert rendered.http.body == b'{"turns":%d}' % number
    finally:
        register_dialect(format)


def test_a_variable_that_changes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    target, forms = Target(provider="openai", dialect="chat"), Forms()
    for key in ("sk-one", "sk-two"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        for _ in range(3):
            rendered = ask(forms, target, Dialogue([Message.user("Please.")], Known()))
            assert rendered.http.headers["Authorization"] == f"Bearer {key}"


def test_a_turn_that_is_not_streamed_asks_for_no_stream() -> None:
    target, forms = Target(base_url=URL), Forms()
    for _ in range(3):
        for streaming in (True, False):
            dialogue = Dialogue([Message.user("Please.")], Known())
            rendered = ask(forms, target, dialogue, streaming=streaming)
            body = msgspec.json.decode(rendered.http.body or b"")
            assert body.get("stream", False) is rendered.streaming is streaming
