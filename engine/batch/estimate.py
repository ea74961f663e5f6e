"""What a run would do: everything but asking, and without touching a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from engine.batch.keeping.plan import Past, Plan
from engine.batch.keeping.store import errors_path
from engine.batch.options import Options
from engine.batch.pacing.cost import Budget, Demand
from engine.batch.pacing.prices import AS_OF, Price
from engine.batch.reading.kinds import Format
from engine.batch.reading.rendering import Address
from engine.batch.reading.rows import Row
from engine.batch.reading.source import Source

__all__ = ["Estimate", "estimate"]


class Estimate(msgspec.Struct, kw_only=True):
    """What a run would do.

    Attributes:
        plan: the rows, counted.
        tokens: about how many tokens the rows that are left take: a token for four bytes of each
            request, and the output limit of a row, or of its model.
        cost: USD for them, as if every answer were as long as it may be.
        unlimited: rows whose output has no limit that is known: it is left out.
        unpriced: rows whose model has no price: they are left out of the cost.
        elsewhere: rows whose input is more than their bytes (files, images by address).
        notices: what a run would tell first.
    """

    plan: Plan
    tokens: int = 0
    cost: float = 0.0
    unlimited: int = 0
    unpriced: int = 0
    elsewhere: int = 0
    notices: list[str] = []

    def add(self, demand: Demand, price: Price | None) -> None:
        """Count one row."""
        output = demand.most_output
        if output is None and price is not None:
            output = price.max_output
        self.unlimited += output is None
        self.elsewhere += not demand.bounded
        self.tokens += demand.input_estimate + (output or 0)
        if price is None:
            self.unpriced += 1
        else:
            rate = price.of(demand.input_estimate)
            dollars = demand.input_estimate * rate.input + (output or 0) * rate.output
            self.cost += dollars / 1e6

    def lines(self) -> list[str]:
        """For people."""
        plan = self.plan
        asked = plan.left - plan.bad
        cost = ""
        if self.cost:
            cost = f", ${self.cost:.4f} if every answer is as long as it may be"
            cost += f" (prices of {AS_OF}, unless you gave some)"
        found = [
            f"{plan.rows} rows: {plan.done} done, {plan.failed} failed, {asked} to ask, "
            f"{plan.bad} that cannot be asked",
            f"about {self.tokens} tokens{cost}",
        ]
        for count, what in (
            (self.unlimited, "have no output limit: their answers are left out (--max-tokens)"),
            (self.unpriced, "have no price: they are left out of the cost (--prices)"),
            (self.elsewhere, "have files or images by address: these are left out"),
        ):
            if count:
                found.append(f"{count} rows {what}")
        found.append("left out besides: rows asked again, and what a cache saves")
        return [*self.notices, *found]


def estimate(
    input: str | os.PathLike[str] | Iterable[Any],
    output: str | os.PathLike[str],
    options: Options,
    format: Format | None = None,
) -> Estimate:
    """Read and check everything; the arguments are those of `Batch`.

    Raises:
        ConfigError: a run could not begin.
    """
    manifest = options.manifest()
    address = Address(manifest, options.api_key, options.headers, options.base_url)
    budget = Budget(prices=options.prices)
    past = Past()
    found = Estimate(plan=Plan())
    path = os.fspath(output)
    for place in (path, os.fspath(options.errors or errors_path(path))):
        for _ in past.read(place, _lines(place)):
            pass

    def check(row: Row) -> str | None:
        why = address.check(row)
        if why is None:
            _, demand = address.render(row, "")
            found.add(demand, budget.price(demand.model))
        return why

    source = Source(input, format, manifest.reading())
    try:
        retry = options.retry_errors
        for _ in found.plan.take(source, past, options.takes, check, retry, options.limit):
            pass
        found.notices = found.plan.report(past, source.name)
    finally:
        source.close()
    return found


def _lines(path: str) -> Iterator[tuple[int, bytes]]:
    if os.path.isfile(path):
        with open(path, "rb") as file:
            yield from enumerate(file, 1)
