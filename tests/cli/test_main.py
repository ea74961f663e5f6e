"""The command itself: help, version, exit codes, and what it does not load."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import engine
from engine.cli import main
from engine.cli.console import exit_code
from engine.errors import CancelledError, ConfigError, EngineError, NetworkError
from tests.cases import each_case
from tests.cli.terminal import COMMAND, environment, terminal

COMMANDS = ["demo", "chat", "batch", "merge", "emulate", "providers"]


def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(**changes),
    )


def test_the_module_is_the_command() -> None:
    module = [sys.executable, "-m", "engine", "--help"]
    done = subprocess.run(module, capture_output=True, text=True, env=environment())
    assert done.stdout == run("--help").stdout


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert not ended.value.code
    assert capsys.readouterr().out == f"engine {engine.__version__}\n"


def test_without_a_command_it_shows_the_commands_and_fails() -> None:
    done = run()
    assert (done.returncode, done.stdout) == (2, "")
    assert all(name in done.stderr for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: engine {command} ")


def test_help_loads_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys; from engine.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "engine.cli" in loaded
    heavy = {"asyncio", "rich", "ssl", "h11", "engine.emulator", "engine.cli.demo"}
    assert not loaded & heavy


def test_importing_the_engine_does_not_load_its_commands() -> None:
    code = "import sys, engine; sys.exit(any(m in sys.modules for m in ('engine.cli', 'argparse')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_providers_are_listed_and_keys_are_not() -> None:
    done = run("providers", GROQ_API_KEY="gsk-s3cret", OPENAI_BASE_URL="http://here/v1")
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "GROQ_API_KEY set" in lines["groq"]
    assert "OPENAI_API_KEY not set" in lines["openai"]
    assert "http://here/v1 (OPENAI_BASE_URL)" in lines["openai"]
    assert "none needed" in lines["emulator"]
    assert "s3cret" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "changes", "color"),
    [
        ((), {}, True),
        ((), {"NO_COLOR": "1"}, False),
        pytest.param(("--color", "never"), {}, False, marks=pytest.mark.slow),
        pytest.param(("--color", "always"), {"NO_COLOR": "1"}, True, marks=pytest.mark.slow),
    ],
)
def test_colour_on_a_terminal(
    arguments: tuple[str, ...], changes: dict[str, str], color: bool
) -> None:
    with terminal("chat", "-m", "emulator/m", *arguments, **changes) as screen:
        screen.read_until("Ctrl-D ends")
        assert screen.read_until("> ").startswith("\x1b[0m") is color


def test_without_rich_tables_are_plain(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr("engine.cli.console.is_terminal", lambda stream: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "300")
    assert main(["providers"]) == 0
    assert capsys.readouterr().out.startswith("provider  ")


def test_a_disk_that_is_full_is_one_line() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [COMMAND, "providers"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 3
    assert done.stderr.startswith("engine: error: ") and done.stderr.count("\n") == 1


def test_the_emulator_serves_until_it_is_interrupted() -> None:
    with subprocess.Popen(
        [COMMAND, "emulate", "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        done = run("chat", "-m", "emulator/demo", "hi", ENGINE_EMULATOR_URL=url)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_closed_stdout_is_nobody_who_reads() -> None:
    script = ["sh", "-c", 'exec "$@" >&-', "sh", COMMAND, "providers"]
    done = subprocess.run(script, stderr=subprocess.PIPE, text=True, env=environment())
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("locale", ["C", pytest.param("C.UTF-8", marks=pytest.mark.slow)])
def test_stdin_that_is_no_utf_8_is_one_line(locale: str) -> None:
    done = subprocess.run(
        [COMMAND, "chat", "-m", "emulator/m"],
        input=b"\xff\xfe",
        capture_output=True,
        env=environment(LC_ALL=locale),
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"engine: error: stdin is not text")
    assert done.stderr.count(b"\n") == 1


@each_case(
    ("error", "answered", "code"),
    [
        (None, True, 0),
        (CancelledError("left"), True, 130),
        (NetworkError("gone"), True, 1),
        (NetworkError("gone"), False, 3),
        (ConfigError("no key"), False, 2),
    ],
)
def test_one_rule_for_exit_codes(error: EngineError | None, answered: bool, code: int) -> None:
    assert exit_code(error, answered) == code


@pytest.mark.parametrize(
    ("model", "more", "words"),
    [
        ("openai/m", {}, "OPENAI_API_KEY"),
        ("openai/m", {"OPENAI_API_KEY": "'sk-0123456789'"}, "quotes"),
        ("openai/m", {"OPENAI_BASE_URL": "ftp://x", "OPENAI_API_KEY": "k"}, "OPENAI_BASE_URL"),
        ("nobody/m", {}, "nobody"),
    ],
)
@pytest.mark.parametrize("command", ["chat", "agent", "batch"])
def test_each_command_tells_one_fault_in_one_line_and_by_the_same_code(
    command: str,
    model: str,
    more: dict[str, str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {"OPENAI_API_KEY": "", "HOME": str(tmp_path), **more}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "in.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b"}\n')
    what = [str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.jsonl")]
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main([command, "-m", model, *(what if command == "batch" else ["hi"])]) == 2
    told = capsys.readouterr()
    assert words in told.err and told.out == ""
    assert told.err.count("\n") == 1, told.err
