"""What every test starts from: no proxy and no certificate file of the developer's environment, and
signals that do what they do in a terminal."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import re
import signal
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import engine
from tests import volume

_HERE = Path(__file__).parent
# Files that take long for the number of their tests. They begin first: one that began last would
# have the other workers wait for it.
_LONG = (
    *("loops/test_interrupts.py", "cli/test_main.py", "cli/test_doctor.py", "test_corpus.py"),
    *("test_readme.py", "transport/test_dead_connections.py", "loops/test_reading.py"),
    *("batch/test_batch.py", "test_faults.py", "agents/react/test_action.py"),
    *("agents/test_grid.py", "test_examples.py", "servers/test_aimock.py"),
    *("transport/test_interrupts.py", "agents/test_function_agent.py"),
    *("telemetry/test_unfinished.py", "asking/test_form.py", "transport/test_inbox.py"),
    *("agents/tools/test_tool.py", "test_layers.py", "faults/test_reconnect.py"),
    *("batch/test_files.py", "agents/test_text_calls.py", "transport/test_closing.py"),
    *("test_stream_ends.py", "batch/pacing/test_pace.py", "providers/responses/test_item.py"),
    *("answering/test_attempts.py", "transport/test_refused_streams.py"),
    *("batch/pacing/test_descriptors.py", "wire/test_json.py", "batch/test_rows_asked.py"),
    *("transport/test_multi.py", "transport/test_floods.py", "batch/test_waits.py"),
    *("batch/test_overload.py", "emulator/test_client.py", "batch/test_money.py"),
    *("loops/test_relay.py", "transport/test_storms.py", "providers/test_reads.py"),
    *("agents/react/test_parser.py", "transport/test_gate.py", "transport/test_farewells.py"),
)
_SLOW = re.compile(r"^pytestmark = .*pytest\.mark\.slow", re.MULTILINE)
_FOREIGN = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSLKEYLOGFILE"),
)

# `nohup make test &` hands down signals that are ignored, and children inherit that: a test that
# types Ctrl-C into a program would wait in vain. What a program does that *is* started so is tested
# by those that start it so.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)


def pytest_configure(config: pytest.Config) -> None:
    for name in _FOREIGN:  # here and not before each test: 0.3 ms each
        os.environ.pop(name, None)
    volume.whole = "not slow" not in config.option.markexpr
    # What measures the clock measures the machine: a busy one fails by chance. New examples are
    # sought by night: who changes one thing is not to be told of another, one time of many.
    settings.register_profile(
        "ours",
        max_examples=volume.examples(100),
        derandomize="not nightly" in config.option.markexpr,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("ours")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    # A file that is slow as a whole is not even imported where nothing slow is asked for: each of
    # several workers imports all files, with what they import, and rewrites their asserts.
    if volume.whole or collection_path.suffix != ".py":
        return None
    return bool(_SLOW.search(collection_path.read_text())) or None


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    # In a fresh clone each worker would rewrite the asserts of all files, 8 s of CPU, all at the
    # same pace. So each imports them beginning at another place, and finds what the others have
    # written when it comes there. What fails here is imported again by pytest, which tells.
    worker = getattr(session.config, "workerinput", None)
    if worker is None or [Path(arg).resolve() for arg in session.config.args] != [_HERE]:
        return
    gc.disable()  # until all is collected, next to nothing that is made is garbage
    files = [path for path in sorted(_HERE.rglob("test_*.py")) if not pytest_ignore_collect(path)]
    begin = int(worker["workerid"].removeprefix("gw")) * len(files) // worker["workercount"]
    for path in files[begin:] + files[:begin]:
        name = ".".join(path.relative_to(_HERE.parent).with_suffix("").parts)
        with contextlib.suppress(Exception, pytest.skip.Exception), warnings.catch_warnings():
            warnings.simplefilter("error")
            importlib.import_module(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    sizes = Counter[Path]()
    for item in items:
        table = getattr(item, "obj", None)
        sizes[item.path] += len(getattr(table, "cases", [table]))
    ranks = {_HERE / name: rank for rank, name in enumerate(_LONG)}
    items.sort(key=lambda item: (ranks.get(item.path, len(ranks)), -sizes[item.path]))


def pytest_collection_finish() -> None:
    # What was collected is a million objects that stay: without them a test's `gc.collect()` takes
    # a millisecond, with them 0.2 s.
    gc.freeze()
    gc.enable()


@pytest.fixture
def multi() -> Iterator[engine.Multi]:
    """A `Multi` that is closed after the test."""
    with engine.Multi() as multi:
        yield multi
