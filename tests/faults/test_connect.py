"""C1: names, connections, TLS, proxies."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

import engine
from engine.errors import Category, DeadlineError
from tests.faults.case import (
    CANARY,
    GOOD,
    OK_SSE,
    TEXT,
    Case,
    answer,
    chunk,
    chunked,
    judge,
    steps,
)
from tests.faults.server import CLOSE, KEEP, RESET, SHUT, STALL, Script, Step, play
from tests.faults.siblings import beside, siblings
from tests.servers.certificate import certify

pytestmark = pytest.mark.slow

WELL = steps(chunked(GOOD), KEEP)


def hurt(case: Case, base_url: str, ca_file: str | None = None) -> engine.Completion:
    """Ask `base_url`, which is no server of scripts, beside siblings on one that is."""
    told: list[engine.Completion] = []
    heard: list[str] = []
    with engine.Multi(ca_file=ca_file) as multi, play(beside(WELL)) as server:
        client = engine.Client(
            multi,
            dialect="chat",
            base_url=base_url,
            api_key=CANARY,
            timeouts=engine.Timeouts(**{"connect": 5.0, "total": 20.0, **case.timeouts}),
            retry=engine.Retry(max_attempts=case.attempts, base_delay=0.001),
            allow_insecure=True,
        )
        with siblings(multi, server.url):
            client.stream(
                "m",
                "hi",
                on_text=lambda delta, _: heard.append(delta),
                on_done=lambda completion, _: told.append(completion),
            )
            while not told:
                multi.poll()
        judge(case, told, heard, [])
    return told[0]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def full_backlog() -> Iterator[int]:
    """The port of a listener whose kernel answers no more SYNs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        held = []
        for _ in range(4):
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
            held.append(each)
        yield port
        for each in held:
            each.close()


NETWORK = {"category": Category.NETWORK, "requests": None}


@pytest.mark.parametrize("attempts", [1, 3])
def test_n01_refused(attempts: int) -> None:
    """N01."""
    completion = hurt(
        Case("N01", WELL, attempts=attempts, **NETWORK), f"http://127.0.0.1:{free_port()}"
    )
    assert completion.attempts == attempts
    assert completion.possibly_billed == 0


def test_n02_a_host_that_answers_no_syn() -> None:
    """N02."""
    with full_backlog() as port:
        completion = hurt(
            Case("N02", WELL, category=Category.TIMEOUT, requests=None, timeouts={"connect": 0.3}),
            f"http://127.0.0.1:{port}",
        )
    assert isinstance(completion.error, DeadlineError)
    assert completion.error.phase == "connect"
    assert completion.possibly_billed == 0


@pytest.mark.parametrize("action", [CLOSE, RESET], ids=["N03 close", "N04 reset"])
def test_a_connection_that_ends_when_it_is_made(action: Step) -> None:
    with play(WELL, greeting=[action]) as server:
        hurt(Case("N03", WELL, **NETWORK), server.url)


def test_n05_a_name_that_is_none() -> None:
    """N05."""
    completion = hurt(Case("N05", WELL, **NETWORK), "http://nobody.invalid")
    assert completion.possibly_billed == 0
    assert "nobody.invalid" in str(completion.error)


def test_n08_one_address_of_two_is_dead() -> None:
    """N08."""
    with play(WELL) as server, engine.Multi() as multi:
        port = server.url.rpartition(":")[2]
        request = engine.HttpRequest(
            "POST", f"http://two.example:{port}/", body=b"{}", addresses=("127.0.0.9", "127.0.0.1")
        )
        exchange = multi.add(request)
        while exchange.response is None:
            multi.poll()
        assert exchange.response.http_status == 200


# -- TLS -------------------------------------------------------------------------------------------


def context(home: Path, **certificate: object) -> ssl.SSLContext:
    certify(home, **certificate)  # type: ignore[arg-type]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(home / "server.pem", home / "server.key")
    return tls


def test_t01_an_authority_nobody_trusts(tmp_path: Path) -> None:
    """T01."""
    with play(WELL, context(tmp_path)) as server:
        completion = hurt(Case("T01", WELL, attempts=3, says="certificate", **NETWORK), server.url)
        assert completion.attempts == 1
        assert server.requests == []


@pytest.mark.parametrize(
    "certificate",
    [
        pytest.param({"address": "127.0.0.2"}, id="T02 another name"),
        pytest.param({"days": -1}, id="T03 expired"),
    ],
)
def test_a_certificate_that_does_not_hold(tmp_path: Path, certificate: dict[str, object]) -> None:
    with play(WELL, context(tmp_path, **certificate)) as server:
        completion = hurt(
            Case("T02", WELL, attempts=3, **NETWORK), server.url, str(tmp_path / "ca.pem")
        )
        assert completion.attempts == 1
        assert server.requests == []


