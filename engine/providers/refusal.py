"""One map from what providers say when they refuse to the category it has.

The same words have the same category whether they come with an HTTP status or inside a stream
that began with 200.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from engine.errors import Category, EngineError, ProtocolError, ProviderError
from engine.providers.codes import category_of_number, category_of_words
from engine.providers.error_body import ErrorBody, error_inside
from engine.providers.prose import (
    FILTERED,
    TOO_LONG,
    WRONG_KEY,
    by_the_day,
    delay_of,
    no_money,
    prose_of,
)
from engine.request import shown_url
from engine.wire.event_stream import EventStreamDecoder
from engine.wire.headers import header_words, parse_reset, parse_retry_after
from engine.wire.headers import request_id as id_of_request
from engine.wire.json import decode_json
from engine.wire.redaction import redact

__all__ = ["UNNAMED", "http_error", "is_error", "is_ping", "stream_error"]

# How an error inside a stream names the provider, whom its parser does not know.
UNNAMED: Final = "the provider"

_BY_STATUS: Final = {
    400: Category.INVALID_ARG,
    401: Category.AUTH,
    402: Category.QUOTA,
    403: Category.AUTH,
    404: Category.NOT_FOUND,
    405: Category.NOT_FOUND,  # of servers of files and frameworks: nobody is asked at this path
    407: Category.NETWORK,  # always a proxy's, never the provider's (RFC 9110, 15.5.8)
    408: Category.TIMEOUT,
    409: Category.SERVER,
    413: Category.INVALID_ARG,
    422: Category.INVALID_ARG,
    425: Category.SERVER,
    429: Category.RATE_LIMIT,
    431: Category.INVALID_ARG,
    498: Category.RATE_LIMIT,  # Groq: flex tier capacity exceeded
    504: Category.TIMEOUT,
    511: Category.NETWORK,  # the network's in between, never the provider's (RFC 6585, 6)
}
# What leads elsewhere (RFC 9110, 15.4): 304 is an answer to a question that is not asked here.
_REDIRECTS: Final = frozenset({300, 301, 302, 303, 307, 308})

# What a code may not weaken: such statuses speak for themselves, whatever the type says. Groq's 413
# has the code rate_limit_exceeded, but no wait makes the request smaller.
_STATUS_WINS: Final = frozenset({401, 402, 403, 404, 407, 408, 413, 429, 504})
_REFINES: Final = frozenset({Category.QUOTA, Category.CONTENT_FILTER})
_OF_THE_REQUEST: Final = frozenset({Category.INVALID_ARG, Category.NOT_FOUND})
# Of these the words are about time; a request that is wrong may hold such words itself.
_PASSING: Final = frozenset({Category.RATE_LIMIT, Category.SERVER, Category.TIMEOUT})
_VAGUE: Final = frozenset({None, Category.SERVER})
# A bad request stays one, whatever its type says of servers.
_NOT_4XX: Final = frozenset({Category.SERVER, Category.TIMEOUT})

_ADVICE: Final = {
    Category.AUTH: "check {key}",
    Category.QUOTA: "add credit or raise the spending limit of the account",
    Category.RATE_LIMIT: "wait, or send less at once",
    Category.NOT_FOUND: "check the model's name and the base URL",
    Category.INVALID_ARG: "correct the request",
    Category.SERVER: "try again later",
    Category.TIMEOUT: "try again, or ask for less",
    Category.CONTENT_FILTER: "the provider's filter stopped it; change the content",
    Category.NETWORK: "the proxy in between wants a user and password that it knows: write them "
    "into its address (http_proxy=http://user:password@host:port)",
    Category.UNKNOWN: "see the provider's words",
}

# Fields a request cannot be without.
_NEEDED: Final = ("messages", "input", "prompt", "contents", "model")

_MAX_TEXT = 1000  # characters of a provider's message that are shown
_MAX_DETAIL = 4096


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
        key_variable: where the key came from, or would come from; for the advice.
    """
    facts = ErrorBody(_json_or_none(body))
    request_id = id_of_request(headers, facts.request_id)
    if 300 <= status < 400:
        return ProtocolError(
            _elsewhere(provider, status, headers.get("location")),
            http_status=status,
            request_id=request_id,
            provider=provider,
        )
    message = facts.message or _plain_text(body, headers)
    retry_after = parse_retry_after(headers)
    if retry_after is None:
        retry_after = facts.retry_delay
    said = delay_of(message)
    category = _category(status, facts, message, waits=(retry_after, said) != (None, None))
    if retry_after is None and category in _PASSING:
        retry_after = said
    if retry_after is None and category is Category.RATE_LIMIT:
        retry_after = parse_reset(headers)
    retryable: bool | None = False if category is Category.NETWORK else None
    told = {*header_words(headers, "x-should-retry")}
    if told in ({"true"}, {"false"}) and category is not Category.QUOTA:
        retryable = "true" in told
    return ProviderError(
        _sentence(
            provider,
            redact(message) or _no_words(status),
            f"HTTP {status}",
            _advice(category, status, message, facts, retry_after, key_variable),
        ),
        category=category,
        retryable=retryable,
        retry_after=retry_after,
        http_status=status,
        request_id=request_id,
        provider=provider,
        detail=redact(body[:_MAX_DETAIL].decode("utf-8", "replace")) or None,
        code=redact(facts.code) if facts.code else facts.code,
    )


