"""What stands in a chat answer beside words: read, and sent back as it came."""

from __future__ import annotations

from typing import Any

import pytest

from engine.messages import Message, Text, Thinking
from engine.providers import dialect, endpoint
from engine.request import ModelRequest
from tests.providers.streams import JSON, Reading, chat, chunk, read

SUMMARY = {"type": "summary_text", "text": "Hm"}


def said(*parts: JSON) -> Reading:
    return read("chat", chat(*(chunk(content=[part]) for part in parts), finish="stop"))


def goes_back(parts: list[Any], provider: str) -> Any:
    answer = Message("assistant", parts, provider, formats=("chat",))
    request = ModelRequest("m", [Message.user("Hi"), answer, Message.user("Go on")])
    return dialect("chat").render(request, endpoint(provider))["messages"][1]["content"]


SEALED = {"type": "reasoning", "summary": [{**SUMMARY, "signature": "SEAL"}]}
CLOSED = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}], "closed": True}


@pytest.mark.parametrize("part", [SEALED, CLOSED])
def test_reasoning_among_the_parts_goes_back_as_it_came(part: JSON) -> None:
    reading = said(part, {"type": "text", "text": "Yes"})
    assert reading.message.thinking == "Hm"
    assert goes_back(reading.message.parts, "mistral") == [part, {"type": "text", "text": "Yes"}]


def test_reasoning_in_pieces_has_the_seal_of_its_last() -> None:
    first = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "H"}]}
    last = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "m", "signature": "SEAL"}],
    }
    reading = said(first, last, {"type": "text", "text": "Yes"})
    thought, text = reading.message.parts
    assert thought == Thinking("Hm", "SEAL", field="content", extra={"type": "reasoning"})
    assert text == Text("Yes")
    assert goes_back(reading.message.parts, "mistral")[0] == SEALED


def test_sources_inside_a_thought_are_told() -> None:
    inner = [{"type": "text", "text": "Hm"}, {"type": "reference", "reference_ids": [77]}]
    reading = said({"type": "thinking", "thinking": inner})
    assert reading.message.thinking == "Hm"
    assert reading.unknown == [("thinking", inner[1])]


@pytest.mark.parametrize(
    "facts",
    [
        {"web_search": [{"title": "T", "link": "https://x.y"}]},
        {"search_info": {"search_results": [{"title": "T"}]}},
    ],
)
def test_sources_beside_a_piece_in_the_middle_are_kept(facts: JSON) -> None:
    middle = {**chunk(content="b"), **facts}
    reading = read("chat", chat(chunk(content="a"), middle, chunk(content="c"), finish="stop"))
    assert reading.text == "abc"
    assert facts.items() <= reading.metadata.items()


def test_where_azures_filter_stands_is_kept() -> None:
    checked = {"index": 0, "content_filter_offsets": {"check_offset": 44}}
    reading = read("chat", chat(chunk(content="a"), {"choices": [checked]}, finish="stop"))
    assert reading.metadata["content_filter_offsets"] == {"check_offset": 44}


def test_the_seal_of_a_text_goes_back_beside_it() -> None:
    extra = {"google": {"thought_signature": "SEAL"}}
    told = chunk(content="b", extra_content=extra)
    reading = read("chat", chat(chunk(content="a"), told, chunk(content="c"), finish="stop"))
    assert reading.text == "abc"
    answer = Message("assistant", reading.message.parts, "gemini-openai", formats=("chat",))
    request = ModelRequest("m", [Message.user("Hi"), answer, Message.user("Go on")])
    for provider, sent in (("gemini-openai", extra), ("openai", None)):
        line = dialect("chat").render(request, endpoint(provider))["messages"][1]
        assert (line["content"], line.get("extra_content")) == ("abc", sent)
    thought = chunk(content="a", extra_content={"google": {"thought": True}})
    assert read("chat", chat(thought)).metadata["extra_content"] == {"google": {"thought": True}}
