"""What is printed, without the keys in it: those that were sent, and what looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from engine.errors import EngineError
from engine.request import HttpRequest, is_secret_name

__all__ = ["clean_bytes", "clean_headers", "hide_secrets", "redact", "secrets_in", "secrets_of"]

# Keys are echoed in "incorrect API key" messages, some of them whole. Without what stands after it
# a beginning of two letters is that of many an id, too.
_LOOKS_SECRET: Final = re.compile(
    r"\b(?:(?:sk|pk|gsk|xai|hf|csk|fw|pplx|r8|key|ghp|github_pat|nvapi|tgp)[-_]|AIza)"
    r"[-_A-Za-z0-9]{11,}|\bBearer\s+\S{8,}"
)
# Shorter words are no keys, and are in every other sentence: "test", "none", "Bearer".
_MIN_SECRET: Final = 8
# From here on a secret is taken out of the middle of a word too: no other word holds it by chance.
_LONG_SECRET: Final = 20
# Where the value of a header falls into words: schemes, cookies, lists.
_BETWEEN: Final = re.compile(r"[\s;,]+")


def secrets_of(request: HttpRequest) -> tuple[str, ...]:
    """What `request` says to authenticate: the words of its secret headers, and the secret
    parameters of its query; the longest first."""
    return secrets_in(request.url, *request.headers.items())


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` safe to print: no control characters, no `secrets`, nothing that looks like a key."""
    text = "".join(c if c >= " " and not "\x7f" <= c <= "\x9f" else " " for c in text)
    for secret in secrets:
        text = _without(text, secret)
    return _LOOKS_SECRET.sub(lambda match: match[0][:4] + "…", text)


def hide_secrets(error: EngineError, secrets: Iterable[str]) -> EngineError:
    """`error` itself, without the `secrets` that the server echoes in its words, its code or its
    ids."""
    error.message = redact(error.message, secrets)
    error.args = (error.message,)
    for name in ("detail", "code", "request_id"):
        said = getattr(error, name)
        if isinstance(said, str):
            setattr(error, name, redact(said, secrets))
    return error


def clean_headers(headers: dict[str, str], secrets: tuple[str, ...]) -> dict[str, str]:
    """`headers` itself where none of them echoes one of the `secrets`, else a copy without."""
    said = "\n".join(headers.values())
    if not any(secret in said for secret in secrets):
        return headers
    cleaned = {}
    for name, value in headers.items():
        for secret in secrets:
            value = _without(value, secret)
        cleaned[name] = value
    return cleaned


def clean_bytes(data: bytes, secrets: tuple[str, ...]) -> bytes:
    """`data` itself where it echoes none of the `secrets`, else a copy without."""
    if not any(secret.encode() in data for secret in secrets):
        return data
    text = data.decode("utf-8", "surrogateescape")
    for secret in secrets:
        text = _without(text, secret)
    return text.encode("utf-8", "surrogateescape")


def _without(text: str, secret: str) -> str:
    if secret not in text:
        return text
    if len(secret) >= _LONG_SECRET:
        return text.replace(secret, "…")
    return re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", "…", text)


@lru_cache(maxsize=256)  # one client asks with one key again and again
def secrets_in(url: str, *headers: tuple[str, str]) -> tuple[str, ...]:
    """As `secrets_of`, of a request to `url` with `headers`."""
    values = [value for name, value in headers if is_secret_name(name)]
    found: set[str] = set()
    query = urlsplit(url).query
    parameters = (value for name, value in parse_qsl(query) if is_secret_name(name))
    for value in (*values, *parameters):
        for word in _BETWEEN.split(value):
            # A cookie is name=value; the padding of base64 is no separator.
            _, equals, part = word.rstrip("=").partition("=")
            found.update((word, word.rstrip("="), part if equals else word))
    # As JSON and as a URL would write them.
    found |= {other for word in found for other in (word.replace("/", "\\/"), quote(word, safe=""))}
    return tuple(
        sorted((word for word in found if len(word) >= _MIN_SECRET), key=len, reverse=True)
    )
