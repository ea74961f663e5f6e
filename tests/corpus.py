"""Recorded streams of ``../shared/corpus`` and what the official SDKs make of them.

Nothing of the corpus is in this repository; tests that replay it are skipped where it is absent.
`differences` is the judge: it holds what a stream gave against the record's ``best`` reading.
"""

from __future__ import annotations

import csv
import json
import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from engine import events
from engine.answering.accumulate import Accumulator
from engine.answering.response_reader import ResponseReader
from engine.errors import EngineError, ProtocolError, TruncatedError
from engine.messages import Message, PartialToolCall, Usage
from engine.providers.contract import Dialect
from engine.wire.headers import Head

_HERE = Path(__file__).resolve().parent
CORPUS = Path(os.environ.get("ENGINE_CORPUS") or _HERE.parent.parent / "shared" / "corpus")

# Name in MANIFEST.tsv → dialect. The rest of the corpus is no answer of a model in a format the
# engine speaks, see OUT_OF_SCOPE.
DIALECTS = {
    "openai-chat": "chat",
    "openai-responses": "responses",
    "openai-completions": "completions",
    "anthropic": "messages",
    "gemini": "gemini",
    "gemini-array": "gemini-array",
    "gemini-interactions": "interactions",
    "ollama": "ollama",
    "cohere-v2": "cohere",
}
OUT_OF_SCOPE = {
    "aws-eventstream": "Bedrock's binary framing with SigV4 signatures: no dialect asked for",
    "dashscope": "DashScope's native API; the vendor also serves chat",
    "openai-other": "Assistants runs and audio transcriptions: no chat answers",
}

_CONTENT_TYPES = {"ollama": "application/x-ndjson", "gemini-array": "application/json"}


@dataclass(frozen=True)
class Recording:
    """One row of MANIFEST.tsv."""

    file: str
    wire: str
    request_uri: str

    def __str__(self) -> str:
        return self.file

    @property
    def dialect(self) -> str | None:
        if self.wire == "ollama" and b'"response":' in self.body:
            return "ollama-generate"
        return DIALECTS.get(self.wire)

    @cached_property
    def body(self) -> bytes:
        return (CORPUS / self.file).read_bytes()

    @property
    def content_type(self) -> str:
        head = CORPUS / "headers" / Path(self.file).with_suffix(".txt")
        for line in head.read_text("latin-1").splitlines() if head.exists() else ():
            name, _, value = line.partition(":")
            if name.lower() == "content-type":
                return value.strip()
        return _CONTENT_TYPES.get(self.wire, "text/event-stream")

    @property
    def cuts(self) -> list[int] | None:
        """Lengths of the reads as recorded."""
        path = CORPUS / "chunks" / Path(self.file).with_suffix(".json")
        return json.loads(path.read_text()) if path.exists() else None

    @cached_property
    def readings(self) -> list[dict[str, Any]]:
        """The reading to believe; two where the corpus says that either may be meant."""
        path = CORPUS / "expected" / Path(self.file).with_suffix(".json")
        if not path.exists():
            return [PLAIN_READINGS[self.wire](self.body)]
        sdk = json.loads(path.read_text())
        concat = {**sdk["concat"], "choices": ()}
        sdk["error"] = concat["error"] or sdk.get("stream_error")
        if self.wire == "openai-chat":  # no SDK reads what only reasoning_details has
            details = _reasoning_details(self.body)
            for reading in (sdk, concat):
                reading["reasoning"] = reading.get("reasoning") or details
        return {"sdk": [sdk], "concat": [concat]}.get(sdk["best"], [sdk, concat])

    @property
    def fails(self) -> bool:
        """Whether the stream reports an error of its own."""
        return bool(self.readings[0]["error"])


def recordings() -> list[Recording]:
    """All rows; empty where the corpus is absent."""
    manifest = CORPUS / "MANIFEST.tsv"
    if not manifest.exists():
        return []
    with manifest.open(encoding="utf-8", newline="") as rows:
        return [
            Recording(row["file"], row["wire"], row["request_uri"])
            for row in csv.DictReader(rows, delimiter="\t")
        ]


# -- ways to cut -------------------------------------------------------------------------------


def pieces(body: bytes, cuts: list[int]) -> Iterator[bytes]:
    """`body` in reads of these lengths; what is left over comes last."""
    position = 0
    for length in cuts:
        yield body[position : position + length]
        position += length
    if position < len(body):
        yield body[position:]


