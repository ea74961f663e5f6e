"""Which text goes where: the answer, and what is not the answer."""

from __future__ import annotations

from io import StringIO

from engine.cli.answer_view import AnswerView
from engine.errors import NetworkError
from engine.events import Event, Ping, RefusalDelta, RetryScheduled, TextDelta, ThinkingDelta
from tests.cases import each_case


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


def shown(out: StringIO, notes: StringIO, *events: Event) -> tuple[str, str]:
    view = AnswerView(out, notes, color=False)
    for event in events:
        view.show(event)
    view.end()
    return out.getvalue(), notes.getvalue()


THOUGHT, TEXT = ThinkingDelta("hm"), TextDelta("yes")


@each_case(
    ("events", "text"),
    [
        ((TEXT, TEXT), "yesyes\n"),
        ((TextDelta("a\n"), TextDelta("b\n")), "a\nb\n"),
        ((RefusalDelta("no"),), "no\n"),
        ((TEXT, TextDelta("another", choice=1), Ping()), "yes\n"),
        ((TextDelta("a\x1b\r\n"), TextDelta("")), "a\x1b\r\n"),
        ((), ""),
    ],
)
def test_a_pipe_gets_the_answer_and_an_end_of_its_last_line(
    events: tuple[Event, ...], text: str
) -> None:
    assert shown(StringIO(), StringIO(), *events) == (text, "")


def test_reasoning_is_shown_on_a_terminal_only() -> None:
    assert shown(StringIO(), StringIO(), THOUGHT, TEXT) == ("yes\n", "")
    assert shown(StringIO(), Screen(), THOUGHT, TEXT) == ("yes\n", "hm\n")


def test_reasoning_on_the_terminal_does_not_break_the_lines_of_a_pipe() -> None:
    assert shown(StringIO(), Screen(), TEXT, THOUGHT, TEXT) == ("yesyes\n", "hm\n")


def test_on_one_screen_each_has_lines_of_its_own() -> None:
    assert shown(Screen(), Screen(), THOUGHT, TEXT, THOUGHT) == ("yes\n", "hm\nhm\n")


def test_a_retry_is_one_line_with_its_reason() -> None:
    retry = RetryScheduled(2, 1.25, NetworkError("gone\naway \x1b[2J"))
    assert shown(Screen(), Screen(), retry)[1] == "again in 1.2 s: gone away ␛[2J\n"
