"""`Names`: where many names hang, a good one is looked up all the same."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from engine.transport import names
from engine.transport.admission import Admission
from engine.transport.names import Names
from engine.transport.timers import Timer
from tests.transport.process import run_script

GOOD = "http://good.example:8080"


class World:
    """Threads that do not run, and a clock by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.threads: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.soon: list[Callable[[], object]] = []
        self.timers: list[Timer] = []
        monkeypatch.setattr(names, "monotonic", lambda: self.now)
        monkeypatch.setattr(names, "original", lambda module, name: self.start)
        self.admission = Admission(0, 0, 100)
        self.names = Names(self.admission, self.soon.append, self.call_later)
        self.admission.crowded = self.names.look_up

    def start(self, call: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.threads.append((call, arguments))

    def call_later(self, delay: float, call: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + delay, call))
        return self.timers[-1]

    def begin(self, *hosts: str) -> list[str]:
        """Ask each host; those that begin."""
        for host in hosts:
            self.admission.enqueue(SimpleNamespace(host=host, over=False))
        return [transfer.host for transfer in self.admission.take(None)]

    def crowd(self) -> None:
        slow = [f"http://slow{n}.example" for n in range(6)]
        assert self.begin(*slow) == slow

    def answer(self, entries: list[str] | OSError, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the thread that began last run to its end."""

        def getaddrinfo(*_: object) -> list[Any]:
            if isinstance(entries, OSError):
                raise entries
            return [(2, 1, 6, "", (address, 8080)) for address in entries]

        monkeypatch.setattr("_socket.getaddrinfo", getaddrinfo)
        call, arguments = self.threads.pop()
        call(*arguments)
        self.soon.pop()()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_few_names_are_left_to_libcurl(world: World) -> None:
    world.crowd()
    assert not world.threads and not world.names.found


def test_the_next_waits_for_its_addresses(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.crowd()
    assert world.begin(GOOD, GOOD) == [] and len(world.threads) == 1
    world.answer(["127.0.0.1", "127.0.0.1", "fe80::1%eth0"], monkeypatch)
    assert world.begin() == [GOOD, GOOD]
    assert world.names.line(GOOD) == "+good.example:8080:127.0.0.1,[fe80::1]"
    assert world.timers[0].call is None
    world.now += 60
    assert world.names.line(GOOD) is None and not world.names.found


def test_where_nothing_is_found_libcurl_is_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.crowd()
    assert world.begin(GOOD) == []
    world.answer(OSError(), monkeypatch)
    assert world.begin() == [GOOD]
    assert world.names.line(GOOD) is None


def test_and_where_it_takes_too_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.crowd()
    assert world.begin(GOOD) == []
    (timer,) = world.timers
    assert timer.when == 103.0
    world.now = timer.when
    timer.call()  # type: ignore[misc]
    assert world.begin() == [GOOD]
    assert world.begin("http://other.example") == []
    world.threads.pop()
    world.answer(["127.0.0.1"], monkeypatch)  # at last
    assert world.names.line(GOOD) is not None


def test_a_host_that_was_reached_waits_for_nobody(world: World) -> None:
    assert world.begin(GOOD) == [GOOD]
    world.admission.reached(GOOD)
    world.crowd()
    assert world.begin(GOOD) == [GOOD] and not world.threads


def test_hosts_that_were_reached_or_given_up_make_no_crowd(world: World) -> None:
    world.crowd()
    world.admission.reached("http://slow0.example")
    assert world.begin("http://a.example") == ["http://a.example"]
    world.admission.release(SimpleNamespace(host="http://slow1.example"))  # type: ignore[arg-type]
    assert world.begin("http://b.example") == ["http://b.example"]
    assert world.begin(GOOD) == []


@pytest.mark.parametrize(
    "host",
    [
        "http://127.0.0.1:1",
        "http://10.0.0.7",
        "http://[::1]:1",
        "http://localhost:1",
        "http://llm.example at /run/llm.sock",
    ],
)
def test_what_is_no_name_is_not_looked_up(world: World, host: str) -> None:
    world.crowd()
    assert world.begin(host) == [host] and not world.threads


def test_nor_one_that_a_proxy_looks_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    world.crowd()
    assert world.begin(GOOD) == [GOOD] and not world.threads
    assert world.begin("https://good.example") == []


def test_threads_are_bounded_and_a_system_without_any_is_borne(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.crowd()
    many = [f"http://n{n}.example" for n in range(150)]
    assert len(world.begin(*many)) == 50 and len(world.threads) == 100

    def none(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(names, "original", lambda module, name: none)
    world.names._threads = 0
    assert world.begin(GOOD) == [GOOD]


_HANGING = """
    import fcntl, socket, struct, subprocess, tempfile, time
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(near, 0x8914, struct.pack("16sh", b"lo", 0x41))  # SIOCSIFFLAGS: lo is up
    near.close()
    mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mute.bind(("127.0.0.1", 53))

    def put(text, path):
        with tempfile.NamedTemporaryFile("w", delete=False) as file:
            file.write(text)
        subprocess.run(["mount", "--bind", file.name, path], check=True)

    put("nameserver 127.0.0.1\\n", "/etc/resolv.conf")
    put("127.0.0.1 good.example localhost\\n", "/etc/hosts")

    import engine
    from tests.server import chat, serve

    with serve(lambda peer: peer.stream(chat("x"))) as server, engine.Multi() as multi:
        for n in range(40):
            multi.add(engine.HttpRequest("GET", f"http://slow{n}.example/"))
        multi.poll(0.05)
        url = f"http://good.example:{server.port}"
        client = engine.Client(multi, base_url=url, timeouts=engine.Timeouts(total=5))
        good = client.stream("m", "hi")
        assert good.result().text == "x", good.completion
        assert len(multi) == 40
        multi.cancel_all()
    mute.detach()  # open until the process is gone
"""


def test_a_good_name_is_found_beside_forty_that_hang() -> None:
    """libcurl by itself: "Resolving timed out" from ten that hang on."""
    apart = ["unshare", "--user", "--map-root-user", "--mount", "--net"]
    try:
        subprocess.run([*apart, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine allows no name spaces (unshare), so no mute name server")
    run_script(_HANGING, before=apart, timeout=150)


def test_one_that_is_reached_after_its_last_request_ended_counts_once(world: World) -> None:
    world.begin("http://slow0.example")
    world.admission.hold("http://slow0.example", lambda: None)  # it is not forgotten
    world.admission.release(SimpleNamespace(host="http://slow0.example"))  # type: ignore[arg-type]
    world.admission.reached("http://slow0.example")
    assert world.admission._unreached == 0


def test_a_thread_that_ended_makes_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.crowd()
    for n in range(150):
        assert world.begin(f"http://n{n}.example") == []
        world.answer(["127.0.0.1"], monkeypatch)
        assert world.begin() == [f"http://n{n}.example"]
        world.admission.release(SimpleNamespace(host=f"http://n{n}.example"))  # type: ignore[arg-type]
