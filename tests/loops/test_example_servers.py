"""The servers and bots of `examples/hosts`: what who asks sees, and what his leaving does."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine import emulator
from tests.loops.browser import browser
from tests.loops.examples import (
    HOSTS,
    WORDS,
    Running,
    free_port,
    listening,
    provider,
    running,
    until,
    words_of,
)

pytestmark = pytest.mark.slow


@contextmanager
def serving(name: str) -> Iterator[tuple[Running, int]]:
    port = free_port()
    with provider() as server, running(name, server, str(port)) as example:
        until(lambda: listening(port), example)
        yield example, port


@contextmanager
def answered(port: int, path: str) -> Iterator[http.client.HTTPResponse]:
    """The answer to a GET; to leave the block hangs up."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", path)
        with connection.getresponse() as response:
            yield response


def test_the_relay_streams_to_a_page_whose_stop_ends_the_upstream(tmp_path: Path) -> None:
    async def look(example: Running, port: int) -> None:
        async with browser(f"http://127.0.0.1:{port}/", tmp_path) as page:
            await page.until("document.readyState == 'complete' && document.forms.length")
            await page.click("form button")
            await page.until("document.querySelector('#answer').textContent.length > 100")
            await page.click("#stop")
            await page.until("document.querySelector('#state').textContent == 'stopped'")
            example.wait_for_leavers(1)
            shown = await page.value("document.querySelector('#answer').textContent")
            assert len(words_of(shown)) > 10
            # Asked once more, and the tab is closed.
            await page.click("form button")
            await page.until("document.querySelector('#answer').textContent.length > 100")
            await page.call("Page.close")
            example.wait_for_leavers(2)

    with serving("asyncio_relay.py") as (example, port):
        asyncio.run(look(example, port))
        example.process.send_signal(signal.SIGINT)
        assert "Running on" in example.ended()


def test_the_relay_tells_the_end() -> None:
    with serving("asyncio_relay.py") as (_example, port):
        with answered(port, "/answer?question=short") as response:
            told = response.read().decode()
        assert told.count("event: message") == len(WORDS)
        assert told.endswith('event: end\ndata: "complete"\n\n')


@pytest.mark.parametrize("name", ["tornado_handler.py", "gevent_wsgi.py"])
def test_a_handler_streams_and_whoever_leaves_ends_the_upstream(name: str) -> None:
    with serving(name) as (example, port):
        with answered(port, "/?question=short") as response:
            assert response.read().decode() == "".join(WORDS)
        with answered(port, "/?question=endless") as response:
            words_of(response.read(200).decode())
        example.wait_for_leavers(1)
        example.process.send_signal(signal.SIGINT)
        example.ended()


def test_a_loop_over_selectors_serves_lines_and_whoever_hangs_up_ends_his_answer() -> None:
    with serving("selectors_loop.py") as (example, port):
        with socket.create_connection(("127.0.0.1", port)) as one:
            one.sendall(b"endless\n")
            assert one.recv(5) == b"more1"
            with socket.create_connection(("127.0.0.1", port)) as other:
                other.sendall(b"short\n")
                with other.makefile() as lines:
                    assert lines.read(len("".join(WORDS))) == "".join(WORDS)
        example.wait_for_leavers(1)
        example.process.send_signal(signal.SIGINT)
        example.ended()


def test_the_irc_bot_answers_who_says_its_name_and_every_ping() -> None:
    with provider() as server, socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with running("irc_bot.py", server, address, "#room") as example:
            peer, _ = listener.accept()
            with peer, peer.makefile("rw", newline="\r\n") as lines:
                assert [lines.readline().split()[0] for _ in range(3)] == ["NICK", "USER", "JOIN"]
                lines.write(":ann!~a@host PRIVMSG #room :enginebot: endless\n")
                lines.write(":bob!~b@host PRIVMSG #room :enginebot: short\n")
                lines.write(":bob!~b@host PRIVMSG #room :not for it\nPING :1\n")
                lines.flush()
                assert lines.readline() == "PONG :1\r\n"
                assert lines.readline().startswith("PRIVMSG #room :bob: word0 word1 ")
            example.wait_for_leavers(1)
            assert example.ended() == ""
        assert len(server.requests) == 2


def test_the_heartbeat_of_a_bot_never_slips() -> None:
    # The least of three: what else the machine does delays a heart, too.
    assert any(lateness() <= 50 for _ in range(3))


def lateness() -> int:
    """Milliseconds, while ten answers of some hundred tokens come at once."""
    port = str(free_port())
    with emulator.start(tps=100, tokens=100) as provider:
        done = subprocess.run(
            [sys.executable, str(HOSTS / "heartbeat_bot.py")],
            env={**os.environ, "ENGINE_EMULATOR_URL": provider.base_url, "GATEWAY_PORT": port},
            capture_output=True,
            text=True,
            timeout=30,
        )
    told = re.fullmatch(r"10 answered, (\d+) heartbeats, at most (\d+) ms late\n", done.stdout)
    assert told is not None, done
    assert int(told[1]) >= 10
    return int(told[2])


@pytest.mark.parametrize("name", ["trio_nursery.py", "timer_only.py", "irc_bot.py"])
def test_it_runs_alone_to_its_end(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(HOSTS / name)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) > 50


def test_a_nursery_leaves_what_takes_too_long() -> None:
    with provider() as server, running("trio_nursery.py", server) as example:
        said = example.ended()
        assert said.count("then no more time") == 3
        example.wait_for_leavers(3)


def test_the_notebook_writes_in_one_cell_while_the_next_ones_run() -> None:
    manager = pytest.importorskip("jupyter_client.manager")
    cells = json.loads((HOSTS / "notebook.ipynb").read_text())["cells"]
    said: list[Any] = []
    manager, kernel = manager.start_new_kernel()
    try:
        for cell in cells:
            if cell["cell_type"] == "code":
                said += executed(kernel, "".join(cell["source"]))
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)
    shown = [part["content"] for part in said if part["msg_type"].endswith("display_data")]
    names = list(dict.fromkeys(content["transient"]["display_id"] for content in shown))
    last = {content["transient"]["display_id"]: content["data"] for content in shown}
    assert len(names) == 4
    assert len(last[names[0]]["text/markdown"]) > 50
    printed = [part["content"]["text"] for part in said if part["msg_type"] == "stream"]
    assert printed[0].startswith("complete")
    assert printed[-1] == "True\n"


def executed(kernel: Any, source: str) -> list[Any]:
    """All that the kernel says, for whichever cell, until it has run this one."""
    number = kernel.execute(source)
    said = []
    while True:
        message = kernel.get_iopub_msg(timeout=30)
        said.append(message)
        ours = message["parent_header"].get("msg_id") == number
        assert message["msg_type"] != "error", message["content"]
        if ours and message["content"].get("execution_state") == "idle":
            return said
