"""Settings: from where, and what is refused."""

from __future__ import annotations

import msgspec
import pytest

from engine.emulator.contract import BadRequest
from engine.emulator.settings import Settings, split_model, with_settings
from tests.cases import each_case


@each_case(
    ("model", "name", "values"),
    [
        ("demo", "demo", {}),
        ("gpt-4o-mini", "gpt-4o-mini", {}),
        ("demo-tokens=100-tps=50", "demo", {"tokens": "100", "tps": "50"}),
        ("error-429-times=2-retry_after=0.5", "error-429", {"times": "2", "retry_after": "0.5"}),
        ("org/model:free-ttft=1", "org/model:free", {"ttft": "1"}),
        ("a-tool=get_time", "a", {"tool": "get_time"}),
    ],
)
def test_settings_stand_in_a_models_name(model: str, name: str, values: dict[str, str]) -> None:
    assert split_model(model) == (name, values)


def test_what_is_said_changes_and_the_rest_stays() -> None:
    settings = with_settings(Settings(tokens=5), {"tps": "inf", "error": "cut"}, "query")
    assert (settings.tokens, settings.tps, settings.error) == (5, float("inf"), "cut")
    assert with_settings(settings, {"error": ""}, "query").error is None


@each_case(
    ("name", "value"),
    [
        ("tokens", "many"),
        ("tokens", "1.5"),
        ("tokens", "-1"),
        ("tokens", "10000000"),
        ("tps", "nan"),
        ("tps", "-1"),
        ("ttft", "inf"),
        ("retry_after", "1e9"),
        ("error", "explode"),
        ("error", "error-200"),
        ("colour", "red"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadRequest, match=f"^headers: .*{name}"):
        with_settings(Settings(), {name: value}, "headers")


def test_an_unknown_setting_of_the_program_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="speed"):
        msgspec.convert({"speed": 1}, Settings)


@each_case(("tps", "interval"), [(0, 0), (float("inf"), 0), (50, 0.02), (1e-3, 1000)])
def test_the_interval_is_that_of_the_rate(tps: float, interval: float) -> None:
    assert Settings(tps=tps).interval == pytest.approx(interval)


@each_case(("error", "status"), [("error-401", 401), ("503", 503), ("cut", None), (None, None)])
def test_an_error_may_be_a_status(error: str | None, status: int | None) -> None:
    assert Settings(error=error).error_status == status
