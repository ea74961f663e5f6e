"""C8: descriptors, memory, connections that pile up."""

from __future__ import annotations

import pytest

from tests.transport.process import run_script

pytestmark = pytest.mark.slow

PRELUDE = """
import gc, os, pathlib, resource, socket, time
import engine
from tests.faults.case import GOOD, OK_SSE, TEXT, chunk, chunked, steps
from tests.faults.server import CLOSE, KEEP, STALL, play
from tests.faults.siblings import beside, siblings
WELL = steps(chunked(GOOD), KEEP)
def client_of(multi, url):
    return engine.Client(multi, dialect="chat", base_url=url, api_key="k",
                         retry=engine.Retry(max_attempts=1))
def rss():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096
def descriptors():
    return len(os.listdir("/proc/self/fd"))
"""


def test_m01_no_descriptor_is_left_and_then_there_is() -> None:
    """M01."""
    out = run_script(
        PRELUDE
        + """
with play(beside(WELL)) as server, engine.Multi() as multi, siblings(multi, server.url):
    multi.perform()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    limit = descriptors() + 40
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        pass
    streams = [client_of(multi, server.url).stream("m", "hi") for _ in range(30)]
    for _ in range(20):
        multi.poll(0.01)
    for number in held:
        os.close(number)
    while any(s.completion is None for s in streams):
        multi.poll()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    categories = {str(s.completion.error and s.completion.error.category) for s in streams}
    print(sum(s.completion.status == "complete" for s in streams), *sorted(categories))
"""
    )
    complete, *categories = out.split()
    assert set(categories) <= {"None", "RESOURCE"}
    assert int(complete) == 30


def test_m01_a_refusal_is_told_as_one_where_few_descriptors_are_left() -> None:
    """M01."""
    out = run_script(
        PRELUDE
        + """
with engine.Multi() as multi, socket.socket() as nobody:
    nobody.bind(("127.0.0.1", 0))  # and does not listen
    multi.perform()
    client = client_of(multi, f"http://127.0.0.1:{nobody.getsockname()[1]}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 10, hard))
    for left in range(2):
        stream = client.stream("m", "hi")
        while stream.completion is None:
            multi.poll()
        print(stream.completion.error.category, end=" ")
"""
    )
    assert set(out.split()) == {"NETWORK"}


def test_m01_a_multi_without_descriptors_says_so_and_leaks_none() -> None:
    """M01."""
    out = run_script(
        PRELUDE
        + """
held = []
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
for left in range(8):
    held = []
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        pass
    for number in held[:left]:
        os.close(number)
    taken = os.dup(0) if left else None
    if taken is not None:
        os.close(taken)
    try:
        engine.Multi().close()
        print("made", end=" ")
    except engine.EngineError as error:
        print(error.category, end=" ")
    free = 0
    extra = []
    try:
        while True:
            extra.append(os.dup(0))
    except OSError:
        free = len(extra)
    assert free == left, (free, left)
    for number in held[left:] + extra:
        os.close(number)
"""
    )
    assert set(out.split()) == {"RESOURCE", "made"}


def test_m02_descriptors_above_1024() -> None:
    """M02."""
    out = run_script(
        PRELUDE
        + """
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
import select
with play(beside(WELL)) as server, engine.Multi() as multi:
    held = [os.dup(0) for _ in range(1100)]
    with siblings(multi, server.url):
        streams = [client_of(multi, server.url).stream("m", "hi") for _ in range(50)]
        while any(s.completion is None for s in streams):
            select.select(*multi.fdset(), multi.timeout())
            multi.perform()
            multi.info_read()
    print({s.text for s in streams} == {TEXT})
    late = engine.Multi()
    try:
        late.fdset()
        print("fdset")
    except engine.EngineError as error:
        print(error.category, "poll" in str(error))
    late.close()
    for number in held:
        os.close(number)
"""
    )
    assert out.split() == ["True", "RESOURCE", "True"]


def test_m03_two_thousand_open_streams_are_cheap_to_hold() -> None:
    """M03, a fifth of it."""
    out = run_script(
        PRELUDE
        + """
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
with play(beside(steps(OK_SSE + chunk(GOOD[0]), STALL))) as server, engine.Multi() as multi:
    client = client_of(multi, server.url)
    first = client.stream("m", "hi")
    while not first.text:
        multi.poll()
    spoken = set()
    for _ in range(2000):
        client.stream("m", "hi", on_text=lambda _, stream: spoken.add(stream))
    while len(spoken) < 2000:
        multi.poll()
    turns = 0
    began = time.thread_time()
    for _ in range(2000):
        multi.perform()
        turns += 1
    each = (time.thread_time() - began) / turns
    with siblings(multi, server.url):
        pass
    print(each < 100e-6)
    multi.cancel_all()
"""
    )
    assert out.split() == ["True"]


