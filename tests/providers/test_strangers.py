"""A stranger is told nothing that was meant for the author alone, in whatever part it stands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.messages import (
    Audio,
    Message,
    RedactedThinking,
    Refusal,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    VendorItem,
)
from tests.cases import each_case
from tests.providers.rules import RULES
from tests.providers.test_round_trip import body

SECRET = {"x_secret": "SECRET"}
ANSWER = Message(
    "assistant",
    [
        Thinking("SECRET", "SECRET", "SECRET", extra=SECRET),
        RedactedThinking('{"reasoning_details":[{"data":"SECRET"}]}', SECRET),
        ServerTool("SECRET", SECRET),
        VendorItem("SECRET", SECRET, "chat"),
        VendorItem("SECRET", SECRET, "responses"),
        VendorItem("SECRET", SECRET, "interactions"),
        Text("hi", signature="SECRET", extra=SECRET),
        ToolCall("c1", "f", "{}", "SECRET", extra=SECRET),
    ],
    "author.example",
    extra={**SECRET, "container": {"id": "SECRET"}},
)
RECEIVERS = [*RULES, ("gemini", "interactions", "gemini-x")]


@each_case("receiver", RECEIVERS, ids=lambda receiver: " ".join(receiver))
def test_an_answer_of_another_leaves_what_is_its_own_behind(receiver: tuple[str, str, str]) -> None:
    provider, name, model = receiver
    history = [Message.user("hi"), ANSWER, Message.tool(ToolResult("c1", "1"))]
    sent = json.dumps(body(history, provider, name, model))
    assert "SECRET" not in sent
    assert '"hi"' in sent


def chat_line(message: Message, provider: str = "openai") -> dict[str, Any]:
    sent = body([Message.user("hi"), message, Message.user("x")], provider, "chat", "m")
    line: dict[str, Any] = sent["messages"][2]
    return line


def test_sound_goes_back_by_its_id_to_who_has_it() -> None:
    parts = [Text("hi"), Audio("AAAA", id="audio_1")]
    own = Message("assistant", parts, "openai", formats=("chat",))
    assert chat_line(own)["audio"] == {"id": "audio_1"}
    assert "audio" not in chat_line(Message("assistant", parts, "vllm", formats=("chat",)))


def test_a_refusal_is_text_to_others() -> None:
    refused = Message("assistant", [Refusal("no")], "openai", formats=("chat",))
    assert chat_line(refused)["refusal"] == "no"
    assert chat_line(refused, "vllm") == {"role": "assistant", "content": "no"}
    steps = body([Message.user("hi"), refused], "gemini", "interactions", "m")["input"]
    assert steps[1] == {"type": "model_output", "content": [{"type": "text", "text": "no"}]}


def responses_items(*parts: Any) -> list[dict[str, Any]]:
    own = Message("assistant", list(parts), "openai", formats=("responses",))
    sent: list[dict[str, Any]] = body([Message.user("hi"), own], "openai", "responses", "m")[
        "input"
    ]
    return sent[1:]


def test_each_reasoning_item_is_one_again() -> None:
    said = Text("so")
    items = responses_items(
        Thinking("a", id="r1"), Thinking("b", "S1", "r1"), Thinking("c", "S2", "r2"), said
    )
    assert [item.get("encrypted_content") for item in items] == ["S1", "S2", None]
    assert [piece["text"] for piece in items[0]["summary"]] == ["a", "b"]
    items = responses_items(Thinking("a", id="r1"), Thinking("b", "S"), said)
    assert [piece["text"] for piece in items[0]["summary"]] == ["b"]
    items = responses_items(Thinking("a", "S1"), Thinking("b", "S2"), said)
    assert [item.get("encrypted_content") for item in items] == ["S1", "S2", None]


def test_reasoning_that_nothing_came_of_stays_behind() -> None:
    assert responses_items(Thinking("a", "S1")) == []
    own = Message("assistant", [Thinking("a", "S1")], "openai", formats=("responses",))
    sent = body([own, Message.user("go on")], "openai", "responses", "m")["input"]
    assert [item.get("role") for item in sent] == ["user"]


def test_an_item_a_user_gives_by_hand_is_refused_elsewhere_by_its_place() -> None:
    item = VendorItem("shell_call_output", {"type": "shell_call_output"}, "responses")
    with pytest.raises(ConfigError, match=r"^input\[0\]\.parts\[0\] means nothing in the chat"):
        body([Message("user", [item])], "openai", "chat", "m")
    sent = body([Message("user", [item])], "openai", "responses", "m")["input"]
    assert sent == [{"type": "shell_call_output"}]
    anywhere = VendorItem("x", {"type": "x"})
    assert body([Message("user", [anywhere])], "openai", "chat", "m")["messages"][1]["content"]


def test_steps_of_gemini_go_back_to_gemini() -> None:
    item = VendorItem("hologram", {"type": "hologram"}, "interactions")
    own = Message("assistant", [item], "gemini", formats=("interactions",))
    steps = body([Message.user("hi"), own], "gemini", "interactions", "m")["input"]
    assert steps[1] == {"type": "hologram"}
