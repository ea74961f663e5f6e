"""What libcurl reports, told as one `EngineError`: the only place that knows its codes."""

from __future__ import annotations

import re
from typing import Final

import msgspec
import pycurl

from engine.errors import (
    Category,
    DeadlineError,
    EngineError,
    NetworkError,
    ProtocolError,
    ProviderError,
    ResourceError,
    TruncatedError,
)
from engine.transport.descriptors import none_left

__all__ = [
    "NO_SOCKET",
    "SEND_FAIL_REWIND",
    "CurlFailure",
    "failure_error",
    "is_proxy_unreadable",
    "turned_away",
]

# pycurl has no name for it: the connection died, or an HTTP/2 server refused the stream, with part
# of the body out, and libcurl cannot begin it anew (see Transfer).
SEND_FAIL_REWIND: Final = 65
# What libcurl 8.23 says where no descriptor is left, with OS_ERRNO 0: "Could not connect", "Out of
# memory".
NO_SOCKET: Final = frozenset({pycurl.E_COULDNT_CONNECT, pycurl.E_OUT_OF_MEMORY})


class CurlFailure(msgspec.Struct, frozen=True, gc=False):
    """How an attempt ended, in libcurl's terms.

    Attributes:
        code: CURLcode; 0 where libcurl is content.
        text: libcurl's own words.
        host: ``host:port`` of the request.
        http_status: status of the response whose head came whole, or None.
        body_bytes: bytes of the body that came.
        proxy: the proxy in between, without user and password; None: none.
        connect_status: what the proxy answered to CONNECT; 0: nothing.
        last_status: that of the last head, also of one that is not the response's; 0: none came.
        proxy_variable: the environment's variable that names the proxy, or None.
        refused: the server refused the stream, unread.
        os_errno: what the system said of the connection; 0: nothing.
        before_tunnel: a tunnel through the proxy was asked for, and did not come about.
        trusted_by: what of the environment says whom to trust, or would.
    """

    code: int
    text: str
    host: str
    http_status: int | None
    body_bytes: int
    proxy: str | None = None
    connect_status: int = 0
    last_status: int = 0
    proxy_variable: str | None = None
    refused: bool = False
    os_errno: int = 0
    before_tunnel: bool = False
    trusted_by: str = "SSL_CERT_FILE"


_PHASES: Final = {
    pycurl.E_URL_MALFORMAT: "resolve",
    pycurl.E_COULDNT_RESOLVE_HOST: "resolve",
    pycurl.E_COULDNT_RESOLVE_PROXY: "resolve",
    pycurl.E_COULDNT_CONNECT: "connect",
    pycurl.E_SSL_CONNECT_ERROR: "tls",
    pycurl.E_PEER_FAILED_VERIFICATION: "tls",
    pycurl.E_SSL_CERTPROBLEM: "tls",
    pycurl.E_SSL_CIPHER: "tls",
    pycurl.E_SSL_CACERT_BADFILE: "tls",
    98: "tls",  # SSL_CLIENTCERT: the server wants a certificate of ours
    pycurl.E_SEND_ERROR: "send",
    SEND_FAIL_REWIND: "send",
}

_SOCKS_REFUSED: Final = 97  # CURLE_PROXY

# How libcurl tells of a connection that its peer closed, and, beside them, of one that speaks no
# HTTP: a tunnel that was asked for on it did not come about.
_LEFT: Final = frozenset({0, pycurl.E_GOT_NOTHING, pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR})
_NO_TUNNEL: Final = _LEFT | {pycurl.E_UNSUPPORTED_PROTOCOL, 8, 100}

# Not HTTP, or HTTP beyond what libcurl accepts.
_PROTOCOL: Final = {
    pycurl.E_UNSUPPORTED_PROTOCOL: "the server does not speak HTTP/1.1 here (if it speaks TLS, "
    "the address begins with https://)",
    8: "the server's response head is malformed",
    16: "the server's HTTP/2 frames are malformed",
    61: "the body is compressed in a way that cannot be undone",
    63: "the body is larger than allowed",
    100: "a header line of the response is too long",
}

# Told as a connection that failed to deliver (56).
_BAD_CHUNK: Final = re.compile(r"chunk hex-length|chunked-encoding|hexadecimal sequence")