def test_m04_memory_that_runs_out_is_told() -> None:
    """M04: one answer larger than what is left; the others go on."""
    out = run_script(
        PRELUDE
        + """
big = chunk(GOOD[0].replace(b"All ", b"x" * (12 << 20)))
rest = b"".join(map(chunk, GOOD)) + b"0\\r\\n\\r\\n"
with play(beside(steps(OK_SSE, big, rest, KEEP))) as server, engine.Multi() as multi:
    with siblings(multi, server.url):
        client = engine.Client(multi, dialect="chat", base_url=server.url, api_key="k",
                               max_answer_bytes=1 << 20)
        stream = client.stream("m", "hi")
        while stream.completion is None:
            multi.poll()
    error = stream.completion.error
    print(stream.completion.status, error and error.category, "max_answer_bytes" in str(error))
"""
    )
    assert out.split() == ["error", "PROTOCOL", "True"]


def test_m05_connections_that_are_kept_are_bounded() -> None:
    """M05."""
    out = run_script(
        PRELUDE
        + """
with play(beside(WELL)) as server, engine.Multi() as multi, siblings(multi, server.url):
    client = client_of(multi, server.url)
    streams = [client.stream("m", "hi") for _ in range(300)]
    while any(s.completion is None for s in streams):
        multi.poll()
    for _ in range(5):
        s = client.stream("m", "hi")
        while s.completion is None:
            multi.poll()
    until = time.monotonic() + 20  # the server hears of what was closed when it has its turn
    while server.open_connections >= 160 and time.monotonic() < until:
        multi.perform()
    print(server.open_connections < 160)
"""
    )
    assert out.split() == ["True"]


def test_m06_connections_closed_by_their_server_do_not_pile_up() -> None:
    """M06."""
    out = run_script(
        PRELUDE
        + """
def connections():
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    ours = mine()
    states = [line.split()[3] for line in lines if line.split()[9] in ours]
    # established, on which the server is yet to close; and where it has and this side has not
    return states.count("01") + states.count("08")
def mine():
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            name = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if name.startswith("socket:["):
            found.add(name[8:-1])
    return found
with play(beside(steps(chunked(GOOD), 0.05, CLOSE))) as server, engine.Multi() as multi:
    client = client_of(multi, server.url)
    for _ in range(3):
        streams = [client.stream("m", "hi") for _ in range(20)]
        while any(s.completion is None for s in streams):
            multi.poll()
    until = time.monotonic() + 20
    while connections() and time.monotonic() < until:
        wait = multi.timeout()
        import select
        select.select(*multi.fdset(), 0.1 if wait is None else min(wait, 0.1))
        multi.perform()
        multi.info_read()
    print(connections())
"""
    )
    assert out.split() == ["0"]


def test_m07_mixed_faults_for_a_while_leave_nothing_behind() -> None:
    """M07, some seconds of it; `make soak` is the whole."""
    out = run_script(
        PRELUDE
        + """
import random
from tests.faults.server import RESET
rng = random.Random(7)
whole = chunked(GOOD)
def script(request):
    fate = rng.random()
    if fate < 0.4:
        return iter([whole, KEEP])
    if fate < 0.6:
        return iter([whole[: rng.randrange(len(whole))], rng.choice([CLOSE, RESET])])
    if fate < 0.8:
        return iter([b"HTTP/1.1 503 No\\r\\nContent-Length: 0\\r\\n\\r\\n", KEEP])
    return iter([OK_SSE + chunk(GOOD[0]), STALL])
with play(script) as server, engine.Multi() as multi:
    client = engine.Client(multi, dialect="chat", base_url=server.url, api_key="k",
        retry=engine.Retry(max_attempts=2, base_delay=0.001), timeouts=engine.Timeouts(idle=0.2))
    def round_of(count):
        done = []
        for n in range(count):
            s = client.stream("m", "hi", on_done=lambda c: done.append(c.status))
            if n % 7 == 0:
                multi.perform()
                s.cancel()
        while len(done) < count:
            multi.poll()
        assert len(done) == count
        server.requests.clear()
        server.left.clear()
    round_of(300)
    gc.collect()
    memory, files = rss(), descriptors()
    for _ in range(8):
        round_of(300)
    gc.collect()
    grown = rss() - memory
    print(grown if grown > 5 << 20 else True, descriptors() - files < 80)
print(descriptors() < files)
"""
    )
    assert out.split() == ["True", "True", "True"]
