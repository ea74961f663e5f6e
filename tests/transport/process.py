"""Scripts in a process of their own: for signals, limits, forks, and ends of the process."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_script(
    source: str, *arguments: str, before: list[str] | None = None, timeout: float = 170
) -> str:
    """Run `source` in a new interpreter; what it printed.

    It must end with status 0 and leave nothing on standard error: warnings, exceptions that were
    ignored and tracebacks of threads all fail the test.

    Args:
        source: Python; its first lines can be indented as the test is.
        arguments: its sys.argv[1:].
        before: a command that runs the interpreter, such as ``["unshare", "-n"]``.
        timeout: seconds after which it is killed, and the test fails.
    """
    process = subprocess.run(
        [*(before or []), sys.executable, "-W", "error", "-c", textwrap.dedent(source), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
    )
    assert process.returncode == 0, f"status {process.returncode}\n{process.stderr}"
    assert process.stderr == "", process.stderr
    return process.stdout
