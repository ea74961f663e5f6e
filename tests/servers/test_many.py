"""Two hundred streams at once, of five providers, on one `Multi`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import engine
import engine.emulator
from tests.servers.answers import ROWS
from tests.servers.providers import PROVIDERS


def stream_all(
    url: str, multi: engine.Multi, model: str, prompt: Callable[[int], str]
) -> tuple[list[engine.Completion], int]:
    """The completions of as many streams as there are `ROWS`, the providers taking turns, and how
    many of them had begun when the first ended."""
    begun: set[engine.Stream] = set()
    begun_at_an_end: list[int] = []
    clients = [provider.client(url, multi) for provider in PROVIDERS]
    started = [
        clients[row % len(clients)].stream(
            model,
            prompt(row),
            on_text=lambda _, stream: begun.add(stream),
            on_done=lambda *_: begun_at_an_end.append(len(begun)),
        )
        for row in range(len(ROWS))
    ]
    multi.run()
    completions = [stream.completion for stream in started if stream.completion is not None]
    return completions, begun_at_an_end[0]


def assert_exact(completions: list[engine.Completion]) -> None:
    assert {c.status for c in completions} == {"complete"}
    assert [c.text for c in completions] == ROWS


def of_aimock(row: int) -> str:
    return f"row-{row:03}"


def of_emulator(row: int) -> str:
    return f"[[script: [{json.dumps(ROWS[row])}]]]"


@pytest.mark.slow
def test_two_hundred_streams_of_five_providers_from_aimock(mock: str, multi: engine.Multi) -> None:
    completions, begun = stream_all(mock, multi, "any-model", of_aimock)
    assert_exact(completions)
    assert begun > len(ROWS) // 20  # at once: on a busy machine many end before the last begins


@pytest.mark.slow
def test_two_hundred_streams_of_five_providers_from_the_emulator(multi: engine.Multi) -> None:
    with engine.emulator.start(tps=30) as emulator:
        completions, begun = stream_all(emulator.url, multi, "demo", of_emulator)
    assert_exact(completions)
    assert begun > len(ROWS) // 20  # at once: on a busy machine many end before the last begins
