"""C10: keys, addresses, terminals, files."""

from __future__ import annotations

import gzip
import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import engine
import engine.emulator
from engine import HttpRequest
from engine.agents import FunctionAgent, tool
from engine.agents.tools.files import file_tools
from engine.agents.tools.http_get import http_tool
from engine.cli.neutral import neutralise
from engine.errors import Category, ConfigError
from tests.agents.support import call, script
from tests.faults.case import (
    CANARY,
    GOOD,
    HEAD,
    OK_SSE,
    TEXT,
    Case,
    answer,
    chunk,
    chunked,
    refusal,
    steps,
    suffer,
)
from tests.faults.server import CLOSE, KEEP, play

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WELL = steps(chunked(GOOD), KEEP)
KEY_HEADERS = ("Authorization", "Cookie", "x-api-key", "api-key", "x-goog-api-key")


@pytest.mark.parametrize("bad", ["a\rb", "a\nb", "a\0b", "a\r\nX-Evil: 1"])
@pytest.mark.parametrize("where", ["value", "name", "key"])
def test_z01_a_line_break_in_a_header_never_goes_out(bad: str, where: str) -> None:
    """Z01."""
    with play(WELL) as server, engine.Multi() as multi:
        with pytest.raises(ConfigError):
            if where == "key":
                client = engine.Client(multi, dialect="chat", base_url=server.url, api_key=bad)
                client.stream("m", "hi")
            else:
                headers = {"X-A": bad} if where == "value" else {bad: "x"}
                multi.add(HttpRequest("GET", server.url, headers=headers))
        multi.run()
        assert server.connections == 0


def test_z01_a_key_with_a_line_break_at_its_end_is_told_or_cut() -> None:
    """Z01: what a shell's `cat key.txt` gives."""
    with play(WELL) as server, engine.Multi() as multi:
        try:
            client = engine.Client(multi, dialect="chat", base_url=server.url, api_key="sk-a-key\n")
            client.stream("m", "hi").result()
        except ConfigError as error:
            assert "sk-a-key" not in str(error)
        assert all(r.headers["authorization"] == "Bearer sk-a-key" for r in server.requests)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "dict://127.0.0.1/",
        "ftp://127.0.0.1/",
        "ws://127.0.0.1/",
        "http://user:word@127.0.0.1/",
        "http:///x",
        "http://127.0.0.1/a\r\nX: y",
        "http://127.0.0.1/a b",
        "http://127.0.0.1\\@evil.example/",
        "//127.0.0.1/",
        "",
    ],
)
def test_z02_an_address_that_is_none_is_refused_before_anything_is_sent(url: str) -> None:
    """Z02."""
    with engine.Multi() as multi:
        with pytest.raises(ConfigError):
            multi.add(HttpRequest("GET", url))
        with pytest.raises(ConfigError):
            engine.Client(multi, dialect="chat", base_url=url, api_key="k").stream("m", "hi")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("header", KEY_HEADERS)
def test_z03_no_key_follows_a_redirect(status: int, header: str) -> None:
    """Z03."""
    with play(WELL) as target:
        moved = answer(f"{status} Moved", b"", f"Location: {target.url}/\r\n")
        with play(steps(moved, KEEP)) as server, engine.Multi() as multi:
            exchange = multi.add(HttpRequest("POST", server.url, {header: CANARY}, b"{}"))
            while exchange.response is None:
                multi.poll()
        assert target.connections == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_z04_a_key_that_is_echoed_is_not_repeated(status: int) -> None:
    """Z04."""
    body = refusal(f"Incorrect key {CANARY}", code=CANARY, type=CANARY, param=CANARY)
    categories = {
        400: Category.INVALID_ARG,
        401: Category.AUTH,
        403: Category.AUTH,
        404: Category.NOT_FOUND,
        429: Category.RATE_LIMIT,
        500: Category.SERVER,
    }

    def check(completion: engine.Completion, _: object) -> None:
        assert CANARY not in repr(completion.headers)
        assert CANARY not in repr(vars(completion.error))

    suffer(
        Case(
            "Z04",
            steps(answer(f"{status} No", body, f"x-you-sent: Bearer {CANARY}\r\n"), KEEP),
            category=categories[status],
            check=check,
        )
    )


HOSTILE = "\x1b]52;c;AAAA\x07\x1b[31m\x08\r\x9b2J\u202e\u200b\x00\x7fword\n"


