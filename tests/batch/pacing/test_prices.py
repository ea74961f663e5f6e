"""What models cost, by any of their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.batch.pacing.prices import LongPrice, Price, find_price, load_prices
from engine.errors import ConfigError
from engine.messages import Usage
from tests.cases import each_case


def test_cached_tokens_have_their_own_price() -> None:
    usage = Usage(input_tokens=1000, output_tokens=100, cached_tokens=600)
    assert Price(input=2, output=10).cost(usage) == pytest.approx(3000e-6)
    assert Price(input=2, output=10, cached=1).cost(usage) == pytest.approx(2400e-6)
    written = Usage(input_tokens=1000, output_tokens=100, cache_write_tokens=600)
    assert Price(input=2, output=10, cache_write=4).cost(written) == pytest.approx(4200e-6)


def test_what_only_the_total_counts_is_paid_as_output() -> None:
    thought = Usage(
        input_tokens=331, output_tokens=11, total_tokens=613, reasoning_tokens=271
    )  # xAI
    assert Price(input=0, output=10).cost(thought) == pytest.approx(2820e-6)
    for total in (342, 0, None):
        usage = Usage(input_tokens=331, output_tokens=11, total_tokens=total)
        assert Price(input=0, output=10).cost(usage) == pytest.approx(110e-6)


LONG = Price(1.0, 10.0, cached=0.1, long=LongPrice(above=1000, input=2.0, output=15.0, cached=0.2))


@each_case(
    ("input", "cached", "dollars"),
    [
        (1000, None, 1000 * 1.0 + 100 * 10.0),
        (1001, None, 1001 * 2.0 + 100 * 15.0),  # all of it, not what is beyond
        (1001, 900, 101 * 2.0 + 900 * 0.2 + 100 * 15.0),
        (900, 800, 100 * 1.0 + 800 * 0.1 + 100 * 10.0),
        (None, None, 100 * 10.0),
    ],
)
def test_a_long_prompt_has_a_price_of_its_own(
    input: int | None, cached: int | None, dollars: float
) -> None:
    usage = Usage(input_tokens=input, output_tokens=100, cached_tokens=cached)
    assert LONG.cost(usage) == pytest.approx(dollars / 1e6)


@each_case(("prompt", "dollars"), [(1000, 2000.0), (1001, 3502.0), (5000, 11500.0)])
def test_what_a_request_may_cost_is_never_less_than_what_it_costs(
    prompt: int, dollars: float
) -> None:
    assert LONG.most(prompt, 100) == pytest.approx(dollars / 1e6)
    for really in (1, 999, 1000, 1001, prompt):
        usage = Usage(input_tokens=min(really, prompt), output_tokens=100)
        assert LONG.cost(usage) <= LONG.most(prompt, 100)


def test_the_table_and_a_file_know_long_prompts(tmp_path: Path) -> None:
    table = find_price("google/gemini-2.5-pro", {})
    assert table is not None
    assert table.cost(Usage(input_tokens=200_000, output_tokens=0)) == pytest.approx(0.25)
    assert table.cost(Usage(input_tokens=400_000, output_tokens=1000)) == pytest.approx(1.015)
    path = tmp_path / "prices.json"
    long = '"long": {"above": 9, "input": 2, "output": 5}'
    path.write_text(f'{{"m": {{"input": 1, "output": 4, {long}}}}}')
    assert load_prices(path) == {"m": Price(1, 4, long=LongPrice(9, 2, 5))}
    path.write_text(path.read_text().replace('"above": 9', '"above": -9'))
    with pytest.raises(ConfigError, match="above of 'm' is less than 0"):
        load_prices(path)


@each_case(
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


@each_case(
    ("model", "usage", "dollars"),
    [
        # As the vendor's page has them for a million tokens: read 0.50, written 6.25.
        ("claude-opus-5", Usage(input_tokens=10**6, cached_tokens=10**6), 0.5),
        ("claude-opus-5", Usage(input_tokens=10**6, cache_write_tokens=10**6), 6.25),
        ("claude-opus-5", Usage(input_tokens=10**6, output_tokens=10**6), 30.0),
        ("text-embedding-3-small", Usage(input_tokens=10**6, output_tokens=10**6), 0.02),
        ("gpt-5", Usage(input_tokens=10**6, cached_tokens=10**6, output_tokens=0), 0.125),
    ],
)
def test_the_table_says_what_the_vendors_say(model: str, usage: Usage, dollars: float) -> None:
    price = find_price(model, {})
    assert price is not None and price.cost(usage) == pytest.approx(dollars)


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
