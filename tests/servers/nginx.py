"""nginx as the one before a provider: TLS, HTTP/2, and what a proxy does to a stream."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.certificate import certify

WAYS = ("unbuffered", "buffered")
"""First folders of the path, each passed on with and without buffering by nginx."""

_CONFIG = """
daemon off; master_process off; pid {home}/pid; error_log {home}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {home}; proxy_temp_path {home};
  fastcgi_temp_path {home}; uwsgi_temp_path {home}; scgi_temp_path {home};
  proxy_http_version 1.1; proxy_set_header Connection "";
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {home}/server.pem; ssl_certificate_key {home}/server.key;
    http2_max_concurrent_streams 256;
    add_header X-Connection $connection always;
    location /unbuffered/ {{ proxy_pass {url}/; proxy_buffering off; }}
    location /buffered/ {{ proxy_pass {url}/; proxy_buffering on; }}
  }}
}}
"""


@contextmanager
def before(url: str, home: Path) -> Iterator[str]:
    """The https URL of an nginx that passes all requests on to `url`; see `WAYS`.

    Args:
        url: of the server behind it.
        home: an empty folder; ``ca.pem`` in it will say whom to trust.
    """
    certify(home)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (home / "nginx.conf").write_text(_CONFIG.format(home=home, port=port, url=url))
    home.chmod(0o755)
    process = subprocess.Popen([program(), "-c", str(home / "nginx.conf"), "-p", str(home)])
    try:
        while not listens(port):
            if process.poll() is not None:
                raise RuntimeError("nginx ended:\n" + (home / "error.log").read_text())
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def program() -> str:
    """The path of nginx; the test is skipped where there is none."""
    path = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if path is None:
        pytest.skip("nginx is not installed (apt install nginx)")
    return path


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
