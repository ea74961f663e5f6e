"""A dialogue that is asked again turn by turn says what the same messages say that nobody asked
before, whatever was done to them meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from engine.asking import input as reading
from engine.asking.body import render_body
from engine.asking.dialogue import Dialogue, Known
from engine.asking.question import as_question
from engine.errors import ConfigError
from engine.messages import (
    Citation,
    Image,
    Message,
    PartialToolCall,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    VendorItem,
)
from engine.providers import Endpoint, dialect, endpoint, endpoints
from engine.providers.chat import lines
from tests.cases import each_case
from tests.volume import examples

PLACES = [
    *((row.name, name) for row in endpoints() for name in row.dialects),
    *(("my.host", name) for name in ("chat", "messages", "responses", "gemini", "interactions")),
]


def body(provider: str, format: str, messages: Any, **options: Any) -> Any:
    """What is sent, or why nothing can be."""
    row = (
        Endpoint(provider, "https://x", (format,)) if provider == "my.host" else endpoint(provider)
    )
    try:
        request = as_question("m", messages, None, options).request
        return msgspec.json.decode(msgspec.json.encode(render_body(dialect(format), request, row)))
    except ConfigError as error:
        return str(error)


def answer(number: int, provider: str, odd: bool = True) -> list[Message]:
    # One in three has an id that some refuse, so that it is sent with another.
    id = ("", f"call_{number}", f"call_{number}_{'x' * 60}")[number % 3 if odd else 1]
    call = ToolCall(id, "add", f'{{"a": {number}}}')
    return [
        Message("assistant", [Thinking("Hm.", "seal"), Text("So."), call], provider, model="m"),
        Message.tool(ToolResult(call.id, str(number), "add")),
    ]


def edit(messages: list[Message], dice: random.Random) -> None:
    """What a user may do to a history between two turns."""
    at = dice.randrange(len(messages))
    message = messages[at]
    part: Any = message.parts[0]
    match dice.randrange(12):
        case 0:
            message.parts[0] = Text(f"other words {dice.random()}")
        case 1:
            message.parts.append(Text("more words"))
        case 2 if len(messages) > 1:
            del messages[at]
        case 3:
            messages.insert(at, message)  # the same object twice
        case 4:
            messages.append(msgspec.convert(msgspec.to_builtins(message), Message))
        case 5 if not isinstance(part, VendorItem | PartialToolCall):
            part.extra["cache_control"] = {"type": "ephemeral"}
        case 6:
            message.extra["name"] = "somebody"
        case 7 if isinstance(part, ToolResult):
            part.parts.append(Image(data="aGk=", media_type="image/png"))
        case 8 if isinstance(part, Text):
            part.citations.append(Citation("https://x", "a title"))
        case 9:
            bound = {"formats": ("chat",), "extra": {"name": "b"}}
            other = dice.choice(({"provider": None}, {"provider": "openai"}, bound))
            messages[at] = msgspec.structs.replace(message, **other)
        case 10 if len(message.parts) > 1:
            message.parts.reverse()
        case _:
            messages.append(Message.user("And now?"))


@each_case(("provider", "format"), PLACES)
def test_a_dialogue_says_what_its_messages_say(provider: str, format: str) -> None:
    for seed in range(examples(12, least=1)):
        dice, known = random.Random(f"{provider} {seed}"), Known()
        messages = [Message.user("Please.")]
        system = dice.choice((None, "Be brief."))
        for number in range(8):
            for _ in range(dice.choice((0, 0, 1, 2))):
                edit(messages, dice)
            # Some servers number calls anew in each turn.
            messages += answer(dice.choice((number, 1)), dice.choice((provider, "other")))
            asked = body(provider, format, Dialogue(messages, known), system=system)
            assert asked == body(provider, format, messages, system=system), messages


def test_one_known_dialogue_serves_models_of_several_formats() -> None:
    known, messages = Known(), [Message.user("Please."), *answer(1, "openai")]
    for _ in range(3):
        for provider, format in PLACES:
            asked = body(provider, format, Dialogue(messages, known))
            assert asked == body(provider, format, messages)
        messages += answer(len(messages), "mistral")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many messages were checked, and how many rendered."""
    counts = {"checked": 0, "rendered": 0}

    def counting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            counts[name] += 1
            return call(*arguments)

        return counted

    monkeypatch.setattr(reading, "_checked", counting("checked", reading._checked))
    monkeypatch.setattr(lines._Lines, "of", counting("rendered", lines._Lines.of))
    return counts


def test_each_message_of_a_dialogue_is_checked_and_rendered_once(counted: dict[str, int]) -> None:
    known, messages = Known(), [Message.user("Please.")]
    for number in range(9):
        messages += answer(number, "my.host", odd=False)
        body("my.host", "chat", Dialogue(messages, known))
    assert counted == {"checked": 19, "rendered": 19}
    messages[5].parts.append(Text("more"))
    body("my.host", "chat", Dialogue(messages, known))
    assert counted == {"checked": 20, "rendered": 20}


def test_beside_what_is_long_the_others_are_known(counted: dict[str, int]) -> None:
    known, messages = Known(), [Message.user("long " * 30_000)]
    for number in range(3):
        messages += answer(number, "my.host", odd=False)
        asked = body("my.host", "chat", Dialogue(messages, known))
        assert asked == body("my.host", "chat", messages)
        # The long one, and what is new; then all of them, where nothing is known.
        told = 2 * number + 3
        assert counted.pop("checked") == 3 + told
        counted["checked"] = 0


def test_what_is_long_is_not_remembered() -> None:
    known = Known()
    for text in ("short", "long " * 30_000):
        body("my.host", "chat", Dialogue([Message.user(text)], known))
    assert len(known._checked) == 1


def test_lines_of_messages_that_are_gone_are_forgotten() -> None:
    known = Known()
    for number in range(20):
        body("my.host", "chat", Dialogue([Message.user("long " * 30_000 + str(number))], known))
    assert [(len(kept), len(ids._messages)) for kept, ids in known.rendered.values()] == [(1, 1)]
