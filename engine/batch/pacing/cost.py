"""What a run may cost, in USD and in tokens. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from engine.batch.pacing.prices import Price, find_price
from engine.messages import Usage

__all__ = ["Budget", "Demand", "Spent", "tokens_of"]

# A row without a limit may be larger than the largest so far. No more of them are in flight than
# were seen, and those together are hardly ever more than twice as large.
_CAUTION: Final = 2
# A token is about four bytes of English. No tokenizer makes more tokens of a text than it has
# bytes, so the bytes of a request are a bound.
_BYTES_A_TOKEN: Final = 4


class Spent(msgspec.Struct, kw_only=True):
    """An amount: USD and tokens."""

    cost: float = 0.0
    tokens: int = 0

    def add(self, cost: float, tokens: int) -> None:
        """Count more."""
        self.cost += cost
        self.tokens += tokens


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What one request may take.

    Attributes:
        model: as prices name it.
        size: bytes of the request.
        most_output: tokens the answer has at most; None: nobody knows.
        bounded: False where the input is more than the request's bytes (files, images by address).
    """

    model: str
    size: int
    most_output: int | None = None
    bounded: bool = True

    @property
    def input_estimate(self) -> int:
        """About how many tokens the input has."""
        return self.size // _BYTES_A_TOKEN

    @property
    def estimate(self) -> int:
        """About how many tokens it takes, in and out, for rates."""
        return self.input_estimate + (self.most_output or 0)


def tokens_of(usage: Usage) -> int:
    """Tokens in and out."""
    if usage.total_tokens is not None:
        return usage.total_tokens
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


class _Reserved(msgspec.Struct):
    """What a request in flight may take at most; None: as much as the largest so far."""

    cost: float | None
    tokens: int | None


