"""Refusals whose reason stands in their prose alone: what they are about, and what to do."""

from __future__ import annotations

import re
from typing import Final

from engine.errors import Category

__all__ = ["FILTERED", "TOO_LONG", "WRONG_KEY", "by_the_day", "delay_of", "no_money", "prose_of"]

FILTERED: Final = re.compile(
    r"content filtering policy|content management policy|flagged by moderation|requires moderation"
    r"|flagged as potentially|violat\w+ .{0,30}\bpolic(?:y|ies)\b|content_?policy_?violation"
    r"|contains? .{0,20}(?:sensitive|inappropriate)|guardrail\b.{0,40}(?:failed|blocked|violat)"
    r"|blocked (?:output|input)\b|敏感内容|不安全",
    re.IGNORECASE,
)
WRONG_KEY: Final = re.compile(
    r"api[ _-]?key (?:not valid|is invalid|invalid)|(?:incorrect|invalid) api[ _-]?(?:key|token)"
    r"|(?:invalid|expired) (?:access |auth(?:entication)? )?token|please carry the api key",
    re.IGNORECASE,
)
TOO_LONG: Final = re.compile(
    r"(?:context|prompt|input|messages?|tokens?)\b.{0,60}(?:too long|exceed|maximum|longer than)"
    r"|too many (?:prompt )?tokens|maximum context length|inputs?\b.{0,40} must be <="
    r"|(?:exceeds?|greater than) .{0,40}context (?:size|length|window)|context.?window.?exceeded"
    r"|\bshorter (?:input|prompt|messages?)\b|reduce (?:your|the) (?:message|prompt|input)"
    r"|exceed\w* .{0,20}token limit",
    re.IGNORECASE | re.DOTALL,
)
_NO_MONEY: Final = re.compile(
    r"credit balance is too low|insufficient (?:account )?(?:balance|credits?|funds)"
    r"|balance is (?:insufficient|not enough)|not enough (?:balance|credits?)|overdue balance"
    r"|(?:doesn't|does not) have (?:any|enough) credits|requires more credits"
    r"|used (?:up )?all (?:available |your )?credits|credits? (?:are|is|have been|has been) "
    r"(?:depleted|exhausted|used up)|budget has been exceeded|key limit exceeded"
    r"|(?:spend|spending|usage) (?:cap|limit) (?:has been )?(?:reached|exceeded)"
    r"|reach\w+ (?:your|its|the) .{0,30}(?:spending|usage) limits?"
    r"|free (?:tier|quota|allocation)\b.{0,30}exhausted|used up your .{0,10}free",
    re.IGNORECASE,
)
# OpenAI's words for an empty account are Gemini's for a minute's limit.
_NO_MONEY_OR_TIME: Final = re.compile(
    r"exceeded your current quota, please check your plan and billing", re.IGNORECASE
)


# "limited to 1000 API calls / month" (Cohere), "free-models-per-day" (OpenRouter).
_BY_THE_DAY: Final = re.compile(
    r"(?:\bper|\beach|/) ?-?(?:day|week|month)\b"
    r"|\b(?:daily|weekly|monthly)\b.{0,30}\b(?:limit|quota|allowance|allocation|credits)",
    re.IGNORECASE,
)
_BY_THE_MINUTE: Final = re.compile(r"(?:\bper|\beach|/) ?-?(?:s\b|sec|min|hour)", re.IGNORECASE)

_WAIT: Final = re.compile(
    r"(\d+(?:\.\d+)?) ?(?:(ms|[smhd])|(milli|sec|min|hour|day)(?:sec)?(?:onds?|utes?|s)?)(?![a-z])",
    re.IGNORECASE | re.ASCII,
)
# "Please try again in 6m0.5s", "Please retry after 55 seconds", "wait 43126 seconds before".
_DELAY: Final = re.compile(
    r"\b(?:try(?:ing)? again|retry(?:ing)?|wait|resets?)(?: (?:in|after|for|at least|another))*"
    rf" ((?:{_WAIT.pattern}(?:,? and |, ?| )?)+)",
    re.IGNORECASE | re.ASCII,
)
_SECONDS: Final = {"m": 60.0, "s": 1.0, "h": 3600.0, "d": 86400.0}  # by the first letter


def delay_of(message: str) -> float | None:
    """Seconds to wait, as the prose of an error has them; None where it names none."""
    found = _DELAY.search(message)
    if found is None:
        return None
    parts = _WAIT.findall(found[1])
    units = [(float(number), (short or long).lower()) for number, short, long in parts]
    return sum(n / 1000 if unit in ("ms", "milli") else n * _SECONDS[unit[0]] for n, unit in units)


def by_the_day(message: str) -> bool:
    """Whether a limit is one of days or more, which no back-off outlasts."""
    return bool(_BY_THE_DAY.search(message)) and not _BY_THE_MINUTE.search(message)


