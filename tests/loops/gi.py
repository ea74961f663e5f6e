"""PyGObject is no wheel: Debian has it, for its own Python. Where that is of our version, it runs
what is tested here with the packages that are tested with."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NEEDED = "import gi, msgspec, pycurl, engine; gi.require_version('Gtk', '4.0')"


def environment() -> dict[str, str]:
    paths = [str(ROOT), sysconfig.get_path("platlib"), sysconfig.get_path("purelib")]
    return {"PYTHONPATH": os.pathsep.join(paths)}


@cache
def python() -> str | None:
    """The interpreter that has GTK 4; None: there is none."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        try:
            command = [candidate, "-c", _NEEDED]
            subprocess.run(
                command, env={**os.environ, **environment()}, check=True, capture_output=True
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    return None
