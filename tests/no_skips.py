"""A pytest plugin for CI, `-p tests.no_skips`: a skipped test has tested nothing, so it fails.

Allowed are skips for want of the corpus, recordings that are not part of the repository.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

ALLOWED = ("../shared", "corpus")


def _fail_if_skipped(report: Any) -> None:
    if report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not any(word in reason for word in ALLOWED):
        report.outcome = "failed"
        report.longrepr = f"not allowed here: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report
