"""`TimerHeap`: in order, once, and no heavier than what waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.transport.timers import TimerHeap


def test_timers_run_in_order_of_time_and_then_of_adding() -> None:
    heap, ran = TimerHeap(), list[str]()
    for name, when in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("a2", 1.0)):
        heap.add(when, lambda name=name: ran.append(name))  # type: ignore[misc]
    heap.run(2.5)
    assert ran == ["a", "a2", "b"]
    assert heap.next_time() == 3.0


def test_a_cancelled_timer_never_runs_and_is_no_deadline() -> None:
    heap, ran = TimerHeap(), list[int]()
    timer = heap.add(1.0, lambda: ran.append(1))
    timer.cancel()
    timer.cancel()
    assert heap.next_time() is None
    heap.run(5.0)
    assert ran == []


def test_a_timer_may_cancel_another_that_is_due_with_it() -> None:
    heap, ran = TimerHeap(), list[str]()
    heap.add(1.0, lambda: second.cancel())
    second = heap.add(1.0, lambda: ran.append("second"))
    heap.run(1.0)
    assert ran == []


def test_a_timer_added_by_a_call_waits_for_the_next_run() -> None:
    heap, ran = TimerHeap(), list[float]()

    def again() -> None:
        ran.append(len(ran))
        heap.add(0.0, again)

    heap.add(0.0, again)
    heap.run(1.0)
    assert ran == [0]
    heap.run(1.0)
    assert ran == [0, 1]


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=300), st.integers(0, 50))
def test_exactly_those_that_are_due_and_not_cancelled_run(
    timers: list[tuple[int, bool]], now: int
) -> None:
    heap, ran = TimerHeap(), list[int]()
    for when, cancelled in timers:
        timer = heap.add(when, lambda when=when: ran.append(when))  # type: ignore[misc]
        if cancelled:
            timer.cancel()
    heap.run(now)
    assert ran == sorted(when for when, cancelled in timers if when <= now and not cancelled)
    later = [when for when, cancelled in timers if when > now and not cancelled]
    assert heap.next_time() == min(later, default=None)


def test_cancelled_timers_do_not_pile_up_until_their_time() -> None:
    # A day of short requests, each with a total of an hour that it never needs.
    heap = TimerHeap()
    alive = [heap.add(3600.0, lambda: None) for _ in range(100)]
    for _ in range(50_000):
        heap.add(3600.0, lambda: None).cancel()
    assert len(heap) <= 2 * len(alive) + 1
