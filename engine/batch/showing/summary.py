"""What a batch came to."""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.errors import ConfigError, EngineError

__all__ = ["Progress", "Stopped", "Summary"]

Stopped = Literal["budget", "interrupted", "error"]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a batch is.

    Attributes:
        rows: of the input that belong to this run; 0 while it is being read.
        done, failed: of them, those that are settled, by earlier runs too.
        begun: `done` and `failed` together at the beginning of this run.
        in_flight: requests under way.
        limit: requests that may be.
        waiting: rows to be asked again.
        requests, refused: requests that ended in this run, and those of them answered by 429.
        unanswered: requests of this run that were sent and brought no whole answer, be it that
            they were given up, or the run was interrupted: they may have been billed.
        input_tokens, output_tokens: in this run.
        cost: USD, earlier runs included; 0.0 where no prices were given.
        held: seconds the gate stays closed; 0.0: it is open.
        ttft: seconds to the first token, median, or None where none was measured.
        seconds: since the start.
        errors: failures of this run by category.
        reasons: the words of the first of each.
        partial: answers of this run that are not whole, by their finish reason: ``LENGTH``,
            ``CONTENT_FILTER``. They are done, and may be empty.
    """

    rows: int = 0
    done: int = 0
    failed: int = 0
    begun: int = 0
    in_flight: int = 0
    limit: int = 0
    waiting: int = 0
    requests: int = 0
    refused: int = 0
    unanswered: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    held: float = 0.0
    ttft: float | None = None
    seconds: float = 0.0
    errors: dict[str, int] = {}
    reasons: dict[str, str] = {}
    partial: dict[str, int] = {}

    @property
    def left(self) -> int:
        """Rows without an outcome."""
        return self.rows - self.done - self.failed

    @property
    def eta(self) -> float | None:
        """Seconds to the end at the pace so far, or None."""
        settled = self.done + self.failed - self.begun
        return self.left * self.seconds / settled if settled else None


class Summary(Progress, frozen=True, kw_only=True):
    """How a batch ended.

    Attributes:
        stopped: why before its end; None: every row has an outcome.
        reason: the same in a sentence, with what to do.
        error: for ``error``.
    """

    stopped: Stopped | None = None
    reason: str | None = None
    error: EngineError | None = None

    @property
    def exit_code(self) -> int:
        """0 all rows, 1 some failed, 2 usage, 3 could not run, 4 budget, 130 interrupted."""
        if self.stopped == "error":
            return 2 if isinstance(self.error, ConfigError) else 3
        if self.stopped is not None:
            return 4 if self.stopped == "budget" else 130
        return 1 if self.failed else 0
