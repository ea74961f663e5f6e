"""What people see of a batch that runs."""

from __future__ import annotations

import io
import json

import pytest

from engine.batch.showing.progress import view
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
