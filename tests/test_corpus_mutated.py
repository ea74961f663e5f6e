"""Recorded streams, mutated: whatever a server sends, no answer is taken for whole that is not.

Skipped where ``../shared/corpus`` is absent. ``ENGINE_MUTATIONS`` (a number) sets how many are
tried; the full count of a release is 200000.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.events import Done, StreamError, ToolCallDone
from engine.messages import FinishReason
from engine.providers import dialect
from tests.corpus import CORPUS, DIALECTS, Given, Recording, recordings, replay

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")

_MUTATIONS = int(os.environ.get("ENGINE_MUTATIONS", "10000"))
_SHORT = [r for r in recordings() if r.wire in DIALECTS and len(r.body) < 30_000]

# What a field of another type may hold.
_ODD: list[Any] = [None, 0, -1, 1.5, True, "", "x", "0", [], {}, [None], {"x": 1}, [[]], "\ud83d"]


def units(recording: Recording) -> tuple[list[bytes], bytes]:
    """The events of a stream, and what ends each."""
    body = recording.body.replace(b"\r\n", b"\n")
    if recording.wire == "gemini-array":
        return [json.dumps(chunk).encode() for chunk in json.loads(body)], b","
    end = b"\n" if recording.wire == "ollama" else b"\n\n"
    return [unit for unit in body.split(end) if unit.strip()], end


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all that is in `value`."""
    if not isinstance(value, dict | list):
        return []
    found = []
    for key, below in value.items() if isinstance(value, dict) else enumerate(value):
        found += [(*path, key), *places(below, (*path, key))]
    return found


def _in_json(unit: bytes, rng: random.Random, change: Callable[[Any, Any], None]) -> bytes:
    head, found, data = unit.rpartition(b"data: ")
    try:
        value = json.loads(data)
    except ValueError:
        return unit
    paths = places(value)
    if not paths:
        return unit
    path = rng.choice(paths)
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    change(holder, path[-1])
    return head + found + json.dumps(value).encode()


def mutated(recording: Recording, rng: random.Random) -> bytes:
    parts, end = units(recording)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        if not parts:
            break
        place = rng.randrange(len(parts))
        unit = parts[place]

        def drop(holder: Any, key: Any) -> None:
            del holder[key]

        def odd(holder: Any, key: Any) -> None:
            holder[key] = rng.choice(_ODD)

        match rng.randrange(8):
            case 0 | 1:
                parts[place] = _in_json(unit, rng, drop)
            case 2 | 3:
                parts[place] = _in_json(unit, rng, odd)
            case 4:
                parts.insert(rng.randrange(len(parts) + 1), unit)
            case 5:
                del parts[place]
            case 6:
                parts[place] = unit[: rng.randrange(len(unit) + 1)]
            case 7:
                parts.insert(rng.randrange(len(parts)), parts.pop(place))
    if recording.wire == "gemini-array":
        return b"[" + end.join(parts) + b"]"
    body = end.join(parts) + rng.choice((end, b"", end))
    return body[: rng.randrange(len(body) + 1)] if rng.random() < 0.2 else body


def marker_came(recording: Recording, body: bytes, given: Given) -> bool:
    """Whether the bytes hold what the format ends with, by a reading of their own."""
    text = body.replace(b" ", b"")
    match recording.wire:
        case "openai-chat" | "openai-completions":
            return b"[DONE]" in text or b'"finish_reason":' in text or given.finish is None
        case "openai-responses":
            return (
                b'"response.completed"' in text
                or b'"response.incomplete"' in text
                or (b"event:response.completed" in text or b"event:response.incomplete" in text)
            )
        case "anthropic":
            return b"message_stop" in text
        case "cohere-v2":
            return b"message-end" in text
        case "ollama":
            return b'"done":' in text or b'"done_reason":' in text
        case "gemini-interactions":
            ending = re.search(rb'"status":"(?!in_progress")', text)
            return b"interaction.completed" in text or ending is not None
    return b'"finishReason":' in text or b'"blockReason":' in text


# Formats that say of each call that it is over.
_MARKED = frozenset(
    {"openai-responses", "anthropic", "cohere-v2", "gemini", "gemini-array", "ollama"}
)
_NORMAL = (FinishReason.STOP, FinishReason.TOOL_USE, FinishReason.ERROR)


def check(recording: Recording, body: bytes) -> None:
    given = replay(recording, dialect(recording.dialect or ""), [body])
    assert given.error is None or isinstance(given.error, EngineError)
    if given.status == "complete":
        assert marker_came(recording, body, given)
    ends = [event for event in given.events if isinstance(event, Done | StreamError)]
    assert len(ends) <= 1
    assert not ends or given.events[-1] is ends[0]
    done = ends[0] if ends and isinstance(ends[0], Done) else None
    for event in given.events:
        if not isinstance(event, ToolCallDone):
            continue
        call = event.call
        assert call.name
        value = msgspec.json.decode(call.arguments)
        assert isinstance(value, str) if call.custom else isinstance(value, dict) or value is None
        if value in ({}, None) or recording.wire not in _MARKED:
            assert done is not None, "before the end"
            if event.choice == 0:
                assert done.finish_reason in _NORMAL or done.finish_reason_raw is None
    ids = [e.call.id for e in given.events if isinstance(e, ToolCallDone) and e.choice == 0]
    if b'"message_start"' not in body:  # a second one begins anew
        assert len(ids) == len(set(ids))


def try_one(seed: int) -> None:
    rng = random.Random(seed)
    recording = rng.choice(_SHORT)
    body = mutated(recording, rng)
    try:
        check(recording, body)
    except Exception as error:
        error.add_note(f"{recording.file} seed {seed}")
        raise


@pytest.mark.slow
@settings(
    max_examples=_MUTATIONS,
    deadline=None,
    derandomize=_MUTATIONS <= 10_000,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.integers(0, 2**48))
def test_no_mutation_is_taken_for_what_it_is_not(seed: int) -> None:
    try_one(seed)


@pytest.mark.parametrize("hundred", range(2))
def test_a_few_mutations_are_taken_for_what_they_are(hundred: int) -> None:
    for seed in range(hundred * 100, hundred * 100 + 100):
        try_one(seed)