def test_z05_what_a_model_says_cannot_command_a_terminal() -> None:
    """Z05."""
    for cut in range(len(HOSTILE) + 1):
        shown = neutralise(HOSTILE[:cut]) + neutralise(HOSTILE[cut:])
        assert "word\n" in shown
        assert not any((ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160 for c in shown)
        assert not set("\u202e\u200b") & set(shown)


def test_z06_a_name_that_leaves_its_folder(tmp_path: Path) -> None:
    """Z06."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret").write_text(CANARY)
    (inside / "link").symlink_to(outside / "secret")
    tools = {each.definition.name: each for each in file_tools(inside, write=True)}
    for path in ("../out/secret", str(outside / "secret"), "link", "a\0b", "/dev/null/x"):
        for name, each in tools.items():
            arguments: dict[str, Any] = {"path": path}
            if "write" in name:
                arguments["text"] = "x"
            said = _run(each, arguments)
            assert CANARY not in said
    assert (outside / "secret").read_text() == CANARY
    assert [p.name for p in outside.iterdir()] == ["secret"]


def _run(each: Any, arguments: Mapping[str, Any]) -> str:
    try:
        return str(each.function(**arguments))
    except Exception as error:
        return str(error)


LIMITS = [
    Case(
        "Z07 gzip",
        lambda _: iter(
            (
                HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n",
                gzip.compress(b"data: " + b"x" * (64 << 20)),
                CLOSE,
            )
        ),
        category=Category.PROTOCOL,
        says="max_event_bytes",
        client={"headers": {"Accept-Encoding": "gzip"}},
    ),
    Case(
        "Z07 line",
        steps(OK_SSE, chunk(b"data: "), *[chunk(b"x" * (1 << 20))] * 20, CLOSE),
        category=Category.PROTOCOL,
        text=None,
    ),
    Case(
        "Z07 head",
        steps(HEAD + b"X: " + b"y" * 400_000 + b"\r\n\r\n", CLOSE),
        category=Category.PROTOCOL,
    ),
    Case(
        "Z07 JSON",
        steps(
            chunked([*GOOD[:3], b'data: {"choices": ' + b"[" * 10**5 + b"\n\n", *GOOD[3:]]), KEEP
        ),
        category=Category.PROTOCOL,
        text=TEXT,
    ),
]


@pytest.mark.parametrize("case", LIMITS, ids=str)
def test_of_bombs(case: Case) -> None:
    suffer(case)


def test_z08_files_and_variables_of_curl_are_not_obeyed(tmp_path: Path) -> None:
    """Z08."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password canary-netrc\n")
    (tmp_path / ".curlrc").write_text('header = "X-Evil: canary-curlrc"\n')
    script = """
import engine, sys
with engine.Multi() as multi:
    client = engine.Client(multi, dialect="chat", base_url=sys.argv[1], api_key="k")
    print(client.stream("m", "hi").result().status)
    engine.Client(multi, dialect="chat", base_url="https://127.0.0.1:9", api_key="k",
                  retry=engine.Retry(max_attempts=1)).stream("m", "hi").result()
"""
    with play(WELL) as server:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "CURL_HOME": str(tmp_path),
            "SSLKEYLOGFILE": str(tmp_path / "keys"),
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(
            [sys.executable, "-c", script, server.url], env=environ, capture_output=True, text=True
        )
        assert done.stdout == "complete\n", done.stderr
        assert "SSLKEYLOGFILE" in done.stderr
        assert "canary" not in str(server.requests)


def test_z09_files_that_hold_prompts_are_the_owners_alone(tmp_path: Path) -> None:
    """Z09."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"id": "a", "prompt": "hi"}) + "\n")
    made = tmp_path / "made"
    made.mkdir()
    script = """
import os, sys
os.umask(0)
from engine.batch import Options, run
run(sys.argv[1], sys.argv[2], Options(model="m", base_url=sys.argv[3], api_key="k", stream=True))
"""
    with play(WELL) as server:
        subprocess.run(
            [sys.executable, "-c", script, str(rows), str(made / "out.jsonl"), server.url],
            check=True,
            cwd=ROOT,
        )
    modes = {p.name: oct(stat.S_IMODE(p.stat().st_mode)) for p in made.iterdir()}
    assert modes and set(modes.values()) == {"0o600"}, modes


@pytest.mark.parametrize("header", KEY_HEADERS)
def test_z10_a_key_goes_over_https_or_loopback_only(header: str) -> None:
    """Z10."""
    url = "http://203.0.113.7/v1"
    with engine.Multi() as multi:
        with pytest.raises(ConfigError):
            multi.add(HttpRequest("POST", url, {header: CANARY}))
        with pytest.raises(ConfigError):
            engine.Client(multi, dialect="chat", base_url=url, headers={header: CANARY}).stream(
                "m", "hi"
            )
        with pytest.raises(ConfigError):
            engine.Client(multi, dialect="chat", base_url=url, api_key=CANARY).stream("m", "hi")
        with pytest.raises(ConfigError):
            engine.Client(multi, dialect="chat", base_url=url).stream(
                "m", "hi", extra_headers={header: CANARY}
            )
        multi.add(HttpRequest("POST", url, {header: CANARY}, allow_insecure=True)).cancel()
        multi.run()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::ffff:127.0.0.1]/",
    ],
)
def test_z11_a_tool_that_fetches_denies_private_addresses(url: str) -> None:
    """Z11."""
    with (
        engine.emulator.start() as emulator,
        engine.Client(base_url=emulator.base_url) as client,
    ):
        question = script(call("http_get", url=url), "Done.")
        result = FunctionAgent(client, "demo", [http_tool()]).run(question)
    said = result.trace[0].tools[0].content
    assert "not on the public internet" in said or "could not be found" in said


def test_z12_what_a_model_gives_a_tool_meets_no_shell(tmp_path: Path) -> None:
    """Z12."""
    seen: list[str] = []

    @tool
    def look(path: str) -> str:
        """Look."""
        seen.append(path)
        return path

    evil = f"$(touch {tmp_path}/x); `touch {tmp_path}/y` && rm -rf {tmp_path}"
    assert _run(look, {"path": evil}) == evil
    assert seen == [evil]
    assert list(tmp_path.iterdir()) == []
    source = "".join(path.read_text() for path in (ROOT / "engine").rglob("*.py"))
    assert "shell=True" not in source
    assert "os.system" not in source
