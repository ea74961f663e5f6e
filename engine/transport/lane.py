"""The lane of one base URL, key and model: the gate and the retry budget that its requests share,
those of all clients and batches of a `Multi`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from engine.errors import Category, EngineError, ProviderError
from engine.transport.admission import Admission, Queued
from engine.transport.gate import Gate
from engine.transport.retry import Retry, Sent, retry_delay
from engine.transport.retry_budget import RetryBudget

if TYPE_CHECKING:
    from engine.transport.timers import Timer

__all__ = ["Lane", "Lanes", "Passenger", "Ticket"]

# Lanes that are empty and open are forgotten when there are more than so many.
_MOST_LANES: Final = 1000
# Refusals that are few whatever was asked: what asking soon may cost those that wait.
_FEW: Final = 250


class Passenger(Queued, Protocol):
    """What a lane needs to know of a transfer."""

    lane: Lane[Any] | None
    passed: bool
    repeats: int
    again: bool

    @property
    def longest_hold(self) -> float: ...
    def fail_attempt(self, error: EngineError) -> None: ...


P = TypeVar("P", bound=Passenger)


class Lane(Generic[P]):
    """Requests that stand or fall together.

    Attributes:
        gate: whether one may go now.
        budget: whether one may be tried again.
        in_flight: attempts that have passed and not ended, whoever made them.
    """

    __slots__ = (
        "_admit",
        "_call_at",
        "_recalled",
        "_refusal",
        "_timer",
        "_waiting",
        "budget",
        "gate",
        "in_flight",
    )

    def __init__(
        self,
        admit: Callable[[P], None],
        call_at: Callable[[float, Callable[[], None]], Timer],
        budget: RetryBudget,
    ) -> None:
        self._admit = admit
        self._call_at = call_at
        self.gate: Gate = Gate()
        self.budget: RetryBudget = budget
        self.in_flight: int = 0
        self._waiting: deque[P] = deque()
        self._recalled: deque[P] = deque()  # before those that wait
        self._timer: Timer | None = None
        self._refusal: EngineError | None = None

    def __len__(self) -> int:
        """Requests that wait at the gate."""
        return len(self._waiting) + len(self._recalled)

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost with it."""
        return not self.in_flight and not len(self) and self.gate.until < monotonic()

    def enqueue(self, transfer: P) -> None:
        """Let `transfer` go, or have it wait its turn; where the provider asks for a longer wait
        than it has patience for, it fails."""
        if (
            not (self._waiting or self._recalled)
            and self.gate.wait(monotonic(), self.in_flight) == 0.0
        ):
            self.in_flight += 1
            self._admit(transfer)
            return
        self._waiting.append(transfer)
        self._go_on()

    def recalls(self, transfer: P) -> bool:
        """Whether `transfer`, which passed and was not sent yet, waits again: the gate closed
        meanwhile, or fewer may be under way. A thousand that begin together pass before the first
        of them is refused."""
        gate = self.gate
        if gate.ramp == inf or (self.in_flight <= gate.ramp and gate.until <= monotonic()):
            return False
        transfer.passed = False
        self.in_flight -= 1
        gate.withdrawn()
        self._recalled.append(transfer)
        self._go_on()
        return True

    def left(self) -> None:
        """An attempt that passed has ended."""
        self.in_flight -= 1
        self.gate.over(monotonic())
        if self._waiting or self._recalled:
            self._go_on()

    def wait(self, now: float) -> float | None:
        """Seconds until one more request may go; 0.0: now; None: when one in flight is answered.
        For who keeps requests of its own waiting: a batch."""
        return self.gate.wait(now, self.in_flight + len(self))

    def ended(
        self, now: float, sent_at: float, error: EngineError | None, spare: float = 0.0
    ) -> bool:
        """A request that was sent at `sent_at` was answered (None), or refused, or failed; `spare`
        as `Gate.close` takes it.

        Returns:
            whether a new episode of refusals began.
        """
        if error is None:
            self.answered(sent_at)
            return False
        news = False
        if error.category is Category.RATE_LIMIT or (
            error.retry_after is not None and error.category is not Category.QUOTA
        ):
            self._refusal = error
            news = self.gate.close(now, sent_at, max(self.in_flight, 1), error.retry_after, spare)
        if self._waiting or self._recalled:
            self._go_on()
        return news

    def answered(self, sent_at: float) -> None:
        """A request that was sent at `sent_at` was answered."""
        self.gate.answered(sent_at)
        if self._waiting or self._recalled:
            self._go_on()

    def _go_on(self) -> None:
        now = monotonic()
        while waiting := self._recalled or self._waiting:
            transfer = waiting[0]
            wait = 0.0 if transfer.over else self.gate.wait(now, self.in_flight)
            if wait == 0.0:
                waiting.popleft()
                if not transfer.over:
                    self.in_flight += 1
                    self._admit(transfer)
            elif wait is not None and wait > transfer.longest_hold:
                waiting.popleft()
                self._turn_away(transfer, now, wait)
            else:
                self._wake_at(now + wait if wait is not None else None)
                return

    def _turn_away(self, transfer: P, now: float, wait: float) -> None:
        refusal = self._refusal
        error = ProviderError(
            f"not sent: the provider asked to wait {wait:.0f} s more when it refused an earlier "
            "request of this key and model; wait, or raise Retry(max_retry_after=)",
            category=Category.RATE_LIMIT,
            retry_after=wait,
            provider=refusal.provider if refusal is not None else None,
        )
        error.__cause__ = refusal
        # Not from in here: its owner may be about to be made.
        self._call_at(now, lambda: transfer.fail_attempt(error))

    def _wake_at(self, when: float | None) -> None:
        if when is None:
            return
        if self._timer is not None and self._timer.call is not None:
            if self._timer.when <= when:
                return
            self._timer.cancel()
        self._timer = self._call_at(when, self._go_on)