def test_t04_a_handshake_that_stalls() -> None:
    """T04."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        completion = hurt(
            Case("T04", WELL, category=Category.TIMEOUT, requests=None, timeouts={"connect": 0.3}),
            f"https://127.0.0.1:{listener.getsockname()[1]}",
        )
    assert isinstance(completion.error, DeadlineError)
    assert "tls" in str(completion.error).lower()


def test_t05_a_reset_in_the_handshake_is_tried_again() -> None:
    """T05."""
    with play(WELL, greeting=[0.05, RESET]) as server:
        url = server.url.replace("http:", "https:")
        completion = hurt(Case("T05", WELL, attempts=2, **NETWORK), url)
        assert completion.attempts == 2
        assert completion.possibly_billed == 0


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_t06_a_server_of_the_last_decade(tmp_path: Path) -> None:
    """T06."""
    tls = context(tmp_path)
    tls.set_ciphers("DEFAULT:@SECLEVEL=0")
    tls.minimum_version = ssl.TLSVersion.TLSv1
    tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with play(WELL, tls) as server:
        completion = hurt(
            Case("T06", WELL, attempts=3, **NETWORK), server.url, str(tmp_path / "ca.pem")
        )
        assert completion.attempts == 1


def test_t07_https_to_a_port_that_speaks_http() -> None:
    """T07."""
    with play(WELL, greeting=[answer("400 Bad Request"), SHUT]) as server:
        url = server.url.replace("http:", "https:")
        completion = hurt(Case("T07", WELL, attempts=3, says="http://", **NETWORK), url)
        assert completion.attempts == 1


@pytest.mark.parametrize("marker", [True, False], ids=["T09 after the marker", "T10 before it"])
def test_a_tls_connection_that_ends_without_a_word(tmp_path: Path, marker: bool) -> None:
    pieces = GOOD if marker else GOOD[:3]
    script = steps(OK_SSE + b"".join(map(chunk, pieces)), 0.05, CLOSE)
    expected = (
        Case("T09", script, status="complete", text=TEXT, requests=None)
        if marker
        else Case(
            "T10", script, status="truncated", category=Category.TRUNCATED, text=TEXT, requests=None
        )
    )
    with play(script, context(tmp_path)) as server:
        hurt(expected, server.url, str(tmp_path / "ca.pem"))


# -- proxies ---------------------------------------------------------------------------------------


def test_x01_a_proxy_of_the_environment_sees_nothing_of_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """X01."""
    with play(WELL) as proxy, play(WELL) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        hurt(Case("X01", WELL, status="complete", text=TEXT, requests=None), server.url)
        assert proxy.connections == 0


@pytest.mark.parametrize("status", [403, 404, 407, 429, 502])
def test_x02_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """X02."""
    with play(steps(answer(f"{status} No"), CLOSE)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        completion = hurt(Case("X02", WELL, says="proxy", **NETWORK), "https://api.example.invalid")
        assert {r.method for r in proxy.requests} == {"CONNECT"}
        assert all(CANARY not in str(r.headers) for r in proxy.requests)
        assert proxy.url.removeprefix("http://") in str(completion.error)


def test_x03_a_proxy_that_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    """X03."""
    with play(steps(STALL)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        completion = hurt(
            Case("X03", WELL, category=Category.TIMEOUT, requests=None, timeouts={"connect": 0.3}),
            "https://api.example.invalid",
        )
    assert isinstance(completion.error, DeadlineError)
    assert completion.error.phase == "connect"


@pytest.mark.parametrize(
    ("script", "greeting"),
    [
        (WELL, [CLOSE]),
        (steps(CLOSE), []),
        (steps(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", CLOSE), []),
    ],
    ids=["goes away", "goes away when it is asked", "speaks no HTTP"],
)
def test_x04_a_proxy_that_makes_no_tunnel(
    monkeypatch: pytest.MonkeyPatch, script: Script, greeting: list[Step]
) -> None:
    """X04."""
    with play(script, greeting=greeting) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        completion = hurt(Case("X04", WELL, says="proxy", **NETWORK), "https://api.example.invalid")
        assert proxy.url.removeprefix("http://") in str(completion.error)
    assert completion.error is not None and completion.error.phase == "connect"
    assert not completion.possibly_billed


# -- names, and certificates of the system, in name spaces ----------------------------------------

_SPACES = ["unshare", "--user", "--map-root-user", "--mount", "--net"]


def in_spaces(source: str) -> str:
    """Run `source` where the network and the mounts are its own; what it printed."""
    try:
        allowed = subprocess.run([*_SPACES, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("this machine allows no name spaces (unshare)")
    done = subprocess.run(
        [*_SPACES, sys.executable, "-c", dedent(_PRELUDE) + dedent(source)],
        capture_output=True,
        text=True,
        timeout=170,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


_PRELUDE = """
    import fcntl, os, socket, struct, subprocess, tempfile, time
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(near, 0x8914, struct.pack("16sh", b"lo", 0x41))  # SIOCSIFFLAGS: lo is up
    near.close()
    mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # a name server that never answers
    mute.bind(("127.0.0.1", 53))
    file = tempfile.NamedTemporaryFile("w", suffix=".conf")
    file.write("nameserver 127.0.0.1\\noptions timeout:30\\n")
    file.flush()
    subprocess.run(["mount", "--bind", file.name, "/etc/resolv.conf"], check=True)
    import engine
    from tests.faults.case import GOOD, chunked, steps
    from tests.faults.server import KEEP, STALL, play
    from tests.faults.siblings import beside, siblings
    WELL = steps(chunked(GOOD), KEEP)
    def ask(multi, url, **limits):
        return engine.Client(
            multi, dialect="chat", base_url=url, api_key="k", allow_insecure=True,
            timeouts=engine.Timeouts(**{"connect": 0.5, "total": 20, **limits}),
            retry=engine.Retry(max_attempts=1),
        ).stream("m", "hi")
