"""Batches: a file of prompts in, a file of answers out, nothing lost.

    from engine.batch import Options, run

    summary = run("in.jsonl", "out.jsonl", Options(model="openai/gpt-4o-mini"))

    for answer in answers("in.jsonl", "out.jsonl", Options(model="openai/gpt-4o-mini")):
        print(answer.custom_id, answer.text)

The output is the journal: run the same again after any end, and what is missing is asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import msgspec

from engine.batch.answer import Answer
from engine.batch.answering import answers
from engine.batch.keeping.mirror import mirrored
from engine.batch.options import Options
from engine.batch.pacing.prices import LongPrice, Price, load_prices
from engine.batch.reading.kinds import Format
from engine.batch.runner import Batch, OnAnswer
from engine.batch.showing.summary import Progress, Summary
from engine.transport.multi import Multi

__all__ = [
    "Answer",
    "Batch",
    "LongPrice",
    "Options",
    "Price",
    "Progress",
    "Summary",
    "answers",
    "load_prices",
    "run",
]


def run(
    input: str | os.PathLike[str] | Iterable[Any],
    output: str | os.PathLike[str],
    options: Options | None = None,
    *,
    format: Format | None = None,
    on_answer: OnAnswer | None = None,
) -> Summary:
    """Run a batch to its end; blocks, also inside a running loop. The arguments are those of
    `Batch`.

    Raises:
        ConfigError, ResourceError: it could not be begun. How it ended once begun is in the
            summary.
    """
    options = options or Options()
    with Multi() as multi, mirrored(output, options.errors) as files:
        options = msgspec.structs.replace(options, errors=files.errors)
        batch = Batch(multi, input, files.output, options, format=format, on_answer=on_answer)
        batch.start()
        multi.run()
    assert batch.summary is not None
    return batch.summary
