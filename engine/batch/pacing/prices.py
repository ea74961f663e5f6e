"""What models cost: a small table of list prices, and what a user puts in its place.

The vendors' price lists as of `AS_OF`: https://developers.openai.com/api/docs/pricing,
https://platform.claude.com/docs/en/about-claude/pricing,
https://ai.google.dev/gemini-api/docs/pricing. Standard tier, without batch discounts. Models whose
price is not known for prompts of every length (claude-haiku-5-5), or ends with a date, are not in
it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from engine.errors import ConfigError
from engine.messages import Usage

__all__ = ["AS_OF", "LongPrice", "Price", "find_price", "load_prices"]

AS_OF: Final = "2026-11"
"""Year and month of the table."""


class LongPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """USD for a million tokens of a request whose prompt is longer than `above`: of all its tokens,
    and not of those beyond.

    Attributes:
        above: tokens of the prompt, those of a cache counted, up to which `Price` holds.
        input, output, cached, cache_write: as of `Price`.
    """

    above: int
    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None


def _made(usage: Usage) -> int:
    """Tokens of all output. What xAI's models think, and Gemini's by OpenAI's format, is no part of
    their ``completion_tokens``, and stands in the total alone."""
    said = usage.output_tokens or 0
    if usage.total_tokens is None or usage.input_tokens is None:
        return said
    return max(said, usage.total_tokens - usage.input_tokens)


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """USD for a million tokens.

    Attributes:
        input, output: of fresh input, and of all output, reasoning included.
        cached, cache_write: of input read from and written to a cache; None: what input costs.
        max_output: tokens an answer has at most, where the model has such a limit.
        long: what is paid instead where the prompt is long; None: the same.
    """

    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None
    max_output: int | None = None
    long: LongPrice | None = None

    def of(self, prompt: int) -> Price | LongPrice:
        """What holds for a prompt of so many tokens."""
        return self if self.long is None or prompt <= self.long.above else self.long

    def cost(self, usage: Usage) -> float:
        """USD for `usage`."""
        rate = self.of(usage.input_tokens or 0)
        cached = (usage.cached_tokens or 0) if rate.cached is not None else 0
        written = (usage.cache_write_tokens or 0) if rate.cache_write is not None else 0
        fresh = max((usage.input_tokens or 0) - cached - written, 0)
        dollars = fresh * rate.input + _made(usage) * rate.output
        dollars += cached * (rate.cached or 0.0) + written * (rate.cache_write or 0.0)
        return dollars / 1e6

    def most(self, prompt: int, output: int) -> float:
        """USD for `prompt` and `output`, tokens at most, whatever a cache does."""
        dearest = 0.0
        for rate in (self, self.of(prompt)):
            input = max(rate.input, rate.cached or 0.0, rate.cache_write or 0.0)
            dearest = max(dearest, prompt * input + output * rate.output)
        return dearest / 1e6


def _openai(input: float, cached: float | None, output: float, most: int) -> Price:
    return Price(input, output, cached=cached, max_output=most)


def _claude(input: float, output: float, most: int, read: float = 0.1) -> Price:
    # A write costs 1.25 × for five minutes and 2 × for an hour; a read a tenth, or less of late.
    return Price(input, output, cached=input * read, cache_write=input * 1.25, max_output=most)


def _embedding(input: float) -> Price:
    return Price(input, 0.0, max_output=0)


_TABLE: Final[Mapping[str, Price]] = {
    "gpt-5": _openai(1.25, 0.125, 10.0, 128_000),
    "gpt-5-mini": _openai(0.25, 0.025, 2.0, 128_000),
    "gpt-5-nano": _openai(0.05, 0.005, 0.4, 128_000),
    "gpt-5.1": _openai(1.25, 0.125, 10.0, 128_000),
    "gpt-5.2": _openai(1.75, 0.175, 14.0, 128_000),
    "gpt-4.1": _openai(2.0, 0.5, 8.0, 32_768),
    "gpt-4.1-mini": _openai(0.4, 0.1, 1.6, 32_768),
    "gpt-4.1-nano": _openai(0.1, 0.025, 0.4, 32_768),
    "gpt-4o": _openai(2.5, 1.25, 10.0, 16_384),
    "gpt-4o-mini": _openai(0.15, 0.075, 0.6, 16_384),
    "gpt-3.5-turbo": _openai(0.5, None, 1.5, 4_096),
    "o1": _openai(15.0, 7.5, 60.0, 100_000),
    "o3": _openai(2.0, 0.5, 8.0, 100_000),
    "o3-mini": _openai(1.1, 0.55, 4.4, 100_000),
    "o4-mini": _openai(1.1, 0.275, 4.4, 100_000),
    "text-embedding-3-small": _embedding(0.02),
    "text-embedding-3-large": _embedding(0.13),
    "text-embedding-ada-002": _embedding(0.1),
    "omni-moderation": _embedding(0.0),
    "claude-fable-5-1": _claude(10.0, 50.0, 128_000, 0.025),
    "claude-fable-5": _claude(10.0, 50.0, 128_000),
    "claude-opus-5-5": _claude(4.0, 20.0, 128_000, 0.05),
    "claude-opus-5": _claude(5.0, 25.0, 128_000),
    "claude-opus-4-8": _claude(5.0, 25.0, 128_000),
    "claude-opus-4-7": _claude(5.0, 25.0, 128_000),
    "claude-opus-4-6": _claude(5.0, 25.0, 128_000),
    "claude-sonnet-5-5": _claude(2.0, 10.0, 128_000, 0.05),
    "claude-sonnet-5": _claude(2.0, 10.0, 128_000),
    "claude-sonnet-4-6": _claude(3.0, 15.0, 128_000),
    "claude-opus-4-5": _claude(5.0, 25.0, 64_000),
    "claude-opus-4-1": _claude(15.0, 75.0, 32_000),
    "claude-opus-4": _claude(15.0, 75.0, 32_000),
    "claude-sonnet-4-5": _claude(3.0, 15.0, 64_000),
    "claude-sonnet-4": _claude(3.0, 15.0, 64_000),
    "claude-3-7-sonnet": _claude(3.0, 15.0, 64_000),
    "claude-haiku-4-5": _claude(1.0, 5.0, 64_000),
    "claude-3-5-haiku": _claude(0.8, 4.0, 8_192),
    "claude-3-haiku": _claude(0.25, 1.25, 4_096),
    "gemini-3.5-flash": _openai(1.5, None, 9.0, 65_536),
    "gemini-3.5-flash-lite": _openai(0.3, None, 2.5, 65_536),
    "gemini-2.5-pro": Price(
        1.25, 10.0, max_output=65_536, long=LongPrice(above=200_000, input=2.5, output=15.0)
    ),
    "gemini-2.5-flash": _openai(0.3, None, 2.5, 65_536),
    "gemini-2.5-flash-lite": _openai(0.1, None, 0.4, 65_536),
    "gemini-2.0-flash": _openai(0.1, None, 0.4, 8_192),
    "gemini-2.0-flash-lite": _openai(0.075, None, 0.3, 8_192),
}

# A snapshot costs what its family costs: gpt-4o-2024-08-06, claude-sonnet-4-20250514, o3-latest.
_SNAPSHOT: Final = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|\d{3}|latest|0)\Z")


def find_price(model: str, own: Mapping[str, Price]) -> Price | None:
    """The price of `model`, written with or without its provider; `own` prices go before the
    table's. None: it is in neither."""
    bare = model.partition("/")[2] or model.partition(":")[2]
    for prices in (own, _TABLE):
        for name in (model, bare):
            found = prices.get(name) or prices.get(_SNAPSHOT.sub("", name))
            if found is not None:
                return found
    return None


def load_prices(path: str | os.PathLike[str]) -> dict[str, Price]:
    """What the file at `path` says, in USD a million tokens:
    ``{"model": {"input": 0.15, "output": 0.6, "cached": 0.075}}``; where long prompts cost more
    also ``"long": {"above": 200000, "input": 0.3, "output": 0.9}``.

    Raises:
        ConfigError: the file cannot be read, or is not of that form.
    """
    try:
        with open(path, "rb") as file:
            prices = msgspec.json.decode(file.read(), type=dict[str, Price])
    except OSError as error:
        raise ConfigError(f"cannot read prices from {path}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(
            f'{path} holds no prices: {error}; write {{"model": {{"input": 0.15, "output": 0.6}}}} '
            "in USD a million tokens"
        ) from error
    for model, price in prices.items():
        for rate in (price, price.long):
            for name in ("input", "output", "cached", "cache_write", "max_output", "above"):
                if (getattr(rate, name, None) or 0) < 0:
                    raise ConfigError(f"{path}: {name} of {model!r} is less than 0; write a price")
    return prices
