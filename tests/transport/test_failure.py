"""What libcurl reports becomes the one right error: one table, no sockets."""

from __future__ import annotations

from typing import Any

from engine.errors import Category, ProviderError
from engine.transport.failure import CurlFailure, failure_error
from tests.cases import each_case

PROXY = "http://proxy.corp:3128 (https_proxy)"
HTTPS_PROXY = "https://proxy.corp:3128 (https_proxy)"


def failure(code: int, text: str = "", **more: Any) -> CurlFailure:
    return CurlFailure(
        code, text, "llm.example:443", **{"http_status": None, "body_bytes": 0, **more}
    )


@each_case("code", [18, 55, 56, 65, 92, 0, 7, 35])
def test_after_a_head_it_is_a_truncation_whatever_the_code(code: int) -> None:
    error = failure_error(failure(code, "Send failure", http_status=200, body_bytes=7))
    assert error.category is Category.TRUNCATED
    assert (error.http_status, error.phase) == (200, "body")
    assert "7 bytes" in str(error)


TLS = "TLS connect error: error:0A000410:SSL routines::"
READ = "OpenSSL SSL_read: OpenSSL/3.6.5: error:0A00045C:SSL routines::"


@each_case(
    ("code", "text", "again"),
    [
        (35, TLS + "ssl/tls alert handshake failure", False),
        (35, TLS + "tlsv1 unrecognized name", False),
        (35, TLS + "wrong version number", False),
        (35, TLS + "unexpected eof while reading", True),
        (35, "TLS connect error: error:00000000:lib(0)::reason(0)", True),
        (35, "Recv failure: Connection reset by peer", True),
        (35, "GnuTLS, handshake failed: A TLS fatal alert has been received.", False),
        (58, "could not load PEM client certificate", False),
        (59, "failed setting cipher list", False),
        (60, "SSL certificate problem: self-signed certificate", False),
        (77, "error setting certificate file", False),
        (98, "TLS cert problem: tlsv13 alert certificate required", False),
        # TLS 1.3: the client's handshake was over, and the request on its way.
        (56, READ + "tlsv13 alert certificate required, errno 0", False),
        (56, READ + "ssl/tls alert bad certificate, errno 0", False),
        (56, READ + "tlsv1 alert unknown ca, errno 0", False),
        (56, READ + "tlsv1 alert access denied, errno 0", False),
        (55, READ + "tlsv13 alert certificate required, errno 104", False),
        (52, "TLS alert, access denied (49)", False),
    ],
)
def test_tls_that_was_refused_is_not_tried_again(code: int, text: str, again: bool) -> None:
    error = failure_error(failure(code, text))
    assert (error.category, error.phase) == (Category.NETWORK, "tls")
    assert error.retryable is again


@each_case(
    ("code", "text", "advice"),
    [
        (60, "SSL certificate OpenSSL verify result: certificate has expired (10)", "renew it"),
        (60, "SSL certificate OpenSSL verify result: certificate is not yet valid or", "clock"),
        (60, "SSL: no alternative certificate subject name matches target host", "another host's"),
        (60, "SSL certificate OpenSSL verify result: self-signed certificate (18)", "CA_HERE or"),
        (77, "error adding trust anchors from file: /ca.pem", "correct CA_HERE or ca_file="),
        (35, TLS + "tlsv1 unrecognized name", "speaks TLS here"),
    ],
)
def test_what_to_do_about_a_certificate_follows_from_what_is_wrong_with_it(
    code: int, text: str, advice: str
) -> None:
    error = failure_error(failure(code, text, trusted_by="CA_HERE"))
    assert (error.category, error.phase, error.retryable) == (Category.NETWORK, "tls", False)
    assert advice in str(error) and text in str(error)
    assert ("speaks TLS" in str(error)) is (code == 35)


@each_case("code", [35, 56, 98])
def test_who_is_asked_for_a_certificate_is_told_of_his_own(code: int) -> None:
    error = failure_error(failure(code, READ + "tlsv13 alert certificate required"))
    assert "certificate of the client" in str(error) and "SSL_CERT_FILE" not in str(error)


@each_case(
    "words", ["tlsv1 alert internal error", "decryption failed or bad record mac", "unexpected eof"]
)
def test_other_alerts_may_come_of_a_request_that_was_read(words: str) -> None:
    error = failure_error(failure(56, READ + words))
    assert (error.category, error.phase, error.retryable) == (Category.NETWORK, "body", True)


