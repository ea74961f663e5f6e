"""The emulator in a process of its own, so that it takes no time from the client's."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import IO, Final

import msgspec

from engine.emulator.settings import Settings
from engine.errors import ConfigError, ResourceError

__all__ = ["Emulator", "start"]

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 5.0


class Emulator:
    """An emulator that runs in a child process; it ends with its parent, however that ends.

    Attributes:
        url: address without a path, ``http://127.0.0.1:PORT``.
        base_url: the same with ``/v1``, for `engine.Client` and other SDKs of that kind.
        pid: of the child.
    """

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.url = url
        self.base_url: str = f"{url}/v1"
        self.pid: int = process.pid
        self._process = process
        self._stop = weakref.finalize(self, _end, process)

    def __repr__(self) -> str:
        return f"<Emulator {self.base_url} {'running' if self.running else 'stopped'}>"

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the child is alive."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the child and wait for it. May be called again; also happens when the object goes."""
        self._stop()


def start(port: int = 0, host: str = "127.0.0.1", **settings: float | str) -> Emulator:
    """Start an emulator and wait until it can be connected to (about 0.2 s).

    Args:
        port: 0: a free one.
        host: address to listen on.
        settings: as in `engine.emulator.Settings`: ``ttft=0.2, tps=50, tokens=100``.

    Raises:
        ConfigError: a setting is wrong, h11 is not installed, or the address is taken.
        ResourceError: no process could be started, or it did not listen within 30 s.
    """
    try:
        values = msgspec.structs.asdict(msgspec.convert(settings, Settings))
    except msgspec.ValidationError as error:
        raise ConfigError(f"the emulator's settings: {error}") from None
    if not sys.executable:
        raise ConfigError(
            "the emulator needs a Python interpreter of its own and sys.executable is empty; run "
            "`python -m engine.emulator --port 8089` beside this program"
        )
    process = _popen({"host": host, "port": port, **values})
    try:
        return Emulator(process, _read_address(process))
    except BaseException:
        _end(process)
        raise


def _popen(flags: dict[str, object]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "engine.emulator", "--with-parent"]
    command += [
        f"--{name.replace('_', '-')}={value}" for name, value in flags.items() if value is not None
    ]
    # The child must find this same package, wherever it was imported from.
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            start_new_session=True,  # Ctrl-C in the terminal is the parent's affair
        )
    except OSError as error:
        raise ResourceError(f"the emulator's process could not be started: {error}") from error


def _read_address(process: subprocess.Popen[bytes]) -> str:
    """The line in which the child says where it listens."""
    line = _read_line(process.stdout, time.monotonic() + _START_SECONDS).decode(errors="replace")
    if line.startswith("http"):
        return line.strip().removesuffix("/v1")
    if line:
        raise ConfigError(line.strip())
    raise ResourceError(
        f"the emulator ended, or said nothing for {_START_SECONDS:g} s, before it listened; its "
        "own words, if any, are on stderr"
    )


def _read_line(stream: IO[bytes] | None, deadline: float) -> bytes:
    """A line, or what came of it before its end or the deadline."""
    line = b""
    if stream is None:
        return line
    with selectors.DefaultSelector() as selector:  # select() would fail beyond descriptor 1,023
        selector.register(stream, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            readable = selector.select(max(0.0, deadline - time.monotonic()))
            piece = os.read(stream.fileno(), 4096) if readable else b""
            if not piece:
                break
            line += piece
    return line


def _end(process: subprocess.Popen[bytes]) -> None:
    """The end of its stdin tells the child to go; one that does not is killed."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
