"""litellm's proxy, in front of another server.

    with running(upstream_url, tmp_path) as proxy: engine.Client(base_url=proxy, api_key=KEY)

Installed into an environment of its own beside this file, once: it pins what the engine's other
tests want newer, and takes 750 MB.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pycurl

from tests.faults.test_connect import free_port

HOME = Path(__file__).parent / ".litellm"
KEY = "sk-of-the-proxy"
MODEL = "behind-the-proxy"
_PATIENCE = 240.0  # seconds until it listens; its imports take twenty


def install() -> Path:
    """The program, installed if it was not."""
    program = HOME / "bin" / "litellm"
    HOME.mkdir(exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (HOME / "whole").exists():
            for command in (
                [sys.executable, "-m", "venv", str(HOME)],
                [str(HOME / "bin" / "pip"), "install", "--quiet", "litellm[proxy]>=1.80"],
            ):
                done = subprocess.run(command, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
            (HOME / "whole").touch()
    return program


@contextmanager
def running(upstream: str, home: Path) -> Iterator[str]:
    """The base URL of a proxy whose `MODEL` is `upstream`'s model ``demo``."""
    parameters = {"model": "openai/demo", "api_base": upstream, "api_key": "k"}
    config = home / "proxy.yaml"  # JSON is YAML
    config.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": MODEL, "litellm_params": parameters}],
                "general_settings": {"master_key": KEY},
            }
        )
    )
    port = free_port()
    command = [str(install()), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    environ = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"}
    with (home / "proxy.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=home, env=environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until = monotonic() + _PATIENCE
        while not _answers(f"{url}/health/liveliness"):
            assert process.poll() is None and monotonic() < until, (home / "proxy.log").read_text()
            sleep(0.2)
        yield f"{url}/v1"
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    easy = pycurl.Curl()
    easy.setopt(pycurl.URL, url)
    easy.setopt(pycurl.NOPROXY, "*")
    easy.setopt(pycurl.WRITEFUNCTION, len)
    try:
        easy.perform()
    except pycurl.error:
        return False
    return bool(easy.getinfo(pycurl.RESPONSE_CODE) == 200)
