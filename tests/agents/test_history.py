"""Messages in which each call has one id and one result."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.agents.history import NOT_CARRIED_OUT, call_ids, closed, delivered, with_own_ids
from engine.messages import (
    Message,
    PartialToolCall,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)


def call(id: str) -> ToolCall:
    return ToolCall(id, "add", "{}")


def result(id: str) -> ToolResult:
    return ToolResult(id, "3", "add")


def missing(id: str) -> ToolResult:
    return ToolResult(id, NOT_CARRIED_OUT, "add", True)


def test_what_is_whole_stays_as_it_is() -> None:
    messages = [Message.user("q"), Message.assistant(call("a")), Message.tool(result("a"))]
    assert closed(messages) == messages


def test_a_missing_result_goes_beside_those_there_are() -> None:
    asked = Message.assistant(call("a"), call("b"))
    assert closed([asked, Message.tool(result("b")), Message.user("q")]) == [
        asked,
        Message.tool(result("b"), missing("a")),
        Message.user("q"),
    ]


def test_results_in_several_messages_belong_to_the_same_calls() -> None:
    asked = Message.assistant(call("a"), call("b"))
    messages = [asked, Message.tool(result("a")), Message.tool(result("b"))]
    assert closed(messages) == messages


def test_where_there_are_none_a_message_is_made_right_after_the_calls() -> None:
    asked = Message.assistant(call("a"))
    assert closed([asked, Message.user("q")]) == [
        asked,
        Message.tool(missing("a")),
        Message.user("q"),
    ]


def test_a_result_of_no_call_is_said_in_words() -> None:
    asked, question = Message.assistant(call("a")), Message.user("q")
    words = Text("The result of a call that is not in this conversation: 3")
    stray = Message("user", [words])
    assert closed([Message.tool(result("x")), question]) == [stray, question]
    assert closed([question, Message.tool(result("x"))]) == [question, stray]
    # It does not come between a call and its result, nor does a second one.
    for another in ("x", "a"):
        told = [asked, Message.tool(result("a")), Message.tool(result(another)), question]
        assert closed(told) == [asked, Message.tool(result("a")), stray, question]
    first = [asked, Message.tool(result("x")), Message.tool(result("a"))]
    assert closed(first) == [asked, Message.tool(result("a")), stray]
    mixed = [asked, Message.tool(result("x"), result("a")), question]
    assert closed(mixed) == [asked, Message.tool(result("a")), stray, question]
    among = [question, Message("user", [result("x"), Text("Hm.")])]
    assert closed(among) == [question, stray, Message("user", [Text("Hm.")])]


def test_a_result_without_an_id_is_of_the_first_call_of_its_name() -> None:
    messages = [Message.assistant(call("a")), Message.tool(ToolResult("", "3", "add"))]
    assert closed(messages) == messages
    other = [Message.assistant(call("a")), Message.tool(ToolResult("", "3", "sub"))]
    assert closed(other)[1] == Message.tool(missing("a"))


def test_results_among_the_text_of_a_user_are_results_and_come_before_the_text() -> None:
    asked = Message.assistant(call("a"), call("b"))
    mixed = Message("user", [result("a"), Text("and?")])
    assert closed([asked, mixed]) == [
        asked,
        Message("user", [result("a"), missing("b"), Text("and?")]),
    ]


def test_two_calls_of_one_id_want_two_results() -> None:
    asked = Message.assistant(call("a"), call("a"))
    [_, told] = closed([asked, Message.tool(result("a"))])
    assert [part.id for part in told.parts if isinstance(part, ToolResult)] == ["a", "a"]


histories = st.lists(
    st.one_of(
        st.just(Message.user("q")),
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(
            lambda ids: Message.assistant("t", *map(call, ids))
        ),
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(
            lambda ids: Message.tool(*map(result, ids))
        ),
    ),
    max_size=8,
)


@given(histories)
def test_each_call_has_a_result_before_anything_else_is_said(messages: list[Message]) -> None:
    whole = closed(messages)
    waiting: list[str] = []
    for message in whole:
        results = [part.id for part in message.parts if isinstance(part, ToolResult)]
        if not results:
            assert waiting == []
        for id in results:
            if id in waiting:
                waiting.remove(id)
        waiting += [each.id for each in message.tool_calls]
    assert waiting == []
    assert closed(whole) == whole


def test_ids_are_made_anew_only_where_they_must_be() -> None:
    taken = call_ids([Message.assistant(call("a"))])
    asked = Message.assistant("t", call("a"), call("b"), call(""), call("b"))
    [renamed], calls = with_own_ids([asked], asked.tool_calls, taken)
    ids = [each.id for each in calls]
    assert ids[1] == "b" and len({*ids, "a"}) == 5 and "" not in ids
    assert renamed.tool_calls == calls and renamed.text == "t"
    assert taken == {"a", *ids}


def test_calls_that_stand_in_no_message_get_their_own_ids_too() -> None:
    taken = {"call_1"}
    messages, [made] = with_own_ids([Message.assistant("Action: add")], [call("call_1")], taken)
    assert made.id != "call_1" and messages[0].text == "Action: add"


def test_of_a_cut_answer_what_came_whole_is_kept() -> None:
    cut = Message.assistant("Half", call("a"), PartialToolCall("b", "add", '{"a'))
    assert delivered(cut) == [Message.assistant("Half", call("a"))]
    assert delivered(Message.assistant(PartialToolCall("b", "add", "{"))) == []
    assert delivered(Message.assistant(Thinking("Hm."), Text("  "))) == []
    assert delivered(Message.assistant(Thinking("Hm."), Text("So."))) != []


def test_a_call_without_an_id_is_given_one() -> None:
    call = ToolCall("", "f", "{}")
    messages, calls = with_own_ids([Message("assistant", [call])], [call], set())
    assert calls == messages[0].tool_calls
    assert calls[0].id
