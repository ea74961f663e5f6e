"""Servers behind a unix socket: vLLM, llama.cpp, Docker's model runner."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Category, HttpRequest, Multi
from engine.errors import ConfigError
from engine.response import HttpResponse
from tests.cases import each_case


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    """The path of a socket whose server answers each request with its own head."""
    path = str(tmp_path / "model.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(16)

        def run() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    head = peer.recv(65536)
                    length = b"Content-Length: %d\r\n\r\n" % len(head)
                    peer.sendall(b"HTTP/1.1 200 OK\r\n" + length + head)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield path
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def fetch(multi: Multi, url: str, path: str) -> HttpResponse:
    exchange = multi.add(HttpRequest("GET", url, unix_socket=path))
    multi.run()
    assert exchange.response is not None
    return exchange.response


@pytest.mark.parametrize("host", ["localhost", "model-runner.docker.internal", "203.0.113.1:8080"])
def test_the_urls_host_is_only_named(multi: Multi, path: str, host: str) -> None:
    response = fetch(multi, f"http://{host}/engines/v1/models?a=b", path)
    assert response.status == "complete", response.error
    assert response.body.startswith(
        b"GET /engines/v1/models?a=b HTTP/1.1\r\nHost: %b\r\n" % host.encode()
    )


def test_no_proxy_is_asked(multi: Multi, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch(multi, "http://llm.example/", path).status == "complete"


def test_a_server_that_closes_each_connection_is_asked_one_after_another(
    multi: Multi, path: str
) -> None:
    for _ in range(20):
        response = fetch(multi, "http://localhost/", path)
        assert (response.status, response.timing.reused) == ("complete", False)


def test_two_sockets_of_one_name_are_two_servers(multi: Multi, path: str, tmp_path: Path) -> None:
    assert fetch(multi, "http://localhost/", path).status == "complete"
    other = fetch(multi, "http://localhost/", str(tmp_path / "none.sock"))
    assert other.error is not None and other.error.phase == "connect"


def test_a_socket_that_is_not_there_is_named(multi: Multi, tmp_path: Path) -> None:
    response = fetch(multi, "http://localhost/", str(tmp_path / "none.sock"))
    assert response.error is not None and response.error.category is Category.NETWORK
    assert "none.sock" in str(response.error)


@each_case("path", ["", "/tmp/" + "x" * 200, "/tmp/a\0b", 7])
def test_what_cannot_be_a_path_is_refused_before_anything_is_sent(path: object) -> None:
    with pytest.raises(ConfigError, match="unix_socket"):
        HttpRequest("GET", "http://localhost/", unix_socket=path)  # type: ignore[arg-type]
