"""`retry_delay`: a pure function of what happened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import (
    Category,
    ConfigError,
    DeadlineError,
    EngineError,
    NetworkError,
    ProviderError,
)
from engine.transport.retry import Retry, Sent, retry_delay
from tests.cases import each_case

BUSY = ProviderError("busy", category=Category.SERVER)


def test_the_wait_doubles_up_to_its_bound_and_is_spread_from_zero() -> None:
    retry = Retry(max_attempts=10, base_delay=0.5, max_delay=8)
    top = [retry_delay(retry, n, BUSY, False, dice=1.0) for n in range(1, 8)]
    assert top == [0.5, 1, 2, 4, 8, 8, 8]
    assert retry_delay(retry, 3, BUSY, False, dice=0.0) == 0.0


def test_attempts_are_counted_with_the_first() -> None:
    retry = Retry(max_attempts=3)
    assert retry_delay(retry, 2, BUSY, False) is not None
    assert retry_delay(retry, 3, BUSY, False) is None
    assert retry_delay(Retry(max_attempts=1), 1, BUSY, False) is None


@given(st.sampled_from(list(Category)), st.integers(1, 5), st.sampled_from([None, 0.0, 1.5]))
def test_never_after_something_was_delivered(
    category: Category, attempt: int, retry_after: float | None
) -> None:
    error = EngineError("x", category=category, retryable=True, retry_after=retry_after)
    assert retry_delay(Retry(max_attempts=9), attempt, error, delivered=True) is None


def test_never_what_cannot_succeed() -> None:
    assert retry_delay(Retry(), 1, ProviderError("no", category=Category.AUTH), False) is None
    quota = ProviderError("broke", category=Category.QUOTA, retry_after=1.0)
    assert retry_delay(Retry(), 1, quota, False) is None


def test_what_the_server_asks_for_is_obeyed_or_reported() -> None:
    def asked(seconds: float) -> float | None:
        error = ProviderError("slow down", category=Category.RATE_LIMIT, retry_after=seconds)
        return retry_delay(Retry(max_retry_after=120), 1, error, False)

    assert asked(0.0) == 0.0
    assert asked(17.25) == 17.25
    assert asked(120.0) == 120.0
    assert asked(120.5) is None


def test_a_name_unknown_twice_stays_unknown() -> None:
    unknown = NetworkError("x", phase="resolve")
    assert retry_delay(Retry(max_attempts=9), 1, unknown, False) is not None
    assert retry_delay(Retry(max_attempts=9), 2, unknown, False) is None


def test_after_a_deadline_the_next_attempt_begins_at_once() -> None:
    assert retry_delay(Retry(), 1, DeadlineError("x", phase="connect"), False) == 0.0


@pytest.mark.parametrize("attempts", [0, -1])
def test_no_attempt_at_all_is_a_mistake(attempts: int) -> None:
    with pytest.raises(ConfigError, match="max_attempts"):
        Retry(max_attempts=attempts)


def test_a_huge_number_of_attempts_does_not_overflow() -> None:
    assert retry_delay(Retry(max_attempts=10**6), 10**5, BUSY, False, dice=1.0) == 8.0


# What comes of the first failure, with dice 1.0 and the defaults: None gives up; 0.5 is a back-off.
SERVER, NETWORK, TIMEOUT = Category.SERVER, Category.NETWORK, Category.TIMEOUT
TABLE: list[tuple[float | None, EngineError, Sent]] = [
    # (wait, error, what is known of the request)
    (0.5, ProviderError("x", category=SERVER, http_status=500), Sent.REFUSED),
    (0.5, ProviderError("x", category=SERVER, http_status=503), Sent.REFUSED),
    (7.0, ProviderError("x", category=SERVER, http_status=503, retry_after=7.0), Sent.REFUSED),
    (0.5, ProviderError("x", category=TIMEOUT, http_status=408), Sent.REFUSED),
    (0.5, ProviderError("x", category=TIMEOUT, http_status=504), Sent.REFUSED),
    (3.0, ProviderError("x", category=TIMEOUT, http_status=504, retry_after=3.0), Sent.REFUSED),
    (0.5, ProviderError("deadline exceeded, in the stream", category=TIMEOUT), Sent.REFUSED),
    (0.0, DeadlineError("x", phase="connect"), Sent.UNSENT),
    (0.0, DeadlineError("x", phase="first_event"), Sent.UNKNOWN),
    (0.5, NetworkError("x", phase="connect"), Sent.UNSENT),
    (0.5, NetworkError("x", phase="body"), Sent.UNKNOWN),
    (None, NetworkError("x", phase="tls", retryable=False), Sent.UNSENT),
    (None, ProviderError("x", category=Category.INVALID_ARG, http_status=400), Sent.REFUSED),
    (0.5, ProviderError("x", category=Category.RATE_LIMIT, http_status=429), Sent.REFUSED),
]


@each_case(("wait", "error", "sent"), TABLE)
def test_what_comes_of_a_failure(wait: float | None, error: EngineError, sent: Sent) -> None:
    def decided(retry: Retry, *, budget_left: bool = True) -> float | None:
        return retry_delay(retry, 1, error, False, 1.0, sent=sent, budget_left=budget_left)

    assert decided(Retry()) == wait
    assert decided(Retry(max_attempts=1)) is None
    assert decided(Retry(), budget_left=False) is None
    assert decided(Retry(unknown="fail")) == (None if sent is Sent.UNKNOWN else wait)


@each_case(
    ("name", "value"),
    [
        ("unknown", "maybe"),
        ("budget", -0.1),
        ("budget", float("inf")),
        ("budget_min", float("nan")),
        ("budget_min", True),
    ],
)
def test_a_policy_that_means_nothing_is_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        Retry(**{name: value})  # type: ignore[arg-type]
