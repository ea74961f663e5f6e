"""A stream that a provider sent, from the folder of recordings where there is one."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

from benchmarks.streams import WireStream

__all__ = ["recording"]

_ROOT = Path(__file__).resolve().parent.parent
# Clients here count the text of an answer and nothing else.
_NOT_TEXT = ("reasoning", "think", "tool", "error", "list")


def recording() -> WireStream | None:
    """The longest recorded Chat Completions stream of text alone; None: there is none here."""
    folder = Path(os.environ.get("ENGINE_CORPUS") or _ROOT.parent / "shared" / "corpus")
    manifest = folder / "MANIFEST.tsv"
    if not manifest.is_file():
        return None
    with manifest.open(newline="") as lines:
        found = [
            row
            for row in csv.DictReader(lines, delimiter="\t")
            if row["wire"] == "openai-chat"
            and row["provenance"] == "recorded"
            and not any(word in row["features"] for word in _NOT_TEXT)
        ]
    if not found:
        return None
    longest = max(found, key=lambda row: int(row["n_events"]))
    return _as_stream((folder / longest["file"]).read_bytes())


def _as_stream(body: bytes) -> WireStream:
    events = tuple(part + b"\n\n" for part in body.split(b"\n\n") if part)
    text = "".join(map(_text_of, events))
    return WireStream("text/event-stream", b"", events, b"", text)


def _text_of(event: bytes) -> str:
    data = event.removeprefix(b"data: ").strip()
    choices = [] if data == b"[DONE]" else json.loads(data)["choices"]
    return (choices[0]["delta"].get("content") or "") if choices else ""
