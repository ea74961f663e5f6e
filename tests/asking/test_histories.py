"""Whatever a user writes in the form of one vendor arrives at that vendor, leaf by leaf; at another
one it arrives too, or is refused with its place."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.asking.body import render_body
from engine.asking.input import read_input
from engine.asking.tools import read_tools
from engine.errors import ConfigError
from engine.messages import (
    Audio,
    Document,
    Image,
    Message,
    PartialToolCall,
    RedactedThinking,
    Refusal,
    ServerTool,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    VendorItem,
)
from engine.providers import Endpoint, dialect
from engine.request import ModelRequest
from tests.asking.histories import (
    FORMATS,
    HISTORIES,
    TOOLS,
    arguments,
    blobs,
    extras,
    ids,
    some,
    urls,
    words,
)
from tests.volume import examples

FORM = [("type", kind) for kind in ("text", "input_text", "output_text", "refusal")]
FORM += [("role", role) for role in ("user", "assistant", "system", "model")]


def sent(
    format: str, input: Any, *, system: Any = None, tools: Any = None, provider: str = ""
) -> dict[str, Any]:
    """The body of a question to a server of `format` that is in no table."""
    messages, bound = read_input(input, system)
    definitions, more = read_tools(tools)
    request = ModelRequest("m", messages, tools=definitions, bound=bound + more)
    row = Endpoint(provider or "a.example", "https://a.example", (format,))
    body: dict[str, Any] = json.loads(
        msgspec.json.encode(render_body(dialect(format), request, row))
    )
    return body


def leaves(data: Any) -> Counter[Any]:
    """The scalars of `data`. A null says nothing, nor do the type of a text where a string will do
    as well and the roles of turns that may be put together; JSON text is read, as order and blanks
    in it are no one's."""
    if isinstance(data, dict):
        kept = {k: v for k, v in data.items() if (k, v) not in FORM}
        return sum((leaves(value) for value in kept.values()), Counter())
    if isinstance(data, list):
        return sum((leaves(value) for value in data), Counter())
    if isinstance(data, str) and data[:1] == "{":
        return leaves(json.loads(data))
    return Counter() if data is None else Counter([(type(data).__name__, data)])


def is_asked(history: list[Any]) -> bool:
    """Whether there is a question, and no call that another answer follows before its result."""
    pairs = itertools.pairwise(history)
    if any("tool_calls" in a and b.get("role") == "assistant" for a, b in pairs):
        return False
    return any(item.get("role") not in ("system", "developer") for item in history)


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=examples(40), deadline=None)
@given(data=st.data())
def test_what_is_written_in_a_format_arrives_whole_in_that_format(
    format: str, data: st.DataObject
) -> None:
    history = data.draw(HISTORIES[format].filter(is_asked))
    body = sent(format, history)
    if "instructions" in body:  # several system messages in one text
        body["instructions"] = body["instructions"].split("\n\n")
    lost = leaves(history) - leaves(body)
    assert not lost, (dict(lost), history, body)


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=examples(40), deadline=None)
@given(data=st.data())
def test_what_another_format_cannot_say_is_refused_by_its_place_or_stays_behind_whole(
    format: str, data: st.DataObject
) -> None:
    history = data.draw(HISTORIES[format].filter(is_asked))
    for other in FORMATS:
        if other == format:
            continue
        try:
            body = sent(other, history)
        except ConfigError as error:
            assert str(error).startswith("input"), error
        else:
            # A message of role and content alone may be of any format but Gemini's.
            names = ("x_new", "x_other", "cache_control", "thoughtSignature", "videoMetadata")
            said = json.dumps(body, ensure_ascii=False) if "gemini" in (format, other) else ""
            assert not any(f'"{name}"' in said for name in names), (history, body)


# -- the engine's own --------------------------------------------------------------------------

parts: Any = st.one_of(
    st.builds(Text, words, extra=extras),
    st.builds(Thinking, words, some(words), some(words), some(words), extras),
    st.builds(RedactedThinking, words, extras),
    st.builds(Refusal, words, extras),
    st.builds(ToolCall, ids, words, arguments.map(json.dumps), some(words), extra=extras),
    st.builds(PartialToolCall, ids, words, words),
    st.builds(ToolResult, ids, words, some(words), st.booleans(), extra=extras),
    st.builds(Image, some(urls), some(blobs), some(words), some(words), extras),
    st.builds(Document, some(urls), some(blobs), some(words), some(words), extras),
    st.builds(Audio, blobs, some(words), words, some(words), extras),
    st.builds(ServerTool, words, extras),
    st.builds(VendorItem, words, extras, some(words)),
)
own = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.lists(parts, min_size=1, max_size=4),
    some(words),
    some(words),
    some(words),
    extras,
    st.lists(st.sampled_from(FORMATS), max_size=2).map(tuple),
)


@settings(max_examples=examples(100), deadline=None)
@given(own)
def test_a_message_as_json_and_back_is_the_same_message(message: Message) -> None:
    stored = json.loads(json.dumps(msgspec.to_builtins(message)))
    assert read_input([stored, Message.user("x")], None)[0][0] == message


# -- tools -------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=examples(40), deadline=None)
@given(data=st.data())
def test_tools_as_their_vendor_writes_them_arrive_whole(format: str, data: st.DataObject) -> None:
    tool = data.draw(TOOLS[format])
    body = sent(format, "hi", tools=[tool])
    lost = leaves(tool) - leaves(body["tools"])
    assert not lost, (dict(lost), tool, body["tools"])