# Certificates and settings do not mend themselves between two tries.
_FINAL: Final = frozenset(
    {
        pycurl.E_URL_MALFORMAT,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        98,
    }
)
# The peer's TLS said no (an alert, another version, no TLS at all), in OpenSSL's words and in those
# of other libraries; a handshake that was reset or closed may go better the next time.
_TLS_REFUSED: Final = re.compile(
    r"SSL routines::(?!unexpected eof)|\balert\b|wrong version|unsupported protocol", re.IGNORECASE
)
# What a TLS 1.3 server says of the client itself, when the client's handshake is over already and
# the request perhaps on its way (RFC 8446, 4.4.2 and 6.2): it is not read. Other alerts may come of
# a request that was.
_TURNED_AWAY: Final = re.compile(
    r"\balert\b.*\b(certificate|unknown ca|access denied|handshake failure|insufficient security)",
    re.IGNORECASE,
)

_ADVICE: Final = {
    "resolve": "check the host name, the network and the DNS server",
    "connect": "check that the server runs and that the address and port are right",
    "tls": "check that the server speaks TLS here and that its certificate is trusted "
    "({trusted_by} or ca_file= for a private CA)",
    "send": "the request may have reached the server; send it again",
    "body": "send the request again",
}
# Of a certificate, by OpenSSL's and libcurl's words.
_CERTIFICATE_ADVICE: Final = {
    "certificate has expired": "who runs it must renew it, unless this machine's clock is wrong",
    "certificate is not yet valid": "check this machine's clock",
    "no alternative certificate subject name": "the certificate is another host's: check the "
    "address, and what stands between",
    "error adding trust anchors": "the file of trusted certificates cannot be read as PEM: correct "
    "{trusted_by} or ca_file=",
    "verify result": "the certificate is signed by nobody who is trusted here: name who signed it "
    "({trusted_by} or ca_file=), if it is a private CA",
}
_PROXY_LOGIN: Final = (
    "it wants a user and password that it knows: write them into the proxy's address "
    "({variable}={scheme}://user:password@host:port)"
)
_PROXY_ADVICE: Final = {
    403: "it does not allow this address; ask who runs it, or go past it (NO_PROXY)",
    404: "it does not know this address; check that it is a proxy, or go past it (NO_PROXY)",
    407: _PROXY_LOGIN.format(variable="https_proxy", scheme="http"),
}
# What a SOCKS5 proxy answers (RFC 1928, 6), and whether another try may help.
_SOCKS_REPLY: Final = re.compile(r"cannot complete SOCKS5 connection to .*\((\d+)\)$")
_SOCKS: Final = {
    "1": ("it failed", True),
    "2": ("its rules do not allow it", False),
    "3": ("the network cannot be reached", True),
    "4": ("the host cannot be reached", True),
    "5": ("the connection was refused", True),
    "6": ("it took too long (TTL expired)", True),
    "7": ("it does not know the command", False),
    "8": ("it does not know such addresses", False),
}
_SOCKS_LOGIN: Final = re.compile(
    r"No authentication method was acceptable|User was rejected by the SOCKS"
)
# What a proxy says of the moment, not of the request.
_PROXY_MAY_RECOVER: Final = frozenset({429, 500, 502, 503, 504})

_PROXY_TLS_HELP: Final = (
    "check that the proxy's certificate is trusted (SSL_CERT_FILE or ca_file=), or go past it "
    "(NO_PROXY)"
)
_PROXY_HELP: Final = (
    "check the proxy (https_proxy, http_proxy, all_proxy), or go past it (NO_PROXY)"
)