@each_case(
    ("status", "again", "word"),
    [
        (403, False, "allow"),
        (404, False, "know"),
        (407, False, "password"),
        (429, True, "NO_PROXY"),
        (500, True, "NO_PROXY"),
        (502, True, "NO_PROXY"),
        (503, True, "NO_PROXY"),
        (504, True, "NO_PROXY"),
        (302, False, "NO_PROXY"),
    ],
)
@each_case("code", [7, 56])
def test_what_a_proxy_answers_to_connect_is_the_proxys(
    code: int, status: int, again: bool, word: str
) -> None:
    error = failure_error(
        failure(
            code, f"CONNECT tunnel failed, response {status}", proxy=PROXY, connect_status=status
        )
    )
    assert (error.category, error.phase) == (Category.NETWORK, "connect")
    assert error.retryable is again
    assert error.http_status is None  # the provider said nothing
    assert PROXY in str(error) and f"HTTP {status}" in str(error) and word in str(error)


@each_case(
    ("code", "text"),
    [
        (5, "Could not resolve proxy: proxy.corp"),
        (7, "Failed to connect to llm.example:443 over proxy proxy.corp after 0 ms"),
        (28, "Connection timed out after 1000 milliseconds"),
        (97, "cannot complete SOCKS5 connection to llm.example. (4)"),
    ],
)
def test_what_fails_before_a_proxy_names_it_and_never_its_password(code: int, text: str) -> None:
    error = failure_error(failure(code, text, proxy=PROXY))
    assert PROXY in str(error) and "NO_PROXY" in str(error)
    assert "ter2" not in f"{error} {error.detail}"
    assert error.retryable


@each_case(
    ("code", "text", "words", "again"),
    [
        (56, "Proxy CONNECT aborted", "closed the connection", True),
        (56, "Recv failure: Connection reset by peer", "closed the connection", True),
        (52, "Empty reply from server", "closed the connection", True),
        (55, "Send failure: Broken pipe", "closed the connection", True),
        (8, "Invalid response header", "spoke no HTTP", False),
        (1, "Received HTTP/0.9 when not allowed", "spoke no HTTP", False),
        (100, "", "spoke no HTTP", False),
    ],
)
def test_a_proxy_that_makes_no_tunnel_is_named_and_not_the_server(
    code: int, text: str, words: str, again: bool
) -> None:
    error = failure_error(failure(code, text, proxy=PROXY, before_tunnel=True))
    assert (error.category, error.phase, error.retryable) == (Category.NETWORK, "connect", again)
    assert f"the proxy {PROXY} {words}" in str(error) and "NO_PROXY" in str(error)
    behind = failure_error(failure(code, text, proxy=PROXY))
    assert "proxy" not in str(behind)


@each_case(
    ("text", "words", "again"),
    [
        ("cannot complete SOCKS5 connection to llm.example. (1)", "it failed", True),
        ("cannot complete SOCKS5 connection to llm.example. (2)", "do not allow", False),
        ("cannot complete SOCKS5 connection to llm.example. (5)", "was refused", True),
        ("cannot complete SOCKS5 connection to llm.example. (8)", "such addresses", False),
        ("cannot complete SOCKS5 connection to llm.example. (99)", "(99)", True),
        ("No authentication method was acceptable.", "all_proxy=socks5h://user:password", False),
        ("User was rejected by the SOCKS5 server (1 1).", "user and password", False),
        ("Failed to receive SOCKS response, proxy closed connection", "closed", True),
    ],
)
def test_what_a_socks_proxy_refuses_is_told_in_words(text: str, words: str, again: bool) -> None:
    proxy = "socks5h://proxy.corp:1080 (all_proxy)"
    error = failure_error(failure(97, text, proxy=proxy, proxy_variable="all_proxy"))
    assert (error.category, error.phase, error.retryable) == (Category.NETWORK, "connect", again)
    assert f"the proxy {proxy}" in str(error) and words in str(error)


def test_who_looks_a_name_up_here_that_the_proxy_knows_is_told_how_it_would() -> None:
    error = failure_error(failure(6, "Could not resolve host: x", proxy="socks5://p:1 (all_proxy)"))
    assert "socks5h://" in str(error)
    assert "socks5h" not in str(
        failure_error(failure(5, "Could not resolve proxy: p", proxy=PROXY))
    )


@each_case(
    ("proxy", "status", "text", "words"),
    [
        (HTTPS_PROXY, 0, TLS + "wrong version number", "write http:// before"),
        (HTTPS_PROXY, 0, TLS + "packet length too long", "write http:// before"),
        (HTTPS_PROXY, 0, "SSL certificate problem: self-signed", "the proxy's certificate"),
        # Behind the tunnel, or with no TLS of the proxy's own, it is the server's.
        (HTTPS_PROXY, 200, TLS + "wrong version number", "write http:// if it is meant to"),
        (PROXY, 0, TLS + "wrong version number", "write http:// if it is meant to"),
        (PROXY, 200, "SSL certificate problem: self-signed", "ca_file="),
        (None, 0, "SSL certificate problem: self-signed", "ca_file="),
    ],
)
def test_tls_that_fails_at_the_proxy_itself_names_it(
    proxy: str | None, status: int, text: str, words: str
) -> None:
    code = 60 if "certificate" in text else 35
    error = failure_error(failure(code, text, proxy=proxy, connect_status=status))
    assert words in str(error) and error.phase == "tls" and not error.retryable
    assert ("proxy" in str(error)) is (proxy == HTTPS_PROXY and not status)


