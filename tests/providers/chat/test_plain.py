"""A plain answer says what the parser says of it; anything more is left to the parser."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.events import Done, TextDelta
from engine.providers.chat.dialect import ChatDialect
from engine.providers.chat.plain import plain_answer
from tests.cases import each_case


def answer(message: dict[str, Any], choice: dict[str, Any], beside: dict[str, Any]) -> bytes:
    plain = {"index": 0, "message": message, "finish_reason": "stop", **choice}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "choices": [plain], **beside}
    ).encode()


COUNT = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MESSAGES = st.fixed_dictionaries(
    {"content": st.sampled_from(["", "yes", "\u00e9 \n", None, [{"type": "text", "text": "x"}]])},
    optional={
        "role": st.sampled_from(["assistant", None]),
        "refusal": st.sampled_from([None, "no"]),
        "annotations": st.sampled_from([None, [], [{"type": "url_citation", "url_citation": {}}]]),
        "tool_calls": st.sampled_from([None, [], [CALL]]),
        "reasoning_content": st.sampled_from([None, "", "because"]),
        "reasoning": st.sampled_from([None, "because"]),
        "made_up": st.just(1),
    },
)
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "index": st.sampled_from([0, 1, None]),
        "finish_reason": st.sampled_from(
            ["stop", "length", "content_filter", "tool_calls", None, "eos", ""]
        ),
        "logprobs": st.sampled_from([None, {"content": []}]),
        "error": st.sampled_from([None, {"message": "broken"}]),
        "stop_reason": st.just(None),
        "usage": st.sampled_from([None, {"total_tokens": 9}]),
        "delta": st.sampled_from([None, {"content": "z"}]),
    },
)
BESIDE = st.fixed_dictionaries(
    {},
    optional={
        "usage": st.sampled_from([None, COUNT, {"prompt_tokens": -1}, {}]),
        "error": st.sampled_from([None, {"message": "broken"}, "broken"]),
        "base_resp": st.sampled_from([None, {"status_code": 0}, {"status_code": 1008}]),
        "x_groq": st.sampled_from([None, {"id": "q"}, {"usage": COUNT}, {"error": "over"}]),
        "citations": st.just(["https://example.com"]),
        "system_fingerprint": st.just("fp"),
        "choices": st.sampled_from([[], None]),
    },
)


@given(MESSAGES, CHOICES, BESIDE)
def test_it_says_what_the_parser_says(
    message: dict[str, Any], choice: dict[str, Any], beside: dict[str, Any]
) -> None:
    body = answer(message, choice, beside)
    plain = plain_answer(body)
    if plain is None:
        return
    events = ChatDialect().parser().read_whole(body)
    done = events[-1]
    assert isinstance(done, Done)
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert (plain.text, plain.finish_reason, plain.usage) == (text, done.finish_reason, done.usage)


@each_case(
    "beside",
    [{}, {"usage": COUNT}, {"x_groq": {"id": "q"}}, {"usage": {**COUNT, "queue_time": 0.1}}],
)
@each_case("finish", ["stop", "length"])
def test_the_usual_ones_are_plain(finish: str, beside: dict[str, Any]) -> None:
    message = {"role": "assistant", "content": "yes", "refusal": None, "annotations": []}
    assert plain_answer(answer(message, {"finish_reason": finish, "logprobs": None}, beside))


@each_case(
    "body",
    [b"", b"{}", b"[]", b"no", b'{"error":{"message":"x"}}', b'{"choices":[]}', b"\xff"],
)
def test_what_is_no_answer_is_not(body: bytes) -> None:
    assert plain_answer(body) is None
