"""Servers on loopback that are faster than any client here: nginx, and the paced one."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.streams import WireStream

__all__ = [
    "BenchmarkError",
    "Certificate",
    "certificate",
    "compile_paced",
    "nginx",
    "paced",
    "raise_descriptor_limit",
]

_NGINX = """
daemon off; master_process off; pid nginx.pid; error_log nginx.err;
events {{ worker_connections {connections}; }}
http {{
    access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    scgi_temp_path scgi; uwsgi_temp_path uwsgi;
    server {{
        listen 127.0.0.1:{port} {secure} backlog=4096; root .;
        {certificate}
        {locations}
    }}
}}
"""
# Whatever path a dialect asks for below its own name, and with POST, the answer is the one file.
_LOCATION = """
        location /{name}/ {{ rewrite ^ /files/{name} last; }}
        location = /files/{name} {{ default_type {content_type}; error_page 405 =200 $uri; }}
"""


class BenchmarkError(Exception):
    """A measurement could not be made; the message says what is missing."""


def raise_descriptor_limit() -> int:
    """As many descriptors as the system allows, for this process and its children."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _tool(name: str, package: str) -> str:
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if path is None:
        raise BenchmarkError(f"{name} is not installed: apt-get install {package}")
    return path


@dataclass(frozen=True)
class Certificate:
    """Files of a certificate for 127.0.0.1, its key, and the authority that gave it."""

    ca: Path
    chain: Path
    key: Path


def certificate(folder: Path) -> Certificate:
    """A new one in `folder`.

    Raises:
        BenchmarkError: trustme is not installed.
    """
    try:
        import trustme
    except ImportError:
        raise BenchmarkError("trustme is not installed") from None
    authority = trustme.CA()
    given = authority.issue_cert("127.0.0.1")
    files = Certificate(folder / "ca.pem", folder / "chain.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(str(files.ca))
    given.private_key_pem.write_to_path(str(files.key))
    for pem in given.cert_chain_pems:
        pem.write_to_path(str(files.chain), append=True)
    return files


@contextmanager
def nginx(
    folder: Path, streams: dict[str, WireStream], tls: Certificate | None = None
) -> Iterator[str]:
    """nginx with each of `streams` below ``/<its name>/``, as fast as the client reads; by HTTP/2
    where there is a certificate.

    Yields:
        the base URL, without a trailing slash.
    """
    program = _tool("nginx", "nginx-light")
    root = folder / "nginx"
    (root / "files").mkdir(parents=True)
    locations = ""
    for name, stream in streams.items():
        (root / "files" / name).write_bytes(stream.body)
        locations += _LOCATION.format(name=name, content_type=stream.content_type)
    port = _free_port()
    connections = min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 64)
    config = root / "nginx.conf"
    config.write_text(
        _NGINX.format(
            connections=connections,
            port=port,
            secure="ssl http2" if tls else "",
            certificate=f"ssl_certificate {tls.chain}; ssl_certificate_key {tls.key};"
            if tls
            else "",
            locations=locations,
        )
    )
    command = [program, "-p", str(root), "-c", str(config), "-e", str(root / "nginx.err")]
    with _running(subprocess.Popen(command, text=True)) as process:
        _wait_for(port, process)
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"


def compile_paced(folder: Path) -> Path:
    """The paced server, compiled into `folder`."""
    program = folder / "paced"
    source = Path(__file__).with_name("paced.c")
    compiler = _tool("gcc", "gcc libc6-dev")
    subprocess.run([compiler, "-O2", "-Wall", "-o", program, source], check=True)
    return program


@contextmanager
def paced(
    program: Path, stream: WireStream, streams: int, tick_ms: int, events: int
) -> Iterator[str]:
    """A server that waits until `streams` streams are open, and then sends each the first event of
    `stream` every `tick_ms` milliseconds, `events` times; the first with the head before it.

    Yields:
        the base URL, without a trailing slash.
    """
    event = stream.events[0]
    parts = {
        "head": _chunk(stream.head + event),
        "event": _chunk(event),
        "tail": _chunk(stream.tail) + _chunk(b""),
    }
    command = [str(program), str(streams), str(tick_ms), str(events - 1)]
    for name, part in parts.items():
        path = program.with_name(name)
        path.write_bytes(part)
        command.append(str(path))
    with _running(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        with process.stdout as output:
            port = output.readline().strip()
        if not port:
            raise BenchmarkError("the paced server did not start")
        yield f"http://127.0.0.1:{port}"


def _chunk(data: bytes) -> bytes:
    """`data` as one chunk of a chunked body; without data, the last."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextmanager
def _running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise BenchmarkError(f"nginx ended with exit code {process.returncode}")
