"""The report is one file that shows its plots with no network and no script."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from engine.batch.outcome import Outcome
from engine.batch.pacing.meter import Histogram, Meter
from engine.batch.showing.report import render_report, write_report
from engine.batch.showing.summary import Summary
from engine.errors import Category, ProviderError
from engine.messages import Usage


def outcome(n: int) -> Outcome:
    if n % 50 == 49:
        return Outcome(error=ProviderError("slow down", category=Category.RATE_LIMIT))
    timing = {"ttft_ms": 80.0 + n % 40, "itl_ms": 9.0 + n % 5, "e2e_ms": 400.0 + n}
    return Outcome(error=None, usage=Usage(10, 20, 30), timing=timing)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    meter = Meter(0.0)
    for n in range(1000):
        meter.ended(n / 20, outcome(n), limit=10 + n // 50)
    summary = Summary(
        rows=1000, done=980, failed=20, requests=1000, seconds=50.0, errors={"<b>&": 20}
    )
    path = tmp_path / "report.html"
    write_report(path, summary, meter)
    return path


def test_the_page_is_whole_and_asks_for_nothing(page: Path) -> None:
    text = page.read_text()
    root = ElementTree.fromstring(text.removeprefix("<!doctype html>\n"))
    svgs = root.findall(".//svg")
    assert len(svgs) == 5
    assert all(len(svg.findall("rect")) >= 3 for svg in svgs)
    assert not re.search(r"https?:|<script|<link|@import|url\(", text)
    assert "&lt;b&gt;&amp;" in text


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    text = render_report(Summary(), Meter(0.0))
    assert "not measured: needs --stream" in text
    assert "no row failed" in text


@pytest.mark.slow
def test_the_page_opens_in_chromium_without_a_network(page: Path, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("chromium is not installed")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=1000"]
    options += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}"]
    shot = tmp_path / "shot.png"
    seen = subprocess.run(
        [chromium, *options, "--enable-logging=stderr", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert seen.stdout.count("<svg") == 5
    assert "CONSOLE" not in seen.stderr
    subprocess.run(
        [chromium, *options, f"--screenshot={shot}", "--window-size=800,1400", page.as_uri()],
        capture_output=True,
        timeout=170,
    )
    assert shot.stat().st_size > 10_000  # an empty page of that size is 4 kB


def test_a_meter_stays_small_however_long_it_runs() -> None:
    meter = Meter(0.0)
    for hour in range(500):
        meter.ended(hour * 3600.0, outcome(hour), limit=1)
    assert len(meter.spans) <= 240
    assert sum(span.answers + span.refused for span in meter.spans) == 500
    assert meter.span * 240 >= 499 * 3600


def test_quantiles_are_right_to_the_width_of_a_bin() -> None:
    histogram = Histogram()
    for n in range(1, 1001):
        histogram.add(n / 1000)
    for part in (0.01, 0.5, 0.9, 0.99):
        assert histogram.quantile(part) == pytest.approx(part, rel=0.13)
    assert Histogram().median() is None
    histogram.add(0.0)
    histogram.add(1e9)
    assert histogram.count == 1002


def test_axes_are_numbers_people_read() -> None:
    meter = Meter(0.0)
    for n in range(40_000):
        meter.ended(n / 79_000, outcome(n), limit=10)
    text = render_report(Summary(), meter)
    labels = re.findall(r">([^<]*)</text>", text)
    assert labels and not [label for label in labels if "e+" in label or "e-" in label]
