"""How a request ended, as one record."""

from __future__ import annotations

import pickle
from typing import Any

import msgspec
import pytest

from engine import events
from engine.answering.accumulate import Accumulator
from engine.answering.conclusion import Ending, completion_of
from engine.completion import Completion
from engine.errors import ProtocolError, TruncatedError
from engine.messages import FinishReason, Usage
from engine.response import Timing
from engine.wire.headers import Head
from tests.cases import each_case

DONE = events.Done(FinishReason.STOP, Usage(3, 4), "stop")
HEAD = Head(200, {"x-request-id": "req_1"}, True)


class City(msgspec.Struct):
    name: str


def ending(**fields: Any) -> Ending:
    known: dict[str, Any] = {
        "status": "complete",
        "error": None,
        "done": DONE,
        "untold_usage": None,
        "metadata": {},
        "provider": "openai",
        "head": HEAD,
        "attempts": 1,
        "timing": Timing(),
        "created": 100.0,
        "first_event": 100.5,
        "last_event": 101.0,
        "delivered": 7,
        "answer_type": None,
        "possibly_billed": 0,
    }
    return Ending(**{**known, **fields})


def gathered(*told: Any) -> Accumulator:
    accumulator = Accumulator()
    accumulator.extend([events.Start("a", "m"), *told])
    return accumulator


def test_a_complete_answer() -> None:
    probable = [{"token": "Hi"}]
    told = gathered(events.TextDelta("Hi"), events.LogprobsDelta(probable))
    completion = completion_of(ending(metadata={"tier": "x"}, possibly_billed=2), told)
    assert (completion.logprobs, completion.provider_metadata) == (probable, {"tier": "x"})
    assert (completion.attempts, completion.delivered, completion.possibly_billed) == (1, 7, 2)
    assert (completion.http_status, completion.headers, completion.rate_limit) == (
        HEAD.status,
        HEAD.headers,
        None,
    )
    assert (completion.finish_reason, completion.error) == (FinishReason.STOP, None)
    assert (completion.status, completion.text, completion.usage) == ("complete", "Hi", Usage(3, 4))
    assert (completion.finish_reason_raw, completion.request_id) == ("stop", "req_1")
    assert (completion.timing.first_event, completion.timing.last_event) == (0.5, 1.0)


def test_what_is_not_complete_has_no_end_and_its_usage_is_partial() -> None:
    error = TruncatedError("cut")
    accumulator = gathered(events.TextDelta("Hi"), events.UsageUpdate(Usage(3)))
    completion = completion_of(ending(status="truncated", error=error, done=None), accumulator)
    assert (completion.status, completion.error, completion.text) == ("truncated", error, "Hi")
    assert completion.finish_reason is None
    assert completion.usage is not None and completion.usage.partial


@each_case("text", ['{"name": "Paris"}', '{"name": 5}', "Paris"])
def test_an_answer_that_does_not_fit_its_type_is_an_error(text: str) -> None:
    completion = completion_of(ending(answer_type=City), gathered(events.TextDelta(text)))
    if text == '{"name": "Paris"}':
        assert completion.parsed == City("Paris")
    else:
        assert completion.status == "error" and completion.parsed is None
        assert isinstance(completion.error, ProtocolError)
        assert completion.finish_reason is None


def test_before_any_response_nothing_is_made_up() -> None:
    completion = completion_of(
        ending(status="cancelled", done=None, head=None, first_event=None), Accumulator()
    )
    assert (completion.http_status, completion.request_id, dict(completion.headers)) == (
        None,
        None,
        {},
    )
    assert completion.timing.first_event is None
    assert [message.text for message in completion.messages] == [""]


def long_answer() -> Accumulator:
    accumulator = gathered()
    for n in range(200):
        accumulator.extend([events.TextDelta(f"{n} ".ljust(10_000, "x"), choice=0)] * 2)
    accumulator.extend([events.TextDelta("other", choice=1)])
    accumulator.extend([events.TextDelta("y" * 10_000)] * 200)
    return accumulator


def test_what_is_long_is_joined_when_somebody_looks_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    message = Accumulator.message

    def noted(self: Accumulator, provider: str | None, choice: int = 0) -> Any:
        looked.append(choice)
        return message(self, provider, choice)

    monkeypatch.setattr(Accumulator, "message", noted)
    completion = completion_of(ending(), long_answer())
    assert isinstance(completion, Completion) and completion.usage == Usage(3, 4)
    assert looked == []
    assert len(completion.text) == 6_000_000 and completion.text.startswith("0 x")
    assert [m.text for m in completion.messages][1] == "other"
    assert completion.message is completion.message is completion.messages[0]
    assert looked == [0, 1]
    kept = pickle.loads(pickle.dumps(completion))
    assert type(kept) is Completion and kept.messages == completion.messages
    assert repr(completion).startswith("<Completion complete · '0 xxx")


def test_what_is_short_is_joined_at_once() -> None:
    accumulator = gathered(*[events.TextDelta("word ")] * 1000)
    assert type(completion_of(ending(), accumulator)) is Completion