def failure_error(failure: CurlFailure) -> EngineError:
    """The error for an attempt that libcurl ended, or that ended before the head was whole."""
    code, host = failure.code, failure.host
    text = _without_user(failure.text)
    if is_proxy_unreadable(text):
        return _proxy_unreadable(failure, text)
    if failure.refused and failure.http_status is None:
        return ProviderError(
            f"{host} is overloaded: it refused the request each time, unread (HTTP/2 "
            "REFUSED_STREAM); wait, or send less at once",
            category=Category.SERVER,
            detail=f"curl error {code}: {text}",
        )
    if code in NO_SOCKET and not failure.os_errno and none_left():
        return ResourceError(
            f"no file descriptor is left to connect to {host}; raise the limit (ulimit -n) or "
            "set max_connections=",
            detail=text,
            phase="connect",
        )
    if code == pycurl.E_OUT_OF_MEMORY:
        return ResourceError(f"out of memory while talking to {host}", detail=text)
    if failure.connect_status >= 300:
        return _proxy_refused(failure)
    if failure.before_tunnel and code in _NO_TUNNEL:
        return _no_tunnel(failure, text)
    if code == _SOCKS_REFUSED:
        return _socks_refused(failure, text)
    if code == pycurl.E_OPERATION_TIMEDOUT:
        phase = "resolve" if "resolv" in text.lower() else "connect"
        through, advice = _way(failure, phase)
        return DeadlineError(
            f"no connection to {host} in time{through}; {advice}", detail=text, phase=phase
        )
    words = _no_http(failure)
    if words is not None:
        return ProtocolError(
            f"{host}: {words}; check the URL and what stands between",
            detail=text or None,
            http_status=failure.http_status,
        )
    return _broken(failure, text)


def _no_http(failure: CurlFailure) -> str | None:
    """What is wrong with bytes that are no HTTP, or beyond what libcurl accepts; None: nothing."""
    if "Too large response headers" in failure.text:
        return "the response's headers are too large"
    if "Too many response headers" in failure.text:
        return "the response has too many headers"
    if "Invalid HTTP header field" in failure.text and failure.http_status is None:
        return _PROTOCOL[8]  # on HTTP/2 it is the stream that libcurl gives up (92)
    if "Multi-member gzip" in failure.text:
        return "the body is compressed in several parts (gzip members), which is not undone here"
    if _BAD_CHUNK.search(failure.text):
        return f"the body is no chunked encoding ({failure.text})"
    if failure.last_status == 101 and failure.http_status is None:
        return "the server switches to another protocol (HTTP 101), which nobody asked for"
    return _PROTOCOL.get(failure.code)


def _broken(failure: CurlFailure, text: str) -> EngineError:
    """The error for a connection that could not be made or died."""
    code, host = failure.code, failure.host
    if failure.http_status is not None:
        # Whatever the code says: an HTTP/2 connection that is killed tells all of its streams but
        # one of a failure to send (55), long after their answers began.
        # libcurl counts none where it had begun to ask again, or took them apart as it failed.
        after = f" after {failure.body_bytes} bytes of the body," if failure.body_bytes else ""
        return TruncatedError(
            f"{host} ended the response{after} before it was complete; send the request again",
            detail=text if text and code != pycurl.E_ABORTED_BY_CALLBACK else None,
            http_status=failure.http_status,
            phase="body",
        )
    if "ENHANCE_YOUR_CALM" in text:
        return ProviderError(
            f"{host} is overloaded (HTTP/2 ENHANCE_YOUR_CALM); wait, or send less at once",
            category=Category.SERVER,
            detail=text,
        )
    if turned_away(text):
        return _unreached(failure, text)
    if code in (0, pycurl.E_GOT_NOTHING, pycurl.E_RECV_ERROR, pycurl.E_PARTIAL_FILE):
        words = "closed the connection before its response had begun; send the request again"
    elif code in (pycurl.E_WRITE_ERROR, pycurl.E_ABORTED_BY_CALLBACK):
        words = (
            "a signal handler raised while its data was being stored, so the transfer was ended; "
            "send the request again"
        )
    else:
        return _unreached(failure, text)
    return NetworkError(f"{host}: {words}", detail=text or None, phase="body")


def _unreached(failure: CurlFailure, text: str) -> EngineError:
    """The error for a request that did not get to the server, or not wholly."""
    code = failure.code
    refused = turned_away(text)
    phase = "tls" if refused else _PHASES.get(code, "body")
    detail = f"curl error {code}: {text}"
    if phase == "send":  # libcurl's "necessary data rewind was not possible" tells nobody
        text = "the connection died as the request was sent"
    through, advice = _way(failure, phase)
    if phase == "tls" and not through:
        better = (_CERTIFICATE_ADVICE[words] for words in _CERTIFICATE_ADVICE if words in text)
        advice = next(better, advice).format(trusted_by=failure.trusted_by)
    refused |= code == pycurl.E_SSL_CONNECT_ERROR and _TLS_REFUSED.search(text) is not None
    if "certificate required" in text:
        advice = "the server wants a certificate of the client, and none is sent: ask who runs it"
    if "wrong version number" in text or "packet length too long" in text:
        advice = (
            "most proxies speak no TLS themselves: write http:// before the address of this one"
            if through
            else "the server does not speak TLS there: write http:// if it is meant to"
        )
    return NetworkError(
        f"{failure.host}: {text or 'the transfer failed'}{through}; {advice}",
        retryable=code not in _FINAL and not refused,
        detail=detail,
        phase=phase,
    )


