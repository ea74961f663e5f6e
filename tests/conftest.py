"""What every test starts from: no proxy and no certificate file of the developer's environment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import engine

_FOREIGN = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSLKEYLOGFILE"),
)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _FOREIGN:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def multi() -> Iterator[engine.Multi]:
    """A `Multi` that is closed after the test."""
    with engine.Multi() as multi:
        yield multi
