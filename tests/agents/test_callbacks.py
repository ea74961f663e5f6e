"""Who is told of a run: each listener, as often as it wants to be."""

from __future__ import annotations

import engine
from engine.agents import FunctionAgent
from tests.agents.support import add, call, script


def test_once_is_once_and_the_others_go_on(client: engine.Client) -> None:
    seen: list[str] = []
    question = script(call("add", a=1, b=2), call("add", a=3, b=4), "Done.")
    run = FunctionAgent(client, "demo", [add]).run_stream(question)
    run.once("tool_end", lambda: seen.append("once"))
    run.on("tool_end", lambda: seen.append("each"))
    run.once("event", lambda: seen.append("first"))
    run.result()
    assert seen == ["first", "once", "each", "each"]


def test_what_was_checked_of_the_messages_is_given_back_at_the_end(client: engine.Client) -> None:
    run = FunctionAgent(client, "demo", [add]).run_stream(script(call("add", a=1, b=2), "Done."))
    known = run._course._known
    run.result()
    assert known._checked and not run._course._known._checked
