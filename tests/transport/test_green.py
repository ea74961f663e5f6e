"""gevent and eventlet with everything patched: who waits for an answer lets the others run."""

from __future__ import annotations

import importlib.util

import pytest

from tests.transport.process import run_script

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

# The server answers after 1 s, green as well.
_SCRIPT = """
import time
import engine
from tests.server import HEALTHY, chat, serve

def handle(peer):
    time.sleep(1.0)
    peer.stream(chat(*HEALTHY))

def ask(client):
    done = client.stream("m", "hi").result()
    assert done.text == "".join(HEALTHY), done.error
    return done.status

def ask_with_one_of_its_own(url):
    with engine.Client(base_url=url) as client:
        return ask(client)

with serve(handle) as server:
    ask_with_one_of_its_own(server.url)
    before = time.monotonic()
    ask_with_one_of_its_own(server.url)
    one = time.monotonic() - before
    before = time.monotonic()
    assert together([(ask_with_one_of_its_own, server.url)] * 100) == ["complete"] * 100
    apart = time.monotonic() - before
    with engine.Client(base_url=server.url) as client:
        before = time.monotonic()
        assert together([(ask, client)] * 100) == ["complete"] * 100
        shared = time.monotonic() - before
        before = time.monotonic()
        def iterate(client):
            return "".join(client.stream("m", "hi").text_deltas())
        assert together([(iterate, client)] * 20) == ["".join(HEALTHY)] * 20
        iterated = time.monotonic() - before
assert 1.0 <= one, one
# One after another they take 100 s. Those that share a client under eventlet take turns.
print(max(apart, iterated) < 10 * one, shared < (10 if WAITS_TOGETHER else 60) * one, one, shared)
"""

_GEVENT = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent

WAITS_TOGETHER = True

def together(calls):
    jobs = [gevent.spawn(*call) for call in calls]
    gevent.joinall(jobs, raise_error=True)
    return [job.value for job in jobs]
"""

_EVENTLET = """
import warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()

WAITS_TOGETHER = False

def together(calls):
    return [job.wait() for job in [eventlet.spawn(*call) for call in calls]]
"""


@pytest.mark.parametrize("green", [_GEVENT, _EVENTLET], ids=["gevent", "eventlet"])
@pytest.mark.parametrize("first", ["patched", "engine"])
def test_a_hundred_wait_together(
    green: str, first: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # eventlet takes dnspython, if there is one, and fails at its newer versions; no name is looked
    # up here.
    monkeypatch.setenv("EVENTLET_NO_GREENDNS", "yes")
    name = request.node.callspec.id.split("-")[-1]
    assert importlib.util.find_spec(name), f"{name} is in the dependency group ci"
    early = "" if first == "patched" else "import engine\n"
    assert run_script(early + green + _SCRIPT, timeout=120).startswith("True True")
