"""In CI a skipped test fails, whichever way it is skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FUNCTION = "import pytest\n@pytest.mark.skipif(True, reason={!r})\ndef test_it(): pass\n"
MODULE = "import pytest\npytest.skip({!r}, allow_module_level=True)\n"


@pytest.mark.slow
@pytest.mark.parametrize("source", [FUNCTION, MODULE])
@pytest.mark.parametrize(
    ("reason", "failed"), [("nginx is not installed", True), ("the corpus is not here", False)]
)
def test_a_skip_fails_unless_it_is_for_the_recordings(
    tmp_path: Path, source: str, reason: str, failed: bool
) -> None:
    (tmp_path / "test_skipping.py").write_text(source.format(reason) + "\ndef test_other(): pass\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.no_skips", "-q", str(tmp_path)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"},
        capture_output=True,
        text=True,
    )
    failures = done.returncode in (1, 2)
    assert failures is failed, done.stdout
    assert (reason in done.stdout) is failed
