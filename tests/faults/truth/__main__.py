"""``python -m tests.faults.truth [FILE]``: the truth table as Markdown.

Each client is asked for each fault, the same bytes over sockets; it has no retries and, where it
takes one, a timeout of three seconds.
"""

from __future__ import annotations

import datetime
import json
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.faults.server import Step, play
from tests.faults.truth.clients import CLIENTS
from tests.faults.truth.faults import FAULTS, Fault
from tests.server import Request

TITLES = {
    "engine": "engine",
    "engine-messages": "engine, messages",
    "openai": "openai",
    "openai-stream": "openai `.stream()`",
    "litellm": "litellm",
    "pydantic-ai": "pydantic-ai",
    "anthropic": "anthropic",
}
WARM_UP = next(fault for fault in FAULTS if fault.name == "all well")
AS_IF_WELL = "**ended as if well**"


def script(request: Request) -> Iterable[Step]:
    _, number, wire, *_ = request.path.split("/")
    fault = WARM_UP if int(number) == len(FAULTS) else FAULTS[int(number)]
    return fault.steps("messages" if wire == "messages" else "chat")


def verdict(fault: Fault, ended: str, text: str, words: str) -> str:
    """What is to be said of how a client ended, in a cell."""
    if ended == "hung":
        return "hung"
    if fault.truth == "well":
        if ended == "raised":
            return "raised"
        return "well" if text == fault.text else "**lost words**"
    if ended == "raised":
        return "told"
    if words == "error":
        return "told by the finish reason"
    # Nothing shows that the answer is not whole, but a finish reason that never came.
    return "ended, no finish reason" if words == "None" else AS_IF_WELL


def outcomes(name: str, url: str) -> dict[int, str]:
    wire = CLIENTS[name][0]
    process = subprocess.run(
        [sys.executable, "-m", "tests.faults.truth.clients", name, url, str(len(FAULTS))],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    cells = {}
    for line in process.stdout.splitlines():
        number, ended, text, words = json.loads(line)
        fault = FAULTS[number]
        cells[number] = verdict(fault, ended, text, words) if wire in fault.wires else ""
    return cells


def table() -> list[str]:
    versions = []
    for name in dict.fromkeys(distribution for _, distribution, _ in CLIENTS.values()):
        if name != "engine":
            try:
                versions.append(f"{name} {version(name)}")
            except PackageNotFoundError:
                versions.append(f"{name} is not installed")
    columns = {}
    with play(script) as server:
        for name in CLIENTS:
            print(name, file=sys.stderr)
            try:
                columns[name] = outcomes(name, server.url)
            except subprocess.CalledProcessError:
                columns[name] = dict.fromkeys(range(len(FAULTS)), "did not run")
    lines = [
        f"Python {platform.python_version()}, {', '.join(versions)}; {datetime.date.today()}.",
        "",
        "| what happens | " + " | ".join(TITLES[name] for name in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for number, fault in enumerate(FAULTS):
        cells = (columns[name].get(number, "did not run") for name in columns)
        lines.append(f"| {fault.name} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    text = "\n".join(table()) + "\n"
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
        before, marker, _ = path.read_text().partition("<!-- truth table -->\n")
        path.write_text(f"{before}{marker}{text}")
    else:
        print(text, end="")
