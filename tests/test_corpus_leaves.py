"""No leaf of a recorded stream is lost: it is in an event, the message, the usage or the metadata.

Skipped where ``../shared/corpus`` is absent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from engine.answering.response_reader import ResponseReader
from engine.errors import EngineError
from engine.events import StreamError
from engine.providers import dialect
from engine.wire.headers import Head
from tests.cases import each_case
from tests.corpus import CORPUS, DIALECTS, Recording, recordings

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")

IN_SCOPE = [recording for recording in recordings() if recording.wire in DIALECTS]

# Paths whose values need not be found, with the reason. ``*`` stands for any number.
IGNORABLE = {
    r"obfuscation|p": "padding against guessing words by the length of packets",
    r"choices\.\*\.delta\.token_id": "the number of a token whose text is there",
    r"choices\.\*\.(text|message\..*)": "Together, Perplexity: the text once more",
    r"choices\.\*\.delta\.role|.*\.?role": "always the assistant",
    r"choices\.\*\.delta\.tool_calls\.\*\.(index|type)|choices\.\*\.index": "where it belongs",
    r"(choices\.\*\.)?seed": "Together repeats the request's",
    r"sequence_number|(output|content|summary|annotation|command)_index": "where it belongs",
    r"item_id|index|event_type|(delta\.|content_block\.|step\.)?type": "what it is about",
    r"(item|part|response\.output\.\*)\..*|(text|refusal|arguments|input|code|delta)": (
        "Responses tells the same thing piece by piece, whole, and in the whole answer"
    ),
    r"candidates\.\*\.(index|content\.role)": "where it belongs",
    r"id|created|model|created_at|responseId|modelVersion": (
        "each chunk repeats it; LiteLLM, Gemini and Ollama write it anew"
    ),
    r"error\..*": "told by the error, in its message, code or detail",
    r"delta\.partial_json": "the pieces make the input, which is there decoded",
    r"choices\.\*\.delta\.(content|tool_calls)\..*type|delta\.message\..*type": "the event's kind",
    r"status": "how far an interaction is; its end says it once more",
    r".*\.partialArgs\.\*\.jsonPath": "where a value belongs, in arguments that are there whole",
    r"candidates\.\*\.(groundingMetadata|urlContextMetadata|citationMetadata)\..*": (
        "comes whole each time, and grows"
    ),
}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of all that is no object and no list."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for below in value:
            yield from leaves(below, f"{path}.*")
    else:
        yield path, value


def objects(recording: Recording) -> list[Any]:
    body = recording.body.replace(b"\r\n", b"\n")
    if recording.wire == "gemini-array":
        return list(json.loads(body))
    if recording.wire == "ollama":
        return [json.loads(line) for line in body.split(b"\n") if line.strip()]
    data = [
        b"\n".join(line[5:] for line in block.split(b"\n") if line.startswith(b"data:"))
        for block in body.split(b"\n\n")
    ]
    return [json.loads(one) for one in data if one.strip()[:1] == b"{"]


def told(recording: Recording) -> tuple[set[Any], str]:
    """All values that came out, and all texts behind one another."""
    answer = ResponseReader(dialect(recording.dialect or ""), "provider", None, True)
    answer.head(Head(200, {"content-type": recording.content_type}, True))
    events = answer.feed(recording.body)
    events += [] if answer.complete else answer.end(None)
    errors = [event.error for event in events if isinstance(event, StreamError)]
    errors += [answer.failure] if isinstance(answer.failure, EngineError) else []
    shown = [msgspec.to_builtins(e) for e in events if not isinstance(e, StreamError)]
    values = {value for _, value in leaves([shown, answer.metadata])}
    words = "\n".join(str(value) for value in values) + "".join(f"{e} {e.detail}" for e in errors)
    joined = "".join(
        str(e.get("text") or e.get("arguments") or e.get("signature") or "") for e in shown
    )
    return values, words + joined


def lost(recording: Recording) -> dict[str, Any]:
    values, words = told(recording)
    found: dict[str, Any] = {}
    for one in objects(recording):
        for path, value in leaves(one):
            if value in (None, "", True, False) or any(
                re.fullmatch(pattern, path) for pattern in IGNORABLE
            ):
                continue
            if value in values or (isinstance(value, str) and value in words):
                found.pop(path, None)  # what was said before it is superseded
                continue
            if isinstance(value, str) and json.dumps(value)[1:-1] in words:
                continue
            if isinstance(value, int | float) and re.search(rf"\b{re.escape(str(value))}\b", words):
                continue
            found[path] = value
    return found


@each_case("recording", IN_SCOPE, ids=str)
def test_no_leaf_is_lost(recording: Recording) -> None:
    assert lost(recording) == {}
