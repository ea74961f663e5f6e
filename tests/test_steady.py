"""What tests rely on where they have to do with time."""

from __future__ import annotations

import pytest

from engine.transport import deadlines
from tests import steady
from tests.steady import advance, at_some_pace, comes_about


@pytest.mark.parametrize(("good", "tried"), [(1, [1]), (3, [1, 3]), (9, [1, 3, 9])])
def test_what_holds_at_some_pace_is_tried_no_further(good: float, tried: list[float]) -> None:
    paces: list[float] = []

    def judge(pace: float) -> None:
        paces.append(pace)
        assert pace >= good

    at_some_pace(judge)
    assert paces == tried


def test_what_holds_at_none_fails_and_what_breaks_is_not_repeated() -> None:
    paces: list[float] = []

    def judge(pace: float) -> None:
        paces.append(pace)
        if pace == broken:
            raise ZeroDivisionError
        raise AssertionError(f"at {pace}")

    broken = 0.0
    with pytest.raises(AssertionError, match="at 9"):
        at_some_pace(judge)
    assert paces == [1, 3, 9]
    broken = 3.0
    with pytest.raises(ZeroDivisionError):
        at_some_pace(judge)
    assert paces == [1, 3, 9, 1, 3]


def test_it_is_waited_for_what_comes_about_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = [1, 2, 3]
    assert comes_about(lambda: not left or left.pop() == 1)
    monkeypatch.setattr(steady, "LONG", 0.01)
    assert not comes_about(lambda: False)


def test_the_engines_clock_goes_on_where_it_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    before = deadlines.monotonic()
    advance(monkeypatch, 3600.0)
    assert 3600 <= deadlines.monotonic() - before < 3600 + 60
