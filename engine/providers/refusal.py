"""One map from what providers say when they refuse to the category it has.

The same words have the same category whether they come with an HTTP status or inside a stream
that began with 200.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from engine.errors import Category, EngineError, ProtocolError, ProviderError
from engine.wire.headers import parse_duration, parse_retry_after
from engine.wire.json import decode_json

__all__ = ["http_error", "is_error", "stream_error"]

_BY_STATUS: Final = {
    400: Category.INVALID_ARG,
    401: Category.AUTH,
    402: Category.QUOTA,
    403: Category.AUTH,
    404: Category.NOT_FOUND,
    408: Category.TIMEOUT,
    409: Category.SERVER,
    413: Category.INVALID_ARG,
    422: Category.INVALID_ARG,
    425: Category.SERVER,
    429: Category.RATE_LIMIT,
    498: Category.RATE_LIMIT,  # Groq: flex tier capacity exceeded
    504: Category.TIMEOUT,
}

# Words of codes, types and statuses, in order of trust: the first that occurs decides.
_BY_WORD: Final = (
    ("insufficient_quota", Category.QUOTA),
    ("billing", Category.QUOTA),
    ("spend", Category.QUOTA),
    ("insufficient_credits", Category.QUOTA),
    ("payment_required", Category.QUOTA),
    ("content_filter", Category.CONTENT_FILTER),
    ("content_policy", Category.CONTENT_FILTER),
    ("data_inspection_failed", Category.CONTENT_FILTER),
    ("invalid_api_key", Category.AUTH),
    ("authentication", Category.AUTH),
    ("unauthenticated", Category.AUTH),
    ("unauthorized", Category.AUTH),
    ("permission", Category.AUTH),
    ("rate_limit", Category.RATE_LIMIT),
    ("ratelimit", Category.RATE_LIMIT),
    ("resource_exhausted", Category.RATE_LIMIT),
    ("too_many_requests", Category.RATE_LIMIT),
    ("throttling", Category.RATE_LIMIT),
    ("overloaded", Category.SERVER),
    ("unavailable", Category.SERVER),
    ("deadline_exceeded", Category.TIMEOUT),
    ("timeout", Category.TIMEOUT),
    ("model_not_found", Category.NOT_FOUND),
    ("not_found", Category.NOT_FOUND),
    ("invalid_request", Category.INVALID_ARG),
    ("invalid_argument", Category.INVALID_ARG),
    ("failed_precondition", Category.INVALID_ARG),
    ("context_length_exceeded", Category.INVALID_ARG),
    ("server", Category.SERVER),
    ("internal", Category.SERVER),
    ("api_error", Category.SERVER),
)

# What a code may not weaken: such statuses speak for themselves, whatever the type says.
_STATUS_WINS: Final = frozenset({401, 403, 404, 408, 429, 504})
_REFINES: Final = frozenset({Category.QUOTA, Category.CONTENT_FILTER})

# A limit that no wait of minutes lifts, told only in prose.
_QUOTA_PROSE: Final = re.compile(
    r"exceeded your current quota, please check your plan and billing"
    r"|credit balance is too low|insufficient (?:balance|credits|funds)"
    r"|(?:spend|spending|usage) (?:cap|limit) (?:has been )?(?:reached|exceeded)",
    re.IGNORECASE,
)
_KEY_PROSE: Final = re.compile(r"api[ _-]?key (?:not valid|is invalid|invalid)", re.IGNORECASE)

_ADVICE: Final = {
    Category.AUTH: "check {key}",
    Category.QUOTA: "add credit or raise the spending limit of the account",
    Category.RATE_LIMIT: "wait, or send less at once",
    Category.NOT_FOUND: "check the model's name and the base URL",
    Category.INVALID_ARG: "correct the request",
    Category.SERVER: "try again later",
    Category.TIMEOUT: "try again, or ask for less",
    Category.CONTENT_FILTER: "the provider's filter stopped it; change the content",
    Category.UNKNOWN: "see the provider's words",
}

_MAX_TEXT = 1000  # characters of a provider's message that are shown
# Keys are echoed in "incorrect API key" messages, some of them whole.
_SECRET: Final = re.compile(
    r"\b(?:sk|pk|gsk|xai|hf|csk|fw|pplx|r8|key|AIza|ghp|github_pat|nvapi|tgp)[-_A-Za-z0-9]{12,}"
    r"|\bBearer\s+\S{8,}"
)


def http_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    provider: str,
    key_variable: str | None = None,
) -> EngineError:
    """The error a response with an unwelcome `status` stands for.

    Args:
        status: the HTTP status; 3xx too, since redirects are not followed.
        headers: names in lower case.
        body: the first of the body; JSON in any of the shapes providers use, or anything.
        provider: the provider's name, for the message.
        key_variable: the variable the key came from, or would come from; for the advice.
    """
    request_id = _request_id(headers)
    if 300 <= status < 400:
        return ProtocolError(
            f"{provider} redirects (HTTP {status}) to {headers.get('location', 'nowhere')!r}; "
            "redirects are not followed, since they would carry the key along: correct base_url",
            http_status=status,
            request_id=request_id,
            provider=provider,
        )
    facts = _Facts(_json_or_none(body))
    message = facts.message or _plain_text(body, headers)
    category = _category(status, facts.words, message)
    retry_after = parse_retry_after(headers)
    if retry_after is None:
        retry_after = facts.retry_delay
    retryable: bool | None = None
    if headers.get("x-should-retry") in ("true", "false") and category is not Category.QUOTA:
        retryable = headers["x-should-retry"] == "true"
    return _error(
        category,
        message,
        f"HTTP {status}",
        provider,
        key_variable,
        facts.code,
        retryable=retryable,
        retry_after=retry_after,
        http_status=status,
        request_id=request_id or facts.request_id,
        detail=_clean(body[:4096].decode("utf-8", "replace")) or None,
    )


def stream_error(data: Any, provider: str | None = None) -> EngineError:
    """The error an error object stands for that came inside a stream.

    `data` is the decoded object, the string, or whatever the provider puts there, with or without
    ``{"error": …}`` around it.
    """
    facts = _Facts(data)
    status = facts.status
    category = _category(status, facts.words, facts.message)
    return _error(
        category,
        facts.message,
        facts.code or "an error inside the stream",
        provider or "the provider",
        None,
        facts.code,
        retry_after=facts.retry_delay,
        http_status=status,
        request_id=facts.request_id,
        detail=_clean(str(data)[:4096]),
    )


def is_error(data: Any) -> bool:
    """Whether `data`, the object of a record that is no part of an answer, reports an error without
    ``error`` around it: vLLM's ``{"object": "error", …}``, FastAPI's ``{"detail": …}``, and
    ``{"message": …, "code": …}``."""
    if not isinstance(data, dict):
        return False
    if "error" in data or "detail" in data or data.get("object") == "error":
        return True
    return isinstance(data.get("message"), str) and not {"code", "type", "status"}.isdisjoint(data)


def _error(
    category: Category,
    message: str,
    where: str,
    provider: str,
    key_variable: str | None,
    code: str | None,
    **facts: Any,
) -> EngineError:
    advice = _ADVICE[category].format(key=key_variable or "the API key")
    if facts.get("retry_after"):
        advice = f"it asks to wait {facts['retry_after']:g} s"
    words = _clean(message)[:_MAX_TEXT].rstrip(" .") or "no reason given"
    return ProviderError(
        f"{provider}: {words} ({where}); {advice}",
        category=category,
        provider=provider,
        code=code,
        **facts,
    )


def _category(status: int | None, words: str, message: str) -> Category:
    named = next((category for word, category in _BY_WORD if word in words), None)
    if named not in _REFINES and _QUOTA_PROSE.search(message):
        named = Category.QUOTA
    if status is None:
        return named or Category.UNKNOWN
    if named in _REFINES:
        return named or Category.UNKNOWN
    if status == 400 and _KEY_PROSE.search(message):
        return Category.AUTH  # Gemini answers 400 INVALID_ARGUMENT to a wrong key
    if status in _STATUS_WINS:
        return _BY_STATUS[status]
    by_status = _BY_STATUS.get(status, Category.SERVER if status >= 500 else Category.UNKNOWN)
    if named is not None and (status < 500 or named is Category.RATE_LIMIT):
        return named
    return by_status


class _Facts:
    """What can be read from an error object, in any of its shapes."""

    __slots__ = ("code", "message", "request_id", "retry_delay", "status", "words")

    def __init__(self, data: Any) -> None:
        if isinstance(data, list) and data:  # Gemini wraps errors in a list at times
            data = data[0]
        outer = data if isinstance(data, dict) else {}
        inner = outer.get("error", data)
        error = inner if isinstance(inner, dict) else {}
        self.message = _text(inner, error, outer)
        names = [
            value
            for source in (error, outer)
            for field in ("code", "type", "status", "__type")
            if isinstance(value := source.get(field), str) and value not in ("error", "object")
        ]
        self.code = names[0] if names else None
        self.words = " ".join(names).lower().replace("-", "_").replace(" ", "_")
        numbers = (
            _status(source.get(field))
            for source in (error, outer)
            for field in ("code", "status", "status_code")
        )
        self.status = next((number for number in numbers if number is not None), None)
        request_id = outer.get("request_id") or error.get("request_id")
        self.request_id = request_id if isinstance(request_id, str) else None
        self.retry_delay = _retry_delay(error.get("details"))


def _status(value: Any) -> int | None:
    text = str(value) if isinstance(value, int | str) else ""
    return int(text) if len(text) == 3 and text.isdigit() and 400 <= int(text) < 600 else None


def _text(inner: Any, error: Mapping[str, Any], outer: Mapping[str, Any]) -> str:
    if isinstance(inner, str):
        return inner
    for source in (error, outer):
        for field in ("message", "detail", "msg", "error", "Message"):
            value = source.get(field)
            if isinstance(value, str) and value:
                return _with_upstream(value, error)
            if isinstance(value, list) and value:
                return "; ".join(_validation(item) for item in value[:3])
    return ""


def _with_upstream(message: str, error: Mapping[str, Any]) -> str:
    # OpenRouter says "Provider returned error" and keeps the reason in metadata.raw.
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return f"{message}: {raw}" if isinstance(raw, str) and raw else message


def _validation(item: Any) -> str:
    # FastAPI's 422: {"detail": [{"loc": ["body", "model"], "msg": "field required"}]}
    if not isinstance(item, dict):
        return str(item)
    place = ".".join(map(str, item.get("loc", ())))
    return f"{place}: {item.get('msg', item)}" if place else str(item.get("msg", item))


def _retry_delay(details: Any) -> float | None:
    # google.rpc.RetryInfo: {"@type": "…RetryInfo", "retryDelay": "17s"}
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str):
            return parse_duration(delay)
    return None


_REQUEST_ID_HEADERS = (
    "x-request-id",
    "request-id",
    "x-amzn-requestid",
    "apim-request-id",
    "cf-ray",
)


def _request_id(headers: Mapping[str, str]) -> str | None:
    return next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), None)


def _json_or_none(body: bytes) -> Any:
    try:
        return decode_json(body) if body.strip() else None
    except ProtocolError:
        return None


_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def _plain_text(body: bytes, headers: Mapping[str, str]) -> str:
    text = body[:8192].decode("utf-8", "replace")
    if "html" in headers.get("content-type", "") or text.lstrip()[:1] == "<":
        text = _TAG.sub(" ", text)
    return " ".join(text.split())[:300]


def _clean(text: str) -> str:
    """Safe to print: no control characters, no keys."""
    text = "".join(c if c >= " " and not "\x7f" <= c <= "\x9f" else " " for c in text)
    return _SECRET.sub(lambda match: match[0][:4] + "…", text)
