"""Type checkers see what users are promised: every snippet and example passes them strictly."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.snippets import ROOT, blocks, pages, script

# Of the symbols that `import engine` leads to, how many have a type that is written down.
LEAST_COMPLETE = 99.0


def check(*arguments: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        # pyright asks the `python` on the path where packages are.
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"},
    )
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_examples_snippets_and_promises_pass_mypy_strictly(tmp_path: Path) -> None:
    for page in pages():
        name = re.sub(r"\W", "_", str(page.relative_to(ROOT)))
        (tmp_path / f"{name}.py").write_text(script(page))
    for number, snippet in enumerate(blocks(ROOT / "README.md")):
        (tmp_path / f"readme_{number}.py").write_text(snippet)
    found = check("mypy", "--strict", "--scripts-are-modules", *_all(tmp_path))
    assert "Success: no issues found" in found, found


def _all(snippets: Path) -> list[Path]:
    files = [*snippets.glob("*.py"), *(ROOT / "examples").rglob("*.py")]
    return sorted([*files, ROOT / "tests/typed/streams.py"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_pyright_sees_the_same() -> None:
    assert "0 errors" in check("pyright", "tests/typed/streams.py")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nearly_every_public_symbol_has_a_type_that_is_written_down(tmp_path: Path) -> None:
    # From a folder without a package of that name in it, as users have it.
    found = check("pyright", "--verifytypes", "engine", "--ignoreexternal", cwd=tmp_path)
    score = re.search(r"Type completeness score: ([\d.]+)%", found)
    assert score is not None, found
    assert float(score[1]) >= LEAST_COMPLETE, found[-6000:]


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "engine" / "py.typed").exists()