class Budget:
    """Counts what was spent, and says whether another row may go.

    A row in flight counts with all it can take: its bytes for input, and its output limit, or that
    of its model. Where nobody knows a limit, one row goes alone, and then each counts as twice the
    largest so far, with no more of them in flight than have been seen. So what is in flight fits
    below the cap; the one row that goes over it is one that goes alone, when the mean row still
    fits.

    Args:
        max_cost: USD; None: any.
        max_tokens: tokens, in and out; None: any.
        prices: by model, before those of the built-in table.

    Attributes:
        spent: what `resume` told included.
        largest: of one row so far.
    """

    def __init__(
        self,
        max_cost: float | None = None,
        max_tokens: int | None = None,
        prices: Mapping[str, Price] | None = None,
    ) -> None:
        self._max_cost = max_cost
        self._max_tokens = max_tokens
        self._prices = prices or {}
        self._found: dict[str, Price | None] = {}
        self.spent: Spent = Spent()
        self.largest: Spent = Spent()
        self._counted = 0
        self._sum = Spent()  # of the rows counted
        self._flying: dict[int, _Reserved] = {}
        self._known = Spent()  # reserved by those in flight that have a limit
        self._unlimited = 0  # those in flight that have none
        self._beyond = 1.0  # by how much a row took more than its bound

    def resume(self, spent: Spent, rows: int, largest: Spent) -> None:
        """Earlier runs spent so much on so many rows, the largest of which took `largest`."""
        self.spent = msgspec.structs.replace(spent)
        self._sum = msgspec.structs.replace(spent)
        self.largest, self._counted = msgspec.structs.replace(largest), rows

    def price(self, model: str) -> Price | None:
        """The price of `model`, with or without the provider before it."""
        try:
            return self._found[model]
        except KeyError:
            return self._found.setdefault(model, find_price(model, self._prices))

    @property
    def capped(self) -> bool:
        """Whether there is a most to spend."""
        return self._max_cost is not None or self._max_tokens is not None

    # -- one row -----------------------------------------------------------------------------

    def reserve(self, row: int, demand: Demand) -> bool:
        """Set aside what the row called `row` may take; False: not beside what is in flight."""
        if not self.capped:
            return True
        wanted = self._bound(demand)
        if self._flying and not self._fits(wanted):
            return False
        self._flying[row] = wanted
        if wanted.tokens is None:
            self._unlimited += 1
        else:
            self._known.add(wanted.cost or 0.0, wanted.tokens)
        return True

    def reached(self, demand: Demand) -> str | None:
        """Which cap not even `demand` alone fits below; None: it does, or others are in flight."""
        if self._flying:
            return None
        mean_cost = self._sum.cost / self._counted if self._counted else 0.0
        mean_tokens = self._sum.tokens / self._counted if self._counted else demand.input_estimate
        spent = self.spent
        if self._max_cost is not None and (
            spent.cost + mean_cost > self._max_cost or spent.cost >= self._max_cost
        ):
            return f"max_cost of {self._max_cost:g} USD is reached ({spent.cost:.4f} spent)"
        if self._max_tokens is not None and (
            spent.tokens + mean_tokens > self._max_tokens or spent.tokens >= self._max_tokens
        ):
            return f"max_tokens_total of {self._max_tokens} is reached ({spent.tokens} used)"
        return None

    def count(self, row: int, demand: Demand, usage: Usage) -> Spent:
        """The attempt of `row` took `usage`; what that is."""
        price = self.price(demand.model)
        cost = price.cost(usage) if price is not None else 0.0
        return self._count(row, cost, tokens_of(usage))

    def guess(self, row: int, demand: Demand, text: str) -> Spent:
        """The attempt of `row` took what nobody told: its input, and `text` or more."""
        tokens = demand.input_estimate + len(text.encode("utf-8", "replace")) // _BYTES_A_TOKEN
        if self._counted:
            tokens = max(tokens, round(self._sum.tokens / self._counted))
        return self._count(row, self.worth(demand.model, tokens), tokens)

    def release(self, row: int) -> None:
        """The attempt of `row` took nothing."""
        reserved = self._flying.pop(row, None)
        if reserved is None:
            return
        if reserved.tokens is None:
            self._unlimited -= 1
        else:
            self._known.add(-(reserved.cost or 0.0), -reserved.tokens)

    def worth(self, model: str, tokens: float) -> float:
        """USD for about `tokens`, taken for half input, half output; 0.0 without a price."""
        price = self.price(model)
        if price is None:
            return 0.0
        rate = price.of(round(tokens))
        return tokens * (rate.input + rate.output) / 2e6

    # ----------------------------------------------------------------------------------------

    def _count(self, row: int, cost: float, tokens: int) -> Spent:
        reserved = self._flying.get(row)
        self.release(row)
        if reserved is not None and reserved.tokens:
            self._beyond = max(self._beyond, tokens / (reserved.tokens / self._beyond))
        for total in (self.spent, self._sum):
            total.add(cost, tokens)
        self._counted += 1
        self.largest = Spent(
            cost=max(self.largest.cost, cost), tokens=max(self.largest.tokens, tokens)
        )
        return Spent(cost=cost, tokens=tokens)

    def _bound(self, demand: Demand) -> _Reserved:
        price = self.price(demand.model)
        output = demand.most_output
        if output is None and price is not None:
            output = price.max_output
        if output is None or not demand.bounded:
            return _Reserved(None, None)
        tokens = demand.size + output
        cost = 0.0
        if price is not None:
            cost = price.most(demand.size, output)
        return _Reserved(cost * self._beyond, round(tokens * self._beyond))

    def _fits(self, wanted: _Reserved) -> bool:
        """Whether `wanted` fits below the caps beside what is in flight."""
        unlimited = self._unlimited + (wanted.tokens is None)
        if unlimited and unlimited > self._counted:
            return False
        cost = self.spent.cost + self._known.cost + _CAUTION * unlimited * self.largest.cost
        tokens = self.spent.tokens + self._known.tokens
        tokens += _CAUTION * unlimited * self.largest.tokens
        if self._max_cost is not None and cost + (wanted.cost or 0.0) > self._max_cost:
            return False
        return self._max_tokens is None or tokens + (wanted.tokens or 0) <= self._max_tokens
