"""aimock (npm ``@copilotkit/aimock``): a mock of many providers on one port, by other people.

    with running([answer("hello", {"content": "Hi!"})], tmp_path) as url: …

Installed from `package-lock.json` into ``node_modules`` beside it, once. Where there is no Node.js
for it, what asks for it is skipped.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.servers import npm

HERE = Path(__file__).parent
_LISTENING = "server listening on "


def answer(prompt: str, response: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A fixture of aimock's: what it answers where the last user message holds `prompt`.

    `more`: ``match``, further conditions; or a setting of aimock's for this answer alone.
    """
    match = {"userMessage": prompt, **more.pop("match", {})}
    return {"match": match, "response": response, **more}


def install() -> Path:
    """The program, installed if it was not."""
    return npm.install(HERE) / "@copilotkit/aimock/dist/cli.js"


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
        env=npm.ENVIRON,
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
