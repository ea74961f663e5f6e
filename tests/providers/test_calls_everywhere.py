"""One rule for calls in every format: a call has one name, one id, its own arguments and all of
them, or it is handed over to nobody."""

from __future__ import annotations

from typing import Any

from engine.messages import FinishReason
from tests.cases import each_case
from tests.providers.streams import (
    FUNCTION_CALL,
    added,
    arguments,
    arguments_delta,
    block,
    call_begins,
    call_ends,
    call_goes_on,
    candidate,
    chat,
    chunk,
    cohere,
    encoded,
    ended,
    function_step,
    gemini,
    interactions,
    json_delta,
    line,
    messages,
    ollama,
    piece,
    pieces,
    read,
    responses,
    step,
    tool_use,
)

A = '{"x":1}'
B = '{"y":2}'
F = [("f", {"x": 1})]
BOTH = [("f", {"x": 1}), ("g", {"y": 2})]
FIRST: dict[str, Any] = {"output_index": 0}
SECOND: dict[str, Any] = {"output_index": 1}
OTHER = {**FUNCTION_CALL, "id": "fc_2", "call_id": "b", "name": "g"}
NAMELESS = {**FUNCTION_CALL, "name": None}
CUSTOM = {"type": "custom_tool_call", "id": "c_1", "call_id": "a", "name": "f", "input": ""}
INPUT = "response.custom_tool_call_input"
DONE = {"type": "response.function_call_arguments.done"}


def function(**facts: Any) -> dict[str, Any]:
    return {"functionCall": {"name": "f", "args": {"x": 1}, **facts}}


def called(**facts: Any) -> dict[str, Any]:
    return line(tool_calls=[{"function": {"name": "f", "arguments": {"x": 1}, **facts}}])


WHOLE = {
    "chat, finish in the opening chunk": chat(
        pieces(piece(0, "a", "f", ""), finish="tool_calls"),
        pieces(piece(0, None, None, '{"x":')),
        pieces(piece(0, None, None, "1}")),
        finish=None,
    ),
    "chat, arguments before the name": chat(
        pieces(piece(0, "a", None, '{"x":')), pieces(piece(0, None, "f", "1}"))
    ),
    "chat, the arguments an object": chat(pieces(piece(0, "a", "f", {"x": 1}))),
    "chat, no index": chat(pieces(piece(None, "a", "f", "")), pieces(piece(None, None, None, A))),
    "chat, an index below zero": chat(
        pieces(piece(-1, "a", "f", "")), pieces(piece(-1, None, None, A))
    ),
    "chat, as functions were called once": chat(
        chunk(function_call={"name": "f", "arguments": '{"x":'}),
        chunk(function_call={"arguments": "1}"}),
        finish="function_call",
    ),
    "responses, no number": responses(
        added(FUNCTION_CALL),
        arguments(A, item_id="fc_1"),
        ended({**FUNCTION_CALL, "arguments": A}),
    ),
    "responses, neither number nor id": responses(added(FUNCTION_CALL), arguments(A)),
    "responses, arguments in .done alone": responses(
        added(FUNCTION_CALL, **FIRST), {**DONE, "arguments": A, **FIRST}
    ),
    "responses, the last pieces in .done alone": responses(
        added(FUNCTION_CALL, **FIRST),
        arguments('{"x"', **FIRST),
        {**DONE, "arguments": A, **FIRST},
    ),
    "responses, arguments in the whole item alone": responses(
        added(FUNCTION_CALL, **FIRST), ended({**FUNCTION_CALL, "arguments": A}, **FIRST)
    ),
    "responses, arguments in the announcement alone": responses(
        added({**FUNCTION_CALL, "arguments": A}, **FIRST)
    ),
    "responses, arguments as an object in the announcement": responses(
        added({**FUNCTION_CALL, "arguments": {"x": 1}}, **FIRST)
    ),
    "responses, the end alone": responses(output=[{**FUNCTION_CALL, "arguments": A}]),
    "responses, pieces before the item": responses(
        arguments(A, item_id="fc_1", **FIRST), added(FUNCTION_CALL, **FIRST)
    ),
    "responses, the name at the end": responses(
        added(NAMELESS, **FIRST), arguments(A, **FIRST), {**DONE, "name": "f", **FIRST}
    ),
    "messages, input at the start": messages(*block(0, tool_use(input={"x": 1})), stop="tool_use"),
    "messages, input at the start as text": messages(*block(0, tool_use(input=A)), stop="tool_use"),
    "messages, no id": messages(*block(0, tool_use(None), json_delta(A)), stop="tool_use"),
    "messages, another word at the end": messages(*block(0, tool_use(), json_delta(A))),
    "messages, no word at the end": messages(*block(0, tool_use(), json_delta(A)), stop=None),
    "messages, the index a string": messages(*block("0", tool_use(), json_delta(A))),
    "gemini": gemini(candidate(function()), candidate(finish="STOP")),
    "gemini, the arguments a text": gemini(candidate(function(args=A), finish="STOP")),
    "gemini, a call after the end": gemini(
        candidate({"text": "x"}, finish="STOP"), candidate(function(), finish="STOP")
    ),
    "interactions, arguments at the start": interactions(
        *step(0, function_step(arguments={"x": 1}))
    ),
    "interactions, a text at the start": interactions(*step(0, function_step(arguments=A))),
    "interactions, the name late": interactions(
        *step(0, function_step(name=None), arguments_delta(A, name="f"))
    ),
    "interactions, never stopped": interactions(
        *step(0, function_step(), arguments_delta(A), stopped=False)
    ),
    "ollama": ollama(called()),
    "ollama, the arguments a text": ollama(called(arguments=A)),
    "cohere, no id": cohere(call_begins(0, None, "f"), call_goes_on(0, A), call_ends(0)),
    "cohere, the arguments an object": cohere(call_begins(0, "a", "f", {"x": 1}), call_ends(0)),
    "cohere, another word at the end": cohere(
        call_begins(0, "a", "f"), call_goes_on(0, A), call_ends(0), finish="COMPLETE"
    ),
}


