"""What is asked: an HTTP request, and the provider-neutral request it is rendered from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from engine.errors import ConfigError
from engine.messages import Message, Tool, VendorTool

__all__ = [
    "Bound",
    "HttpRequest",
    "ModelRequest",
    "ThinkingLevel",
    "check_header",
    "check_unix_socket",
    "check_url",
    "check_way",
    "is_loopback",
    "is_open",
    "is_secret_name",
    "merged_headers",
    "public_url",
    "shown_url",
]

ThinkingLevel = Literal["none", "low", "medium", "high"]


class HttpRequest(msgspec.Struct, frozen=True, repr_omit_defaults=True, gc=False):
    """One HTTP request, checked before any I/O.

    Args:
        method: ``GET``, ``POST``, …
        url: an absolute http or https address, without user or password.
        headers: names and values; ASCII, no line breaks.
        body: the bytes to send; None sends none.
        addresses: IP addresses to find the host at, where the caller has looked it up and checked
            them; empty: libcurl looks it up.
        allow_insecure: let a key in the headers go over plain http to another machine.
        unix_socket: path of the socket to connect to instead of the URL's host, which is then only
            named in the request; a proxy is never asked. None: the host.

    Raises:
        ConfigError: the method, the address or a header cannot be sent safely.
    """

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    addresses: Sequence[str] = ()
    allow_insecure: bool = False
    unix_socket: str | None = None

    def __post_init__(self) -> None:
        for name, kind in (("method", str), ("url", str), ("headers", Mapping)):
            if not isinstance(getattr(self, name), kind):
                words = "a dict" if kind is Mapping else "a string"
                raise ConfigError(
                    f"{name} must be {words}, not {type(getattr(self, name)).__name__}"
                )
        if not isinstance(self.body, bytes | None):
            raise ConfigError(
                f"body must be bytes, not {type(self.body).__name__}; encode it first"
            )
        if not self.method.isascii() or not self.method.isalpha():
            raise ConfigError(f"method {self.method!r} is no HTTP method; use GET, POST, …")
        check_url(self.url)
        if self.unix_socket is not None:
            check_unix_socket(self.unix_socket)
        for name, value in self.headers.items():
            check_header(name, value)

    def with_body(self, body: bytes, headers: Mapping[str, str] | None = None) -> HttpRequest:
        """The same request, checked already, with another `body`, and `headers` beside its own;
        None: no others."""
        other: HttpRequest = self.__copy__()  # type: ignore[attr-defined]
        msgspec.structs.force_setattr(other, "body", body)
        if headers:
            for name, value in headers.items():
                check_header(name, value)
            msgspec.structs.force_setattr(other, "headers", merged_headers(self.headers, headers))
        return other

    @property
    def peer(self) -> str:
        """Who is asked, for people: ``host:port``, or the path of the socket."""
        return self.unix_socket or urlsplit(self.url).netloc

    def __repr__(self) -> str:
        # Header values and bodies hold keys and prompts; they are never printed.
        return f"HttpRequest({self.method} {shown_url(self.url)})"


class Bound(msgspec.Struct, frozen=True):
    """A piece of a question that only some formats can say: its place, and those dialects."""

    place: str
    formats: tuple[str, ...]


class ModelRequest(msgspec.Struct, frozen=True):
    """A request for an answer, in no provider's terms; a dialect renders it to HTTP.

    `thinking` is a level or None for the provider's default; `tool_choice` is ``auto``, ``none``,
    ``required`` or the name of one tool; `response_format` is ``"json"`` or a JSON schema with the
    keys ``name``, ``schema`` and ``strict``; `extra_body` is merged into the JSON body last;
    `bound` is what only some dialects can say; `before` is how many messages stand before those of
    the user's input, whose places errors name; `rendered` is what a dialect may remember from one
    turn of a dialogue to the next, in which what did not change is the same object (None: there is
    no next one).
    """

    model: str
    messages: list[Message]
    stream: bool = True
    tools: list[Tool | VendorTool] = []
    tool_choice: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] = []
    seed: int | None = None
    thinking: ThinkingLevel | None = None
    response_format: Mapping[str, Any] | Literal["json"] | None = None
    extra_body: Mapping[str, Any] = {}
    bound: list[Bound] = []
    before: int = 0
    rendered: dict[Any, Any] | None = None


@lru_cache(maxsize=128)  # a client asks for the same address again and again
def check_url(url: str, name: str = "url") -> str:
    """`url` if curl may be given it, else ConfigError naming the argument `name`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{name} {shown_url(url)!r} is not an address: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ConfigError(
            f"{name} {shown_url(url)!r} must begin with http:// or https:// "
            f"({_instead(url, parts.scheme)})"
        )
    if "@" in parts.netloc:
        raise ConfigError(
            f"{name} holds a user or password before '@'; give keys by api_key= or headers instead"
        )
    if not parts.hostname or port == 0:
        raise ConfigError(f"{name} {shown_url(url)!r} names no host or an impossible port")
    if not url.isascii() or any(c <= " " or c in '\\<>"{}|^`\x7f' for c in url):
        raise ConfigError(
            f"{name} {shown_url(url)!r} holds a space, control, backslash or non-ASCII character; "
            "percent-encode the path and write the host in its xn-- form"
        )
    return url


# sizeof(sun_path) on Linux, the zero at its end included; BSD and macOS have 104.
_LONGEST_SOCKET_PATH: Final = 108