@each_case("variable", ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", None])
@each_case(
    ("code", "text", "reason"),
    [
        (5, "Unsupported proxy syntax in 'user:hunter2@proxy': Bad hostname", "Bad hostname"),
        (5, "Unsupported proxy syntax in 'u:hun ter2@h': Bad password", "Bad password"),
        (5, "Unsupported proxy syntax in ''u:hun': ter2@h': No host present", "No host present"),
        (7, "Unsupported proxy scheme for 'bogus://user:hun/ter2@proxy.corp:1'", "socks5h"),
        (7, "Unsupported proxy 'https://u:hun'ter2@h', libcurl is built without", "socks5h"),
    ],
)
def test_a_proxy_whose_address_cannot_be_read_is_to_be_corrected(
    code: int, text: str, reason: str, variable: str | None
) -> None:
    error = failure_error(failure(code, text, proxy=PROXY, proxy_variable=variable))
    assert (error.category, error.phase, error.retryable) == (Category.NETWORK, "connect", False)
    assert PROXY in str(error) and "NO_PROXY" in str(error) and reason in str(error)
    assert f"correct {variable or 'http_proxy'}" in str(error)
    assert "DNS" not in str(error)
    assert "ter2" not in f"{error} {error.detail}"


def test_a_failure_behind_the_tunnel_does_not_blame_the_proxy() -> None:
    error = failure_error(failure(60, "self-signed", proxy=PROXY, connect_status=200))
    assert "proxy" not in str(error) and "SSL_CERT_FILE" in str(error)


def test_a_server_that_asks_for_calm_is_overloaded() -> None:
    text = "HTTP/2 stream 1 was not closed cleanly: ENHANCE_YOUR_CALM (err 11)"
    error = failure_error(failure(92, text))
    assert (error.category, error.retryable) == (Category.SERVER, True)


@each_case("code", [16, 55, 56, 65, 92])
def test_a_server_that_refuses_unread_is_overloaded_and_nothing_may_have_reached_it(
    code: int,
) -> None:
    error = failure_error(failure(code, "necessary data rewind was not possible", refused=True))
    assert (type(error), error.category, error.retryable) == (ProviderError, Category.SERVER, True)
    assert "unread" in str(error) and "may have reached" not in str(error)
    begun = failure_error(failure(code, "refused", http_status=200, refused=True))
    assert begun.category is not Category.SERVER


@each_case(
    "text",
    [
        "chunk hex-length char not a hex digit: 0x7a",
        "Malformed encoding found in chunked-encoding",
        "Illegal or missing hexadecimal sequence",
    ],
)
def test_a_chunk_that_is_none_is_no_truncation(text: str) -> None:
    error = failure_error(failure(56, text, http_status=200, body_bytes=7))
    assert error.category is Category.PROTOCOL and text in str(error)


@each_case(
    ("code", "text", "words"),
    [
        (23, "Multi-member gzip response not supported", "several parts"),
        (100, "Too many response headers, 5000 is max", "too many headers"),
        (100, "", "a header line of the response is too long"),
        (56, "Too large response headers: 307234 > 307200", "headers are too large"),
        (92, "Invalid HTTP header field was received: frame type: 1", "head is malformed"),
    ],
)
def test_what_libcurl_does_not_accept_is_told_as_what_it_is(
    code: int, text: str, words: str
) -> None:
    status = 200 if code == 23 else None
    error = failure_error(failure(code, text, http_status=status))
    assert (error.category, error.retryable) == (Category.PROTOCOL, False)
    assert words in str(error)


def test_an_address_that_libcurl_refuses_is_not_asked_again() -> None:
    error = failure_error(failure(3, "URL rejected: Bad hostname"))
    assert (error.category, error.phase, error.retryable) == (Category.NETWORK, "resolve", False)
    assert "check the host name" in str(error)


def test_bytes_that_libcurl_did_not_count_are_not_told_as_none() -> None:
    text = "operation aborted by pre-request callback"  # it had begun to ask again (HTTP/1.1)
    error = failure_error(failure(42, text, http_status=200))
    assert error.category is Category.TRUNCATED and "bytes" not in str(error)
    assert error.detail is None


def test_a_switch_of_protocols_is_no_lost_connection() -> None:
    error = failure_error(failure(52, "Empty reply", last_status=101))
    assert error.category is Category.PROTOCOL and "101" in str(error)
    assert failure_error(failure(52, "x", last_status=100)).category is Category.NETWORK


def test_tls_with_a_server_that_speaks_none_is_told_so() -> None:
    assert "http://" in str(failure_error(failure(35, TLS + "wrong version number")))
