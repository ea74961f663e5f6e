"""What people see of a batch that runs."""

from __future__ import annotations

import io
import json
import re

import pytest

from engine.batch.showing.progress import summary_lines, view
from engine.batch.showing.summary import Progress, Summary

PROGRESS = Progress(
    rows=10, done=4, failed=1, in_flight=3, limit=8, refused=2, output_tokens=300, cost=0.5,
    ttft=0.25, seconds=3.0,
)  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(mode: str, stream: io.StringIO) -> str:
    seen = view(mode, stream)  # type: ignore[arg-type]
    seen.show(PROGRESS)
    seen.say("a [sentence] to say")
    seen.close(Summary(rows=10, done=9, failed=1, stopped=None))
    return stream.getvalue()


def test_a_summary_tells_of_answers_that_are_not_whole() -> None:
    lines = summary_lines(Summary(rows=9, done=9, partial={"CONTENT_FILTER": 1, "LENGTH": 3}))
    assert lines[1].startswith("done, but not whole: 3 LENGTH, cut off at their limit of tokens")
    assert lines[2].startswith("done, but not whole: 1 CONTENT_FILTER, held back")
    assert not any("not whole" in line for line in summary_lines(Summary(rows=9, done=9)))


def test_a_line_has_what_the_table_has() -> None:
    first, said, last, *_ = shown("plain", io.StringIO()).splitlines()
    for part in ("4/10 done", "1 failed", "3 in flight (limit 8)", "100 tokens/s", "2 refused"):
        assert part in first
    for part in ("first token 250 ms", "$0.5000", "ETA 3.0 s"):
        assert part in first
    assert said == "batch: a [sentence] to say"
    assert last == "9 of 10 rows done, 1 failed, 0 left"


def test_json_lines_are_json() -> None:
    progress, notice, summary = map(json.loads, shown("json", io.StringIO()).splitlines())
    assert (progress["event"], progress["done"], progress["eta"]) == ("progress", 4, 3.0)
    assert notice == {"event": "notice", "text": "a [sentence] to say"}
    assert (summary["event"], summary["exit_code"]) == ("summary", 1)


def test_a_sentence_leaves_the_table_below_it_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    screen = shown("auto", Terminal())
    assert "4/10" in screen
    assert "$0.5000" in screen
    assert "a [sentence] to say" in screen
    assert "[dim]" not in screen


def test_the_summary_says_first_how_it_ended_and_then_why_rows_failed() -> None:
    summary = Summary(
        rows=9, done=4, failed=3, errors={"AUTH": 1, "NOT_FOUND": 2}, stopped="error",
        reason="the disk is full", reasons={"NOT_FOUND": "no\nsuch model " + "x" * 500},
    )  # fmt: skip
    first, stopped, most, least, *_ = summary_lines(summary)
    assert first == "4 of 9 rows done, 3 failed, 2 left"
    assert stopped == "stopped: the disk is full"
    assert most.startswith("failed: 2 NOT_FOUND, the first: no such model xxx") and len(most) < 250
    assert least == "failed: 1 AUTH"


def test_where_nothing_was_asked_no_rows_are_counted() -> None:
    """Reading ended at the fault: how many rows there are is not known."""
    summary = Summary(rows=1, stopped="error", reason="no key; set one")
    assert summary_lines(summary) == ["nothing was asked: no key; set one"]
    for more in ({"done": 1}, {"failed": 1}, {"requests": 1}):
        assert len(summary_lines(Summary(rows=1, stopped="error", reason="no", **more))) > 1
    stream = io.StringIO()
    view("plain", stream).show(Progress(rows=1))
    assert stream.getvalue() == ""


@pytest.mark.parametrize("columns", [40, 100])
def test_the_table_fits_into_the_window(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown("auto", Terminal()))
    for part in ("done 4/10", "in flight 3 of 8", "first token 250 ms", "cost $0.5000"):
        assert part in screen
    assert max(map(len, re.split(r"[\r\n]+", screen.partition("9 of 10")[0]))) <= columns
