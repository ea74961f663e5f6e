"""An easy handle of libcurl for one attempt at a request."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

import pycurl

from engine.errors import EngineError
from engine.request import HttpRequest
from engine.response import Timing
from engine.transport.ca import Trust, find_trust, trust_variable
from engine.transport.failure import CurlFailure, failure_error, is_proxy_unreadable
from engine.transport.options import EASY_OPTIONS, HTTPS_OPTIONS
from engine.transport.proxy import proxy_name, proxy_variable, set_proxy
from engine.wire.redaction import secrets_in

__all__ = ["address", "failure_of", "measure", "pause", "phase_of", "prepare"]

# CURLOPT_CONNECTTIMEOUT_MS takes a C long; 0 would be libcurl's own default of 300 s.
_NO_LIMIT_MS: Final = 2**31 - 1

_HTTP_VERSIONS: Final = {
    pycurl.CURL_HTTP_VERSION_1_0: "1.0",
    pycurl.CURL_HTTP_VERSION_1_1: "1.1",
    pycurl.CURL_HTTP_VERSION_2_0: "2",
    pycurl.CURL_HTTP_VERSION_3: "3",
}


def prepare(
    easy: pycurl.Curl,
    request: HttpRequest,
    ca_file: str | None,
    connect_timeout: float | None,
) -> None:
    """Set on `easy` what requests such as `request` have in common; the rest is for `address`.

    Args:
        easy: a fresh handle, so that no option of an earlier attempt can linger.
        request: its headers and its body are not looked at.
        ca_file: file or directory of trusted certificates; None: the environment's or system's.
        connect_timeout: seconds; None: no limit.
    """
    for option, value in EASY_OPTIONS:
        easy.setopt(option, value)
    easy.setopt(pycurl.URL, request.url)
    _set_method(easy, request)
    if request.url.startswith("https:"):
        for option, number in HTTPS_OPTIONS:
            easy.setopt(option, number)
        _set_trust(easy, find_trust(ca_file))
    if request.unix_socket is not None:
        easy.setopt(pycurl.UNIX_SOCKET_PATH, request.unix_socket)
        # It costs nothing to connect again, and such sockets have no names by which a dead one
        # could be told (see Connections).
        easy.setopt(pycurl.FORBID_REUSE, 1)
    set_proxy(easy, request.url, request.unix_socket)
    # A second later than the engine's own deadline, which tells more.
    limit = connect_timeout
    easy.setopt(
        pycurl.CONNECTTIMEOUT_MS,
        _NO_LIMIT_MS if limit is None else int(min(limit * 1000 + 1000, _NO_LIMIT_MS)),
    )


def address(easy: pycurl.Curl, request: HttpRequest, key: str) -> tuple[str, ...]:
    """Have `easy`, which is prepared, ask `request`; what it says to authenticate.

    Args:
        key: the Idempotency-Key of a POST that has none of its own.
    """
    fixed = _fixed_lines(request.method, request.url, *request.headers.items())
    lines, posts, keyed, secrets = fixed
    # As the official SDKs do: a server that knows it does not do, or bill, the same twice
    # (draft-ietf-httpapi-idempotency-key-header).
    easy.setopt(pycurl.HTTPHEADER, [*lines, f"Idempotency-Key: {key}"] if keyed else lines)
    if request.addresses:
        easy.setopt(pycurl.RESOLVE, [_resolve_line(request)])
    body = request.body
    if body is not None or posts:
        body = body or b""
        easy.setopt(pycurl.POSTFIELDSIZE_LARGE, len(body))
        # A read callback without a seek callback: libcurl sends a POST a second time, unseen, when
        # a pooled connection turns out dead; so it reports error 65 and the retry is ours.
        easy.setopt(pycurl.READFUNCTION, BytesIO(body).read)
    return secrets


def failure_of(
    easy: pycurl.Curl,
    request: HttpRequest,
    code: int,
    text: str,
    http_status: int | None,
    refused: bool,
) -> EngineError:
    """Why the attempt at `request` on `easy` failed, which libcurl ended with `code` and `text`;
    `http_status` is that of a head that came whole, or None; `refused`: the server did so, unread.
    """
    proxied = easy.getinfo(pycurl.USED_PROXY) or is_proxy_unreadable(text)
    proxy = proxy_name(request.url) if proxied else None
    return failure_error(
        CurlFailure(
            code,
            text,
            request.peer,
            http_status,
            int(easy.getinfo(pycurl.SIZE_DOWNLOAD_T)),
            proxy,
            int(easy.getinfo(pycurl.HTTP_CONNECTCODE)),
            int(easy.getinfo(pycurl.RESPONSE_CODE)),
            proxy_variable(request.url) if proxied else None,
            refused,
            int(easy.getinfo(pycurl.OS_ERRNO)),
            proxy is not None and _asked_for_tunnel(easy, request.url, proxy),
            trust_variable(),
        )
    )


def _asked_for_tunnel(easy: pycurl.Curl, url: str, proxy: str) -> bool:
    """Whether all that `easy` did for `url` was to ask `proxy` to lead it there."""
    if proxy.startswith("socks") or not url.startswith("https:"):
        return False
    return bool(easy.getinfo(pycurl.NUM_CONNECTS)) and not (
        easy.getinfo(pycurl.HTTP_CONNECTCODE) or easy.getinfo(pycurl.APPCONNECT_TIME)
    )


def phase_of(easy: pycurl.Curl, request: HttpRequest) -> str:
    """What an attempt that has no connection yet is waiting for: ``resolve``, ``connect``, ``tls``,
    or the proxy by its name."""
    # A handle that served before tells of that request until libcurl begins with this one, and only
    # of that one can it say when an answer came.
    if not easy.getinfo(pycurl.NAMELOOKUP_TIME) or easy.getinfo(pycurl.STARTTRANSFER_TIME):
        return "resolve"
    if easy.getinfo(pycurl.USED_PROXY):
        return f"the proxy {proxy_name(request.url)}"
    # CONNECT_TIME stays 0 until TLS is done (libcurl 8.23).
    made = easy.getinfo(pycurl.NUM_CONNECTS) > 0
    return "tls" if made and request.url.startswith("https:") else "connect"


def pause(easy: pycurl.Curl, what: int) -> None:
    """`pause` of libcurl. Nothing where it is done with the transfer already and only its end is
    left to read: it answers 43, since there is no connection any more that could be held back."""
    try:
        easy.pause(what)
    except pycurl.error as error:
        if error.args[0] != pycurl.E_BAD_FUNCTION_ARGUMENT:
            raise


def measure(easy: pycurl.Curl, created: float, queued: float, out: bool) -> Timing:
    """Where the time of an attempt went.

    Args:
        easy: the attempt.
        created: when its transfer was made (seconds of time.monotonic).
        queued: seconds the transfer waited for its turn, in all.
        out: it was given a connection.
    """

    ask = easy.getinfo
    waited: float = ask(pycurl.STARTTRANSFER_TIME)
    if waited and not out:  # for the request that the handle served before: see `phase_of`
        return Timing(queued, total=monotonic() - created)
    first_byte = waited + queued if waited else None
    version = _HTTP_VERSIONS.get(ask(pycurl.INFO_HTTP_VERSION))
    if waited and not ask(pycurl.NUM_CONNECTS):  # on a connection that was there
        return Timing(
            queued, 0.0, 0.0, 0.0, first_byte, None, None, monotonic() - created, True, version
        )
    connect = ask(pycurl.CONNECT_TIME) or None
    return Timing(
        queued=queued,
        dns=ask(pycurl.NAMELOOKUP_TIME) or None,
        connect=connect,
        tls=_tls_time(easy, connect),
        first_byte=first_byte,
        total=monotonic() - created,
        http_version=version,
    )


def _tls_time(easy: pycurl.Curl, connect: float | None) -> float | None:
    seconds = float(easy.getinfo(pycurl.APPCONNECT_TIME))
    if seconds:
        return seconds
    return 0.0 if connect is not None and easy.getinfo(pycurl.SCHEME) == "http" else None


@lru_cache(maxsize=64)  # one client sends the same again and again
def _fixed_lines(
    method: str, url: str, *headers: tuple[str, str]
) -> tuple[list[str], bool, bool, tuple[str, ...]]:
    """The lines of `headers` and of what is added to them; whether it is a POST; whether an
    Idempotency-Key is missing; and the secrets in `url` and `headers`."""
    names = {name.lower() for name, _ in headers}
    lines = [
        # libcurl reads "Name;" as an empty value and "Name:" as "send no such header".
        f"{name}: {value}" if value else f"{name};"
        for name, value in headers
    ]
    if "accept-encoding" not in names:
        lines.append("Accept-Encoding: identity")
    if "user-agent" not in names:
        lines.append("User-Agent: streamengine")
    # libcurl asks "Expect: 100-continue" above 1 MiB and then waits a second for servers that
    # do not know it.
    lines.append("Expect:")
    posts = method.upper() == "POST"
    keyed = posts and "idempotency-key" not in names
    return lines, posts, keyed, secrets_in(url, *headers)


def _set_trust(easy: pycurl.Curl, trust: Trust) -> None:
    if trust.file is not None:
        easy.setopt(pycurl.CAINFO, trust.file)
    elif trust.directories is not None:
        easy.unsetopt(pycurl.CAINFO)  # the wheels set one of their own
    if trust.directories is not None:
        easy.setopt(pycurl.CAPATH, trust.directories)


def _resolve_line(request: HttpRequest) -> str:
    parts = urlsplit(request.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    addresses = (f"[{a}]" if ":" in a else a for a in request.addresses)
    # "+": forgotten after a while, as what libcurl looks up itself.
    return f"+{parts.hostname}:{port}:{','.join(addresses)}"


def _set_method(easy: pycurl.Curl, request: HttpRequest) -> None:
    method = request.method.upper()
    if request.body is None and method == "GET":
        return
    if method == "HEAD":
        easy.setopt(pycurl.NOBODY, 1)
        return
    if method != "POST":
        easy.setopt(pycurl.CUSTOMREQUEST, method)
    if request.body is not None or method == "POST":
        easy.setopt(pycurl.POST, 1)
