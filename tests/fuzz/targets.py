"""What is fuzzed: a function of bytes each, which raises where something does not hold."""

from __future__ import annotations

import json
import os
import random
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.batch.keeping.journal import Journal
from engine.batch.keeping.records import read_entry
from engine.cli.neutral import neutralise, one_line
from engine.errors import ProtocolError
from engine.events import Done, Event, StreamError, TextDelta, ToolCallDone
from engine.providers import dialect
from engine.wire import NDJSONDecoder, SSEDecoder
from engine.wire.headers import (
    parse_duration,
    parse_head,
    parse_rate_limit,
    parse_retry_after,
    request_id,
)

__all__ = ["CORPUS", "DIALECTS", "TARGETS"]

CORPUS = Path(__file__).parent / "corpus"
LIMIT = 4096  # bytes an event may have: small, so that it is met
DIALECTS = (
    *("chat", "responses", "messages", "gemini", "gemini-array", "interactions"),
    *("ollama", "ollama-generate", "completions", "cohere"),
)


def _pieces(data: bytes) -> list[bytes]:
    """`data`, cut at places that it chooses itself."""
    chance = random.Random(len(data) * 31 + sum(data[:16]))
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(1, 6)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def _decoded(decoder: Any, pieces: list[bytes]) -> tuple[list[Any], bool]:
    """The records, and whether a limit was passed."""
    records: list[Any] = []
    try:
        for piece in pieces:
            records += decoder.feed(piece)
        records += decoder.finish()
    except ProtocolError:
        return records, True
    return records, False


def sse(data: bytes) -> None:
    whole, too_large = _decoded(SSEDecoder(LIMIT), [data])
    cut, cut_too_large = _decoded(SSEDecoder(LIMIT), _pieces(data))
    assert (whole, too_large) == (cut, cut_too_large)
    for record in whole:
        record.data.decode()
        assert len(record.data) <= 3 * LIMIT  # U+FFFD is three bytes


def ndjson(data: bytes) -> None:
    whole, too_large = _decoded(NDJSONDecoder(LIMIT), [data])
    cut, cut_too_large = _decoded(NDJSONDecoder(LIMIT), _pieces(data))
    assert (whole, too_large) == (cut, cut_too_large)
    lines = (line.strip(b" \t\r\xef\xbb\xbf") for line in data.split(b"\n"))
    printed = next(filter(None, lines), b"") == b"{"
    assert printed or all(b"\n" not in line for line in whole)


def _told(name: str, pieces: list[bytes]) -> tuple[list[Event], bool]:
    """The events of a stream in the format `name`, and whether its end marker came."""
    kind = dialect(name)
    decoder, parser = kind.decoder(), kind.parser()
    events: list[Event] = []
    try:
        for piece in pieces:
            events += parser.feed(decoder.feed(piece))
        events += parser.feed(decoder.finish())
    except ProtocolError:
        return events, False
    if not parser.complete and not (events and type(events[-1]) is StreamError):
        events += parser.finish()
    return events, parser.complete


def _gist(events: list[Event]) -> Any:
    texts = "".join(e.text for e in events if isinstance(e, TextDelta))
    calls = [(e.call.name, e.call.arguments) for e in events if isinstance(e, ToolCallDone)]
    ends = [e.finish_reason for e in events if isinstance(e, Done)]
    failures = [e.error.category for e in events if isinstance(e, StreamError)]
    return texts, calls, ends, failures


def _of_dialect(name: str) -> Callable[[bytes], None]:
    def fuzz(data: bytes) -> None:
        events, complete = _told(name, [data])
        for event in events:
            if isinstance(event, ToolCallDone) and not event.call.custom:
                json.loads(event.call.arguments)
        ends = [n for n, e in enumerate(events) if isinstance(e, Done | StreamError)]
        assert len(ends) <= 1, events
        assert not ends or isinstance(events[ends[0]], StreamError) or complete
        if sum(data) % 2:  # one of the two: each input costs half a millisecond
            cut, cut_complete = _told(name, _pieces(data))
            assert (_gist(events), complete) == (_gist(cut), cut_complete)
            return
        read = getattr(dialect(name).parser(), "read_whole", None) or dialect(name).parse_answer
        try:
            read(data)
        except ProtocolError:
            pass

    return fuzz


def heads(data: bytes) -> None:
    head = parse_head(data.splitlines(keepends=True))
    if head is not None:
        assert 100 <= head.status <= 999 or head.status >= 0
        assert all(name == name.lower() for name in head.headers)
        request_id(head.headers)
        parse_rate_limit(head.headers)
        wait = parse_retry_after(head.headers)
        assert wait is None or 0 <= wait < float("inf")


def retry_after(data: bytes) -> None:
    text = data.decode("latin-1")
    for name in ("retry-after", "retry-after-ms", "x-ratelimit-reset-requests"):
        wait = parse_retry_after({name: text})
        assert wait is None or 0 <= wait < float("inf"), wait
        parse_rate_limit({name: text})
    span = parse_duration(text)
    assert span is None or span == span


_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def terminal(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    shown = neutralise(text)
    for c in shown:
        assert c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"), repr(c)
        assert unicodedata.bidirectional(c) not in _DIRECTIONS, repr(c)
    cut = len(text) // 3
    assert neutralise(text[:cut]) + neutralise(text[cut:]) == shown
    assert "\n" not in one_line(text)


_folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)


def journal(data: bytes) -> None:
    """Any file is mended to whole lines, and what is appended then is a line of its own."""
    path = os.path.join(_folder.name, "out.jsonl")
    with open(path, "wb") as file:
        file.write(data)
    kept = Journal(path)
    try:
        kept.mend(lambda line: read_entry(line) is not None)
        before = [line for _, line in kept.lines()]
        kept.append(b'{"custom_id":"new"}\n')
        after = [line for _, line in kept.lines()]
    finally:
        kept.close()
        os.unlink(path)
    assert after[:-1] == before
    assert after[-1].strip() == b'{"custom_id":"new"}'
    for line in before:
        read_entry(line)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "sse": sse,
    "ndjson": ndjson,
    **{name: _of_dialect(name) for name in DIALECTS},
    "heads": heads,
    "retry_after": retry_after,
    "terminal": terminal,
    "journal": journal,
}
