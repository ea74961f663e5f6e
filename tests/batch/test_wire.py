"""Requests and outcomes cross to another process whole."""

from __future__ import annotations

import msgspec

from engine import errors
from engine.asking.rendered import Rendered
from engine.batch.outcome import Outcome
from engine.batch.wire import packed_outcome, packed_request, unpacked_outcome, unpacked_request
from engine.errors import Category, EngineError
from engine.messages import FinishReason, Usage
from engine.providers import dialect
from engine.request import HttpRequest
from engine.transport.deadlines import Timeouts
from tests.cases import each_case


def test_a_request_is_the_same_there() -> None:
    http = HttpRequest("POST", "http://h/v1/x", {"a": "b"}, b"{}")
    rendered = Rendered(http, dialect("messages"), "p", "m", "KEY", True, lane=7, gated=False)
    there, timeouts, path = unpacked_request(packed_request(rendered, Timeouts(total=3), "/v1/x"))
    assert (there.http, there.dialect.name, there.lane) == (http, "messages", 7)
    assert (there.streaming, there.gated, there.key_variable) == (True, False, "KEY")
    assert (timeouts.total, path) == (3, "/v1/x")


@each_case("kind", errors.__all__)
def test_every_error_is_the_same_there(kind: str) -> None:
    made = getattr(errors, kind)
    if not (isinstance(made, type) and issubclass(made, EngineError)):
        return
    error = made("words", http_status=429, retry_after=2.0, code="c", phase="idle", detail="d")
    outcome = Outcome(error=error, status=429, body=b"x", usage=Usage(1, 2, 3), text="t")
    there = unpacked_outcome(packed_outcome(outcome))
    assert msgspec.structs.replace(there, error=None) == msgspec.structs.replace(
        outcome, error=None
    )
    assert type(there.error) is made and there.error is not None
    assert (there.error.message, there.error.category) == ("words", error.category)
    assert (there.error.retry_after, there.error.http_status, there.error.phase) == (
        2.0,
        429,
        "idle",
    )
    assert there.cancelled is (error.category is Category.CANCELLED)


def test_an_answer_is_the_same_there() -> None:
    outcome = Outcome(error=None, status=200, body=b"{}", finish_reason=FinishReason.STOP)
    assert unpacked_outcome(packed_outcome(outcome)) == outcome
