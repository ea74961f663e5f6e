"""`close`: from anywhere, any number of times, at the end of the process, and at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from time import monotonic

import pytest

import engine
from engine import HttpRequest, Multi
from engine.errors import MisuseError
from tests.server import OK_SSE, Peer, chat, serve
from tests.transport.paced import paced_server
from tests.transport.process import run_script


def endless(peer: Peer) -> None:
    peer.send(OK_SSE)
    peer.chunk(chat("x")[0])
    peer.wait_closed()


def test_close_cancels_what_is_open_and_tells_each_once() -> None:
    done: list[str] = []
    with serve(endless) as server:
        multi = Multi()
        client = engine.Client(multi, base_url=server.url)
        streams = [client.stream("m", "hi", on_done=lambda c: done.append(c.status)) for _ in "12"]
        multi.add(HttpRequest("GET", server.url), on_done=lambda r, x: done.append(r.status))
        while not streams[0].text:
            multi.poll()
        multi.close()
        multi.close()
    assert done == ["cancelled"] * 3
    assert streams[0].completion is not None and streams[0].completion.text == "x"
    assert len(multi) == 0


def test_a_closed_multi_says_so() -> None:
    multi = Multi()
    client = engine.Client(multi, base_url="http://127.0.0.1:9")
    multi.close()
    assert repr(multi) == "<Multi closed>"
    assert multi.timeout() is None
    assert (multi.perform(), multi.info_read(), multi.poll(), len(multi)) == (0, [], 0, 0)
    multi.run()
    for call in (multi.fdset, multi.fileno, lambda: client.stream("m", "hi")):
        with pytest.raises(MisuseError, match="closed"):
            call()  # type: ignore[operator]


@pytest.mark.parametrize("where", ["on_event", "on_done"])
def test_close_in_a_callback_ends_everything_after_it(where: str) -> None:
    done: list[str] = []
    with serve(lambda peer: peer.sibling() or endless(peer)) as server:
        multi = Multi()
        slow = engine.Client(multi, base_url=server.url)
        others = [slow.stream("m", "hi", on_done=lambda c: done.append(c.status)) for _ in "123"]
        client = engine.Client(multi, base_url=f"{server.url}/healthy")

        def close(*_: object) -> None:
            multi.close()
            multi.close()
            with pytest.raises(MisuseError, match="closed"):
                client.stream("m", "hi")

        stream = client.stream("m", "hi", **{where: close})  # type: ignore[arg-type]
        while len(multi):
            multi.poll()
        assert repr(multi) == "<Multi closed>"
    assert done == ["cancelled"] * 3
    assert {o.completion and o.completion.status for o in others} == {"cancelled"}
    assert stream.completion is not None
    assert stream.completion.status == ("complete" if where == "on_done" else "cancelled")


def test_a_handler_that_raises_does_not_keep_it_open() -> None:
    done: list[int] = []

    def broken(number: int) -> Callable[[object], None]:
        def on_done(_: object) -> None:
            done.append(number)
            raise ValueError("mine")

        return on_done

    with serve(endless) as server:
        multi = Multi()
        client = engine.Client(multi, base_url=server.url)
        for n in range(3):
            client.stream("m", "hi", on_done=broken(n))
        with pytest.raises(ValueError, match="mine"):
            multi.close()
    assert sorted(done) == [0, 1, 2]
    assert repr(multi) == "<Multi closed>"


def test_an_interrupt_in_close_loses_no_completion() -> None:
    done: list[int] = []

    def interrupted(number: int) -> Callable[[object], None]:
        def on_done(_: object) -> None:
            done.append(number)
            raise KeyboardInterrupt

        return on_done

    with serve(endless) as server:
        multi = Multi()
        client = engine.Client(multi, base_url=server.url)
        for n in range(3):
            client.stream("m", "hi", on_done=interrupted(n))
        for _ in range(4):
            try:
                multi.close()
            except KeyboardInterrupt:
                pass
    assert sorted(done) == [0, 1, 2]
    assert repr(multi) == "<Multi closed>"


def test_close_gives_back_every_descriptor() -> None:
    with paced_server() as url:  # another process: its descriptors are not counted
        out = run_script(
            """
            import gc, os, sys, time
            import engine

            def count():
                gc.collect()
                return len(os.listdir("/proc/self/fd"))

            def use():
                multi = engine.Multi()
                client = engine.Client(multi, base_url=f"{sys.argv[1]}/7/3/1")
                streams = [client.stream("m", "hi") for _ in range(5)]
                assert streams[0].result().status == "complete"
                multi.close()

            use()
            before = count()
            for _ in range(5):
                use()
            # libcurl's handle is freed by a thread of its own, which may still be at it.
            until = time.monotonic() + 10
            while (after := count()) > before and time.monotonic() < until:
                pass
            assert after <= before, (after, before)
            """,
            url,
        )
    assert out == ""


# -- while a generator is open ---------------------------------------------------------------------

_ITERATED = """
    import engine
    from tests.server import HEALTHY, OK_SSE, chat, serve

    def begin(peer):
        peer.send(OK_SSE)
        for event in chat(*HEALTHY)[:2]:
            peer.chunk(event)
        peer.wait_closed()

    with serve(begin) as server:
        multi = engine.Multi()
        stream = engine.Client(multi, base_url=server.url).stream("m", "hi")
        for event in stream:
            multi.close()
        assert stream.completion.status == "cancelled"
"""


def test_close_while_a_stream_is_iterated_ends_the_iteration() -> None:
    subprocess.run(
        [sys.executable, "-c", dedent(_ITERATED)],
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[2],
        capture_output=True,
    )


# -- while a name server is mute -------------------------------------------------------------------

# In name spaces of its own a process may have a name server at port 53 that never answers.
_MUTE = """
    import fcntl, socket, struct, subprocess, sys, tempfile, time
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fcntl.ioctl(near, 0x8914, struct.pack("16sh", b"lo", 0x41))  # SIOCSIFFLAGS: lo is up
    near.close()
    mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mute.bind(("127.0.0.1", 53))
    file = tempfile.NamedTemporaryFile("w", suffix=".conf")
    file.write("nameserver 127.0.0.1\\noptions timeout:30\\n")
    file.flush()
    subprocess.run(["mount", "--bind", file.name, "/etc/resolv.conf"], check=True)

    import engine

    mute.setblocking(False)
    multi = engine.Multi()
    exchange = multi.add(engine.HttpRequest("GET", "http://slow.example/"))
    while True:
        multi.poll(0.01)
        try:
            mute.recv(512)
            break
        except BlockingIOError:
            pass
    assert multi.statistics().connecting == 1
    start = time.monotonic()
    {action}
    mute.detach()  # open until the process is gone
    file.close()
    print(start, flush=True)
"""
_UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "--net"]


@pytest.fixture(scope="module")
def mute_name_server() -> list[str]:
    try:
        subprocess.run([*_UNSHARE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine allows no name spaces (unshare), so no mute name server")
    return _UNSHARE


@pytest.mark.parametrize(
    "action",
    [
        pytest.param("multi.close()", id="close"),
        pytest.param(
            "exchange.cancel(); multi.close()", id="cancel and close", marks=pytest.mark.slow
        ),
        pytest.param("pass", id="exit"),
    ],
)
def test_a_look_up_that_hangs_holds_nobody_up(mute_name_server: list[str], action: str) -> None:
    out = run_script(_MUTE.replace("{action}", action), before=mute_name_server)
    # The clock is the machine's. A look-up that is waited for takes thirty seconds or more.
    assert monotonic() - float(out) < 15
