"""What a run may cost, in USD and in tokens. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from engine.errors import ConfigError
from engine.messages import Usage

__all__ = ["Budget", "Price", "load_prices"]


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """USD for a million tokens; `cached` None: cached input costs what input costs."""

    input: float
    output: float
    cached: float | None = None

    def cost(self, usage: Usage) -> float:
        """USD for `usage`."""
        cached = (usage.cached_tokens or 0) if self.cached is not None else 0
        fresh = (usage.input_tokens or 0) - cached
        dollars = fresh * self.input + (usage.output_tokens or 0) * self.output
        return (dollars + cached * (self.cached or 0.0)) / 1e6


def load_prices(path: str | os.PathLike[str]) -> dict[str, Price]:
    """``{"model": {"input": 0.15, "output": 0.6, "cached": 0.075}}``, USD a million tokens.

    Raises:
        ConfigError: the file cannot be read, or is not of that form.
    """
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=dict[str, Price])
    except OSError as error:
        raise ConfigError(f"cannot read prices from {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise ConfigError(
            f'{path} holds no prices: {error}; write {{"model": {{"input": 0.15, "output": 0.6}}}} '
            "in USD a million tokens"
        ) from error


class Budget:
    """Counts what was spent, and says whether another row fits.

    A row in flight is counted as the rows before it were on average, or as its estimate while
    there are none. So a run may go over by what its last rows in flight differ from that.

    Args:
        max_cost: USD; None: any.
        max_tokens: tokens, in and out; None: any.
        prices: by model; a model without a price costs nothing that could be counted.

    Attributes:
        cost, tokens: spent, what `resume` told included.
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
        self.cost = 0.0
        self.tokens = 0
        self._rows = 0
        self._mean_cost = 0.0
        self._mean_tokens = 0.0

    def resume(self, cost: float, tokens: int, rows: int) -> None:
        """Earlier runs spent so much on so many rows."""
        self.cost, self.tokens, self._rows = cost, tokens, rows
        if rows:
            self._mean_cost, self._mean_tokens = cost / rows, tokens / rows

    def price(self, model: str) -> Price | None:
        """The price of `model`, with or without the provider before it."""
        return self._prices.get(model) or self._prices.get(model.partition("/")[2])

    def estimate(self, model: str, tokens: float) -> float:
        """USD for about `tokens`, taken for half input, half output."""
        price = self.price(model)
        return tokens * (price.input + price.output) / 2e6 if price is not None else 0.0

    def guessed(self, model: str, tokens: int) -> None:
        """Count an answer whose provider told no tokens: about so many."""
        self._count(self.estimate(model, tokens), tokens)

    def spent(self, model: str, usage: Usage) -> float | None:
        """Count an attempt; its cost in USD, or None where the price is not known."""
        price = self.price(model)
        cost = price.cost(usage) if price is not None else None
        tokens = usage.total_tokens
        if tokens is None:
            tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0)
        self._count(cost or 0.0, tokens)
        return cost

    def _count(self, cost: float, tokens: int) -> None:
        self.cost += cost
        self.tokens += tokens
        self._rows += 1
        self._mean_cost += (cost - self._mean_cost) / self._rows
        self._mean_tokens += (tokens - self._mean_tokens) / self._rows

    def room(self, in_flight: int, model: str, tokens: float) -> str | None:
        """None where one more row fits beside those in flight; else which bound is reached."""
        rows = in_flight + 1
        if self._max_cost is not None:
            each = self._mean_cost if self._rows else self.estimate(model, tokens)
            if self.cost + rows * each > self._max_cost:
                return f"max_cost of {self._max_cost:g} USD is reached ({self.cost:.4f} spent)"
        if self._max_tokens is not None:
            mean = self._mean_tokens if self._rows else tokens
            if self.tokens + rows * mean > self._max_tokens:
                return f"max_tokens_total of {self._max_tokens} is reached ({self.tokens} used)"
        return None