def stream_error(data: Any, provider: str | None = None) -> EngineError:
    """The error an error object stands for that came inside a stream.

    `data` is the decoded object, the string, or whatever the provider puts there, with or without
    ``{"error": …}`` around it.
    """
    facts = ErrorBody(data)
    retry_after, said = facts.retry_delay, delay_of(facts.message)
    waits = (retry_after, said) != (None, None)
    category = _category(facts.status, facts, facts.message, waits=waits)
    if category is Category.UNKNOWN or category is Category.SERVER:
        # The request was taken and an answer had begun: with no word to the contrary, it is the
        # server that failed.
        category = category_of_number(facts.number) or Category.SERVER
    if retry_after is None and category in _PASSING:
        retry_after = said
    return ProviderError(
        _sentence(
            provider or UNNAMED,
            redact(facts.message or _shown(data)),
            redact(facts.code or "an error inside the stream"),
            _advice(category, facts.status, facts.message, facts, retry_after, None),
        ),
        category=category,
        retry_after=retry_after,
        http_status=facts.status,
        request_id=facts.request_id,
        provider=provider,
        detail=redact(str(data)[:_MAX_DETAIL]),
        code=redact(facts.code) if facts.code else facts.code,
    )


def _shown(data: Any) -> str:
    """`data`, in which no words were found, as it came; nothing where it holds none."""
    text = json.dumps(data, ensure_ascii=False, default=str)
    return text if re.search(r': "[^"]', text) else ""


def is_error(data: Any) -> bool:
    """Whether `data`, the object of a record that is no part of an answer, reports an error without
    ``error`` around it: vLLM's ``{"object": "error", …}``, FastAPI's ``{"detail": …}``, and
    ``{"message": …, "code": …}``."""
    if isinstance(data, list) and data:  # Gemini wraps errors in a list at times
        data = data[0]
    if not isinstance(data, dict) or not data:
        return False
    if error_inside(data) or data.get("detail") or data.get("object") == "error":
        return True
    status = data.get("base_resp")  # MiniMax: 0 is success
    if isinstance(status, dict) and status.get("status_code"):
        return True
    if _SAID.isdisjoint(data) or not any(isinstance(data.get(name), str) for name in _SAID):
        return False
    failed = data.get("success") is False
    return failed or any(name in data and not _is_well(data[name]) for name in _CODES)


_SAID: Final = frozenset(
    {
        *("message", "msg", "error_msg", "errmsg", "error_message"),
        *("Message", "errorMessage"),  # AWS
    }
)
_CODES: Final = (
    *("code", "type", "status", "status_code", "errcode", "error_code", "statusCode", "errorCode"),
    *("Code", "__type", "errorType"),  # AWS
)
# What servers say beside a message while all is well.
_WELL: Final = frozenset(
    {
        *("", "0", "200", "ok", "success", "succeeded", "successful", "done", "completed"),
        *("info", "debug", "log", "notice", "message", "status", "progress", "event", "update"),
        *("queued", "pending", "waiting", "started", "starting", "running", "loading"),
        *("processing", "inprogress", "working", "alive"),
    }
)


def _is_well(code: Any) -> bool:
    if isinstance(code, str):
        return code.lower().replace("_", "").replace("-", "").replace(" ", "") in _WELL
    return code is None or code is True or code in (0, 200)


def is_ping(name: str, data: Any) -> bool:
    """Whether the record `data` of the event `name` says only that the server is alive."""
    kind = data.get("type") if isinstance(data, dict) else data
    return "ping" in (name, kind) or kind in ("keepalive", "keep-alive", "heartbeat")


# --------------------------------------------------------------------------------------------