def turned_away(text: str) -> bool:
    """Whether libcurl says in `text` that the server's TLS does not take this client, whatever it
    would ask."""
    return _TURNED_AWAY.search(text) is not None


def is_proxy_unreadable(text: str) -> bool:
    """Whether libcurl says in `text` that it cannot read, or does not know, the proxy's address: it
    has codes (5, 7) for that which stand for a name unknown and a connection refused as well."""
    return text.startswith("Unsupported proxy")


def _proxy_unreadable(failure: CurlFailure, text: str) -> EngineError:
    reason = text.rpartition("': ")[2]
    if reason == text:  # it is the scheme, or libcurl was built without it
        reason = "http, https, socks4, socks4a, socks5 and socks5h are known"
    return NetworkError(
        f"{failure.host}: the address of the proxy {failure.proxy or 'in between'} cannot be read: "
        f"{reason}; correct {failure.proxy_variable or 'http_proxy, https_proxy or all_proxy'} "
        "(http://user:password@host:port, without quotes; special characters as %XX), or go past "
        "it (NO_PROXY)",
        retryable=False,
        detail=f"curl error {failure.code}: {text}",
        phase="connect",
    )


def _proxy_refused(failure: CurlFailure) -> EngineError:
    status = failure.connect_status
    return NetworkError(
        f"the proxy {failure.proxy or 'in between'} refused to connect to {failure.host} "
        f"(HTTP {status}); {_PROXY_ADVICE.get(status, _PROXY_HELP)}",
        retryable=status in _PROXY_MAY_RECOVER,
        detail=_without_user(failure.text),
        phase="connect",
    )


def _no_tunnel(failure: CurlFailure, text: str) -> EngineError:
    """The error for a proxy that went away, or spoke no HTTP, instead of leading to the server."""
    left = failure.code in _LEFT
    did = "closed the connection" if left else "spoke no HTTP"
    return NetworkError(
        f"the proxy {failure.proxy or 'in between'} {did} when it was to connect to "
        f"{failure.host}; {_PROXY_HELP}",
        retryable=left,
        detail=text or None,
        phase="connect",
    )


def _socks_refused(failure: CurlFailure, text: str) -> EngineError:
    proxy, words, retryable, advice = failure.proxy or "in between", text, True, _PROXY_HELP
    said = _SOCKS_REPLY.search(text)
    if said is not None:
        words, retryable = _SOCKS.get(said[1], (text, True))
    elif _SOCKS_LOGIN.search(text):
        variable, scheme = failure.proxy_variable or "all_proxy", proxy.partition("://")[0]
        retryable, advice = False, _PROXY_LOGIN.format(variable=variable, scheme=scheme)
    return NetworkError(
        f"the proxy {proxy} did not connect to {failure.host}: {words.rstrip('.')}; {advice}",
        retryable=retryable,
        detail=f"curl error {failure.code}: {text}",
        phase="connect",
    )


def _way(failure: CurlFailure, phase: str) -> tuple[str, str]:
    """The words for the proxy, if there is one before the part that failed, and what to do."""
    own = _ADVICE[phase].format(trusted_by=failure.trusted_by)
    if failure.proxy is None or phase not in ("resolve", "connect", "tls"):
        return "", own
    if phase == "tls" and (failure.connect_status or not failure.proxy.startswith("https:")):
        return "", own  # the server's, behind the proxy
    advice = _PROXY_TLS_HELP if phase == "tls" else _PROXY_HELP
    if phase == "resolve" and failure.code == pycurl.E_COULDNT_RESOLVE_HOST:
        advice = (
            "the name is looked up on this machine: write socks5h:// (or socks4a://) before the "
            "proxy's address to have the proxy do it"
        )
    return f" (through the proxy {failure.proxy})", advice


def _without_user(text: str) -> str:
    """libcurl's words, without the user and password where it quotes a proxy's address."""
    return re.sub(r"(?s)(?<=').*@|[^\s'\"]*@", "…@", text)