def random_pieces(body: bytes, seed: int) -> list[bytes]:
    """`body` cut at a few or many places, decided by `seed`."""
    rng = random.Random(seed)
    count = min(rng.choice((1, 2, 5, 30, 200)), max(len(body) - 1, 0))
    cuts = sorted(rng.sample(range(1, len(body)), count)) if count else []
    return [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]


# -- what a stream gave ------------------------------------------------------------------------


@dataclass
class Given:
    """What came of a stream, from a `Completion` or from the parser alone."""

    status: str
    messages: list[Message]
    finish: str | None = None
    usage: Usage | None = None
    error: EngineError | None = None
    events: list[events.Event] = field(default_factory=list)


def replay(recording: Recording, dialect: Dialect, parts: Iterable[bytes]) -> Given:
    """What `dialect` makes of the response body `parts`, without a socket."""
    answer = ResponseReader(dialect, "provider", None, True)
    answer.head(Head(200, {"content-type": recording.content_type}, True))
    seen: list[events.Event] = []
    error: EngineError | None = None
    try:
        for part in parts:
            seen += answer.feed(part)
            if answer.complete or (seen and isinstance(seen[-1], events.StreamError)):
                break
    except ProtocolError as failure:
        error = failure
    if seen and isinstance(seen[-1], events.StreamError):
        error = seen.pop().error
    elif error is None:
        seen += answer.end(None)
        error = answer.failure
    accumulator = Accumulator()
    accumulator.extend(seen)
    messages = [accumulator.message(None, n) for n in range(accumulator.choices())]
    given = Given("complete", messages, usage=accumulator.usage, error=error, events=seen)
    if error is not None:
        given.status = "truncated" if isinstance(error, TruncatedError) else "error"
    else:
        done = seen[-1]
        assert isinstance(done, events.Done)
        given.finish, given.usage = done.finish_reason_raw, done.usage or given.usage
    return given


# -- the judge ---------------------------------------------------------------------------------


def differences(recording: Recording, given: Given) -> list[str]:
    """What differs from the reading to believe, one line each; empty: exact. Where two readings
    may be meant, each fact must be that of one of them."""
    first, *others = (_differences(recording, given, reading) for reading in recording.readings)
    return [line for name, line in first.items() if all(name in other for other in others)]


def _differences(recording: Recording, given: Given, wanted: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}

    def check(name: str, have: object, want: object) -> None:
        if have != want:
            found[name] = f"{name}: {str(have)[:300]!r} instead of {str(want)[:300]!r}"

    message = given.messages[0]
    check("status", given.status, "error" if wanted["error"] else "complete")
    for name in ("id", "model"):
        # A proxy's second try is another message.
        if wanted.get(name) and recording.body.count(b'"message_start"') < 3:
            check(name, getattr(message, name), wanted[name])
    check("text", message.text, wanted.get("text") or "")
    check("reasoning", message.thinking, _reasoning(wanted.get("reasoning")))
    refusal = wanted.get("refusal")
    if refusal is not True:  # Anthropic's says only that there was one
        check("refusal", message.refusal or "", refusal or "")
    check("tool calls", _calls(message, wanted), _wanted_calls(wanted))
    for number, choice in enumerate(wanted.get("choices") or ()):
        if 0 < number < len(given.messages):
            check(f"text of {number}", given.messages[number].text, choice.get("text") or "")
    # A blocked prompt has no finish reason; to give the reason of the block instead is right too.
    if not wanted["error"] and not wanted.get("prompt_feedback"):
        check("finish", given.finish, _finish(recording, wanted))
    for name, number in _usage(recording.wire, wanted.get("usage") or {}).items():
        check(name, getattr(given.usage, name, None), number)
    return found


def _finish(recording: Recording, wanted: dict[str, Any]) -> str | None:
    finish: str | None = wanted.get("finish_reason")
    if recording.wire == "openai-responses" and finish == "incomplete":
        # The provider's own word for why is in incomplete_details.
        finish = (wanted.get("incomplete_details") or {}).get("reason", finish)
    return finish


def _reasoning(value: Any) -> str:
    """Vendors name it differently, and some send it under two names at once."""
    if not isinstance(value, dict):
        return value or ""
    if "summary" in value:
        return str(value["content"] + value["summary"])
    names = ("reasoning_content", "reasoning", "thinking", "content[].thinking", "reasoning_text")
    return next((value[name] for name in names if value.get(name)), "")


