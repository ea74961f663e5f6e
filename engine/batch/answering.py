"""Answers as they come, for a loop in a program that has no loop of its own."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from engine.batch.answer import Answer
from engine.batch.keeping.mirror import mirrored
from engine.batch.options import Options
from engine.batch.reading.kinds import Format
from engine.batch.runner import Batch
from engine.errors import ResourceError
from engine.transport.multi import Multi

__all__ = ["answers"]


def answers(
    input: str | os.PathLike[str] | Iterable[Any],
    output: str | os.PathLike[str] | None = None,
    options: Options | None = None,
    *,
    format: Format | None = None,
) -> Iterator[Answer]:
    """The outcome of every row, as it comes: answers and failures of earlier runs first.

    It is written before it is given, so a program that dies goes on where it was when it is run
    again with the same `output`. To leave the loop stops the batch. Requests go on only while the
    loop asks for the next answer.

    Args:
        input: as for `Batch`.
        options, format: the same; None: as there.
        output: as for `Batch`; None: a temporary file, and nothing to go on with.

    Raises:
        ConfigError, ResourceError: it could not be begun.
        EngineError: it stopped before its end, after the last answer there is.
    """
    if output is None:
        with tempfile.TemporaryDirectory() as folder:
            yield from _answers(input, os.path.join(folder, "out.jsonl"), options, format)
    else:
        yield from _answers(input, output, options, format)


def _answers(
    input: str | os.PathLike[str] | Iterable[Any],
    output: str | os.PathLike[str],
    options: Options | None,
    format: Format | None,
) -> Iterator[Answer]:
    found: deque[Answer] = deque()
    options = options or Options()
    with Multi() as multi, mirrored(output, options.errors) as files:
        options = msgspec.structs.replace(options, errors=files.errors)
        batch = Batch(
            multi, input, files.output, options, format=format, on_answer=found.append
        ).start()
        try:
            yield from batch.earlier(multi.poll)
            while batch.summary is None or found:
                while found:
                    yield found.popleft()
                if batch.summary is None:
                    multi.poll()
        finally:
            batch.cancel()
            multi.run()
    summary = batch.summary
    if summary is not None and summary.stopped is not None:
        reason = summary.reason or summary.stopped
        raise summary.error or ResourceError(reason, retryable=False)  # a cap
