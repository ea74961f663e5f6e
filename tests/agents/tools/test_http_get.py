"""HTTP GET: the public internet only, in the same loop, within limits."""

from __future__ import annotations

import socket
from typing import Any

import pytest

import engine
from engine.agents import FunctionAgent, FunctionTool
from engine.agents.tools import http_get as module
from engine.agents.tools.http_get import http_tool, is_public
from tests.agents.support import call, script
from tests.cases import each_case
from tests.server import Peer, serve


def fetch(client: engine.Client, url: str, made: FunctionTool | None = None) -> str:
    """What the model is told of `url`."""
    made = made or http_tool(allow_private=True)
    question = script(call("http_get", url=url), "Done.")
    result = FunctionAgent(client, "demo", [made]).run(question)
    assert result.answer == "Done."
    return result.trace[0].tools[0].content


def respond(peer: Peer, kind: str, body: bytes, status: str = "200 OK", more: str = "") -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    peer.send(head.encode() + body)
    peer.keep_open = True


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain", b"plain", "plain"),
        ("application/json", b'{"a": 1}', '{"a": 1}'),
        ("text/plain; charset=latin-1", b"f\xfcr", "für"),
        ("text/plain; charset=nonsense", b"x", "x"),
        ("image/png", b"\x89PNG", "[4 bytes that are no text]"),
        (
            "text/html; charset=utf-8",
            b"<html><head><title>T</title><style>x{}</style><script>if(a<b){}</script></head>"
            b"<body><h1>Head</h1>\n<p>One <b>two</b>\nthree &amp; four<br>five<p>six</body>",
            "T\nHead\nOne two\nthree & four\nfive\nsix",
        ),
    ],
)
def test_pages_become_text(client: engine.Client, kind: str, body: bytes, text: str) -> None:
    with serve(lambda peer: respond(peer, kind, body)) as server:
        assert fetch(client, server.url) == f"HTTP 200 {kind}\n\n{text}"


def test_a_status_is_told_and_no_error(client: engine.Client) -> None:
    with serve(lambda peer: respond(peer, "text/plain", b"none", "404 Not Found")) as server:
        assert fetch(client, server.url) == "HTTP 404 text/plain\n\nnone"


def test_a_large_body_is_left_at_the_limit(client: engine.Client) -> None:
    def endless(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            peer.send(b"x" * 65536)

    with serve(endless) as server:
        made = http_tool(allow_private=True, max_bytes=1000)
        content = fetch(client, server.url, made)
    assert content == f"HTTP 200 text/plain\n\n{'x' * 1000}\n[cut: the first 1000 bytes]"


def test_a_server_that_says_nothing_is_given_up(client: engine.Client) -> None:
    with serve(lambda peer: peer.wait_closed()) as server:
        made = http_tool(allow_private=True, seconds=0.1)
        assert "took longer than 0.1 s" in fetch(client, server.url, made)
    client.multi.run()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/",
        "http://localhost:9/",
        "http://[::1]:9/",
        "http://[::ffff:127.0.0.1]:9/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://0.0.0.0/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://127.1/",
    ],
)
def test_private_addresses_are_denied_in_any_spelling(client: engine.Client, url: str) -> None:
    content = fetch(client, url, http_tool())
    assert "not on the public internet" in content or "could not be found" in content


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/", "a", "http://u:p@a/", "http://"])
def test_what_is_no_web_address_is_refused(client: engine.Client, url: str) -> None:
    assert fetch(client, url).startswith("Error: url")


def test_every_address_of_a_name_must_be_public(
    client: engine.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(*_: Any, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", (address, 80)) for address in ("93.184.216.34", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    assert "two.test is not on the public internet" in fetch(
        client, "http://two.test/", http_tool()
    )


def test_a_redirect_is_followed_and_checked_again(
    client: engine.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def redirect(peer: Peer) -> None:
        if peer.request.path == "/there":
            respond(peer, "text/plain", b"arrived")
        else:
            where = {"/": "/there", "/out": f"http://127.0.0.2:{peer.server.port}/there"}
            place = where[peer.request.path]
            respond(peer, "text/plain", b"", "302 Found", f"Location: {place}\r\n")

    monkeypatch.setattr(module, "is_public", lambda address: address == "127.0.0.1")
    with serve(redirect) as server:
        assert fetch(client, server.url, http_tool()).endswith("arrived")
        assert "127.0.0.2 is not on the public" in fetch(client, server.url + "/out", http_tool())


def test_redirects_end(client: engine.Client) -> None:
    def around(peer: Peer) -> None:
        respond(peer, "text/plain", b"", "301 Moved", "Location: /again\r\n")

    with serve(around) as server:
        assert "redirects more than 5 times" in fetch(client, server.url)
        assert len(server.requests) == 6


def test_only_the_hosts_allowed(client: engine.Client) -> None:
    made = http_tool(allow_private=True, hosts=["example.com"])
    assert "127.0.0.1 is not among the hosts allowed" in fetch(client, "http://127.0.0.1/", made)


PRIVATE = (
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1"),
    *("0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1"),
    *("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "nonsense", ""),
)


@each_case(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::5db8:d822", True),
        *((address, False) for address in PRIVATE),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public