def _category(status: int | None, facts: ErrorBody, message: str, *, waits: bool) -> Category:
    """The category.

    Args:
        status: the HTTP status, its own or the one the body names.
        facts: what the body says in codes.
        message: its prose.
        waits: it says for how long to wait.
    """
    words = facts.words
    named = category_of_words(words) or category_of_number(facts.number)
    if named not in _REFINES:
        if FILTERED.search(message):
            named = Category.CONTENT_FILTER
        elif no_money(message, words) or (not waits and _of_days(status, named, message)):
            named = Category.QUOTA
        elif status in (400, None) and WRONG_KEY.search(message):
            named = Category.AUTH  # xAI answers 400 to a wrong key
        elif status in (400, 404, 422, None):
            about = prose_of(message, words, coded=named not in _VAGUE)
            if about is not None and about[0] is not None:
                named = about[0]
                if status != 404:
                    return named
    if status is None:
        return named or Category.UNKNOWN
    by_status = _BY_STATUS.get(status)
    if named in _REFINES:
        return named or Category.UNKNOWN
    if status >= 500:
        return Category.RATE_LIMIT if named is Category.RATE_LIMIT else by_status or Category.SERVER
    if by_status is not None and (status in _STATUS_WINS or named is None or named in _NOT_4XX):
        return by_status
    return named or Category.UNKNOWN


def _of_days(status: int | None, named: Category | None, message: str) -> bool:
    """Whether a rate limit is one that no back-off outlasts."""
    limited = status == 429 or (status is None and named is Category.RATE_LIMIT)
    return limited and by_the_day(message)


def _advice(
    category: Category,
    status: int | None,
    message: str,
    facts: ErrorBody,
    retry_after: float | None,
    key_variable: str | None,
) -> str:
    """What to do next."""
    if retry_after and category is not Category.QUOTA:
        return f"it asks to wait {retry_after:g} s"
    about = prose_of(message, facts.code or "", coded=False)
    if about is not None and about[0] in (None, category) and category in _OF_THE_REQUEST:
        return about[1]
    if category is Category.INVALID_ARG:
        needed = facts.param is None or facts.param.startswith(_NEEDED)
        if needed and TOO_LONG.search(message):
            return "shorten the input, or take a model with a larger context"
        if status == 413:
            return "send less in one request"
        if facts.param is not None:
            return f"correct {'' if needed else 'or leave out '}{facts.param!r}"
    if status == 511:
        return "the network in between wants a login: open a web page on this machine"
    if category is Category.UNKNOWN and not message:
        return "check the base URL and what stands between"
    advice = _ADVICE[category].format(key=key_variable or "the API key")
    if category is Category.QUOTA and by_the_day(message):
        return "ask again when the limit begins anew, or raise it"
    if status == 405:
        return "check the base URL"
    if category is Category.AUTH and status == 403:
        return f"{advice} and what it may be used for"
    return advice


def _elsewhere(provider: str, status: int, where: str | None) -> str:
    if status not in _REDIRECTS:
        return (
            f"{provider}: {_no_words(status)} (HTTP {status}), which is no answer to this request; "
            "check the base URL and what stands between"
        )
    return (
        f"{provider} redirects (HTTP {status}){f' to {shown_url(where)!r}' if where else ''}; "
        "redirects are not followed, since they would carry the key along: correct base_url"
    )


def _no_words(status: int) -> str:
    """What stands in for the provider's words: what the status itself says."""
    from http import HTTPStatus  # 1 ms that only an answer without words is worth

    try:
        return f"no reason given but the status, {HTTPStatus(status).phrase}"
    except ValueError:
        return "no reason given"


def _sentence(provider: str, words: str, where: str, advice: str) -> str:
    words = " ".join(words.split())[:_MAX_TEXT].rstrip(" .") or "no reason given"
    return f"{provider}: {words} ({where}); {advice}"


def _json_or_none(body: bytes) -> Any:
    """The object in `body`; LiteLLM, DashScope and Lemonade send it as an event of a stream."""
    if not body.strip():
        return None
    try:
        return decode_json(body)
    except ProtocolError:
        pass
    decoder = EventStreamDecoder()
    try:
        records = decoder.feed(body) + decoder.finish()
        data = [record if isinstance(record, bytes) else record.data for record in records]
        objects = [decode_json(line) for line in data if line[:1] == b"{"]
    except ProtocolError:
        return None
    return next((data for data in objects if is_error(data)), objects[0] if objects else None)


_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def _plain_text(body: bytes, headers: Mapping[str, str]) -> str:
    text = body[:8192].decode("utf-8", "replace")
    if (
        any("html" in word for word in header_words(headers, "content-type"))
        or text.lstrip()[:1] == "<"
    ):
        text = _TAG.sub(" ", text)
    return " ".join(text.split())[:300]
