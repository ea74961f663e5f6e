"""Each kind of agent, hurt in each way, at each moment: it ends once, every call has its result,
every provider takes what was said as a history, and what was paid is counted."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

import msgspec

import engine
from engine.agents import (
    Agent,
    AgentEvent,
    AgentRun,
    ConversationalAgent,
    FunctionAgent,
    Limits,
    Pending,
    ReActAgent,
    ToolContext,
    tool,
)
from engine.asking.body import render_body
from engine.asking.input import read_input
from engine.errors import Category
from engine.messages import Message, ToolCall, ToolResult
from engine.providers import Endpoint, dialect, endpoint, endpoints
from engine.request import ModelRequest
from tests.agents.support import check_order
from tests.cases import each_case
from tests.providers.rules import RULES
from tests.server import DONE, Peer, serve

KINDS: dict[str, type[Agent]] = {
    "function": FunctionAgent,
    "react": ReActAgent,
    "conversational": ConversationalAgent,
}
FAULTS = ("cancel", "timeout", "limit", "error", "429", "cut")
PLACES = ("before", "during", "after", "approval")

TOLD = (7, 3)  # tokens of each whole turn, in and out


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode() + b"\n\n"


USAGE = (
    b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,'
    b'"total_tokens":10}}\n\n'
)


def calling(react: bool) -> list[bytes]:
    """A whole turn that calls the tool twice in parallel, under one id; once, in ReAct."""
    if react:
        text = 'Thought: I look.\nAction: look\nAction Input: {"where": "here"}'
        return [event({"content": text}), event({}, "stop"), USAGE, DONE]
    calls = [
        {
            "index": n,
            "id": "call_1",
            "type": "function",
            "function": {"name": "look", "arguments": '{"where": "here"}'},
        }
        for n in range(2)
    ]
    return [
        event({"content": "I look."}),
        *(event({"tool_calls": [call]}) for call in calls),
        event({}, "tool_calls"),
        USAGE,
        DONE,
    ]


def answering(react: bool) -> list[bytes]:
    text = "Thought: Done.\nFinal Answer: There." if react else "There."
    return [event({"content": text}), event({}, "stop"), USAGE, DONE]


def time_is_over(run: Any) -> None:
    """What its timer does, at a moment that does not depend on the machine."""
    run._course._time_over()


class Case:
    """One square of the grid, with the server that plays it."""

    def __init__(self, kind: str, fault: str, place: str) -> None:
        self.kind, self.fault, self.place = kind, fault, place
        self.react = kind == "react"
        self.whole = 0  # turns of which the client was told the usage
        self.ends: Counter[str] = Counter()
        self.events: list[AgentEvent] = []
        self.ran = 0

    # -- the server --

    def serve(self, peer: Peer) -> None:
        body = json.loads(peer.request.body)
        roles = [message["role"] for message in body["messages"]]
        said = str(body["messages"])
        if "the inner question" in said:
            self.hurt(peer, [event({"content": "Half a"})])
        elif "assistant" not in roles:
            if self.place == "before":
                self.hurt(peer, calling(self.react)[: 1 if self.react else 2])
            else:
                self.whole += 1
                peer.at_once(calling(self.react))
        elif self.place in ("after", "approval") and "hurt me" in said:
            self.hurt(peer, answering(self.react)[:1])
        else:
            self.whole += 1
            peer.at_once(answering(self.react))

    def hurt(self, peer: Peer, beginning: list[bytes]) -> None:
        """A turn that goes wrong."""
        if self.fault == "error":
            peer.json(b'{"error": {"message": "bad", "type": "invalid_request_error"}}', "400 No")
        elif self.fault == "429":
            peer.json(b'{"error": {"message": "slow down"}}', "429 Too Many Requests")
        elif self.fault == "cut":
            peer.at_once(beginning, end=False)
        elif self.fault == "limit":
            self.whole += 1
            peer.at_once(calling(self.react))
        else:
            peer.at_once(beginning, end=False)
            peer.wait_closed()

    # -- the agent --

    def tool(self) -> Any:
        @tool(timeout=0.05 if self.fault == "timeout" else None)
        def look(where: str, context: ToolContext) -> Any:
            self.ran += 1
            if self.place != "during":
                return "seen"
            if self.fault == "cancel":
                context.client.call_soon(context.run.cancel)
                return Pending()
            if self.fault == "timeout":
                return Pending()
            if self.fault == "limit":
                time_is_over(context.run)
                return Pending()
            return context.client.stream("m", "the inner question")

        return look

    def limits(self) -> Limits:
        if self.fault == "limit" and self.place in ("before", "after"):
            return Limits(total_tokens=10 if self.place == "before" else 20)
        if self.fault == "limit":
            return Limits(seconds=3600)
        if self.fault == "timeout" and self.place == "approval":
            return Limits(seconds=3600)
        return Limits()

    def heard(self, event: AgentEvent, run: AgentRun) -> None:
        self.events.append(event)
        if self.fault != "cancel":
            return
        starts = [e for e in self.events if e.type == "tool_start"]
        if (self.place == "before" and event.type == "token") or (
            self.place == "after" and event.type == "token" and starts
        ):
            run.cancel()
            run.cancel()

    def approve(self, call: ToolCall, run: AgentRun) -> bool | None:
        if self.place != "approval":
            return True
        if self.fault == "cancel":
            run.agent.client.multi.call_soon(run.cancel)  # type: ignore[attr-defined]
        elif self.fault in ("timeout", "limit"):
            time_is_over(run)
        else:
            # It is answered at last, and the turn after it is hurt.
            run.agent.client.multi.call_soon(lambda: run.approve(call.id))  # type: ignore[attr-defined]
        return None

    def play(self) -> tuple[engine.agents.AgentResult, Agent, list[Message]]:
        timeouts = engine.Timeouts(idle=0.25) if self.fault == "timeout" else engine.Timeouts()
        retry = engine.Retry(max_attempts=1)
        with (
            serve(self.serve) as server,
            engine.Client(base_url=server.url, timeouts=timeouts, retry=retry) as client,
        ):
            agent = KINDS[self.kind](
                client, "m", [self.tool()], limits=self.limits(), approve=self.approve
            )
            run = agent.run_stream(
                "Please hurt me.",
                on_event=self.heard,
                on_done=lambda result: self.ends.update([result.status]),
            )
            run.on("end", lambda run: self.ends.update(["end"]))
            result = run.result()
            client.multi.run()
            assert len(client.multi) == 0
        return result, agent, run.messages


SQUARES = [(kind, fault, place) for kind in KINDS for fault in FAULTS for place in PLACES]


@cache
def played(kind: str, fault: str, place: str) -> tuple[Case, Any]:
    case = Case(kind, fault, place)
    return case, case.play()


def unpaired(messages: list[Message]) -> list[str]:
    """What is wrong with calls and their results."""
    calls = [call.id for message in messages for call in message.tool_calls]
    results = [p.id for m in messages for p in m.parts if isinstance(p, ToolResult)]
    doubled = [id for id, count in Counter(calls).items() if count > 1]
    return [*(f"twice: {id}" for id in doubled), *({*calls} ^ {*results})] + (
        [] if len(calls) == len(results) else ["counts differ"]
    )


def refused(messages: list[Message]) -> dict[str, list[str]]:
    """What the vendors' documents say against `messages` with one more question."""
    found: dict[str, list[str]] = {}
    names = {row.name for row in endpoints()}
    for (provider, name, model), rule in RULES.items():
        row = endpoint(provider) if provider in names else Endpoint(provider, "https://x", (name,))
        read, bound = read_input([*messages, Message.user("And now?")], None)
        body = render_body(dialect(name), ModelRequest(model, read, bound=bound), row)
        broken = rule(msgspec.json.decode(msgspec.json.encode(body)))
        if broken:
            found[f"{provider} {name}"] = broken[:3]
    return found