def _reasoning_details(body: bytes) -> str:
    lines = [line[5:] for line in body.splitlines() if line.startswith(b"data: {")]
    choices = [choice for line in lines for choice in json.loads(line).get("choices") or ()]
    details = [d for c in choices for d in (c.get("delta") or {}).get("reasoning_details") or ()]
    return "".join(detail.get("text") or detail.get("summary") or "" for detail in details)


def _canonical(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments) if arguments else {}
    except ValueError:
        return arguments


def _wanted_calls(wanted: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Those that must be handed over, and those that must not, since their arguments are no JSON
    (or none at all where the answer was cut off), whatever an SDK does."""
    whole: list[Any] = []
    partial: list[Any] = []
    cut = wanted.get("finish_reason") in ("length", "max_tokens")
    for call in wanted.get("tool_calls") or ():
        if (call.get("id") or "").startswith("xs_call"):
            continue  # xAI ran it, and its answer followed
        arguments = _canonical(call.get("arguments"))
        bad = isinstance(arguments, str) or (cut and not call.get("arguments"))
        row = (call.get("id"), call.get("name"), arguments)
        (partial if bad else whole).append(row)
    return whole, partial


def _calls(message: Message, wanted: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    whole = [(call.id, call.name, _canonical(call.arguments)) for call in message.tool_calls]
    parts = [part for part in message.parts if isinstance(part, PartialToolCall)]
    partial = [(part.id, part.name, _canonical(part.arguments)) for part in parts]
    # Where the provider gives no id, ours is made up.
    ids = [row[0] for row in _wanted_calls(wanted)[0]]
    if len(ids) == len(whole):
        whole = [(id and row[0], *row[1:]) for id, row in zip(ids, whole, strict=True)]
    # An SDK that lost a call it had begun says nothing of it.
    return whole, partial if _wanted_calls(wanted)[1] else []


def _usage(wire: str, given: dict[str, Any]) -> dict[str, int]:
    """The provider's numbers in the terms of `engine.messages.Usage`."""
    rows = _USAGE[wire]
    passes = given.get("iterations")
    if passes:  # Anthropic bills each pass; the top level is the last one alone
        names = {name for one in passes for name in one if isinstance(one[name], int)}
        given = {name: sum(one.get(name) or 0 for one in passes) for name in names}
    usage: dict[str, int] = {}
    for name, paths in rows.items():
        numbers = [number for path in paths if (number := _dig(given, path)) is not None]
        if numbers:
            usage[name] = sum(numbers)
    return usage


def _dig(data: Any, path: str) -> int | None:
    for name in path.split("."):
        if not isinstance(data, dict):
            return None
        camel = name.split("_")[0] + "".join(word.title() for word in name.split("_")[1:])
        data = data.get(name, data.get(camel))
    return data if isinstance(data, int) else None


_CHAT_USAGE = {
    "input_tokens": ["prompt_tokens"],
    "output_tokens": ["completion_tokens"],
    "total_tokens": ["total_tokens"],
    "cached_tokens": ["prompt_tokens_details.cached_tokens"],
    "reasoning_tokens": ["completion_tokens_details.reasoning_tokens"],
}
_USAGE: dict[str, dict[str, list[str]]] = {
    "gemini-interactions": {
        "input_tokens": ["total_input_tokens", "total_tool_use_tokens"],
        "output_tokens": ["total_output_tokens", "total_thought_tokens"],
        "total_tokens": ["total_tokens"],
        "cached_tokens": ["total_cached_tokens"],
        "reasoning_tokens": ["total_thought_tokens"],
    },
    "openai-chat": _CHAT_USAGE,
    "openai-completions": _CHAT_USAGE,
    "openai-responses": {
        "input_tokens": ["input_tokens"],
        "output_tokens": ["output_tokens"],
        "total_tokens": ["total_tokens"],
        "cached_tokens": ["input_tokens_details.cached_tokens"],
        "reasoning_tokens": ["output_tokens_details.reasoning_tokens"],
    },
    "anthropic": {  # input_tokens leaves out what a cache was read for or written with
        "input_tokens": [
            "input_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
        ],
        "output_tokens": ["output_tokens"],
        "cached_tokens": ["cache_read_input_tokens"],
        "cache_write_tokens": ["cache_creation_input_tokens"],
    },
    "gemini": {  # candidates leave out the thoughts
        "input_tokens": ["prompt_token_count", "tool_use_prompt_token_count"],
        "output_tokens": ["candidates_token_count", "thoughts_token_count"],
        "total_tokens": ["total_token_count"],
        "cached_tokens": ["cached_content_token_count"],
        "reasoning_tokens": ["thoughts_token_count"],
    },
    "ollama": {
        "input_tokens": ["prompt_eval_count"],
        "output_tokens": ["eval_count"],
    },
}
_USAGE["cohere-v2"] = {
    "input_tokens": ["tokens.input_tokens"],
    "output_tokens": ["tokens.output_tokens"],
    "cached_tokens": ["cached_tokens"],
}
_USAGE["gemini-array"] = _USAGE["gemini"]


# -- readings of our own, where the corpus has none --------------------------------------------


def _completions(body: bytes) -> dict[str, Any]:
    """A plain concatenation of a legacy completions stream."""
    lines = [line[6:] for line in body.decode().splitlines() if line.startswith("data: ")]
    chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    finishes = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
    usages = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    return {
        "text": "".join(choice["text"] for choice in choices),
        "finish_reason": finishes[-1] if finishes else None,
        "usage": usages[-1] if usages else None,
        "error": None,
    }


def _gemini_array(body: bytes) -> dict[str, Any]:
    """A plain concatenation of Gemini's chunks, which come as one array."""
    chunks = json.loads(body)
    candidates = [candidate for chunk in chunks for candidate in chunk.get("candidates", ())]
    parts = [part for c in candidates for part in c.get("content", {}).get("parts", ())]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    # Asked with enum-encoding=int, Gemini sends numbers for words.
    words = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY"}
    finishes = [words.get(f, f) for c in candidates if (f := c.get("finishReason"))]
    return {
        "text": "".join(part.get("text", "") for part in parts if not part.get("thought")),
        "reasoning": "".join(part.get("text", "") for part in parts if part.get("thought")),
        "tool_calls": [
            {"id": call.get("id"), "name": call["name"], "arguments": call.get("args", {})}
            for call in calls
        ],
        "finish_reason": finishes[-1] if finishes else None,
        "usage": chunks[-1].get("usageMetadata"),
        "error": None,
    }


def _cohere(body: bytes) -> dict[str, Any]:
    """A plain concatenation of Cohere's events; the plan before tool calls is reasoning."""
    lines = [line[6:] for line in body.decode().splitlines() if line.startswith("data: ")]
    chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    texts: dict[str, list[str]] = {"text": [], "thinking": []}
    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        message = chunk.get("delta", {}).get("message", {})
        if chunk["type"] == "content-delta":
            for kind, text in message["content"].items():
                texts[kind].append(text)
        elif chunk["type"] == "tool-plan-delta":
            texts["thinking"].append(message["tool_plan"])
        elif chunk["type"] in ("tool-call-start", "tool-call-delta"):
            call = message["tool_calls"]
            row = calls.setdefault(chunk["index"], {"arguments": ""})
            row.setdefault("id", call.get("id"))
            row.setdefault("name", call["function"].get("name"))
            row["arguments"] += call["function"].get("arguments", "")
    end = next(chunk["delta"] for chunk in chunks if chunk["type"] == "message-end")
    return {
        "text": "".join(texts["text"]),
        "reasoning": "".join(texts["thinking"]),
        "tool_calls": list(calls.values()),
        "finish_reason": end["finish_reason"],
        "usage": end.get("usage"),
        "error": None,
    }


def _interactions(body: bytes) -> dict[str, Any]:
    """A plain concatenation of the steps of an interaction."""
    lines = [line[6:] for line in body.decode().splitlines() if line.startswith("data: {")]
    chunks = [json.loads(line) for line in lines]
    deltas = [chunk["delta"] for chunk in chunks if chunk["event_type"] == "step.delta"]
    last = chunks[-1]["interaction"]
    return {
        "text": "".join(d["text"] for d in deltas if d["type"] == "text"),
        "finish_reason": last["status"],
        "usage": last["usage"],
        "error": None,
    }


PLAIN_READINGS = {
    "gemini-interactions": _interactions,
    "openai-completions": _completions,
    "gemini-array": _gemini_array,
    "cohere-v2": _cohere,
}
