"""The error tree: one root, a category each, facts as attributes."""

from __future__ import annotations

from engine import errors
from engine.errors import Category, EngineError
from tests.cases import each_case

CLASSES = [
    kind
    for kind in (getattr(errors, name) for name in errors.__all__)
    if isinstance(kind, type) and issubclass(kind, EngineError)
]


@each_case("kind", CLASSES)
def test_every_error_has_the_root_a_category_and_its_facts(kind: type[EngineError]) -> None:
    error = kind("what happened; what to do", http_status=500, provider="p", phase="idle")
    assert isinstance(error, EngineError)
    assert str(error) == error.message == "what happened; what to do"
    assert isinstance(error.category, Category)
    assert (error.http_status, error.provider, error.phase) == (500, "p", "idle")
    assert error.retry_after is error.request_id is error.detail is error.code is None
    assert kind.__doc__


@each_case("kind", CLASSES)
def test_the_page_shows_every_error(kind: type[EngineError]) -> None:
    assert errors.__doc__ is not None and kind.__name__ in errors.__doc__


def test_what_may_pass_by_itself_is_retryable_and_the_rest_is_not() -> None:
    retryable = {category for category in Category if EngineError("", category=category).retryable}
    assert retryable == {
        Category.RATE_LIMIT,
        Category.SERVER,
        Category.TIMEOUT,
        Category.NETWORK,
        Category.TRUNCATED,
        Category.RESOURCE,
    }


def test_what_is_known_better_is_kept() -> None:
    assert not EngineError("", category=Category.SERVER, retryable=False).retryable
    assert EngineError("", category=Category.AUTH, retryable=True).retryable


def test_a_deadline_is_a_timeout_of_python_too() -> None:
    assert issubclass(errors.DeadlineError, TimeoutError)


def test_misuse_is_a_mistake_of_the_caller() -> None:
    assert issubclass(errors.MisuseError, errors.ConfigError)
