"""HTTP/2 and TLS, with nginx as the server: one connection for many streams, trusted or refused."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine
from engine import HttpRequest, Multi
from engine.errors import Category
from tests.server import HEALTHY, chat

cryptography = pytest.importorskip("cryptography", reason="makes the certificates")
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (apt install nginx)")

TEXT = "".join(HEALTHY)
_CONFIG = """
daemon off; master_process off; pid {home}/pid; error_log {home}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {home}; proxy_temp_path {home};
  fastcgi_temp_path {home}; uwsgi_temp_path {home}; scgi_temp_path {home};
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {home}/server.pem; ssl_certificate_key {home}/server.key;
    http2_max_concurrent_streams 100;
    add_header X-Connection $connection;
    default_type text/event-stream;
    root {home}; error_page 405 =200 $uri;
  }}
}}
"""


def certify(home: Path) -> None:
    """ca.pem and a certificate for 127.0.0.1 that it signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    today = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def certificate(subject: str, public: object, extension: x509.ExtensionType) -> bytes:
        builder = (
            x509.CertificateBuilder(name("test CA"), name(subject), public)  # type: ignore[arg-type]
            .serial_number(x509.random_serial_number())
            .not_valid_before(today - datetime.timedelta(days=1))
            .not_valid_after(today + datetime.timedelta(days=1))
            .add_extension(extension, critical=True)
        )
        return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    (home / "ca.pem").write_bytes(
        certificate("test CA", ca_key.public_key(), x509.BasicConstraints(True, None))
    )
    (home / "server.pem").write_bytes(
        certificate("server", key.public_key(), x509.SubjectAlternativeName([address]))
    )
    (home / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("nginx")
    certify(path)
    return path


@pytest.fixture(scope="module")
def nginx(home: Path) -> Iterator[str]:
    """The URL of an nginx that streams `TEXT` to every request for a chat."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (home / "chat").mkdir()
    (home / "chat" / "completions").write_bytes(b"".join(chat(*HEALTHY)))
    (home / "nginx.conf").write_text(_CONFIG.format(home=home, port=port))
    assert NGINX is not None
    home.chmod(0o755)
    process = subprocess.Popen([NGINX, "-c", str(home / "nginx.conf"), "-p", str(home)])
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, (home / "error.log").read_text()
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def streams(multi: Multi, url: str, many: int) -> list[engine.Completion]:
    client = engine.Client(multi, base_url=url, retry=engine.Retry(max_attempts=1))
    started = [client.stream("m", "hi") for _ in range(many)]
    multi.run()
    return [s.completion for s in started if s.completion is not None]


def connections(completions: list[engine.Completion]) -> int:
    return len({c.headers["x-connection"] for c in completions})


def test_a_hundred_streams_share_one_connection(nginx: str, home: Path) -> None:
    with Multi(ca_file=str(home / "ca.pem")) as multi:
        completions = streams(multi, nginx, 100)
    assert {c.status for c in completions} == {"complete"}, completions[0].error
    assert {c.text for c in completions} == {TEXT}
    assert {c.timing.http_version for c in completions} == {"2"}
    assert connections(completions) == 1


def test_no_more_streams_a_connection_than_asked(nginx: str, home: Path) -> None:
    with Multi(max_streams_per_connection=10, ca_file=str(home / "ca.pem")) as multi:
        completions = streams(multi, nginx, 100)
    assert [c.text for c in completions] == [TEXT] * 100
    assert 1 < connections(completions) <= 100


def test_one_connection_a_host_serves_any_number(nginx: str, home: Path) -> None:
    with Multi(max_host_connections=1, ca_file=str(home / "ca.pem")) as multi:
        completions = streams(multi, nginx, 300)
    assert [c.text for c in completions] == [TEXT] * 300
    assert connections(completions) == 1


def test_a_certificate_nobody_signed_is_refused_and_not_tried_again(nginx: str) -> None:
    with Multi() as multi:
        stream = engine.Client(multi, base_url=nginx).stream("m", "hi")
        completion = stream.result()
    assert (completion.status, completion.attempts) == ("error", 1)
    error = completion.error
    assert error is not None and (error.category, error.phase) == (Category.NETWORK, "tls")
    assert not error.retryable and "SSL_CERT_FILE" in str(error)


def test_a_certificate_for_another_name_is_refused(nginx: str, home: Path) -> None:
    with Multi(ca_file=str(home / "ca.pem")) as multi:
        exchange = multi.add(HttpRequest("GET", nginx.replace("127.0.0.1", "localhost")))
        multi.run()
    assert exchange.response is not None and exchange.response.error is not None
    assert exchange.response.error.phase == "tls"


def test_the_environment_names_the_authority(
    nginx: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(home / "ca.pem"))
    with Multi() as multi:
        assert [c.status for c in streams(multi, nginx, 1)] == ["complete"]


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_an_authority_that_is_no_file_is_named(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file" if by == "environment" else "")
    with Multi(ca_file="/no/such/file" if by == "argument" else None) as multi:
        exchange = multi.add(HttpRequest("GET", "https://127.0.0.1:9/"))
        multi.run()
    assert exchange.response is not None and exchange.response.error is not None
    assert exchange.response.error.category is Category.CONFIG
    assert "/no/such/file" in str(exchange.response.error)
