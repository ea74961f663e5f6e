"""What models cost, by any of their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.batch.pacing.prices import Price, find_price, load_prices
from engine.errors import ConfigError
from engine.messages import Usage


def test_cached_tokens_have_their_own_price() -> None:
    usage = Usage(input_tokens=1000, output_tokens=100, cached_tokens=600)
    assert Price(input=2, output=10).cost(usage) == pytest.approx(3000e-6)
    assert Price(input=2, output=10, cached=1).cost(usage) == pytest.approx(2400e-6)
    written = Usage(input_tokens=1000, output_tokens=100, cache_write_tokens=600)
    assert Price(input=2, output=10, cache_write=4).cost(written) == pytest.approx(4200e-6)


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4o-mini",
        "openai/gpt-4o-mini",
        "openai:gpt-4o-mini",
        "gpt-4o-mini-2024-07-18",
        "openai/gpt-4o-mini-2024-07-18",
    ],
)
def test_a_model_is_found_by_each_of_its_names(name: str) -> None:
    assert find_price(name, {}) == Price(0.15, 0.6, cached=0.075, max_output=16_384)


def test_a_price_of_ones_own_goes_before_the_tables() -> None:
    own = {"gpt-4o": Price(input=1, output=1), "a/b": Price(input=2, output=2)}
    assert find_price("openai/gpt-4o", own) == Price(input=1, output=1)
    assert find_price("a/b", own) == Price(input=2, output=2)
    assert find_price("b", own) is None
    assert find_price("gpt-4o-2024-08-06", own) == Price(input=1, output=1)
    assert find_price("claude-sonnet-4-20250514", {}) == find_price("claude-sonnet-4", {})


def test_prices_below_nothing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text('{"m": {"input": -1, "output": 4}}')
    with pytest.raises(ConfigError, match="input of 'm' is less than 0"):
        load_prices(path)