@each_case("name", WHOLE)
def test_a_call_is_put_together_whatever_comes_late(name: str) -> None:
    reading = read(name.partition(",")[0], WHOLE[name])
    assert (reading.status, reading.calls) == ("complete", F)
    assert reading.finish is FinishReason.TOOL_USE
    assert reading.pieces == []


TWO = {
    "chat, one id": chat(pieces(piece(0, "a", "f", A)), pieces(piece(1, "a", "g", B))),
    "chat, no ids": chat(pieces(piece(0, "", "f", A), piece(1, "", "g", B))),
    "chat, in turn": chat(
        pieces(piece(0, "a"), piece(1, "b")),
        pieces(piece(0, None, "f"), piece(1, None, "g")),
        pieces(piece(1, None, None, '{"y":'), piece(0, None, None, '{"x":')),
        pieces(piece(0, None, None, "1}"), piece(1, None, None, "2}")),
    ),
    "responses, no numbers": responses(
        added(FUNCTION_CALL),
        added(OTHER),
        arguments(A, item_id="fc_1"),
        arguments(B, item_id="fc_2"),
    ),
    "responses, all under one number": responses(
        added(FUNCTION_CALL, **FIRST),
        added(OTHER, **FIRST),
        arguments(A, item_id="fc_1", **FIRST),
        arguments(B, item_id="fc_2", **FIRST),
        ended({**FUNCTION_CALL, "arguments": A}, **FIRST),
        ended({**OTHER, "arguments": B}, **FIRST),
    ),
    "responses, one after the other under one number": responses(
        added(FUNCTION_CALL, **FIRST),
        arguments(A, **FIRST),
        ended({**FUNCTION_CALL, "arguments": A}, **FIRST),
        added(OTHER, **FIRST),
        arguments(B, **FIRST),
    ),
    "responses, one id": responses(
        added({**FUNCTION_CALL, "arguments": A}, **FIRST),
        added({**OTHER, "call_id": "a", "arguments": B}, **SECOND),
    ),
    "messages, one id": messages(
        *block(0, tool_use(), json_delta(A)), *block(1, tool_use(name="g"), json_delta(B))
    ),
    "messages, one index": messages(
        *block(0, tool_use(), json_delta(A)), *block(0, tool_use("b", "g"), json_delta(B))
    ),
    "gemini, one id": gemini(
        candidate(
            function(id="a"),
            {"functionCall": {"id": "a", "name": "g", "args": {"y": 2}}},
            finish="STOP",
        )
    ),
    "interactions, in turn": interactions(
        *step(0, function_step(), stopped=False),
        *step(1, function_step("b", "g"), stopped=False),
        {"event_type": "step.delta", "index": 0, "delta": arguments_delta(A)},
        {"event_type": "step.delta", "index": 1, "delta": arguments_delta(B)},
    ),
    "ollama, one id": ollama(
        line(tool_calls=[{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]),
        line(tool_calls=[{"id": "a", "function": {"name": "g", "arguments": {"y": 2}}}]),
    ),
    "cohere, in turn": cohere(
        call_begins(0, "a", "f"),
        call_begins(1, "b", "g"),
        call_goes_on(0, A),
        call_goes_on(1, B),
        call_ends(0),
        call_ends(1),
    ),
    "cohere, one after the other without an end": cohere(
        call_begins(0, "a", "f"), call_goes_on(0, A), call_begins(1, "a", "g"), call_goes_on(1, B)
    ),
}


@each_case("name", TWO)
def test_two_calls_are_two(name: str) -> None:
    reading = read(name.partition(",")[0], TWO[name])
    assert (reading.status, reading.calls) == ("complete", BOTH)
    assert len({call.id for call in reading.message.tool_calls} - {""}) == 2


# A call whose arguments never came, by the word the turn ended with: the format's words.
CUT = {
    "chat": (
        lambda word: chat(pieces(piece(0, "a", "f", "")), finish=word),
        ("length", "content_filter", "error", "refusal", "abort", "insufficient_system_resource"),
    ),
    "responses": (
        lambda word: responses(
            added(FUNCTION_CALL, **FIRST),
            ended({**FUNCTION_CALL, "arguments": "{}", "status": "completed"}, **FIRST),
            status="incomplete",
            incomplete_details={"reason": word},
        ),
        ("max_output_tokens", "content_filter", "of_tomorrow"),
    ),
    "messages": (
        lambda word: messages(*block(0, tool_use()), stop=word),
        ("max_tokens", "refusal", "model_context_window_exceeded", "pause_turn", "of_tomorrow"),
    ),
    "gemini": (
        lambda word: gemini(candidate(function(args={})), candidate(finish=word)),
        ("MAX_TOKENS", "SAFETY", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OF_TOMORROW"),
    ),
    "interactions": (
        lambda word: interactions(*step(0, function_step()), status=word),
        ("incomplete", "cancelled", "budget_exceeded", "of_tomorrow"),
    ),
    "ollama": (
        lambda word: ollama(called(arguments={}), reason=word),
        ("length", "unload", "error", "of_tomorrow"),
    ),
    "cohere": (
        lambda word: cohere(call_begins(0, "a", "f"), call_ends(0), finish=word),
        ("MAX_TOKENS", "ERROR_TOXIC", "TIMEOUT", "OF_TOMORROW"),
    ),
}


@each_case("dialect", CUT)
def test_a_call_without_arguments_is_not_handed_over_after_a_cut(dialect: str) -> None:
    make, words = CUT[dialect]
    for word in words:
        reading = read(dialect, make(word))
        assert (reading.calls, reading.pieces) == ([], ["f"]), word
        assert reading.finish not in (FinishReason.STOP, FinishReason.TOOL_USE), word


REFUSED = {
    "chat": chat(pieces(piece(0, "a", "f", "")), chunk(refusal="I will not"), finish="stop"),
    "responses": responses(
        added(FUNCTION_CALL, **FIRST),
        ended({**FUNCTION_CALL, "arguments": "{}"}, **FIRST),
        {"type": "response.refusal.delta", "delta": "I will not", **SECOND},
    ),
    "messages": messages(*block(0, tool_use()), stop="refusal"),
}


@each_case("dialect", REFUSED)
def test_a_refusal_cuts_a_turn_as_well(dialect: str) -> None:
    reading = read(dialect, REFUSED[dialect])
    assert (reading.calls, reading.pieces) == ([], ["f"])
    assert reading.finish is FinishReason.REFUSAL


ASTRAY = {
    "chat, under a third index": chat(
        pieces(piece(0, "a", "f", "")),
        pieces(piece(1, "b", "g", "")),
        pieces(piece(2, None, None, A)),
    ),
    "chat, never a name": chat(pieces(piece(0, "a", None, A))),
    "chat, neither name nor id": chat(pieces(piece(None, None, None, A)), finish="stop"),
    "chat, never a name in a whole answer": encoded(
        {
            "id": "c",
            "choices": [
                {"message": {"tool_calls": [piece(0, "a", None, A)]}, "finish_reason": "tool_calls"}
            ],
        }
    ),
    "responses, never an item": responses(arguments(A, item_id="fc_1", **FIRST)),
    "responses, never a name": responses(
        added(NAMELESS, **FIRST), ended({**NAMELESS, "arguments": A}, **FIRST)
    ),
    "messages, never a name": messages(*block(0, tool_use(name=None), json_delta(A))),
    "gemini, never a name": gemini(candidate(function(name=None), finish="STOP")),
    "interactions, never a name": interactions(
        *step(0, function_step(name=None), arguments_delta(A))
    ),
    "ollama, never a name": ollama(called(name=None)),
    "cohere, never a name": cohere(call_begins(0, "a", None), call_goes_on(0, A), call_ends(0)),
    "cohere, never a beginning": cohere(call_goes_on(0, A), call_ends(0)),
}


@each_case("name", ASTRAY)
def test_what_belongs_to_no_call_is_shown_and_keeps_the_turn_from_being_whole(name: str) -> None:
    reading = read(name.partition(",")[0], ASTRAY[name])
    assert (reading.status, reading.calls) == ("complete", [])
    assert reading.pieces
    assert "x" in repr(reading.message.parts)
    assert reading.finish is FinishReason.ERROR


FREE_TEXT = {
    "chat, the kind first": chat(
        pieces({"index": 0, "id": "a", "type": "custom"}),
        pieces({"index": 0, "custom": {"name": "f"}}),
        pieces({"index": 0, "custom": {"input": "pri"}}),
        pieces({"index": 0, "custom": {"input": "nt"}}),
    ),
    "chat, nulls first": chat(
        pieces({"index": 0, "id": "a", "type": "custom", "custom": {"name": None, "input": None}}),
        pieces({"index": 0, "custom": {"name": "f", "input": "print"}}),
    ),
    "responses, no number": responses(
        added(CUSTOM),
        {"type": f"{INPUT}.delta", "item_id": "c_1", "delta": "pri"},
        {"type": f"{INPUT}.done", "item_id": "c_1", "input": "print"},
    ),
    "responses, the rest in the whole item": responses(
        added(CUSTOM, **FIRST),
        {"type": f"{INPUT}.delta", "delta": "pri", **FIRST},
        ended({**CUSTOM, "input": "print"}, **FIRST),
    ),
    "responses, .done alone": responses(
        added(CUSTOM, **FIRST), {"type": f"{INPUT}.done", "input": "print", **FIRST}
    ),
}


@each_case("name", FREE_TEXT)
def test_a_custom_tool_gets_all_of_its_text(name: str) -> None:
    reading = read(name.partition(",")[0], FREE_TEXT[name])
    assert reading.calls == [("f", "print")]
    assert reading.message.tool_calls[0].custom


def test_a_cancelled_response_is_no_answer() -> None:
    told = added(FUNCTION_CALL, **FIRST), arguments(A, **FIRST)
    reading = read("responses", responses(*told, status="cancelled"))
    assert (reading.status, reading.calls) == ("error", [])
    assert "cancelled" in str(reading.error)


def test_before_may_2026_an_interaction_had_outputs() -> None:
    told = {"id": "v1", "status": "requires_action", "outputs": [{"type": "text", "text": "Hm"}]}
    told["outputs"].append(function_step(arguments={"x": 1}))  # type: ignore[union-attr]
    reading = read("interactions", encoded(told), content_type="application/json")
    assert (reading.text, reading.calls) == ("Hm", F)
