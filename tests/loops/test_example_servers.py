"""The servers of `examples/hosts`: what a browser sees, and what its leaving does."""

from __future__ import annotations

import asyncio
import http.client
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.loops.browser import browser
from tests.loops.examples import (
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


def test_tornado_streams_and_whoever_leaves_ends_the_upstream() -> None:
    with serving("tornado_handler.py") as (example, port):
        with answered(port, "/?question=short") as response:
            assert response.read().decode() == "".join(WORDS)
        with answered(port, "/?question=endless") as response:
            words_of(response.read(200).decode())
        example.wait_for_leavers(1)
        example.process.send_signal(signal.SIGINT)
        example.ended()