class Ticket(Generic[P]):
    """What one request has of its lane.

    Args:
        lane: the lane.
        retry: the request's own policy.
        gated: whether it waits at the gate, and tells it how it fared.
    """

    __slots__ = ("_lane", "_retry", "gate")

    def __init__(self, lane: Lane[P], retry: Retry, gated: bool) -> None:
        self._lane = lane
        self._retry = retry
        self.gate: Lane[P] | None = lane if gated else None
        lane.budget.requested(monotonic())

    def tell(self, began_at: float, error: EngineError | None) -> None:
        """The attempt that began then brought content (None), or failed."""
        lane = self.gate
        if lane is None:
            return
        if error is None:
            lane.answered(began_at)
        else:
            spare = _spare(self._retry, error, len(lane) + lane.in_flight)
            lane.ended(monotonic(), began_at, error, spare)

    def retry_delay(self, attempt: int, error: EngineError, sent: Sent) -> float | None:
        """Seconds until the next attempt, nothing having been delivered, or None to give up; see
        `retry_delay`. Where the gate makes it wait it costs no budget."""
        now = monotonic()
        budget = self._lane.budget
        free = self.gate is not None and error.category is Category.RATE_LIMIT
        left = free or budget.left(now)
        delay = retry_delay(self._retry, attempt, error, False, sent=sent, budget_left=left)
        if delay is not None and not free:
            budget.retried(now)
        return delay


def _spare(retry: Retry, error: EngineError, waiting: int) -> float:
    # Whoever waits may be refused once, on an average: so many go out at once elsewhere. Few that
    # have many attempts may spend half of them, where an attempt costs nothing else.
    if error.category is not Category.RATE_LIMIT:
        return waiting
    return max(waiting, min(waiting * (retry.max_attempts - 1) / 2, _FEW))


class Lanes(Generic[P]):
    """The lanes of a `Multi`, made as they are asked for.

    Args:
        admission: the queue behind the gates.
        call_at: calls a function at a time.
    """

    __slots__ = ("_admission", "_call_at", "_lanes")

    def __init__(
        self,
        admission: Admission,
        call_at: Callable[[float, Callable[[], None]], Timer],
    ) -> None:
        self._admission = admission
        self._call_at = call_at
        self._lanes: dict[int, Lane[P]] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def lane(self, key: int, retry: Retry) -> Lane[P]:
        """The lane of those that ask the same: `key` stands for base URL, key and model. The first
        that asks for it says how large its budget is."""
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= _MOST_LANES:
                self._lanes = {k: lane for k, lane in self._lanes.items() if not lane.idle}
            budget = RetryBudget(retry.budget, retry.budget_min, monotonic())
            lane = self._lanes[key] = Lane(self._admit, self._call_at, budget)
        return lane

    def ticket(self, key: int, retry: Retry, gated: bool) -> Ticket[P]:
        """What a request needs of the lane `key`."""
        return Ticket(self.lane(key, retry), retry, gated)

    def enqueue(self, transfer: P) -> None:
        """Queue `transfer`, at the gate of its lane if it has one."""
        lane = transfer.lane
        if lane is not None and not transfer.again:
            lane.enqueue(transfer)
            return
        if lane is not None:  # it has waited at the gate already
            lane.in_flight += 1
        self._admit(transfer)

    def _admit(self, transfer: P) -> None:
        transfer.passed = transfer.lane is not None
        # What goes out again uncounted has waited its turn.
        self._admission.enqueue(transfer, ahead=transfer.repeats > 0)
