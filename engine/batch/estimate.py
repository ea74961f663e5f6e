"""What a run would do: everything but asking, and without touching a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from engine.batch.keeping.plan import Past, Plan
from engine.batch.keeping.store import errors_path
from engine.batch.options import Options
from engine.batch.pacing.cost import Budget
from engine.batch.reading.rendering import Address, about_tokens
from engine.batch.reading.rows import Row
from engine.batch.reading.source import Format, Source

__all__ = ["Estimate", "estimate"]


class Estimate(msgspec.Struct, kw_only=True):
    """What a run would do.

    Attributes:
        plan: the rows, counted.
        tokens: about how many tokens the rows that are left take: a token for four bytes of each
            request, and the output limit where a row has one.
        cost: USD for them, half taken for input; 0.0 without prices.
        notices: what a run would tell first.
    """

    plan: Plan
    tokens: int = 0
    cost: float = 0.0
    notices: list[str] = []

    def lines(self) -> list[str]:
        """For people."""
        plan = self.plan
        asked = plan.left - plan.bad
        found = [
            f"{plan.rows} rows: {plan.done} done, {plan.failed} failed, {asked} to ask, "
            f"{plan.bad} that cannot be asked",
            f"about {self.tokens} tokens" + (f", ${self.cost:.4f}" if self.cost else ""),
        ]
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
    address = Address(manifest, options.api_key)
    budget = Budget(prices=options.prices)
    past, plan = Past(), Plan()
    found = Estimate(plan=plan)
    path = os.fspath(output)
    for place in (path, os.fspath(options.errors or errors_path(path))):
        for _ in past.read(place, _lines(place)):
            pass

    def check(row: Row) -> str | None:
        why = address.check(row)
        if why is None:
            rendered = address.render(row, "")
            tokens = about_tokens(rendered)
            found.tokens += tokens
            found.cost += budget.estimate(rendered.model, tokens)
        return why

    source = Source(input, format)
    try:
        retry = options.retry_errors
        for _ in plan.read(source, past, options.takes, check, retry, options.limit):
            pass
        found.notices = plan.report(past, source.name)
    finally:
        source.close()
    return found


def _lines(path: str) -> Iterator[tuple[int, bytes]]:
    if os.path.isfile(path):
        with open(path, "rb") as file:
            yield from enumerate(file, 1)
