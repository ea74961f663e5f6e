"""The benchmarks still measure: every section runs, with tiny numbers, and loses nothing."""

from __future__ import annotations

import dataclasses
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.clients.job import Report
from benchmarks.runner import Case, Outcome
from benchmarks.sections import (
    CLIENTS,
    Setting,
    Sizes,
    dialects,
    full_speed,
    many_open,
    one_event_a_read,
    over_http2,
    recorded,
    short_answers,
)
from benchmarks.start import start_up
from benchmarks.streams import FORMATS, pieces, wire_stream
from benchmarks.table import Goal, Table
from engine.events import Done, TextDelta
from engine.providers import dialect
from tests.cases import each_case

TINY = Sizes(full=(4, 2, 20), paced=(4, 3), many=(4, 3), rounds=1, short=(6, 2))
LIBRARIES = {
    "aiohttp_json": ["aiohttp"],
    "aiohttp_orjson": ["aiohttp", "orjson", "uvloop"],
    "curl_cffi_json": ["curl_cffi"],
    "pyreqwest_json": ["pyreqwest"],
    "httpx_sse_json": ["httpx_sse"],
    "openai_sdk": ["openai"],
}
INSTALLED = tuple(c for c in CLIENTS if all(map(find_spec, LIBRARIES.get(c.module, ()))))

needs_nginx = pytest.mark.skipif(
    shutil.which("nginx") is None and not Path("/usr/sbin/nginx").exists(),
    reason="nginx is not installed",
)
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


def tiny(folder: Path) -> Setting:
    return Setting(folder, TINY, note=lambda line: None, clients=INSTALLED)


def remarks(table: Table) -> dict[str, str]:
    """What each row says at its end: a failure, if there was one."""
    return {row[0]: row[-1] for row in table.rows}


@pytest.mark.slow
@needs_nginx
def test_every_client_reads_every_byte_at_full_speed(tmp_path: Path) -> None:
    table = full_speed(tiny(tmp_path))
    assert remarks(table) == {client.label: client.includes for client in INSTALLED}
    assert all(goal.value and goal.value > 0 for goal in table.goals)


@pytest.mark.slow
@needs_nginx
def test_every_client_reads_every_short_answer(tmp_path: Path) -> None:
    table = short_answers(tiny(tmp_path))
    assert remarks(table) == {client.label: client.includes for client in INSTALLED}
    assert all(float(row[2].replace(",", "")) > 0 for row in table.rows)


@pytest.mark.slow
@needs_nginx
@pytest.mark.skipif(find_spec("trustme") is None, reason="trustme is not installed")
def test_over_http2_nothing_is_lost(tmp_path: Path) -> None:
    table = over_http2(tiny(tmp_path))
    assert [row[0] for row in table.rows if row[1] != "–"] == [
        *("bare pycurl, short", "engine, short", "bare pycurl, full", "engine, full"),
    ]


RECORDED = b"".join(
    b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % word
    for word in (b"one ", b"two \xc3\xa9", b"")
)
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@pytest.mark.slow
@needs_nginx
def test_a_recording_is_measured_beside_a_made_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "long.sse").write_bytes(RECORDED + END)
    (corpus / "MANIFEST.tsv").write_text(
        "file\twire\tprovenance\tfeatures\tn_events\n"
        "thought.sse\topenai-chat\trecorded\treasoning,text\t99\n"
        "long.sse\topenai-chat\trecorded\ttext\t5\n"
        "short.sse\topenai-chat\trecorded\ttext\t2\n"
        "other.sse\tanthropic\trecorded\ttext\t99\n"
    )
    monkeypatch.setenv("ENGINE_CORPUS", str(corpus))
    rows = {row[0]: row for row in recorded(tiny(tmp_path)).rows}
    assert rows["recorded, engine"][1] == f"{len(RECORDED + END) / 5:.0f}"
    assert [row for row in rows.values() if row[2] == "–"] == []


