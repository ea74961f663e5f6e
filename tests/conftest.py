"""What every test starts from: no proxy and no certificate file of the developer's environment, and
signals that do what they do in a terminal."""

from __future__ import annotations

import gc
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import engine
from tests import volume

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
    volume.whole = "not slow" not in config.option.markexpr
    settings.register_profile("fast", max_examples=volume.examples(100))
    if not volume.whole:
        settings.load_profile("fast")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    # A file that is slow as a whole is not even imported where nothing slow is asked for: each of
    # several workers imports all files, with what they import, and rewrites their asserts.
    if volume.whole or collection_path.suffix != ".py":
        return None
    return bool(_SLOW.search(collection_path.read_text())) or None


def pytest_collection_finish() -> None:
    # What was collected is a million objects that stay: without them a test's `gc.collect()` takes
    # a millisecond, with them 0.2 s.
    gc.freeze()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _FOREIGN:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def multi() -> Iterator[engine.Multi]:
    """A `Multi` that is closed after the test."""
    with engine.Multi() as multi:
        yield multi
