"""The emulator in a child process."""

from __future__ import annotations

import gc
import http.client
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import engine
import engine.emulator
from engine.emulator import process
from engine.emulator.__main__ import main
from engine.errors import ConfigError, ResourceError

# Each starts a program, or two.
pytestmark = pytest.mark.slow
ROOT = Path(engine.__file__).parents[1]


def gone(pid: int, seconds: float = 10) -> bool:
    """Whether process `pid` ends within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if _is_zombie(pid):
            return True
        time.sleep(0.01)
    return False


def _is_zombie(pid: int) -> bool:
    """In a container without an init, nobody reaps an orphan."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] == "Z"


def run(code: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_can_be_asked_as_soon_as_it_has_started() -> None:
    with engine.emulator.start(tokens=3) as emulator:
        assert emulator.base_url == f"{emulator.url}/v1"
        assert "running" in repr(emulator)
        client = engine.Client(base_url=emulator.base_url)
        completion = client.stream("emulator/demo", "Hello").result()
        client.close()
        assert completion.status == "complete", completion.error
        assert completion.usage is not None and completion.usage.output_tokens == 3
    assert not emulator.running
    assert "stopped" in repr(emulator)
    emulator.stop()


def test_the_clients_retry_outlasts_failures_that_pass() -> None:
    with engine.emulator.start() as emulator:
        client = engine.Client(base_url=emulator.base_url)
        completion = client.stream("emulator/error-429-times=2-retry_after=0.01", "Hi").result()
        client.close()
    assert completion.status == "complete"
    assert completion.attempts == 3


def test_two_run_side_by_side() -> None:
    with engine.emulator.start() as one, engine.emulator.start() as other:
        assert one.url != other.url


def test_one_that_is_forgotten_ends() -> None:
    emulator = engine.emulator.start()
    pid = emulator.pid
    del emulator
    gc.collect()
    assert gone(pid)


@pytest.mark.parametrize(
    "how", ["pass", "import os; os._exit(0)", "import os; os.kill(os.getpid(), 9)"]
)
def test_it_ends_with_its_parent_however_that_ends(how: str) -> None:
    # At the top of a script, without a __main__ guard.
    done = run(
        f"""
        import engine.emulator
        emulator = engine.emulator.start()
        print(emulator.pid, flush=True)
        {how}
        """
    )
    assert gone(int(done.stdout))
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"speed": 5}, "speed"),
        ({"tokens": "many"}, "tokens"),
        ({"tokens": -1}, "tokens"),
        ({"error": "explode"}, "explode"),
        ({"host": "not.a.host.invalid"}, "not.a.host.invalid"),
    ],
)
def test_what_it_cannot_be_started_with_is_told(settings: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        engine.emulator.start(**settings)  # type: ignore[arg-type]


def test_a_port_that_is_taken_is_told_by_start() -> None:
    with engine.emulator.start() as emulator:
        port = int(emulator.url.rpartition(":")[2])
        with pytest.raises(ConfigError, match=f"port {port}.*choose another port"):
            engine.emulator.start(port=port)


def test_no_interpreter_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ConfigError, match="interpreter"):
        engine.emulator.start()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ResourceError, match="could not be started"):
        engine.emulator.start()
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(ResourceError, match="before it listened"):
        engine.emulator.start()


def test_it_runs_by_itself_and_stops_at_a_signal() -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "engine.emulator", "--port", "0", "--tokens", "2"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    url = child.stdout.readline().strip()
    host, _, path = url.removeprefix("http://").partition("/")
    assert path == "v1"
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("GET", "/v1/models")
    assert json.load(connection.getresponse())["object"] == "list"
    connection.close()
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == 0
    child.stdout.close()


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--tokens", "-1"], "tokens"),
        (["--port", "99999"], "99999"),
        (["--error", "explode"], "explode"),
        (["--speed", "1"], "--speed"),
        (["--tokens", "many"], "--tokens"),
    ],
)
def test_a_wrong_flag_is_an_error_of_usage(
    flags: list[str],
    word: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["emulator", *flags])
    try:
        code = main()
    except SystemExit as exit:
        code = exit.code  # type: ignore[assignment]
    assert code == 2
    assert word in capsys.readouterr().err


def test_one_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_STOP_SECONDS", 0.05)
    emulator = engine.emulator.start()
    os.kill(emulator.pid, signal.SIGSTOP)
    emulator.stop()
    assert not emulator.running


def test_the_parts_that_need_no_h11_do_not_load_it() -> None:
    done = run("import sys, engine.emulator; print('h11' in sys.modules, 'asyncio' in sys.modules)")
    assert done.stdout.split() == ["False", "False"]


def test_without_h11_it_says_what_to_install() -> None:
    done = run(
        """
        import sys
        sys.modules["h11"] = None
        from engine.emulator.__main__ import main
        sys.argv = ["emulator", "--port", "0"]
        sys.exit(main())
        """
    )
    assert done.returncode == 2
    assert "streamengine[emulator]" in done.stderr
