"""Healthy streams beside one that is hurt: not a byte of theirs may be lost.

with play(beside(script)) as server, siblings(multi, server.url): …  # what is hurt
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from zlib import crc32

import engine
from tests.faults.server import CLOSE, Script, Step
from tests.server import OK_SSE, Request, chat_chunk

COUNT = 20
_PATH = "/sibling/"
_PIECES = 40


def words(name: str) -> list[str]:
    """The pieces of the answer of sibling `name`; each is unlike all others."""
    return [hashlib.sha256(f"{name}.{n}".encode()).hexdigest()[: 8 + n] for n in range(_PIECES)]


def _healthy(name: str) -> Iterator[Step]:
    yield OK_SSE
    for piece in words(name):
        event = chat_chunk(piece)
        yield b"%x\r\n%s\r\n" % (len(event), event)
        yield 0.002
    end = chat_chunk(finish="stop") + b"data: [DONE]\n\n"
    yield b"%x\r\n%s\r\n0\r\n\r\n" % (len(end), end)
    yield CLOSE


def beside(script: Script) -> Script:
    """`script`, and healthy answers for the requests of `siblings`."""

    def either(request: Request) -> Iterable[Step]:
        if request.path.startswith(_PATH):
            return _healthy(request.path.removeprefix(_PATH).partition("/")[0])
        return script(request)

    return either


@contextmanager
def siblings(multi: engine.Multi, url: str, count: int = COUNT) -> Iterator[None]:
    """`count` healthy streams on `multi` while the block runs; then they are driven to their end,
    and each must be complete and exact, told by one completion.

    Args:
        url: of a server that plays a script of `beside`.
    """
    told: dict[str, list[engine.Completion]] = {}
    heard: dict[str, list[str]] = {}
    for n in range(count):
        name = f"s{n}"
        told[name], heard[name] = [], []
        client = engine.Client(
            multi,
            dialect="chat",
            base_url=f"{url}{_PATH}{name}",
            api_key="key",
            retry=engine.Retry(max_attempts=1),
        )
        client.stream(
            "m",
            "hi",
            on_text=lambda delta, _, to=heard[name]: to.append(delta),
            on_done=lambda completion, _, to=told[name]: to.append(completion),
        )
    yield
    while not all(told.values()):
        multi.poll()
    for name, completions in told.items():
        (completion,) = completions
        assert completion.status == "complete", f"{name}: {completion.error}"
        wanted = "".join(words(name))
        assert crc32(completion.text.encode()) == crc32(wanted.encode())
        assert "".join(heard[name]) == wanted