@each_case(("kind", "fault", "place"), SQUARES)
def test_however_it_is_hurt_it_ends_once_and_keeps_what_came(
    kind: str, fault: str, place: str
) -> None:
    case, (result, agent, messages) = played(kind, fault, place)
    check_order(case.events)
    assert case.ends == {result.status: 1, "end": 1}
    survives = place == "during" and fault in ("timeout", "error", "429", "cut")
    assert (result.error is None) == survives, result.error
    expected = {"cancel": Category.CANCELLED, "429": Category.RATE_LIMIT, "cut": Category.TRUNCATED}
    if result.error is not None and fault in expected:
        assert result.error.category is expected[fault]
    assert unpaired(result.messages) == [] and refused(result.messages) == {}
    assert result.messages == messages
    if place in ("during", "after"):
        # What ends the run in the first call may come before the second.
        least = 1 if case.react or (place == "during" and fault in ("cancel", "limit")) else 2
        assert least <= case.ran <= (1 if case.react else 2)
    elif fault in ("cancel", "timeout", "limit") or place == "before":
        assert case.ran == 0
    remembered = agent.messages
    assert unpaired(remembered) == [] and refused(remembered) == {}
    if place != "before":
        assert remembered == result.messages


@each_case(("kind", "fault", "place"), SQUARES)
def test_however_it_is_hurt_the_tokens_are_counted(kind: str, fault: str, place: str) -> None:
    case, (result, _, _) = played(kind, fault, place)
    told, usage = case.whole * sum(TOLD), result.usage
    turns = [step.usage for step in result.trace if step.usage is not None]
    whole = [turn for turn in turns if not turn.partial]
    assert len(whole) == case.whole and sum(turn.total_tokens or 0 for turn in whole) == told
    cut = fault in ("cancel", "timeout", "cut") and place in ("before", "after")
    inner = place == "during" and fault in ("error", "429", "cut")
    approved = place == "approval" and fault == "cut"
    if cut or approved:
        assert usage.partial and (usage.total_tokens or 0) > told
        assert result.trace[-1].message.text
    elif not inner:
        assert usage.total_tokens == told or (told == 0 and usage.total_tokens is None)
        assert not usage.partial
