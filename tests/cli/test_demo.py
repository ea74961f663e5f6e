"""`engine demo` streams them all, says so, and says when it did not."""

from __future__ import annotations

import re
import resource
import subprocess

import pytest

import engine.emulator
from tests.cli.terminal import COMMAND, environment, terminal

# Each starts a program, or two.
pytestmark = pytest.mark.slow
FAST = ("--tokens", "5", "--tps", "0", "--ttft", "0")


def demo(*arguments: str, limit: str = "") -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'{limit} exec "$@"', "sh", str(COMMAND), "demo", *FAST, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment())


def test_every_stream_completes_and_is_counted() -> None:
    done = demo("-n", "30")
    assert done.returncode == 0, done.stderr
    names = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert names == ["streams", "events", "tokens", "first token", "client CPU", "peak memory"]
    assert "30 of 30 complete" in done.stdout
    assert re.search(r"^tokens +150 ", done.stdout, re.MULTILINE)
    assert "0 open  30 complete  0 failed" in done.stderr


def test_more_streams_than_the_soft_limit_of_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert hard == resource.RLIM_INFINITY or hard > 400
    done = demo("-n", "300", limit="ulimit -Sn 128;")
    assert (done.returncode, done.stdout.splitlines()[0][13:36]) == (0, "300 of 300 complete in ")


def test_more_streams_than_there_may_be_files() -> None:
    done = demo("-n", "300", limit="ulimit -n 128;")
    assert (done.returncode, done.stdout.splitlines()[0][13:36]) == (0, "300 of 300 complete in ")


def test_exit_code_1_and_the_reason_where_streams_fail() -> None:
    with engine.emulator.start(error="cut") as emulator:
        done = demo("-n", "3", "--base-url", emulator.base_url)
    assert done.returncode == 1
    assert "0 of 3 complete" in done.stdout
    assert re.search(r"^failed +3 × ", done.stdout, re.MULTILINE)


def test_on_a_terminal_it_is_a_picture_of_what_they_say() -> None:
    with terminal("demo", "-n", "20", "--tokens", "30", "--tps", "60", "--ttft", "0") as screen:
        seen = screen.read_rest()
        assert screen.process.wait() == 0
    assert "20 of 20 complete" in seen
    assert "events/s" in seen
    assert "\x1b[?25h" in seen  # the cursor is given back


def test_ctrl_c_ends_it_with_what_was_measured() -> None:
    with terminal("demo", "-n", "20", "--tps", "5") as screen:
        screen.read_until("events/s")
        screen.type("\x03")
        seen = screen.read_rest()
        assert screen.process.wait() == 130
    assert "0 of 20 complete" in seen and "Traceback" not in seen
    assert "ENGINE_EMULATOR_URL" not in seen  # its emulator is its own, and gone
    assert re.search(r"cancelled +20", seen) and "CANCELLED" not in seen
    events, tokens = (
        re.search(rf"^{name} +(\d+) ", seen, re.MULTILINE) for name in ("events", "tokens")
    )
    assert events is not None and tokens is not None
    assert int(tokens[1]) > 0 or int(events[1]) == 0  # what came is counted


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_wrong_count_is_a_wrong_command_line(count: str) -> None:
    done = demo(f"-n={count}")
    assert done.returncode == 2
    assert "--streams" in done.stderr
