"""The servers, started once for all tests that share them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import engine
from tests.servers import aimock, nginx
from tests.servers.answers import FIXTURES


@pytest.fixture(scope="session")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an aimock that knows all of `answers`, in pieces of five characters."""
    with aimock.running(FIXTURES, tmp_path_factory.mktemp("aimock"), "--chunk-size", "5") as url:
        yield url


@pytest.fixture(scope="session")
def nginx_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture(scope="session")
def front(mock: str, nginx_home: Path) -> Iterator[str]:
    """The https URL of an nginx before `mock`; its paths begin with one of `nginx.WAYS`."""
    with nginx.before(mock, nginx_home) as url:
        yield url


@pytest.fixture
def trusting(front: str, nginx_home: Path) -> Iterator[engine.Multi]:
    """A `Multi` that trusts `front`, and opens one connection to it."""
    ca_file = str(nginx_home / "ca.pem")
    with engine.Multi(0, 1, 256, ca_file=ca_file) as multi:
        yield multi
