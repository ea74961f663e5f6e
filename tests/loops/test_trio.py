"""A `Multi` in trio: it outlives mistakes, and trio outlives it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

import engine
import engine.loops.trio
from tests.loops.test_host import broken
from tests.server import HEALTHY, chat, serve

TEXT = "".join(HEALTHY)


@pytest.fixture
def client(multi: engine.Multi) -> Iterator[engine.Client]:
    with serve(lambda peer: peer.stream(chat(*HEALTHY))) as server:
        yield engine.Client(multi, base_url=server.url)


def test_what_on_done_raises_does_not_end_trio(
    client: engine.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        attachment = engine.loops.trio.attach(client.multi)
        client.stream("m", "hi", on_done=broken)
        stream = client.stream("m", "hi")
        with trio.fail_after(30):
            while stream.completion is None or len(client.multi):
                await trio.sleep(0.001)
        attachment.close()

    trio.run(main)
    assert "a mistake of mine" in capfd.readouterr().err


def test_a_trio_that_ended_is_over_and_another_may_come(client: engine.Client) -> None:
    async def main() -> str:
        engine.loops.trio.attach(client.multi)
        stream = client.stream("m", "hi")
        with trio.fail_after(30):
            while stream.completion is None:
                await trio.sleep(0.001)
        return stream.text

    assert [trio.run(main) for _ in range(2)] == [TEXT] * 2