def test_where_nothing_is_recorded_a_row_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGINE_CORPUS", str(tmp_path))
    (row,) = recorded(tiny(tmp_path)).rows
    assert "ENGINE_CORPUS" in row[-1]


@pytest.mark.slow
@needs_gcc
def test_every_client_reads_every_event_one_by_one(tmp_path: Path) -> None:
    setting = dataclasses.replace(tiny(tmp_path), clients=INSTALLED[:2])
    assert not [row for row in one_event_a_read(setting).rows if row[1] == "–"]


@pytest.mark.slow
@needs_gcc
def test_many_open_compares_with_few(tmp_path: Path) -> None:
    setting = dataclasses.replace(tiny(tmp_path), clients=INSTALLED[:2])
    table = many_open(setting)
    assert set(remarks(table).values()) == {""}
    assert table.goals[1].value is not None


@pytest.mark.slow
@needs_nginx
def test_every_dialect_gives_the_whole_text(tmp_path: Path) -> None:
    said = remarks(dialects(tiny(tmp_path)))
    assert said == {name: said[name] for name in FORMATS if said[name].endswith("bytes an event")}


@pytest.mark.slow
def test_start_up_times_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.start._IMPORTED", ("engine",))
    table = start_up(dataclasses.replace(tiny(tmp_path), sizes=dataclasses.replace(TINY, rounds=0)))
    assert table.goals[0].value is not None


@each_case("name", FORMATS)
def test_the_streams_are_what_the_dialect_reads(name: str) -> None:
    stream = wire_stream(name, pieces(9))
    format = dialect(name)
    decoder, parser = format.decoder(), format.parser()
    records = decoder.feed(stream.body) + decoder.finish()
    events = parser.feed(records) + parser.finish()
    assert "".join(e.text for e in events if type(e) is TextDelta) == stream.text
    assert sum(type(e) is TextDelta for e in events) == len(stream.events) == 9
    assert type(events[-1]) is Done and events[-1].usage is not None


def test_a_chat_event_has_the_size_the_numbers_are_given_for() -> None:
    events = wire_stream("chat", pieces(500)).events
    assert 310 <= sum(map(len, events)) / len(events) <= 330


@each_case("name", ["chat", "responses"])
def test_the_padding_of_events_varies(name: str) -> None:
    stream = wire_stream(name, ["x"] * 50)
    assert len({len(event) for event in stream.events}) > 8
    assert stream == wire_stream(name, ["x"] * 50)


def test_a_ratio_is_that_of_runs_of_the_same_round() -> None:
    stream = wire_stream("chat", pieces(10))

    def outcome(*cpu: float | None) -> Outcome:
        case = Case("", "", lambda: None, "chat", stream, 1, 1, "")  # type: ignore[arg-type]
        runs = [None if c is None else Report(0, c, c / 2, c, 2048) for c in cpu]
        return Outcome(case, runs)

    calm, noisy = outcome(1.0, 8.0, 1.0), outcome(3.0, 16.0, None)
    assert noisy.ratio(calm) == 2.5
    assert noisy.best() == pytest.approx(3e5)
    assert noisy.best_around() == pytest.approx(1.5e6)
    assert outcome(None).ratio(outcome(1.0)) is None


def test_a_goal_tells_whether_it_was_kept() -> None:
    assert str(Goal("cost", 2.0, 3.0)) == "cost: wanted at most 3, 2.00 is kept"
    assert str(Goal("gain", 2.0, 3.0, at_least=True)).endswith("2.00 is MISSED")
    assert str(Goal("gain", None, 3.0)).endswith("not measured")


def test_a_client_that_fails_is_a_row_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = dataclasses.replace(CLIENTS[1], module="no_such_client")
    setting = dataclasses.replace(tiny(tmp_path), clients=(CLIENTS[0], broken))
    assert "no_such_client" in remarks(one_event_a_read(setting))[broken.label]


def test_an_unknown_section_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["fast"])
    assert "fast" in capsys.readouterr().err
