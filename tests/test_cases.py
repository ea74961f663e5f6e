"""A table of cases in one test: all are tried, and each that fails is told."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from tests.cases import each_case


def failures(test: Callable[..., None], *args: object) -> tuple[str, list[BaseException]]:
    with pytest.raises(BaseExceptionGroup) as caught:
        test(*args)
    return caught.value.message, [*caught.value.exceptions]


def test_every_case_is_tried_and_each_that_fails_is_told_by_its_name() -> None:
    tried: list[int] = []

    @each_case("number", range(100), ids=lambda number: f"no. {number}")
    def judge(number: int) -> None:
        tried.append(number)
        assert number % 30, "is one of four"

    message, those = failures(judge)
    assert tried == [*range(100)]
    assert message == "4 of 100 cases:\n  no. 0\n  no. 30\n  no. 60\n  no. 90\n"
    assert [it.__notes__ for it in those] == [[f"case: no. {n}"] for n in (0, 30, 60, 90)]
    assert all(isinstance(it, AssertionError) and "is one of four" in str(it) for it in those)


def test_where_none_fails_nothing_is_told() -> None:
    tried: list[tuple[str, int]] = []

    @each_case(("text", "length"), [("", 0), ("ab", 2)])
    def judge(text: str, length: int) -> None:
        tried.append((text, length))

    judge()
    assert tried == [("", 0), ("ab", 2)]


@pytest.mark.parametrize("failed", [ValueError("no"), pytest.fail.Exception("no"), KeyError("a")])
def test_whatever_fails_the_rest_is_tried(failed: BaseException) -> None:
    @each_case("name", ["first", "second"])
    def judge(name: str) -> None:
        if name == "first":
            raise failed

    assert failures(judge) == ("1 of 2 cases:\n  'first'\n", [failed])


@pytest.mark.parametrize("left", [KeyboardInterrupt(), pytest.skip.Exception("not here")])
def test_who_leaves_is_not_held(left: BaseException) -> None:
    @each_case("name", ["first", "second"])
    def judge(name: str) -> None:
        raise left

    with pytest.raises(type(left)):
        judge()


def test_over_another_each_goes_with_each() -> None:
    tried: list[tuple[str, int]] = []

    @each_case("letter", "ab")
    @each_case("number", [1, 2])
    def judge(letter: str, number: int) -> None:
        tried.append((letter, number))
        assert (letter, number) not in (("a", 2), ("b", 1))

    message, _ = failures(judge)
    assert tried == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert message == "2 of 4 cases:\n  1, 'b'\n  2, 'a'\n"


def test_names_stand_in_one_text_or_are_listed() -> None:
    tried: list[object] = []

    @each_case("c, d", [(5, 6)])
    @each_case(["b"], [(3,), (4,)])
    @each_case("a", [(1, 2)])
    def judge(a: object, b: int, c: int, d: int) -> None:
        tried.append((a, b, c, d))

    judge()
    assert tried == [((1, 2), 3, 5, 6), ((1, 2), 4, 5, 6)]


def test_a_name_is_the_cases_own_or_of_the_list_or_what_it_is_tried_with() -> None:
    @each_case("a, b", [pytest.param(1, 2, id="own"), (3, 4)], ids=["not this", "of the list"])
    def listed(a: int, b: int) -> None:
        raise ValueError

    @each_case("a, b", [pytest.param(1, 2, id="own"), (3, "four")])
    def bare(a: int, b: object) -> None:
        raise ValueError

    @each_case("a", [1, 2], ids={"one": 1, "two": 2})
    def of_a_mapping(a: int) -> None:
        raise ValueError

    @each_case("a", ["x" * 1000])
    def long(a: str) -> None:
        raise ValueError

    assert failures(listed)[0] == "2 of 2 cases:\n  own\n  of the list\n"
    assert failures(of_a_mapping)[0] == "2 of 2 cases:\n  one\n  two\n"
    assert failures(long)[0] == f"1 of 1 cases:\n  '{'x' * 199}\n"
    assert failures(bare)[0] == "2 of 2 cases:\n  own\n  3-'four'\n"


def test_what_is_no_argument_of_a_case_is_a_fixture() -> None:
    @each_case("b", [2, 3])
    @each_case("a", [1])
    def judge(a: int, multi: str, b: int, *, name: str) -> None:
        assert (a, multi, name) == (1, "made once", "a name")

    assert [*inspect.signature(judge).parameters] == ["multi", "name"]
    judge(multi="made once", name="a name")


class TestOfAClass:
    @each_case("number", [1, 2])
    def test_it_is_one_of_a_class_too(self, number: int) -> None:
        assert isinstance(self, TestOfAClass) and number in (1, 2)


def test_an_empty_table_is_no_test() -> None:
    @each_case("number", [])
    def judge(number: int) -> None:
        raise AssertionError

    with pytest.raises(pytest.skip.Exception, match="empty"):
        judge()


def test_a_case_has_no_mark_and_as_many_values_as_there_are_names() -> None:
    with pytest.raises(AssertionError, match="mark"):
        each_case("a", [pytest.param(1, marks=pytest.mark.slow)])
    with pytest.raises(AssertionError, match=r"\(1, 2\)"):
        each_case("a, b, c", [(1, 2)])
