"""The emulator's Responses, held against OpenAI's reference."""

from __future__ import annotations

from typing import Any

from engine.emulator.settings import Settings
from tests.cases import each_case
from tests.emulator.asking import WEATHER, ask, body_of, events_of, json_of

PATH = "/v1/responses"
TOOL = {"type": "function", "name": "get_weather", "parameters": WEATHER}


def responses(input: Any = "Hello there", **more: Any) -> dict[str, Any]:
    return {"model": "demo", "input": input, **more}


def test_a_stream_opens_and_closes_all_it_says_in_order() -> None:
    reply = ask(PATH, responses(stream=True), settings=Settings(tokens=2))
    events = events_of(reply)
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(10))
    text = events[4]["delta"] + events[5]["delta"]
    assert events[2]["item"]["content"] == []
    assert events[6]["text"] == text
    assert events[7]["part"]["text"] == text
    assert {event["item_id"] for event in events[3:8]} == {events[8]["item"]["id"]}
    final = events[9]["response"]
    assert final["status"] == "completed"
    assert final["output"] == [events[8]["item"]]
    assert final["output"][0]["content"][0]["text"] == text
    assert final["usage"]["output_tokens"] == 2


def test_each_event_is_named_as_its_type() -> None:
    data = body_of(ask(PATH, responses(stream=True), settings=Settings(tokens=2)))
    for record in data.strip().split(b"\n\n"):
        name, _, rest = record.partition(b"\n")
        kind = name.removeprefix(b"event: ")
        assert rest.startswith(b'data: {"type":"' + kind + b'"')


def test_streamed_and_whole_are_the_same_response() -> None:
    streamed = events_of(ask(PATH, responses(stream=True)))[-1]["response"]
    assert streamed == json_of(ask(PATH, responses()))


def test_a_call_has_an_item_of_its_own_and_arguments_in_pieces() -> None:
    body = responses('get_weather for "Oslo" 3', stream=True, tools=[TOOL])
    events = events_of(ask(PATH, body))
    item = next(e["item"] for e in events if e["type"] == "response.output_item.added")
    assert (item["type"], item["status"], item["arguments"]) == (
        "function_call",
        "in_progress",
        "",
    )
    pieces = [e["delta"] for e in events if e["type"] == "response.function_call_arguments.delta"]
    assert len(pieces) > 3
    done = events[-1]["response"]["output"][0]
    assert "".join(pieces) == done["arguments"] == '{"city": "Oslo", "days": 3}'
    assert done["call_id"].startswith("call_") and done["id"].startswith("fc_")


def test_reasoning_is_a_summary_and_sealed_when_asked_for() -> None:
    body = responses(stream=True, reasoning={"effort": "low", "summary": "auto"})
    body["include"] = ["reasoning.encrypted_content"]
    events = events_of(ask(PATH, body, settings=Settings(thinking=2, tokens=2)))
    kinds = [e["type"] for e in events if "reasoning" in e["type"]]
    assert kinds == [
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
    ]
    response = events[-1]["response"]
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    assert response["output"][0]["encrypted_content"]
    assert response["usage"]["output_tokens_details"]["reasoning_tokens"] == 2
    del body["include"]
    plain = events_of(ask(PATH, body))[-1]["response"]
    assert "encrypted_content" not in plain["output"][0]


def test_a_limit_makes_it_incomplete() -> None:
    events = events_of(ask(PATH, responses(stream=True, max_output_tokens=3)))
    assert events[-1]["type"] == "response.incomplete"
    response = events[-1]["response"]
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][-1]["status"] == "incomplete"
    assert json_of(ask(PATH, responses(max_output_tokens=3))) == response


def test_a_refusal_is_a_part_of_its_own() -> None:
    body = {**responses(stream=True), "model": "refusal"}
    events = events_of(ask(PATH, body))
    assert "response.refusal.delta" in {event["type"] for event in events}
    assert events[-1]["response"]["output"][0]["content"][0]["type"] == "refusal"


def test_what_was_said_can_be_sent_back_and_nothing_else() -> None:
    body = responses("get_weather", tools=[TOOL], reasoning={"effort": "low"})
    body["include"] = ["reasoning.encrypted_content"]
    output = json_of(ask(PATH, body))["output"]
    result = {
        "type": "function_call_output",
        "call_id": output[-1]["call_id"],
        "output": "sunny",
    }
    history = [{"role": "user", "content": "get_weather"}, *output, result]
    answer = json_of(ask(PATH, responses(history)))
    assert "sunny" in answer["output"][0]["content"][0]["text"]

    unanswered = json_of(ask(PATH, responses(history[:-1])))
    assert output[-1]["call_id"] in unanswered["error"]["message"]
    output[0]["summary"][0]["text"] += " changed"
    assert "could not be verified" in json_of(ask(PATH, responses(history)))["error"]["message"]


@each_case(
    ("body", "word"),
    [
        (responses([]), "input"),
        (responses(5), "input"),
        (responses([{"type": "hologram"}]), "hologram"),
        (responses(previous_response_id="resp_1"), "previous_response_id"),
        (responses(tool_choice={"type": "function"}), "tool_choice"),
        (responses(text={"format": {"type": "json_schema"}}), "schema"),
    ],
)
def test_a_bad_request_is_told(body: Any, word: str) -> None:
    reply = ask(PATH, body)
    assert reply.status == 400
    assert word in json_of(reply)["error"]["message"]
