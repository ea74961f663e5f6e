"""What libcurl reports, told as one `EngineError`: the only place that knows its codes."""

from __future__ import annotations

import os
from typing import Final

import msgspec
import pycurl

from engine.errors import (
    DeadlineError,
    EngineError,
    NetworkError,
    ProtocolError,
    ResourceError,
    TruncatedError,
)

__all__ = ["CurlFailure", "failure_error"]


class CurlFailure(msgspec.Struct, frozen=True, gc=False):
    """How an attempt ended, in libcurl's terms.

    Attributes:
        code: CURLcode; 0 where libcurl is content.
        text: libcurl's own words.
        host: ``host:port`` of the request.
        http_status: status of the response whose head came whole, or None.
        body_bytes: bytes of the body that came.
    """

    code: int
    text: str
    host: str
    http_status: int | None
    body_bytes: int


_PHASES: Final = {
    pycurl.E_COULDNT_RESOLVE_HOST: "resolve",
    pycurl.E_COULDNT_RESOLVE_PROXY: "resolve",
    pycurl.E_COULDNT_CONNECT: "connect",
    pycurl.E_SSL_CONNECT_ERROR: "tls",
    pycurl.E_PEER_FAILED_VERIFICATION: "tls",
    pycurl.E_SSL_CERTPROBLEM: "tls",
    pycurl.E_SSL_CACERT_BADFILE: "tls",
    pycurl.E_SEND_ERROR: "send",
    65: "send",  # SEND_FAIL_REWIND: the connection died on the request; see Transfer
}

# Not HTTP, or HTTP beyond what libcurl accepts.
_PROTOCOL: Final = {
    pycurl.E_UNSUPPORTED_PROTOCOL: "the server does not speak HTTP/1.1",
    8: "the server's response head is malformed",
    16: "the server's HTTP/2 frames are malformed",
    61: "the body is compressed in a way that cannot be undone",
    63: "the body is larger than allowed",
    100: "a header line of the response is too long",
}

# Certificates do not mend themselves between two tries.
_FINAL: Final = {pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE}

_ADVICE: Final = {
    "resolve": "check the host name, the network and the DNS server",
    "connect": "check that the server runs and that the address and port are right",
    "tls": "check that the server speaks TLS here and that its certificate is trusted "
    "(SSL_CERT_FILE or ca_file= for a private CA)",
    "send": "the request may have reached the server; send it again",
    "body": "send the request again",
}


def failure_error(failure: CurlFailure) -> EngineError:
    """The error for an attempt that libcurl ended, or that ended before the head was whole."""
    code, text, host = failure.code, failure.text, failure.host
    if code in (pycurl.E_COULDNT_CONNECT, pycurl.E_OUT_OF_MEMORY) and _no_descriptor_left():
        return ResourceError(
            f"no file descriptor is left to connect to {host}; raise the limit (ulimit -n) or "
            "set max_connections=",
            detail=text,
            phase="connect",
        )
    if code == pycurl.E_OUT_OF_MEMORY:
        return ResourceError(f"out of memory while talking to {host}", detail=text)
    if code == pycurl.E_OPERATION_TIMEDOUT:
        phase = "resolve" if "resolv" in text.lower() else "connect"
        return DeadlineError(
            f"no connection to {host} in time; {_ADVICE[phase]}", detail=text, phase=phase
        )
    if code in _PROTOCOL or "Too large response headers" in text:
        words = _PROTOCOL.get(code, "the response's headers are too large")
        return ProtocolError(
            f"{host}: {words}; check the URL and what stands between",
            detail=text,
            http_status=failure.http_status,
        )
    return _broken(failure)


def _broken(failure: CurlFailure) -> EngineError:
    """The error for a connection that could not be made or died."""
    code, text, host = failure.code, failure.text, failure.host
    if failure.http_status is not None and code not in _PHASES:
        return TruncatedError(
            f"{host} ended the response after {failure.body_bytes} bytes of the body, before it "
            "was complete; send the request again",
            detail=text or None,
            http_status=failure.http_status,
            phase="body",
        )
    if code in (0, pycurl.E_GOT_NOTHING, pycurl.E_RECV_ERROR, pycurl.E_PARTIAL_FILE):
        words = "closed the connection before its response had begun; send the request again"
    elif code in (pycurl.E_WRITE_ERROR, pycurl.E_ABORTED_BY_CALLBACK):
        words = (
            "a signal handler raised while its data was being stored, so the transfer was ended; "
            "send the request again"
        )
    else:
        phase = _PHASES.get(code, "body")
        if phase == "send":  # libcurl's "necessary data rewind was not possible" tells nobody
            text = "the connection, kept open from an earlier request, died as this one was sent"
        return NetworkError(
            f"{host}: {text or 'the transfer failed'}; {_ADVICE[phase]}",
            retryable=code not in _FINAL,
            detail=f"curl error {code}: {failure.text}",
            phase=phase,
        )
    return NetworkError(f"{host}: {words}", detail=text or None, phase="body")


def _no_descriptor_left() -> bool:
    # libcurl 8.23 says "Could not connect" or "Out of memory" for EMFILE, with OS_ERRNO 0.
    try:
        os.close(os.dup(0))
    except OSError as error:
        return error.errno in (23, 24)  # ENFILE, EMFILE
    return False
