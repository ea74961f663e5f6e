"""What tools return, as models can read it."""

from __future__ import annotations

import base64
import json
from collections import UserString, deque
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import engine
from engine.agents import FunctionAgent, Memory, tool
from engine.agents.tools.content import as_content, mended
from engine.asking.input import MIXED
from engine.messages import Document, Image, Message, Text, ToolCall, ToolResult
from tests.agents.support import call, script, watch_bodies
from tests.cases import each_case

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
PICTURE = Image(data=base64.b64encode(PNG).decode(), media_type="image/png")


class Array:
    """As numpy's and pandas'."""

    def tolist(self) -> list[list[int]]:
        return [[1, 2]]


@each_case(
    ("value", "text"),
    [
        ("text", "text"),
        (b"caf\xc3\xa9", "café"),
        (b"\xff\xfe", "2 bytes, in base64: //4="),
        (bytearray(b"ok"), "ok"),
        (memoryview(b"ok"), "ok"),
        ("a\ud800b", "a\ufffdb"),
        ("\ud83d\ude00", "😀"),
        (["a\ud800"], '["a\ufffd"]'),
        ({"k\ud800": 1, "b": [True, None, 1.5]}, '{"k\ufffd":1,"b":[true,null,1.5]}'),
        ({"a": (1, 2)}, '{"a":[1,2]}'),
        ([], "[]"),
        (None, "null"),
        (range(3), "[0,1,2]"),
        (deque([1, 2]), "[1,2]"),
        ({"a": 1}.keys(), '["a"]'),
        (MappingProxyType({"a": {2}}), '{"a":[2]}'),
        (UserString("us"), '"us"'),
        (Array(), "[[1,2]]"),
    ],
)
def test_a_value_becomes_text_that_can_be_sent(value: Any, text: str) -> None:
    assert as_content(value) == (text, [])
    text.encode()


class Drawing:
    """As PIL's images: it draws itself."""

    def _repr_png_(self) -> bytes:
        return PNG


@each_case(
    ("value", "text", "parts"),
    [
        (PNG, "[image: image/png]", [PICTURE]),
        (PICTURE, "[image: image/png]", [PICTURE]),
        (Drawing(), "[image: image/png]", [PICTURE]),
        (["See:", PNG], "See:\n[image: image/png]", [Text("See:"), PICTURE]),
        ([{"a": 1}, PICTURE], '{"a":1}\n[image: image/png]', [Text('{"a":1}'), PICTURE]),
        (Image(url="https://x/y"), "[image: https://x/y]", [Image(url="https://x/y")]),
        (
            Document(data="eA==", media_type="application/pdf"),
            "[document: application/pdf]",
            [Document(data="eA==", media_type="application/pdf")],
        ),
    ],
)
def test_a_picture_stays_one(value: Any, text: str, parts: list[Any]) -> None:
    assert as_content(value) == (text, parts)


@each_case(
    ("begin", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBP", "image/webp"),
    ],
)
def test_pictures_are_known_by_how_they_begin(begin: bytes, kind: str) -> None:
    [part] = as_content(begin + b"\0\xff")[1]
    assert isinstance(part, Image) and part.media_type == kind


def test_a_picture_too_large_is_told_and_not_sent() -> None:
    text, parts = as_content([PICTURE, PNG + b"\0" * (5 << 20)])
    assert "cut: an image of" in text and len(parts) == 2 and isinstance(parts[1], Text)


def test_mended_text_is_the_same_where_nothing_is_wrong() -> None:
    assert mended("naïve 😀") == "naïve 😀"


def test_what_a_tool_raises_can_be_sent(client: engine.Client) -> None:
    @tool
    def breaks() -> None:
        raise ValueError("no \ud800 half")

    result = FunctionAgent(client, "demo", [breaks]).run(script(call("breaks"), "Done."))
    assert result.answer == "Done."
    assert result.trace[0].tools[0].content == "Error: ValueError: no \ufffd half"


@tool
def draw() -> Any:
    return ["Here:", PNG]


def test_pictures_reach_the_model_where_the_format_takes_them(any_client: engine.Client) -> None:
    bodies = watch_bodies(any_client)
    result = FunctionAgent(any_client, "demo", [draw]).run(script(call("draw"), "Nice."))
    assert result.error is None and result.answer == "Nice."
    sent = json.dumps(bodies[1])
    # Chat and Ollama take text only as a tool's result: the words for it are sent there.
    takes = any_client._target.dialect in MIXED
    assert (PICTURE.data in sent) == takes
    assert takes or "[image: image/png]" in sent


# What an earlier run, or a memory of the user's own, shows a model again.
DRAWN = [
    Message.user("Draw."),
    Message.assistant(ToolCall("c", "draw", "{}")),
    Message.tool(ToolResult("c", "[a drawing]", "draw", parts=[PICTURE])),
    Message.assistant("There."),
]


class Reminded(Memory):
    def show(self, history: Sequence[Message], current: Sequence[Message]) -> list[Message]:
        return [*DRAWN, *current]


@each_case("given, memory", [(DRAWN, None), ([], Reminded())])
def test_pictures_of_before_are_told_in_words_too(
    client: engine.Client, given: list[Message], memory: Memory | None
) -> None:
    bodies = watch_bodies(client)
    agent = FunctionAgent(client, "demo", [draw], memory=memory)
    result = agent.run([*given, Message.user(script("Nice."))])
    assert result.error is None and result.answer == "Nice."
    sent = json.dumps(bodies[0])
    assert "[a drawing]" in sent and str(PICTURE.data) not in sent