"""


def test_n06_a_name_server_that_is_mute() -> None:
    """N06."""
    out = in_spaces(
        """
        with engine.Multi() as multi, play(beside(WELL)) as server, siblings(multi, server.url):
            stream = ask(multi, "http://slow.example")
            longest = 0.0
            while stream.completion is None:
                before = time.thread_time()
                multi.perform()
                longest = max(longest, time.thread_time() - before)
                multi.poll(0.05)
        error = stream.completion.error
        print(error.category, error.phase, "resolve" in str(error), longest < 0.05)
        """
    )
    assert out.split() == ["TIMEOUT", "connect", "True", "True"]


def test_n07_a_good_name_beside_forty_that_hang() -> None:
    """N07."""
    out = in_spaces(
        """
        with engine.Multi() as multi, play(beside(WELL)) as server:
            with siblings(multi, server.url):
                port = server.url.rpartition(":")[2]
                dead = [ask(multi, f"http://dead{n}.example", connect=8) for n in range(40)]
                while multi.statistics().connecting < 40:
                    multi.poll(0.01)
                good = ask(multi, f"http://localhost:{port}", connect=8)
                while good.completion is None:
                    multi.poll()
            print(good.completion.status, sum(s.completion is not None for s in dead) < 40)
            multi.cancel_all()
        """
    )
    assert out.split() == ["complete", "True"]


def test_n09_a_process_that_ends_while_a_look_up_hangs() -> None:
    """N09."""
    out = in_spaces(
        """
        pid = os.fork()
        if not pid:
            multi = engine.Multi()
            ask(multi, "http://slow.example", connect=30)
            while not multi.statistics().connecting:
                multi.poll(0.01)
            multi.poll(0.1)
            raise SystemExit(7)
        began = time.monotonic()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(code, time.monotonic() - began < 15)
        """
    )
    assert out.split() == ["7", "True"]


def test_t08_a_system_without_certificates() -> None:
    """T08."""
    out = in_spaces(
        """
        for place in ("/etc/ssl", "/etc/pki", "/usr/share/ssl", "/usr/lib/ssl"):
            if os.path.isdir(place):
                subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
        import sys
        sys.modules["certifi"] = None
        with engine.Multi() as multi:
            try:
                stream = ask(multi, "https://127.0.0.1:9")
                error = stream.result().error
            except engine.EngineError as raised:
                error = raised
        print(error.category, "ca_file" in str(error) or "SSL_CERT_FILE" in str(error))
        """
    )
    assert out.split() == ["CONFIG", "True"]


def test_d07_a_peer_that_vanishes_in_the_middle() -> None:
    """D07."""
    out = in_spaces(
        """
        from tests.faults.case import OK_SSE, chunk
        multi = engine.Multi()
        with play(steps(OK_SSE + chunk(GOOD[0]), STALL)) as server:
            stream = ask(multi, server.url, idle=0.5)
            while not stream.text:
                multi.poll()
            subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
            completion = stream.result()
            print(completion.error.category, completion.error.phase, completion.text)
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        """
    )
    assert out.split() == ["TIMEOUT", "idle", "All"]