def check_unix_socket(path: str) -> str:
    """`path` if a socket may be there, else ConfigError: libcurl reports a path that is too long as
    a host that is not known."""
    if not isinstance(path, str) or not path:
        raise ConfigError(f"unix_socket must be the path of a socket, not {path!r}")
    if "\0" in path or len(path.encode("utf-8", "surrogateescape")) >= _LONGEST_SOCKET_PATH:
        raise ConfigError(
            f"unix_socket {path!r} cannot be the path of a socket: at most "
            f"{_LONGEST_SOCKET_PATH - 1} bytes, and none of them zero"
        )
    return path


def merged_headers(*groups: Mapping[str, str]) -> dict[str, str]:
    """All headers, the later over the earlier of the same name in any case: two lines
    ``Authorization`` would give one key away beside the other."""
    merged: dict[str, tuple[str, str]] = {}
    for group in groups:
        for name, value in group.items():
            merged[name.lower() if isinstance(name, str) else name] = (name, value)
    return dict(merged.values())


def check_header(name: str, value: str) -> None:
    """ConfigError unless the header can be sent as it is.

    libcurl 8.23 sends a CR or LF in a value verbatim, which lets a value add headers of its own.
    """
    if not isinstance(name, str) or _TOKEN.fullmatch(name) is None:
        raise ConfigError(f"header name {name!r} is not allowed; use letters, digits and '-'")
    if not isinstance(value, str):
        raise ConfigError(f"header {name} must be a string, not {type(value).__name__}")
    if _VALUE.fullmatch(value) is None:
        raise ConfigError(
            f"the value of header {name} holds a line break, control or non-ASCII character; "
            "a key read from a file often ends with a newline: strip it"
        )


_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e]*")


# What authenticates somebody, by the name of the header or of the query's parameter. The vendors':
# Authorization, x-api-key (Anthropic), api-key (Azure), x-goog-api-key (Google), Cookie;
# Ocp-Apim-Subscription-Key (Azure's API management), cf-aig-authorization, X-Auth-Token, ….
_SECRET_NAME = re.compile(
    r"(?:^|[-_])(?:(?:proxy[-_])?authorization|cookie2?|auth|jwt|bearer|credentials?|password|passwd"
    r"|secret|signature|sig|(?:api|access|auth|app|subscription|session|security|private|secret)?"
    r"[-_]?(?:key|token))$",
    re.IGNORECASE,
)
_NO_SECRET = re.compile(r"(?:idempotency|cache|public|partition)[-_]?key$", re.IGNORECASE)


@lru_cache(maxsize=256)
def is_secret_name(name: str) -> bool:
    """Whether a header, or a parameter of a query, of that name holds a key."""
    return _SECRET_NAME.search(name) is not None and _NO_SECRET.search(name) is None


def check_way(request: HttpRequest) -> None:
    """ConfigError where the headers hold a key and others on the way could read it."""
    if request.allow_insecure or not is_open(request.url, request.unix_socket):
        return
    found = [name for name, value in request.headers.items() if value and is_secret_name(name)]
    if found:
        raise ConfigError(
            f"the header {found[0]} would cross the network unencrypted to "
            f"{urlsplit(request.url).netloc}; use https, or allow it with allow_insecure=True, or "
            "leave it out"
        )


def is_open(url: str, unix_socket: str | None = None) -> bool:
    """Whether others on the way can read what is sent: plain http to another machine."""
    return url[:5].lower() == "http:" and unix_socket is None and not is_loopback(url)


@lru_cache(maxsize=128)
def is_loopback(url: str) -> bool:
    """Whether the host of `url` is this machine. Such requests go past the environment's proxies:
    a corporate http_proxy answers 502 for a local Ollama and learns the key."""
    host = (urlsplit(url).hostname or "").removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    from ipaddress import ip_address  # 3 ms that `import engine` need not pay

    try:
        address = ip_address(host)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    # 0.0.0.0 is what servers print that listen everywhere, and is copied from there: who connects
    # to it gets to this machine, or nowhere.
    return address.is_loopback or address.is_unspecified


def _instead(url: str, scheme: str) -> str:
    """What was meant by a `url` of another scheme, or of none."""
    if "unix" in scheme:
        return "for a socket file give unix_socket="
    if url[:1] in ("'", '"'):
        return "leave out the quotes"
    if re.match(r"(?!https?[:/])[\w.-]+(?::\d+)?(?:/|$)", url):
        way = "http" if is_loopback(f"http://{url}") else "https"
        return f"perhaps {way}://{shown_url(url)}"
    return f"its scheme is {scheme!r}"


def public_url(url: str) -> str:
    """`url` as it may be kept in a file: without the parameters of its query that hold keys."""
    base, found, query = url.partition("?")
    kept = [part for part in query.split("&") if not is_secret_name(part.partition("=")[0])]
    return f"{base}?{'&'.join(kept)}" if found and kept else base


def shown_url(url: str) -> str:
    """`url` as it may be printed: without user, password and query, which hold keys."""
    url = url.partition("?")[0].partition("#")[0]
    scheme, slashes, rest = url.partition("//") if "//" in url else ("", "", url)
    host, slash, path = rest.partition("/")
    _, at, host = host.rpartition("@")
    return f"{scheme}{slashes}{'…@' if at else ''}{host}{slash}{path}"
