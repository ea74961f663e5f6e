"""A server in a process of its own that paces any number of streams, an event a write.

    with paced_server() as url: client = engine.Client(base_url=f"{url}/7/20/3")

The path says which stream it is, how many events it has and how many milliseconds lie between
them; `text_of` tells the text that must arrive.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.server import DONE, OK_SSE, chat_chunk

ROOT = Path(__file__).parents[2]


def word(stream: int, number: int) -> str:
    """The text of one event."""
    return f"{stream}.{number} "


def text_of(stream: int, events: int) -> str:
    """The text of a whole stream."""
    return "".join(word(stream, number) for number in range(events))


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = head.lower().partition("content-length:")[2].partition("\r\n")[0]
            await reader.readexactly(int(length))
            stream, events, pace = map(int, head.split("/")[1:4])
            writer.write(OK_SSE)
            for number in range(events):
                await asyncio.sleep(pace / 1000)
                _write_chunk(writer, chat_chunk(word(stream, number)))
            _write_chunk(writer, chat_chunk(finish="stop") + DONE)
            writer.write(b"0\r\n\r\n")
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass  # the client left
    finally:
        writer.close()


def _write_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=8192)
    print(server.sockets[0].getsockname()[1], flush=True)
    # Until the parent closes our standard input, or is gone.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextmanager
def paced_server() -> Iterator[str]:
    """The URL of a running server, without a slash at its end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.transport.paced"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what asyncio says of clients that left
        cwd=ROOT,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()


def raise_file_limit(wanted: int) -> bool:
    """Let this process have `wanted` descriptors, if it may."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return False
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return True


def take_all_descriptors(limit: int = 100) -> list[int]:
    """Every descriptor there is where this process may have `limit`; closing one gives it back."""
    import os
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    held = []
    while True:
        try:
            held.append(os.dup(0))
        except OSError:
            return held


if __name__ == "__main__":
    raise_file_limit(8192)
    asyncio.run(_serve())