def no_money(message: str, words: str) -> bool:
    """Whether an error says that the account is empty; `words`: its codes. Gemini's daily limits
    are known by their quotaId."""
    if _NO_MONEY_OR_TIME.search(message):
        return "resourceexhausted" not in words
    return _NO_MONEY.search(message) is not None


# "The request took too long", "it waited too long in the queue": not of its length.
_OF_TIME: Final = (
    r"took|tak(?:es?|ing|en)|wait(?:s|ed|ing)|ran|running|queue[ds]?|pending|spent|execution"
    r"|duration|processing|timed|timeout"
)
# Pattern, category (None: that of the status and codes), advice.
_BY_PROSE: Final = (
    (
        re.compile(
            r"invalid model name|(?:unknown|no such|invalid) model\b|not a valid model\b"
            r"|model identifier is invalid|requested model is not supported"
            r"|\bmodel\W{0,3}[\w./:@-]{0,60}\W{0,3}(?:does not exist|was not found|not found\b"
            r"|has been decommissioned)",
            re.IGNORECASE,
        ),
        Category.NOT_FOUND,
        "check the model's name",
    ),
    (
        re.compile(r"only (?:be )?supported in v1/responses", re.IGNORECASE),
        None,
        "ask with dialect='responses'",
    ),
    (
        re.compile(r"mean to use (?:the )?v1/chat/completions", re.IGNORECASE),
        None,
        "ask with dialect='chat'",
    ),
    (  # DashScope
        re.compile(r"only supports? stream(?:ing)?\b", re.IGNORECASE),
        None,
        "ask for a stream",
    ),
    (  # LM Studio, with HTTP 200
        re.compile(r"unexpected endpoint or method", re.IGNORECASE),
        Category.NOT_FOUND,
        "check the base URL: nothing answers there (is /v1 missing?)",
    ),
    (
        re.compile(
            r"^(?:\w+ )?\W?max_\w*tokens\b.{0,60}"
            r"(?:maximum|too large|at most|must be|less than|greater|>)",
            re.IGNORECASE | re.DOTALL,
        ),
        None,
        "lower max_tokens",
    ),
    (
        re.compile(
            r"(?:tools?|function[ _-]?call(?:ing|s)?)\W{0,3}(?:is|are) not (?:supported|available)"
            r"|(?:does|do) not support (?:the )?(?:tool|function)",
            re.IGNORECASE,
        ),
        None,
        "this model takes no tools: leave out tools=, or take another model",
    ),
    (
        re.compile(
            r"previous_response_not_found|previous[ _]response.{0,80}not found",
            re.IGNORECASE | re.DOTALL,
        ),
        None,
        "the answer it goes on from is not stored (any more): leave out previous_response_id and "
        "send the whole conversation",
    ),
    (
        re.compile(
            r"no endpoints found that support (?:tool|image)|no endpoints found matching",
            re.IGNORECASE,
        ),
        None,
        "none of the providers behind it can do what is asked: leave it out, or take another model",
    ),
)
# The same where no code says more than that something failed: small servers', inside a stream.
_WITHOUT_CODE: Final = (
    (
        re.compile(
            rf"\A(?!.*\b(?:{_OF_TIME})\b)"
            r".*\b(?:prompt|input|request)\b.{0,20}(?<!for )\btoo long\b"
            r"|maximum context length"
            r"|exceed.{0,30}context (?:size|length|window|limit)"
            r"|context (?:size|length|window|limit) .{0,20}exceeded"
            r"|provide a shorter (?:input|prompt)",  # LM Studio
            re.IGNORECASE | re.DOTALL,
        ),
        Category.INVALID_ARG,
        "shorten the input, or take a model with a larger context",
    ),
    (
        re.compile(r"^input validation error", re.IGNORECASE),
        Category.INVALID_ARG,
        "correct the request",
    ),
    (
        re.compile(
            r"\brate.?limit(?:s|ed)?\b.{0,40}(?:exceed|reach|hit\b)|exceed.{0,20}\brate.?limit"
            r"|\btoo many requests\b",
            re.IGNORECASE | re.DOTALL,
        ),
        Category.RATE_LIMIT,
        "wait, or send less at once",
    ),
)


def prose_of(message: str, words: str, *, coded: bool) -> tuple[Category | None, str] | None:
    """What the prose of an error is about, and what to do; None where the codes say enough.

    Args:
        message: the prose.
        words: the codes.
        coded: whether the codes say what is wrong, and not only that something is.
    """
    for pattern, category, advice in _BY_PROSE if coded else (*_BY_PROSE, *_WITHOUT_CODE):
        if pattern.search(message) or pattern.search(words):
            return category, advice
    return None
