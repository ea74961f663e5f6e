"""`engine doctor`: what this machine, this environment and this libcurl mean for the engine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import engine
from engine.asking.base_url import base_url_of
from engine.asking.keys import find_key
from engine.cli.console import add_color, print_table
from engine.cli.neutral import one_line
from engine.errors import ConfigError, EngineError
from engine.providers import endpoints
from engine.transport.ca import faults_of_trust, find_trust
from engine.transport.descriptors import descriptor_limit, descriptors_left
from engine.transport.libcurl import faults_of, libcurl
from engine.transport.proxy import PROXY_VARIABLES, ProxyUse, ask_proxy, proxy_name, proxy_variable

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
        *_found("versions", _versions),
        *_found("certificates", _trust),
        *_found("proxy", _proxies),
        *_found("poller", _poller),
        *_found("open files", _open_files),
        *_found("keys", _keys),
        *_found("addresses", _addresses),
        *_found("loopback", _loopback),
    ]
    if arguments.json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        print_table(("", "", ""), [(f.subject, f.verdict, f.what) for f in findings], "never")
    return int(any(finding.verdict == "bad" for finding in findings))


def _found(subject: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """What `look` finds; where it cannot look, that is what is found."""
    try:
        return look()
    except (EngineError, OSError) as error:
        return [Finding(subject, "bad", one_line(str(error)))]


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
    found = []
    if os.environ.get("SSLKEYLOGFILE"):
        what = "SSLKEYLOGFILE is set: whoever reads that file reads what is sent"
        found.append(Finding("certificates", "warning", what))
    trust = find_trust()
    broken = faults_of_trust(trust._replace(directories=None))
    empty = faults_of_trust(trust._replace(file=None))
    # Beside a good file a directory without certificates does no harm.
    harmless = trust.file is not None and not broken
    verdicts = dict.fromkeys(broken, "bad") | dict.fromkeys(empty, "warning" if harmless else "bad")
    if not broken and (harmless or not empty):
        places = [place for place in trust if place is not None]
        verdicts = {" and ".join(places) or "the system's store": "ok"} | verdicts
    found += [
        Finding("certificates", verdict, one_line(what)) for what, verdict in verdicts.items()
    ]
    return found


# A host of none of NO_PROXY's entries but "*" (RFC 6761, 6.4).
_ANY: Final = "any.invalid"


def _proxies() -> list[Finding]:
    found = []
    if os.environ.get("HTTP_PROXY") and not os.environ.get("http_proxy"):
        what = "HTTP_PROXY is not used, since a server's client could set it; write http_proxy"
        found.append(Finding("http proxy", "note", what))
    uses = [_ask(row.base_url) for row in endpoints()]
    told = set()
    for scheme in PROXY_VARIABLES:
        variable = proxy_variable(f"{scheme}:")
        if variable is None or variable in told:
            continue
        told.add(variable)
        subject = f"{variable.lower().partition('_')[0]} proxy"
        fault = ask_proxy(f"{scheme}://{_ANY}/").fault
        if fault is not None:
            found.append(Finding(subject, "bad", one_line(f"{variable} is no proxy: {fault}")))
            continue
        name = one_line(proxy_name(f"{scheme}:"))
        caught = sum(use.variable == variable for use in uses)
        what = f"{name} is used for {caught} providers; never for this machine"
        found += [Finding(subject, "note", what), *_unheeded(scheme)]
    return found or [Finding("proxy", "ok", "none")]


def _ask(url: str) -> ProxyUse:
    """What is done for the host of `url`, in which names may stand for what the user fills in."""
    parts = urlsplit(re.sub(r"\{\w+\}", "x", url))
    return ask_proxy(f"{parts.scheme}://{parts.netloc}/")


def _unheeded(scheme: str) -> list[Finding]:
    """The entries of NO_PROXY that libcurl passes over."""
    variable = next((name for name in ("no_proxy", "NO_PROXY") if os.environ.get(name)), "")
    passed = []
    for entry in re.split(r"[\s,;]+", os.environ.get(variable, "")):
        host = _ANY if entry == "*" else _host_of(entry)
        if host is not None and ask_proxy(f"{scheme}://{host}/").variable is not None:
            passed.append(entry)
    if not passed:
        return []
    advice = "write names or networks with commas between, without scheme, port, brackets and '*'"
    what = f"{variable} has what libcurl does not heed: {' '.join(passed)}; {advice}"
    return [Finding("no proxy", "warning", one_line(what))]


def _host_of(entry: str) -> str | None:
    """A host that `entry` of NO_PROXY means, however it is written; None: none is seen in it."""
    name = re.sub(r"^\w+://", "", entry.strip("\"'<>"))
    address = re.match(r"\[([\da-f:.]+)\]|([\da-f]*:[\da-f.]*:[\da-f:.]*)", name, re.IGNORECASE)
    if address is not None:
        return f"[{address[1] or address[2]}]"
    name = re.sub(r"^\*?\.|:\d+$|/.*$", "", name).replace("*", "1")
    return name if re.fullmatch(r"[\w.-]+", name) else None


def _poller() -> list[Finding]:
    with engine.Multi() as multi:
        ready, _, _ = multi.fdset()
    kind = {"linux": "epoll", "win32": "select"}.get(sys.platform, "kqueue")
    what = f"{kind}, {len(ready)} descriptor for a host loop to watch"
    return [Finding("poller", "ok", what)]


def _open_files() -> list[Finding]:
    try:
        with engine.Multi():
            left = descriptors_left()
    except (EngineError, OSError):
        left = 0
    limit = descriptor_limit()  # a `Multi` raises it
    if limit is None:
        return [Finding("open files", "ok", "as many as there is memory for")]
    if left == 0:
        what = f"{limit}: none is left for a connection; raise the limit (ulimit -n)"
        return [Finding("open files", "bad", what)]
    few = limit < _FEW_DESCRIPTORS
    advice = "; streams beyond wait their turn (ulimit -n)" if few else ""
    return [Finding("open files", "warning" if few else "ok", f"{limit}{advice}")]


def _keys() -> list[Finding]:
    there: dict[str, str | None] = {}
    for row in endpoints():
        for name in [name for name in row.key_variables if os.environ.get(name)][:1]:
            there[name] = _refused(partial(find_key, row, row.base_url, None)) or there.get(name)
    found = [Finding("keys", "bad", fault) for fault in there.values() if fault is not None]
    good = [name for name, fault in there.items() if fault is None]
    if good:
        found.append(Finding("keys", "ok", f"set: {', '.join(good)}"))
    none = Finding("keys", "note", "none in the environment; `engine providers` names them")
    return found or [none]


def _addresses() -> list[Finding]:
    """The base URLs of the environment."""
    found: dict[str, str | None] = {}
    for row in endpoints():
        for name in [name for name in row.base_variables if os.environ.get(name)][:1]:
            found[name] = _refused(partial(base_url_of, row)) or found.get(name)
    good = [name for name, fault in found.items() if fault is None]
    bad = [Finding("addresses", "bad", fault) for fault in found.values() if fault is not None]
    told = f"{', '.join(good)} {'moves its provider' if len(good) == 1 else 'move their providers'}"
    return bad + ([Finding("addresses", "note", told)] if good else [])


def _refused(ask: Callable[[], object]) -> str | None:
    """What a request would be refused for; None: nothing."""
    try:
        ask()
    except ConfigError as error:
        return one_line(str(error))
    return None


_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"content":"well"},'
    b'"finish_reason":null}]}\n\n'
    b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


def _loopback() -> list[Finding]:
    """One answer, streamed from a socket of this process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve_once, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        limits = engine.Timeouts(connect=5, first_event=5, total=10)
        with engine.Client(base_url=url, dialect="chat", api_key="none", timeouts=limits) as client:
            completion = client.stream("m", "hi").result()
    if completion.status == "complete" and completion.text == "well":
        return [Finding("loopback", "ok", "an answer was streamed from this machine to itself")]
    return [Finding("loopback", "bad", one_line(f"{completion.status}: {completion.error}"))]


def _serve_once(listener: socket.socket) -> None:
    try:
        connection, _ = listener.accept()
    except OSError:
        return  # the client tells
    with connection:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        connection.sendall(_ANSWER)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
