"""PyGObject is no wheel: Debian has it, for its own Python. Where that is of our version, it runs
what is tested here with the packages that are tested with."""

from __future__ import annotations

import os
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment() -> dict[str, str]:
    paths = [str(ROOT), sysconfig.get_path("platlib"), sysconfig.get_path("purelib")]
    return {"PYTHONPATH": os.pathsep.join(paths)}


def python() -> str | None:
    """The interpreter that has GTK 4; None: there is none."""
    if not any(Path("/usr/lib").glob("*/girepository-1.0/Gtk-4.0.typelib")):
        return None
    if find_spec("gi") is not None:
        return sys.executable
    debian = Path("/usr/bin/python3").resolve()
    ours = f"python{sys.version_info.major}.{sys.version_info.minor}"
    has = debian.name == ours and Path("/usr/lib/python3/dist-packages/gi").exists()
    return str(debian) if has else None
