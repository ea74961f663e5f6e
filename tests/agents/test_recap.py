"""What a run said is given once, whole and in order, however it came and whoever reads late."""

from __future__ import annotations

from itertools import groupby

from engine.agents.event import AgentEvent
from engine.agents.recap import Recap
from tests.cases import each_case


def event(number: int) -> AgentEvent:
    """One of many: tokens of the text and of thoughts, in two turns, and what is no token."""
    kind, data = "token", "thought" if number % 7 < 2 else None
    if number % 11 == 10:
        kind = "arguments" if number % 2 else "tool_start"
    return AgentEvent(kind, f"{number} ", data, None, 0.0, 1 + number // 60)  # type: ignore[arg-type]


def joined(events: list[AgentEvent]) -> list[tuple[str, str, str | None, int]]:
    told = [each for each in events if each.type != "arguments"]
    whole = []
    for (number, kind, data), group in groupby(
        enumerate(told), lambda at: (-1 if at[1].type == "token" else at[0], at[1].type, at[1].data)
    ):
        for turn, same in groupby(group, lambda at: at[1].iteration):
            whole.append((kind, "".join(each.content for _, each in same), data, turn))
        assert number == -1 or kind != "token"
    return whole


@each_case("size", [1, 8, 33, 120])
def test_late_readers_are_given_all_of_it_once(size: int) -> None:
    events, recap = [event(number) for number in range(120)], Recap()
    for start in range(0, len(events), size):
        recap.extend(events[start : start + size])
        if start % 3 == 0:
            for _ in range(2):
                given = [(e.type, e.content, e.data, e.iteration) for e in recap.events()]
                assert given == joined(events[: start + size])
    assert [each.content for each in recap.events()] == [each[1] for each in joined(events)]
    assert recap.fresh().events() == []
