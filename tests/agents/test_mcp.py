"""Tools of MCP servers: three that nobody here wrote, and one for what those do not do."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.agents import FunctionAgent
from engine.agents.mcp import McpServer, _mapped
from engine.errors import ConfigError, NetworkError
from engine.messages import Image
from tests.agents.support import call, script
from tests.servers import npm

ODD = Path(__file__).with_name("mcp_server.py")
PATH = {"PATH": npm.ENVIRON["PATH"]}

# On a fresh machine the first that asks for them waits for npm.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def commands() -> Path:
    """The folder of the commands of the two servers from npm."""
    return npm.install(Path(npm.__file__).with_name("mcp_servers")) / ".bin"


def steps(client: engine.Client, server: McpServer, *turns: Any) -> list[Any]:
    """The results of the calls in `turns`."""
    result = FunctionAgent(client, "demo", server.tools).run(script(*turns, "Done."))
    assert result.error is None and result.answer == "Done.", result.error
    return [step for turn in result.trace for step in turn.tools]


def test_names_fit_and_stay_apart() -> None:
    names = ["a", "a.b", "a/b", "x" * 100, "é"]
    for prefix in ("", "odd server", "y" * 80):
        mapped = list(_mapped(names, prefix).values())
        assert len(set(mapped)) == len(names)
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in mapped)
    assert _mapped(["a"], "one") != _mapped(["a"], "two")


@pytest.mark.slow
def test_everything_over_stdio(client: engine.Client, commands: Path) -> None:
    command = [str(commands / "mcp-server-everything"), "stdio"]
    with McpServer(client, command, name="all", env=PATH) as server:
        assert "all_echo" in [tool.definition.name for tool in server.tools]
        echoed, refused, picture = steps(
            client,
            server,
            call("all_echo", message="hi"),
            call("all_echo"),
            call("all_get-tiny-image"),
        )
        assert echoed.content == "Echo: hi" and not echoed.is_error
        assert refused.is_error and "message" in refused.content
        assert "[image: image/png]" in picture.content
        result = FunctionAgent(client, "demo", server.tools).run(
            script(call("all_get-tiny-image"), "Done.")
        )
        parts = result.messages[2].parts[0].parts  # type: ignore[union-attr]
        assert any(isinstance(part, Image) for part in parts)


@pytest.mark.slow
def test_files_over_stdio(client: engine.Client, commands: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("Buy milk.")
    command = [str(commands / "mcp-server-filesystem"), str(tmp_path)]
    with McpServer(client, command, name="files", env=PATH) as server:
        read, outside = steps(
            client,
            server,
            call("files_read_text_file", path=str(tmp_path / "note.txt")),
            call("files_read_text_file", path="/etc/passwd"),
        )
    assert read.content == "Buy milk."
    assert outside.is_error and "denied" in outside.content.lower()


@pytest.fixture
def everything_over_http(commands: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [str(commands / "mcp-server-everything"), "streamableHttp"],
        env={"PORT": str(port), **PATH},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # PyPI's node is a script around node: both end together
    )
    output = server.stderr
    assert output is not None
    try:
        assert any("listening" in line for line in output), "it ended before it listened"
        reader = threading.Thread(target=output.read)  # a full pipe would halt it
        reader.start()
        try:
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            reader.join()
    finally:
        server.kill()
        server.wait()
        output.close()


@pytest.mark.slow
def test_the_time_by_a_server_from_pypi(client: engine.Client) -> None:
    command = [str(Path(sys.executable).with_name("mcp-server-time"))]
    with McpServer(client, command, name="time") as server:
        times = {"source_timezone": "Europe/Berlin", "target_timezone": "Asia/Tokyo"}
        converted, wrong = steps(
            client,
            server,
            call("time_convert_time", time="16:30", **times),
            call("time_convert_time", time="25:99", **times),
        )
    assert not converted.is_error
    told = json.loads(converted.content)
    assert "T16:30" in told["source"]["datetime"]
    assert "Tokyo" in told["target"]["timezone"]
    assert wrong.is_error


@pytest.mark.slow
def test_everything_over_http(client: engine.Client, everything_over_http: str) -> None:
    with McpServer(client, everything_over_http, name="all") as server:
        [echoed] = steps(client, server, call("all_echo", message="hi"))
    assert echoed.content == "Echo: hi"


@pytest.mark.slow
class TestOddServer:
    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        return tmp_path / "log"

    @pytest.fixture
    def server(self, client: engine.Client, log: Path) -> Iterator[McpServer]:
        with McpServer(client, [sys.executable, str(ODD), str(log)], timeout=5) as server:
            yield server

    def test_its_tools_have_names_that_fit(self, client: engine.Client, server: McpServer) -> None:
        assert server.name == "odd server"
        names = [tool.definition.name for tool in server.tools]
        assert names[0] == "odd_server_files_read_all" and len(set(names)) == len(names)
        first, second, failed, structured = steps(
            client,
            server,
            call(names[0]),
            call(names[1]),
            call("odd_server_fail"),
            call("odd_server_structured"),
        )
        assert (first.content, second.content) == ("files/read.all!", "files.read/all!")
        assert failed.is_error and failed.content == "Error: fail!"
        assert structured.content == '{"a":[1]}'

    def test_its_death_is_told_to_the_model(self, client: engine.Client, server: McpServer) -> None:
        died, after = steps(client, server, call("odd_server_die"), call("odd_server_fail"))
        assert died.is_error and "the MCP server odd server does not answer" in died.content
        assert after.is_error and "does not answer" in after.content

    def test_a_cancel_is_passed_on(
        self, client: engine.Client, server: McpServer, log: Path
    ) -> None:
        agent = FunctionAgent(client, "demo", server.tools)
        run = agent.run_stream(script(call("odd_server_hang"), "Done."))
        while '"hang"' not in log.read_text():
            client.multi.poll(0.01)
        run.cancel()
        assert run.result().status == "cancelled"
        steps(client, server, call("odd_server_structured"))
        assert "notifications/cancelled" in log.read_text()


@pytest.mark.slow
def test_a_server_that_cannot_be_reached_is_said(client: engine.Client) -> None:
    for server in (["/nonexistent/server"], ["true"], "http://127.0.0.1:9/mcp"):
        with pytest.raises(NetworkError, match="does not answer"):
            McpServer(client, server)
    for wrong in ("npx server", [], [3]):
        with pytest.raises(ConfigError):
            McpServer(client, wrong)  # type: ignore[arg-type]
