"""Every error of the engine, on one page, sorted by whose fault it is.

    EngineError
    ├── ConfigError        yours: an argument, a key, a URL; nothing was sent
    │   └── MisuseError    yours: a call at the wrong moment, thread or process
    ├── CallbackError      yours: a callback raised; the exception is ``__cause__``
    ├── CancelledError     nobody's: you asked for it
    ├── NetworkError       the network's: resolve, connect, TLS, a connection that died
    ├── DeadlineError      the clock's: ``phase`` says which wait was too long
    ├── ResourceError      this machine's: descriptors, memory, disk
    ├── ProtocolError      the peer's bytes: not HTTP, not SSE, not JSON, over a limit
    ├── TruncatedError     the peer's bytes: they ended before the answer did
    └── ProviderError      the provider's refusal: a status, a code, an in-stream error

Code that decides reads the attributes (``category``, ``retryable``, ``retry_after``), not the
class names: an error inside a 200 stream has the category it would have as an HTTP status.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

__all__ = [
    "CallbackError",
    "CancelledError",
    "Category",
    "ConfigError",
    "DeadlineError",
    "EngineError",
    "MisuseError",
    "NetworkError",
    "ProtocolError",
    "ProviderError",
    "ResourceError",
    "TruncatedError",
    "describe",
]


def describe(error: BaseException) -> str:
    """``"ValueError: what it says"`` of `error`, for a message; also where the exception cannot
    say it, since its ``__str__`` raises: that must not cost more than the one stream."""
    try:
        text = str(error)
    except Exception as another:
        text = f"(its __str__ raised {type(another).__name__})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Category(StrEnum):
    """What kind of failure it was; the same words for every provider and every transport."""

    AUTH = "AUTH"
    RATE_LIMIT = "RATE_LIMIT"
    INVALID_ARG = "INVALID_ARG"
    NOT_FOUND = "NOT_FOUND"
    SERVER = "SERVER"
    TIMEOUT = "TIMEOUT"
    CONTENT_FILTER = "CONTENT_FILTER"
    NETWORK = "NETWORK"
    UNKNOWN = "UNKNOWN"
    QUOTA = "QUOTA"
    PROTOCOL = "PROTOCOL"
    TRUNCATED = "TRUNCATED"
    CALLBACK = "CALLBACK"
    CANCELLED = "CANCELLED"
    RESOURCE = "RESOURCE"
    CONFIG = "CONFIG"


# A second try may help only where the cause may pass by itself.
_RETRYABLE = frozenset(
    {
        Category.RATE_LIMIT,
        Category.SERVER,
        Category.TIMEOUT,
        Category.NETWORK,
        Category.TRUNCATED,
        Category.RESOURCE,
    }
)


class EngineError(Exception):
    """The root of every error the engine raises or reports.

    Attributes:
        category: the kind of failure, see `Category`.
        retryable: whether the same request may succeed when sent again.
        retry_after: seconds the provider asked to wait, or None.
        http_status: status of the response, or None when there was none.
        request_id: the provider's id of the request, for its support desk, or None.
        provider: name of the provider, or None.
        detail: the peer's own words (body text, libcurl's text), cut to a sane length, or None.
        phase: for NETWORK and TIMEOUT, the part of the exchange that failed: ``resolve``,
            ``connect``, ``tls``, ``send``, ``first_event``, ``idle``, ``content``, ``total``,
            ``body``; else None.
        code: the provider's own error code or type, or None.
    """

    default_category: ClassVar[Category] = Category.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        category: Category | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
        http_status: int | None = None,
        request_id: str | None = None,
        provider: str | None = None,
        detail: str | None = None,
        phase: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.category: Category = category if category is not None else self.default_category
        self.retryable: bool = retryable if retryable is not None else self.category in _RETRYABLE
        self.retry_after = retry_after
        self.http_status = http_status
        self.request_id = request_id
        self.provider = provider
        self.detail = detail
        self.phase = phase
        self.code = code


class ConfigError(EngineError):
    """An argument, key, URL or file is wrong. Nothing was sent; correct it and call again."""

    default_category: ClassVar[Category] = Category.CONFIG


class MisuseError(ConfigError):
    """A call came at a moment, from a thread or in a process where it cannot be carried out."""


class CallbackError(EngineError):
    """A callback raised. Its exception is ``__cause__``; only its own stream ended."""

    default_category: ClassVar[Category] = Category.CALLBACK


class CancelledError(EngineError):
    """The request was cancelled, by ``cancel()``, ``abort()``, ``STOP`` or ``close()``."""

    default_category: ClassVar[Category] = Category.CANCELLED


class NetworkError(EngineError):
    """The host could not be found, reached or trusted, or the connection died; see ``phase``."""

    default_category: ClassVar[Category] = Category.NETWORK


class DeadlineError(EngineError, TimeoutError):
    """A wait was longer than its limit; ``phase`` names the limit in `engine.Timeouts`."""

    default_category: ClassVar[Category] = Category.TIMEOUT


class ResourceError(EngineError):
    """This machine ran out of something: file descriptors, memory, disk."""

    default_category: ClassVar[Category] = Category.RESOURCE


class ProtocolError(EngineError):
    """The peer's bytes are not what the protocol allows, or went over a limit."""

    default_category: ClassVar[Category] = Category.PROTOCOL


class TruncatedError(EngineError):
    """The bytes ended before the protocol's own end marker; what came is kept."""

    default_category: ClassVar[Category] = Category.TRUNCATED


class ProviderError(EngineError):
    """The provider refused or failed; ``category``, ``code`` and ``http_status`` say how."""
