"""What can be read from an error object, in any of the shapes providers use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from engine.wire.headers import parse_duration

__all__ = ["ErrorBody", "error_inside"]

_NAMES = ("code", "type", "status", "error_type", "__type", "error_code", "Code")
_WORDS = (
    *("message", "detail", "msg", "error", "Message", "status_msg", "error_msg", "errmsg"),
    *("faultstring", "error_message", "errorMessage", "title"),
)
_NUMBERS = ("code", "status_code", "errcode", "error_code")


def error_inside(outer: Mapping[str, Any]) -> Any:
    """What stands in `outer` under a name that says that it is an error, or None: ``error`` with
    nearly all, Cloudflare's and watsonx's ``errors``, an Apigee gateway's ``fault``, AWS's
    ``Error`` and ``throttlingException``."""
    for name in ("error", "errors", "fault", "Error"):
        found = outer.get(name)
        if isinstance(found, list):
            found = found[0] if found else None
        if found:
            return found
    if len(outer) == 1:
        (name, value), *_ = outer.items()
        if name.endswith("Exception") and isinstance(value, dict):
            return {"type": name, **value}
    return None


class ErrorBody:
    """The facts of one error object, with or without ``{"error": …}`` around it.

    Attributes:
        message: the provider's words, empty where there are none.
        code: its code or type, or None.
        words: all codes, types and reasons in lower case letters, digits and spaces.
        status: the HTTP status it names, or None.
        number: its code, where that is a number and no HTTP status, or None.
        request_id: the provider's id of the request, or None.
        retry_delay: seconds it asks to wait, in a field of its own, or None.
        param: the field of the request it is about, or None.
    """

    __slots__ = (
        "code",
        "message",
        "number",
        "param",
        "request_id",
        "retry_delay",
        "status",
        "words",
    )

    def __init__(self, data: Any) -> None:
        if isinstance(data, list) and data:  # Gemini wraps errors in a list at times
            data = data[0]
        outer = data if isinstance(data, dict) else {}
        outer = outer.get("base_resp") or outer  # MiniMax
        inner = error_inside(outer)
        inner = outer.get("error", data) if inner is None else inner
        error = inner if isinstance(inner, dict) else {}
        details = [detail for detail in _list(error.get("details")) if isinstance(detail, dict)]
        self.message: str = _message(inner, error, outer)
        names = [name for name in _names(error, outer) if not name.isdigit()]
        self.code: str | None = names[0] if names else None
        names += [reason for item in details if isinstance(reason := item.get("reason"), str)]
        names += list(_quota_ids(details))
        names += _moderated(error)
        self.words: str = " ".join(re.sub(r"[^a-z0-9]+", "", name.lower()) for name in names)
        self.status: int | None = _first_status(error, outer)
        self.number: int | None = _number(error, outer)
        self.request_id: str | None = _first_text(
            outer, error, ("request_id", "id")
        )  # Cohere: only ``id``
        self.retry_delay: float | None = next(filter(None, map(_retry_delay, details)), None)
        param = error.get("param")
        self.param: str | None = param if isinstance(param, str) and param else None


def _names(error: Mapping[str, Any], outer: Mapping[str, Any]) -> Iterator[str]:
    for source in (error, outer):
        for field in _NAMES:
            value = source.get(field)
            if isinstance(value, str) and value not in ("error", "object"):
                yield value


def _first_status(error: Mapping[str, Any], outer: Mapping[str, Any]) -> int | None:
    for source in (error, outer):
        for field in ("code", "status", "status_code", "statusCode", "error_code"):
            text = str(source.get(field, ""))
            if len(text) == 3 and text.isdecimal() and 400 <= int(text) < 600:
                return int(text)
    return None


def _number(error: Mapping[str, Any], outer: Mapping[str, Any]) -> int | None:
    for source in (error, outer):
        for field in _NUMBERS:
            text = str(source.get(field, ""))
            if text.isascii() and text.isdigit() and 3 < len(text) < 8:
                return int(text)
    return None


def _first_text(
    first: Mapping[str, Any], second: Mapping[str, Any], fields: tuple[str, ...]
) -> str | None:
    values = (source.get(field) for field in fields for source in (first, second))
    return next((value for value in values if isinstance(value, str) and value), None)


def _message(inner: Any, error: Mapping[str, Any], outer: Mapping[str, Any]) -> str:
    if isinstance(inner, str):
        # Frameworks put the status in words there, and what happened beside it.
        beside = outer.get("message")
        more = isinstance(beside, str) and beside and inner not in beside
        return f"{inner}: {beside}" if more else inner
    for source in (error, outer):
        for field in _WORDS:
            value = source.get(field)
            while isinstance(value, dict):  # Mistral's 422: {"message": {"detail": [...]}}
                value = next(filter(None, map(value.get, _WORDS)), None)
            if isinstance(value, str) and value:
                return _with_upstream(value, error)
            if isinstance(value, list) and value:
                return "; ".join(_validation(item) for item in value[:3])
    return _with_upstream("", error)


def _with_upstream(message: str, error: Mapping[str, Any]) -> str:
    # OpenRouter says "Provider returned error" and keeps the reason in metadata.raw.
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not isinstance(raw, str) or not raw:
        return message
    return f"{message}: {raw}" if message else raw


def _validation(item: Any) -> str:
    # FastAPI's 422: {"detail": [{"loc": ["body", "model"], "msg": "field required"}]}
    if not isinstance(item, dict):
        return str(item)
    place = ".".join(map(str, _list(item.get("loc"))))
    return f"{place}: {item.get('msg', item)}" if place else str(item.get("msg", item))


def _moderated(error: Mapping[str, Any]) -> list[str]:
    # OpenRouter's 403 for what a provider's moderation flagged.
    metadata = error.get("metadata")
    flagged = isinstance(metadata, dict) and ("flagged_input" in metadata or "reasons" in metadata)
    return ["moderation"] if flagged else []


def _retry_delay(detail: Mapping[str, Any]) -> float | None:
    # google.rpc.RetryInfo: {"@type": "…RetryInfo", "retryDelay": "17s"}
    delay = detail.get("retryDelay")
    return parse_duration(delay) if isinstance(delay, str) else None


def _quota_ids(details: list[dict[str, Any]]) -> Iterator[str]:
    # google.rpc.QuotaFailure: {"violations": [{"quotaId": "…PerDayPerProject…"}]}
    for detail in details:
        for violation in _list(detail.get("violations")):
            name = violation.get("quotaId") if isinstance(violation, dict) else None
            if isinstance(name, str):
                yield name


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
