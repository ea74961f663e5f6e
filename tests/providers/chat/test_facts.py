"""Chunks that say what nearly all say are read in one go: the same is told as by a closer look."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest

from engine.events import Event, ModelUpdate
from engine.providers.blocks import merge
from engine.providers.chat import ahead, content
from engine.providers.chat import parser as chat_parser
from engine.providers.chat.chunk import Chunk, ChunkUsage, StreamChoice
from engine.providers.chat.facts import as_counts, decode_usual, facts_of
from engine.providers.chat.parser import ChatParser
from tests.cases import each_case

ROLE = {"delta": {"role": "assistant", "content": "", "refusal": None}, "finish_reason": None}
TEXT = {"delta": {"content": "a"}, "finish_reason": None}
STOP = {"delta": {}, "finish_reason": "stop"}
CALL = {"index": 0, "id": "1", "function": {"name": "f", "arguments": "{}"}}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 0}}
FACTS = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
PADDED = {"system_fingerprint": "fp", "service_tier": "default", "obfuscation": "x"}


def chunk(*choices: Any, **more: Any) -> bytes:
    return json.dumps({**FACTS, "choices": list(choices), **more}).encode()


def other(number: int, choice: Any) -> Any:
    return {**choice, "index": number}


def call(index: int, **said: Any) -> bytes:
    return chunk({"delta": {"tool_calls": [{"index": index, **said}]}, "finish_reason": None})


STREAMS = {
    "plain": [chunk(ROLE), chunk(TEXT), chunk(TEXT), chunk(STOP), chunk(usage=USAGE)],
    "padded": [chunk(c, usage=None, **PADDED) for c in (ROLE, TEXT, STOP)] + [chunk(usage=USAGE)],
    "usage with the end": [chunk(ROLE), chunk(TEXT), chunk(STOP, usage=USAGE)],
    "usage in the choice": [chunk(ROLE), chunk(TEXT), chunk({**STOP, "usage": USAGE})],
    "usage that is none": [chunk(ROLE), chunk(STOP), chunk(usage={"prompt_tokens": "many"})],
    "usage before the end": [chunk(ROLE), chunk(TEXT, usage=USAGE), chunk(STOP)],
    "a fact of somebody's": [chunk(ROLE, provider="p"), chunk(TEXT), chunk(STOP, provider="q")],
    "told otherwise in between": [
        chunk(ROLE, created=1), chunk(TEXT), chunk(STOP, created=2, provider="p"),
        chunk(usage=USAGE, created=1)],
    "less said at the end": [chunk(ROLE, **PADDED), chunk(TEXT), chunk(STOP), chunk(usage=USAGE)],
    "filtered": [chunk(content_filter_results={}), chunk({**STOP, "content_filter_results": {
        "hate": {"filtered": False}}})],
    "filtered, the second": [chunk(ROLE), chunk({**other(1, STOP), "content_filter_results": {
        "hate": {"filtered": False}}})],
    "two": [chunk(ROLE, other(1, ROLE)), chunk(TEXT), chunk(other(1, TEXT)), chunk(STOP),
            chunk(other(1, STOP)), chunk(usage=USAGE)],
    "the end takes words": [chunk(ROLE), chunk(TEXT), chunk({**STOP, "delta": {"content": "b"}})],
    "words after the end": [chunk(ROLE), chunk(STOP), chunk(TEXT), chunk(STOP)],
    "words after the end, and no other": [chunk(ROLE), chunk(STOP), chunk(TEXT)],
    "the second ends alone": [chunk(other(1, ROLE)), chunk(TEXT), chunk(other(1, STOP))],
    "a call": [chunk(ROLE), chunk({"delta": {"tool_calls": [CALL]}}),
               chunk({"delta": {}, "finish_reason": "tool_calls"})],
    "a call in pieces": [
        chunk(ROLE), call(0, id="a", function={"name": "f", "arguments": ""}),
        call(0, function={"arguments": ""}), call(0, function={"arguments": "{"}),
        call(0, function={"arguments": "}"}), chunk({**STOP, "finish_reason": "tool_calls"})],
    "a call that begins with words": [
        chunk(ROLE), call(3, id="a", type="function", function={"name": "f", "arguments": '{"'}),
        call(3, function={"arguments": 'a": 1}'}), chunk(STOP)],
    "a call without a name": [
        chunk(ROLE), call(0, id="a", function={"name": "", "arguments": "{"}),
        call(0, function={"arguments": "}"}), chunk(STOP)],
    "a call without an id": [
        chunk(ROLE), call(0, id="", function={"name": "f", "arguments": "{"}),
        call(0, function={"arguments": "}"}), chunk(STOP)],
    "a piece of nothing": [
        chunk(ROLE), call(0, id="", function={"name": "", "arguments": ""}), chunk(TEXT),
        chunk(STOP)],
    "a call and a count": [
        chunk(ROLE), chunk({"delta": {"tool_calls": [CALL]}}, usage=USAGE), chunk(STOP)],
    "a call and a count of the choice": [
        chunk(ROLE), chunk({"delta": {"tool_calls": [CALL]}, "usage": USAGE}), chunk(STOP)],
    "a call and a misfit": [
        chunk(ROLE), chunk({"delta": {"tool_calls": [CALL]}}, base_resp=["x"]), chunk(STOP)],
    "pieces of a call without a name, and a misfit": [
        chunk(ROLE), *[chunk({"delta": {"tool_calls": [{"index": 0, "function": {
            "arguments": "{"}}]}}, base_resp=["x"])] * 2, chunk(STOP)],
    "a call and sources": [
        chunk(ROLE), chunk({"delta": {"tool_calls": [CALL]}}, web_search=[{"link": "x"}]),
        chunk(STOP)],
    "pieces of a call and sources": [
        chunk(ROLE), call(0, id="a", function={"name": "f", "arguments": ""}),
        chunk({"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}},
              search_info={"a": 1}),
        chunk({"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}},
              web_search=[{"link": "x"}]), chunk(STOP)],
    "pieces of a call and counts of the choice": [
        chunk(ROLE), call(0, id="a", function={"name": "f", "arguments": ""}),
        *(chunk({"delta": {"tool_calls": [{"index": 0, "function": {"arguments": text}}]},
                 "usage": {**USAGE, "completion_tokens": count}})
          for count, text in enumerate("{}")), chunk(STOP)],
    "a call after the second ended": [
        chunk(ROLE, other(1, STOP)), chunk({"delta": {"tool_calls": [CALL]}}), chunk(STOP)],
    "thinking": [chunk({"delta": {"reasoning_content": "t"}}), chunk(TEXT), chunk(STOP)],
    "no choices": [chunk(ROLE), chunk(STOP), json.dumps({**FACTS, "usage": USAGE}).encode()],
    "an error after it began": [chunk(ROLE), chunk(TEXT, error={"message": "no"}), chunk(STOP),
                                chunk(usage=USAGE)],
    "an error of the choice": [chunk(ROLE), chunk({**STOP, "error": {"message": "no"}}),
                               chunk(usage=USAGE)],
    "the model late": [chunk(ROLE, id="", model=""), chunk(TEXT), chunk(STOP)],
    "logprobs": [chunk(ROLE), chunk({**STOP, "logprobs": {"content": [{"token": "a"}]}})],
    "logprobs of an end after text": [
        chunk(ROLE), chunk(TEXT), chunk({**STOP, "logprobs": {"content": [{"token": "a"}]}})],
    "half a pair": [chunk(ROLE), b'{"choices":[{"delta":{"content":"\\ud83d"}}]}', chunk(STOP)],
    "empty text first": [chunk(ROLE), chunk({"delta": {"content": ""}}), chunk(TEXT), chunk(STOP)],
    "filtered text first": [chunk(ROLE), chunk({**TEXT, "content_filter_offsets": {"a": 1}}),
                            chunk(STOP)],
    "text of the second first": [chunk(ROLE), chunk(other(1, TEXT)), chunk(TEXT), chunk(STOP)],
    "text after a bare beginning": [chunk(), chunk(TEXT), chunk(TEXT), chunk(STOP)],
    "text after a call": [chunk(ROLE), chunk({"delta": {"tool_calls": [CALL]}}), chunk(TEXT),
                          chunk(STOP)],
    "text after an error": [chunk(ROLE), chunk(error={"message": "no"}), chunk(TEXT)],
    "silence, and silence that ends": [chunk(ROLE), chunk({"delta": {"role": "assistant"}}),
                                       chunk(STOP), chunk({"delta": {}}), chunk(usage=USAGE)],
    "silence of an unknown role": [chunk({"delta": {"role": "tool", "content": ""}}), chunk(STOP)],
    "silence with a mark": [chunk(ROLE), chunk({"delta": {"channel": "final"}}), chunk(STOP)],
    "whole": [chunk({"message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"})],
}  # fmt: skip


def told(records: list[bytes]) -> tuple[str, dict[str, Any], bool, bool]:
    parser = ChatParser()
    events: list[Event] = [event for record in records for event in parser.feed([record])]
    might_end = parser.may_end
    events += parser.feed([b"[DONE]"])
    return (
        repr(events),
        parser.metadata,
        parser.complete,
        might_end,
    )  # errors are equal by their words


@pytest.mark.parametrize("name", STREAMS)
def test_one_look_tells_what_two_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = told(STREAMS[name])
    look_closely(monkeypatch)
    assert told(STREAMS[name]) == at_once


def look_closely(patched: pytest.MonkeyPatch) -> None:
    """Have nothing read as what it likely is."""

    def refuse(data: bytes) -> Any:
        raise msgspec.ValidationError("looked at closely")

    for short in ("decode_usual", "decode_plain", "decode_call", "decode_piece", "decode_thought"):
        patched.setattr(ahead, short, refuse)
    patched.setattr(chat_parser, "decode_plain", refuse)
    patched.setattr(content, "SILENT", ())


# What may stand beside the words of any chunk, and says something.
BESIDE: dict[str, Any] = {
    "usage": USAGE, "x_groq": {"usage": USAGE}, "error": {"message": "no"}, "citations": ["u"],
    "search_results": [{"url": "u"}], "prompt_progress": {"processed": 1},
    "base_resp": {"status_code": 1}, "web_search": [{"link": "x"}], "search_info": {"a": 1},
}  # fmt: skip
BESIDE_OF_CHOICE: dict[str, Any] = {
    "index": 1, "finish_reason": "length", "logprobs": {"content": [{"token": "a"}]},
    "usage": USAGE, "error": {"message": "no"},
    "content_filter_results": {"hate": {"filtered": True}},
    "content_filter_offsets": {"check_offset": 1},
}  # fmt: skip
PIECE = {"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}}
WORDS: dict[str, list[Any]] = {
    "text": [TEXT, TEXT],
    "thought": [{"delta": {"reasoning_content": "t"}}] * 2,
    "a call that begins": [{"delta": {"tool_calls": [CALL]}}],
    "a piece of a call": [{"delta": {"tool_calls": [{**CALL, "function": {
        "name": "f", "arguments": ""}}]}}, PIECE],
}  # fmt: skip


def test_all_that_may_stand_beside_words_is_tried() -> None:
    assert {*BESIDE, "choices"} == {*Chunk.__struct_fields__}
    # `message` and `text` are other names of the words.
    assert {*BESIDE_OF_CHOICE, "delta", "message", "text"} == {*StreamChoice.__struct_fields__}


@each_case("words", WORDS.values(), ids=WORDS)
@each_case("name", [*BESIDE, *(f"choices.{name}" for name in BESIDE_OF_CHOICE)])
def test_what_stands_beside_expected_words_is_told(words: list[Any], name: str) -> None:
    *before, last = words
    _, _, of_choice = name.partition(".")
    if of_choice:
        odd = chunk({**last, of_choice: BESIDE_OF_CHOICE[of_choice]})
    else:
        odd = chunk(last, **{name: BESIDE[name]})
    records = [chunk(ROLE), *map(chunk, before), odd]
    more = [*records, chunk(last), chunk(STOP)]
    at_once, on = told(records), told(more)
    assert at_once != told([chunk(ROLE), *map(chunk, words)])
    with pytest.MonkeyPatch.context() as patched:
        look_closely(patched)
        assert (told(records), told(more)) == (at_once, on)


FIELDS: dict[str, list[Any]] = {
    "object": ["o", "", None],
    "created": [0, 1, None],
    "service_tier": ["default", ""],
    "system_fingerprint": ["fp", None],
    "obfuscation": ["x", ""],
    "usage": [USAGE, {"total_tokens": 3}, {}, None],
}


@each_case(
    ("name", "value"), [(name, value) for name, values in FIELDS.items() for value in values]
)
@each_case("before", [{}, {"object": "b", "created": 9, "usage": {"x": 1}}])
def test_a_usual_chunk_tells_what_any_does(name: str, value: Any, before: dict[str, Any]) -> None:
    said = {**FACTS, "choices": [], name: value}
    plain, usual = copy.deepcopy(before), copy.deepcopy(before)
    for facts in facts_of(said):
        merge(plain, facts)
    decode_usual(json.dumps(said).encode()).tell(usual, ())
    assert usual == plain


def test_a_model_or_an_id_that_comes_late_is_told_alone() -> None:
    parser = ChatParser()
    parser.feed([chunk(ROLE, model="")])
    assert parser.feed([chunk(TEXT), chunk(STOP)])[-1] == ModelUpdate(None, "m")
    parser = ChatParser()
    parser.feed([chunk(ROLE, id="")])
    assert parser.feed([chunk(TEXT), chunk(STOP)])[-1] == ModelUpdate("c", None)


def test_the_usual_answer_is_decoded_once_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChatParser, "_aside", None)  # the closer look would be called
    events, metadata, complete, _ = told(STREAMS["padded"])
    assert complete and "UsageUpdate" in events
    assert metadata["usage"] == USAGE and metadata["system_fingerprint"] == "fp"


@each_case("value", [1, 1.0, 1.5, -1, True, "1", None, [], {}, {"cached_tokens": 1}])
@each_case("name", ChunkUsage.__struct_fields__)
def test_counts_are_typed_as_the_decoder_would(name: str, value: Any) -> None:
    usage = {name: value}
    try:
        read = msgspec.json.decode(json.dumps(usage), type=ChunkUsage)
    except msgspec.ValidationError:
        with pytest.raises(msgspec.ValidationError):
            as_counts(usage)
    else:
        assert as_counts(usage) == read


def test_facts_of_other_choices_stand_under_their_number() -> None:
    assert [*facts_of({"choices": [{"index": 1, "seen": 2}, {"seen": 3}, 4], "id": "c", "x": 5})] \
        == [{"x": 5}, {"choices": {"1": {"seen": 2}}}, {"seen": 3}]  # fmt: skip
