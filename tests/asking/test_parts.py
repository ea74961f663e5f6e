"""Parts of content in each vendor's shape: what has a name of ours, and what goes along beside."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.asking.parts import as_part
from engine.asking.shape import Shape
from engine.errors import ConfigError
from engine.messages import Audio, Document, Image, Part, Text, Thinking, VendorItem
from tests.cases import each_case

PART: list[tuple[dict[str, Any], Part, tuple[str, ...]]] = [
    (
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        Text("a", extra={"cache_control": {"type": "ephemeral"}}),
        ("chat", "cohere", "messages"),
    ),
    ({"type": "text", "text": "a", "cache_control": None}, Text("a"), ()),
    (
        {"type": "output_text", "text": "a", "annotations": [{"url": "u"}]},
        Text("a", extra={"annotations": [{"url": "u"}]}),
        ("responses",),
    ),
    (
        {"type": "image_url", "image_url": {"url": "https://x", "new": 1}, "beside": 2},
        Image(url="https://x", extra={"image_url": {"new": 1}, "beside": 2}),
        ("chat", "cohere"),
    ),
    ({"type": "image_url", "image_url": "https://x"}, Image(url="https://x"), ()),
    (
        {"type": "input_audio", "input_audio": {"data": b"\x00", "format": "wav"}},
        Audio("AA==", "audio/wav"),
        (),
    ),
    (
        {"type": "document", "source": {"type": "url", "url": "https://x"}, "context": "c"},
        Document(url="https://x", extra={"context": "c"}),
        ("messages",),
    ),
    (
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True},
        Thinking("hm", field="content", extra={"closed": True}),
        ("chat",),
    ),
    ({"type": "thinking", "thinking": "hm"}, Thinking("hm"), ("cohere", "messages")),
]


@each_case(("given", "part", "formats"), PART)
def test_what_has_no_name_of_ours_goes_along(
    given: dict[str, Any], part: Part, formats: tuple[str, ...]
) -> None:
    shape = Shape()
    assert as_part(given, "input[0].content[0]", shape) == part
    assert shape.formats == formats


@each_case(
    ("given", "formats"),
    [
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, ("messages",)),
        ({"type": "input_image", "file_id": "f"}, ("responses",)),
        ({"type": "file", "file": {"file_id": "f"}}, ("chat",)),
        ({"type": "input_file", "file_id": "f"}, ("responses",)),
        ({"type": "input_audio", "input_audio": "AAAA"}, ("chat",)),
        ({"type": "video_url", "video_url": {"url": "https://x"}}, ("chat",)),
        ({"type": "document", "document": {"data": "x"}}, ("cohere",)),
        ({"type": "search_result", "source": "s", "title": "t"}, ("messages",)),
        ({"type": "server_tool_use", "id": "s", "name": "n"}, ("messages",)),
        ({"type": "tomorrow_tool_result", "tool_use_id": "s"}, ("messages",)),
        ({"type": "shell_call_output", "call_id": "c"}, ("responses",)),
        ({"type": "input_hologram"}, ("responses",)),
        ({"type": "hologram"}, ("chat", "cohere", "messages", "responses")),
    ],
)
def test_what_is_no_part_of_ours_is_kept_whole(
    given: dict[str, Any], formats: tuple[str, ...]
) -> None:
    shape = Shape()
    part = as_part(given, "input[0].content[0]", shape)
    assert isinstance(part, VendorItem)
    assert part.data == given
    assert part.format == (formats[0] if len(formats) == 1 else None)
    assert shape.formats == formats
    assert [bound.formats for bound in shape.bound()] == [formats]


@each_case("url", ["data:text/plain,hello", "data:;charset=x;base64,AA", "data:x"])
def test_an_address_that_holds_its_data_in_another_way_stays_an_address(url: str) -> None:
    given = {"type": "image_url", "image_url": {"url": url}}
    assert as_part(given, "input[0].content[0]", Shape()) == Image(url=url)


def test_a_part_of_the_engines_own_as_json() -> None:
    for part in (Thinking("hm", "s"), Document(url="https://x"), VendorItem("x", {"a": 1}, "chat")):
        assert as_part(msgspec.to_builtins(part), "input[0].content[0]", Shape()) == part
    broken = {**msgspec.to_builtins(Thinking("hm")), "text": 5}
    with pytest.raises(ConfigError, match=r"input\[0\]\.content\[0\]: Expected `str`"):
        as_part(broken, "input[0].content[0]", Shape())
