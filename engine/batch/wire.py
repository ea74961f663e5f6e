"""Requests and outcomes as bytes, for another process."""

from __future__ import annotations

import pickle
from typing import Any, cast

import msgspec

from engine import errors
from engine.asking.rendered import Rendered
from engine.batch.outcome import Outcome
from engine.errors import EngineError
from engine.providers import dialect
from engine.transport.deadlines import Timeouts

__all__ = ["packed_outcome", "packed_request", "unpacked_outcome", "unpacked_request"]

# Between processes of one user that run the same version: nobody else writes these bytes.


def packed_request(rendered: Rendered, timeouts: Timeouts, path: str | None) -> bytes:
    """What `unpacked_request` reads."""
    fields = {
        name: getattr(rendered, name)
        for name in ("http", "provider", "model", "key_variable", "streaming", "lane", "gated")
    }
    return pickle.dumps((fields, rendered.dialect.name, timeouts, path))


def unpacked_request(data: bytes) -> tuple[Rendered, Timeouts, str | None]:
    """The request, its timeouts, and the path of what goes through as it is."""
    fields, name, timeouts, path = pickle.loads(data)
    return Rendered(**fields, dialect=dialect(name)), timeouts, path


def packed_outcome(outcome: Outcome) -> bytes:
    """What `unpacked_outcome` reads."""
    error = outcome.error
    told = (type(error).__name__, error.message, _facts(error)) if error is not None else None
    return pickle.dumps((msgspec.structs.replace(outcome, error=None), told))


def unpacked_outcome(data: bytes) -> Outcome:
    """The outcome; its error has no cause: that stayed where it happened."""
    outcome, told = cast("tuple[Outcome, Any]", pickle.loads(data))
    if told is None:
        return outcome
    kind, message, facts = told
    error: EngineError = getattr(errors, kind, EngineError)(message, **facts)
    return msgspec.structs.replace(outcome, error=error)


def _facts(error: EngineError) -> dict[str, Any]:
    names = (
        "category",
        "retryable",
        "retry_after",
        "http_status",
        "request_id",
        "provider",
        "detail",
        "phase",
        "code",
    )
    return {name: getattr(error, name) for name in names}
