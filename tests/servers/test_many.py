"""Two hundred streams at once, of five providers, on one `Multi`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import engine
import engine.emulator
from tests.servers.answers import ROWS
from tests.servers.providers import PROVIDERS

FEW = len(ROWS) // 20  # at once: on a busy machine many end before the last begins


def stream_all(
    url: str, multi: engine.Multi, model: str, prompt: Callable[[int], str]
) -> tuple[list[engine.Completion], int]:
    """The completions of as many streams as there are `ROWS`, the providers taking turns, and how
    many of them had begun when the first ended."""
    for _ in range(3):  # a machine that stands still after the first few has these end alone
        completions, begun = stream_once(url, multi, model, prompt)
        assert_exact(completions)
        if begun > FEW:
            break
    return completions, begun


def stream_once(
    url: str, multi: engine.Multi, model: str, prompt: Callable[[int], str]
) -> tuple[list[engine.Completion], int]:
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
    _, begun = stream_all(mock, multi, "any-model", of_aimock)
    assert begun > FEW


@pytest.mark.slow
def test_two_hundred_streams_of_five_providers_from_the_emulator(multi: engine.Multi) -> None:
    with engine.emulator.start(tps=30) as emulator:
        _, begun = stream_all(emulator.url, multi, "demo", of_emulator)
    assert begun > FEW
