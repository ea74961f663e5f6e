"""`engine doctor`: what this machine, this environment and this libcurl mean for the engine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import sys
import threading
from importlib.metadata import PackageNotFoundError, version
from typing import Final, NamedTuple
from urllib.request import getproxies, proxy_bypass

import engine
from engine.cli.console import add_color, print_table
from engine.cli.neutral import one_line
from engine.errors import EngineError
from engine.providers import endpoints
from engine.transport.ca import find_trust
from engine.transport.descriptors import descriptor_limit
from engine.transport.libcurl import faults_of, libcurl
from engine.transport.proxy import without_user

__all__ = ["add_arguments", "run"]

_EXTRAS: Final = ("rich", "h11", "jsonschema", "ray", "pyarrow", "certifi", "trio")
_FEW_DESCRIPTORS: Final = 1024


class Finding(NamedTuple):
    """One line: `verdict` is ``ok``, ``note``, ``warning`` or ``bad``."""

    subject: str
    verdict: str
    what: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = "No key and no secret of an address is printed. Ends 1 where something is bad."
    parser.add_argument("--json", action="store_true", help="print an array of objects")
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look at everything, print what was found."""
    findings = [
        *_versions(),
        *_trust(),
        *_proxies(),
        *_machine(),
        *_keys(),
        _loopback(),
    ]
    if arguments.json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        print_table(("", "", ""), [(f.subject, f.verdict, f.what) for f in findings], "never")
    return int(any(finding.verdict == "bad" for finding in findings))


def _versions() -> list[Finding]:
    curl = libcurl()
    number = ".".join(map(str, curl.version))
    found = [
        Finding("engine", "ok", engine.__version__),
        Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}"),
        Finding("pycurl", "ok", f"{curl.pycurl}; libcurl {number}, {curl.tls or 'no TLS'}"),
        Finding("libcurl has", "ok", ", ".join(curl.features) or "neither HTTP/2 nor HTTP/3"),
    ]
    if not curl.tls:
        found.append(Finding("TLS", "bad", "this libcurl has none: no https; pip install pycurl"))
    found += [
        Finding("libcurl", "bad", f"{f.name}: {f.what}; pip install --upgrade pycurl")
        for f in faults_of(curl.version)
    ]
    extras = (f"{name} {there}" for name in _EXTRAS if (there := _version(name)))
    found.append(Finding("beside it", "ok", ", ".join(extras) or "no extra is installed"))
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _trust() -> list[Finding]:
    try:
        trust = find_trust()
    except EngineError as error:
        return [Finding("certificates", "bad", one_line(str(error)))]
    places = [place for place in trust if place is not None]
    found = [Finding("certificates", "ok", one_line(" and ".join(places) or "the system's store"))]
    if os.environ.get("SSLKEYLOGFILE"):
        what = "SSLKEYLOGFILE is set: whoever reads that file reads what is sent"
        found.append(Finding("certificates", "warning", what))
    return found


def _proxies() -> list[Finding]:
    found = []
    for scheme, address in sorted(getproxies().items()):
        if scheme not in ("http", "https", "all"):
            continue
        caught = [
            row.name
            for row in endpoints()
            if scheme in ("all", row.base_url.partition(":")[0])
            and not proxy_bypass(row.base_url.split("/")[2])
        ]
        what = f"{one_line(without_user(address))} is used for {len(caught)} providers"
        found.append(Finding(f"{scheme} proxy", "note", f"{what}; never for this machine"))
    return found or [Finding("proxy", "ok", "none")]


def _machine() -> list[Finding]:
    limit = descriptor_limit()
    few = limit is not None and limit < _FEW_DESCRIPTORS
    words = "as many as there is memory for" if limit is None else f"{limit}"
    advice = "; streams beyond wait their turn (ulimit -n)" if few else ""
    with engine.Multi() as multi:
        ready, _, _ = multi.fdset()
    kind = {"linux": "epoll", "win32": "select"}.get(sys.platform, "kqueue")
    return [
        Finding("poller", "ok", f"{kind}, {len(ready)} descriptor for a host loop to watch"),
        Finding("open files", "warning" if few else "ok", f"{words}{advice}"),
    ]


def _keys() -> list[Finding]:
    there = []
    for row in endpoints():
        there += [name for name in row.key_variables if os.environ.get(name)][:1]
    if not there:
        return [Finding("keys", "note", "none in the environment; `engine providers` names them")]
    return [Finding("keys", "ok", f"set: {', '.join(dict.fromkeys(there))}")]


_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"well"},'
    b'"finish_reason":null}]}\n\n'
    b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


def _loopback() -> Finding:
    """One answer, streamed from a socket of this process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve_once, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        limits = engine.Timeouts(connect=5, first_event=5, total=10)
        with engine.Client(base_url=url, dialect="chat", api_key="none", timeouts=limits) as client:
            completion = client.stream("m", "hi").result()
    if completion.status == "complete" and completion.text == "well":
        return Finding("loopback", "ok", "an answer was streamed from this machine to itself")
    return Finding("loopback", "bad", one_line(f"{completion.status}: {completion.error}"))


def _serve_once(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        connection.sendall(_ANSWER)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
