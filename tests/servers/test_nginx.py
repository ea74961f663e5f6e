"""Every protocol through a proxy: TLS, HTTP/2, one connection for all."""

from __future__ import annotations

import pytest

import engine
from engine import Category
from tests.servers.answers import CALLS, LONG, TEXT
from tests.servers.nginx import WAYS
from tests.servers.providers import PROVIDERS, TOOLS, Provider
from tests.servers.test_many import FEW, of_aimock, stream_all

pytestmark = pytest.mark.parametrize("way", WAYS)
each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda p: p.dialect)


@each_provider
def test_a_text_is_exact(front: str, trusting: engine.Multi, provider: Provider, way: str) -> None:
    client = provider.client(f"{front}/{way}", trusting)
    completion = client.stream("any-model", "text").result()
    assert completion.status == "complete", completion.error
    assert completion.text == TEXT
    assert completion.finish_reason is engine.FinishReason.STOP
    assert completion.timing.http_version == "2"


@each_provider
def test_two_tools_at_once(
    front: str, trusting: engine.Multi, provider: Provider, way: str
) -> None:
    client = provider.client(f"{front}/{way}", trusting)
    completion = client.stream("any-model", "tools", tools=TOOLS).result()
    assert completion.status == "complete", completion.error
    assert [(call.name, call.input) for call in completion.message.tool_calls] == CALLS


@each_provider
def test_a_refusal_comes_through(
    front: str, trusting: engine.Multi, provider: Provider, way: str
) -> None:
    client = provider.client(f"{front}/{way}", trusting)
    completion = client.stream("any-model", "error-429").result()
    assert (completion.status, completion.http_status) == ("error", 429)
    assert completion.error is not None
    assert completion.error.category is Category.RATE_LIMIT
    assert completion.error.retry_after == 1.0


@each_provider
def test_a_stream_that_is_cut_behind_the_proxy_is_truncated(
    front: str, trusting: engine.Multi, provider: Provider, way: str
) -> None:
    client = provider.client(f"{front}/{way}", trusting)
    completion = client.stream("any-model", "cut").result()
    print(completion)
    assert completion.status == "truncated"
    assert completion.error is not None and completion.error.category is Category.TRUNCATED
    assert LONG.startswith(completion.text) and completion.text != LONG


@pytest.mark.slow
def test_two_hundred_streams_share_one_connection(
    front: str, trusting: engine.Multi, way: str
) -> None:
    completions, begun = stream_all(f"{front}/{way}", trusting, "any-model", of_aimock)
    # At once, and not one after another; buffered, a beginning may be held back, and on a busy
    # machine many end before the last begins.
    assert begun > FEW or way == "buffered"
    assert {c.timing.http_version for c in completions} == {"2"}
    assert len({c.headers["x-connection"] for c in completions}) == 1
