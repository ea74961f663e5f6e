"""What a run writes and counts: outcomes of rows, tokens and money."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from engine.batch.keeping.records import (
    Record,
    failure_record,
    invalid_record,
    success_record,
    usage_fields,
)
from engine.batch.lane import Item
from engine.batch.options import Options
from engine.batch.outcome import Outcome
from engine.batch.pacing.cost import Budget, Spent
from engine.batch.pacing.meter import Meter
from engine.batch.reading.manifest import Manifest
from engine.batch.reading.rows import BadRow, Row
from engine.errors import Category, EngineError, ResourceError

__all__ = ["Book", "Ledger"]


class Ledger(Protocol):
    """Where outcomes are written: a `Store`, or a list on another machine."""

    @property
    def manifest(self) -> Manifest:
        """What is asked."""

    @property
    def pending(self) -> int:
        """Lines that are not safe yet."""

    @property
    def failure(self) -> ResourceError | None:
        """Why nothing more can be written, or None."""

    def write(self, record: Record) -> None:
        """Write a line."""


class Book:
    """Has outcomes written, and counts them.

    Attributes:
        budget, meter: see there.
        on_record: called with each record that was written; None: nobody is.
        told: what the lines say was spent, those of earlier runs included: the rest of what the
            budget counts is carried over.
    """

    def __init__(self, options: Options, ledger: Ledger, now: float) -> None:
        self._options = options
        self.ledger = ledger
        self.budget: Budget = Budget(options.max_cost, options.max_tokens_total, options.prices)
        self.meter: Meter = Meter(now)
        self.on_record: Callable[[Record], object] | None = None
        self.told: Spent = Spent()

    def count(self, item: Item, outcome: Outcome) -> None:
        """Count what an attempt took, also where nobody tells."""
        demand = item.demand
        assert demand is not None
        row = id(item)
        if outcome.usage is not None:
            spent = self.budget.count(row, demand, outcome.usage)
        elif outcome.billed:
            spent = self.budget.guess(row, demand, outcome.text)
        else:
            self.budget.release(row)
            return
        item.spent.add(spent.cost, spent.tokens)

    def answered(self, item: Item, outcome: Outcome) -> None:
        """Write an answer."""
        assert outcome.body is not None
        name = self._options.text_field
        self._write(
            item,
            success_record(
                item.row,
                outcome.status or 200,
                outcome.request_id,
                outcome.body,
                finish_reason=outcome.finish_reason,
                flat={name: outcome.text} if name is not None else {},
                **self._beside(item, outcome),
            ),
        )
        self.meter.answered(outcome.finish_reason)

    def failed(self, item: Item, outcome: Outcome, error: EngineError) -> None:
        """Write a failure, with what came and was paid."""
        self._write(
            item,
            failure_record(
                item.row, error, outcome.status, outcome.body, **self._beside(item, outcome)
            ),
        )
        self.meter.fail(error.category, error.message)

    def invalid(self, row: Row | BadRow, message: str) -> None:
        """Write that a line cannot be asked."""
        self._record(invalid_record(row, message))
        self.meter.fail(Category.INVALID_ARG, message)

    def _write(self, item: Item, record: Record) -> None:
        self._record(record)
        self.told.add(item.spent.cost, item.spent.tokens)

    def _record(self, record: Record) -> None:
        self.ledger.write(record)
        if self.on_record is not None and self.ledger.failure is None:
            self.on_record(record)

    def _beside(self, item: Item, outcome: Outcome) -> dict[str, Any]:
        """The facts beside the response."""
        rendered, usage, spent = item.rendered, outcome.usage, item.spent
        price = self.budget.price(rendered.model) if rendered is not None else None
        one_attempt = usage is not None and usage.total_tokens == spent.tokens
        return {
            "provider": rendered.provider if rendered is not None else None,
            "usage": usage_fields(usage),
            "tokens": spent.tokens if spent.tokens and not one_attempt else None,
            "timing": outcome.timing or None,
            "attempts": item.attempts,
            "cost": round(spent.cost, 9) if price is not None and spent.tokens else None,
        }
