"""Mutations of the corpus by chance, the same for the same seed: what CI runs."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.fuzz.targets import CORPUS, TARGETS

__all__ = ["inputs", "run", "seeds"]

_LONGEST = 4096
# What decides something in one of the formats.
_WORDS = (
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"data: ", b"event: ", b"id: ", b": ", b"[DONE]", b"error: "),
    *(b"{", b"}", b"[", b"]", b'"', b"\\u", b"\\ud800", b"null", b"true", b"1e999", b"-1", b"NaN"),
    *(b"\xef\xbb\xbf", b"\xff", b"\xe2\x80\xa8", b"\x1b[", b"\x1b]8;;", b"\x00", b",", b":"),
    *(b'"finish_reason":"stop"', b'"tool_calls"', b'"index":0', b'"type":', b"HTTP/1.1 200"),
)


def seeds(name: str) -> list[bytes]:
    """What the corpus has for the target `name`."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def inputs(name: str, seed: int) -> Iterator[bytes]:
    """The corpus, then mutations of it without end."""
    corpus, chance = seeds(name), random.Random(f"{name} {seed}")
    yield from corpus
    while True:
        data = bytearray(chance.choice(corpus))
        for _ in range(chance.choice((1, 1, 2, 3, 8))):
            _mutate(data, corpus, chance)
        yield bytes(data[:_LONGEST])


def _mutate(data: bytearray, corpus: list[bytes], chance: random.Random) -> None:
    start = chance.randrange(len(data) + 1)
    end = min(len(data), start + chance.choice((1, 2, 8, 64)))
    match chance.randrange(6):
        case 0:
            data[start:end] = b""
        case 1:
            data[start:start] = data[start:end] * chance.choice((1, 2, 5))
        case 2:
            data[start:start] = chance.choice(_WORDS)
        case 3:
            data[start:end] = chance.choice(_WORDS)
        case 4:
            data[start:end] = chance.randbytes(end - start)
        case _:
            other = chance.choice(corpus)
            place = chance.randrange(len(other) + 1)
            data[start:] = other[place : place + 512]


def run(name: str, runs: int, seed: int = 0) -> None:
    """`runs` inputs; the first that fails is raised with."""
    target = TARGETS[name]
    for data, _ in zip(inputs(name, seed), range(runs), strict=False):
        try:
            target(data)
        except Exception as error:
            raise AssertionError(f"{name} fails for {data!r}") from error
