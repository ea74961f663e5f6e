"""Requests: what may be sent, which way, and what is printed of it."""

from __future__ import annotations

import pytest

import engine
from engine.errors import ConfigError
from engine.request import (
    check_url,
    check_way,
    is_loopback,
    is_open,
    is_secret_name,
    public_url,
    shown_url,
)
from tests.cases import each_case

CANARY = "canary-4b1d-never-to-be-seen"
SECRET = (
    *("Authorization", "authorization", "Proxy-Authorization", "Cookie", "x-api-key", "X-API-Key"),
    *("api-key", "x-goog-api-key", "X-Auth-Token", "Ocp-Apim-Subscription-Key", "apikey"),
    *("cf-aig-authorization", "X-Amz-Security-Token", "X-Secret", "X-Session-Token"),
)
PLAIN = (
    *("Content-Type", "Accept", "User-Agent", "X-Title", "HTTP-Referer", "Idempotency-Key"),
    *("OpenAI-Organization", "anthropic-version", "anthropic-beta", "X-Tokens", "Keyword"),
    *("X-Prompt-Cache-Key", "X-Author", "X-Monkey", "X-Design"),
)


@each_case("name", SECRET)
def test_a_name_that_tells_of_a_key(name: str) -> None:
    assert is_secret_name(name)


@each_case("name", PLAIN)
def test_a_name_that_tells_of_none(name: str) -> None:
    assert not is_secret_name(name)


OPEN = (
    "http://10.0.0.1/v1",
    "http://llm.example/v1",
    "HTTP://llm.example",
    "http://localhost.evil",
)
CLOSED = (
    *("https://llm.example/v1", "http://localhost:1/v1", "http://127.0.0.1", "http://[::1]:5/"),
    *("http://127.9.9.9/", "http://a.localhost/"),
)


@pytest.mark.parametrize("url", OPEN)
def test_no_key_goes_over_plain_http_to_another_machine(multi: engine.Multi, url: str) -> None:
    client = engine.Client(multi, base_url=url)
    for name in SECRET:
        request = engine.HttpRequest("POST", url, {name: CANARY})
        with pytest.raises(
            ConfigError, match=f"header {name} would cross .* allow_insecure=True"
        ) as e:
            multi.add(request)
        assert CANARY not in str(e.value)
        with pytest.raises(ConfigError, match=f"header {name} would"):
            client.stream("m", "hi", extra_headers={name: CANARY})
        with pytest.raises(ConfigError, match=f"header {name} would"):
            engine.Client(multi, base_url=url, headers={name: CANARY}).request("m", "hi")
    assert len(multi) == 0


@each_case("url", OPEN)
def test_it_goes_where_it_is_allowed_to(url: str) -> None:
    headers = {"Authorization": CANARY}
    check_way(engine.HttpRequest("POST", url, headers, allow_insecure=True))
    check_way(engine.HttpRequest("POST", url, headers, unix_socket="/run/v.sock"))
    check_way(engine.HttpRequest("POST", url, dict.fromkeys(PLAIN, "value")))
    check_way(engine.HttpRequest("POST", url, {"Cookie": ""}))


@each_case("url", CLOSED)
def test_it_goes_over_https_and_to_this_machine(url: str) -> None:
    check_way(engine.HttpRequest("POST", url, {"Authorization": CANARY}))
    assert not is_open(url)


def test_a_client_that_allows_it_allows_it_for_every_header(multi: engine.Multi) -> None:
    client = engine.Client(multi, base_url=OPEN[0], allow_insecure=True, headers={"Cookie": "a=b"})
    client.stream("m", "hi", extra_headers={"x-api-key": CANARY}).cancel()


def test_a_fallbacks_way_is_looked_at_too(
    multi: engine.Multi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://10.0.0.1:11434")
    client = engine.Client(multi)
    with pytest.raises(ConfigError, match=r"unencrypted to 10\.0\.0\.1"):
        client.stream(
            "vllm/m", "hi", fallback=["ollama/m"], extra_headers={"Authorization": CANARY}
        )
    assert len(multi) == 0


@each_case(
    ("url", "shown"),
    [
        ("https://h/v1?key=k#f", "https://h/v1"),
        ("https://u:p@h:5/v1", "https://…@h:5/v1"),
        ("https://h", "https://h"),
        ("u:p@h:1/x", "…@h:1/x"),
        ("https://h/a//b@c", "https://h/a//b@c"),
        ("", ""),
    ],
)
def test_what_is_printed_of_an_address(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@each_case(
    ("url", "kept"),
    [
        ("https://h/v1?key=k&api-version=1", "https://h/v1?api-version=1"),
        ("https://h/v1?api_key=k", "https://h/v1"),
        ("https://h/v1?api-version=1", "https://h/v1?api-version=1"),
        ("https://h/v1", "https://h/v1"),
    ],
)
def test_what_may_be_kept_of_an_address(url: str, kept: str) -> None:
    assert public_url(url) == kept


@each_case(
    "url",
    [
        *(f"https://u:{CANARY}@h/v1", f"https://h:99999/v1?key={CANARY}", f"ftp://h/?key={CANARY}"),
        *(f"https://?key={CANARY}", f"https://h/ v1?key={CANARY}", f"https://u:{CANARY}@h:x/"),
        *(f"https://h/ü?key={CANARY}", f"https://h:0/?key={CANARY}", f"https://[h/?k={CANARY}"),
    ],
)
@each_case("make", [lambda u: engine.HttpRequest("GET", u), lambda u: engine.Client(base_url=u)])
def test_a_refused_address_is_told_without_its_secrets(url: str, make: object) -> None:
    with pytest.raises(ConfigError) as e:
        make(url)  # type: ignore[operator]
    chain: list[str] = []
    error: BaseException | None = e.value
    while error is not None:
        chain.append(f"{error!r}")
        error = error.__cause__
    assert CANARY not in "".join(chain)


@each_case("path", ["", "a\0b", "x" * 108, "ü" * 60])
def test_an_impossible_socket_is_refused(path: str) -> None:
    for make in (
        lambda: engine.HttpRequest("GET", "http://h/", unix_socket=path),
        lambda: engine.Client(unix_socket=path),
    ):
        with pytest.raises(ConfigError, match=r"^unix_socket .*path of a socket"):
            make()


def test_loopback_is_told_by_the_host_alone() -> None:
    assert not is_loopback("http://h/?x=127.0.0.1")
    assert not is_loopback("http://127.0.0.1.evil.example/")
    assert is_loopback("http://LOCALHOST/")
    for host in (
        "localhost.",
        "a.localhost",
        "0.0.0.0:8000",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ):
        assert is_loopback(f"http://{host}/v1")
    for host in ("0.0.0.1", "[::ffff:10.0.0.1]", "localhost.example", "10.0.0.0", "[::2]"):
        assert not is_loopback(f"http://{host}/v1")


@each_case(
    ("url", "words"),
    [
        ("localhost:8089/v1", "perhaps http://localhost:8089/v1)"),
        ("127.0.0.1:80", "perhaps http://127.0.0.1:80)"),
        ("api.example.com/v1?key=hunter2", "perhaps https://api.example.com/v1)"),
        ("unix:///run/llm.sock", "give unix_socket="),
        ("'http://x/v1'", "leave out the quotes"),
        ("ftp://x", "its scheme is 'ftp'"),
        ("http//x/v1", "its scheme is ''"),
        ("u:hunter2@h:1/v1", "its scheme is 'u'"),
    ],
)
def test_an_address_without_its_scheme_is_told_what_was_meant(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match="must begin with http") as caught:
        check_url(url, "base_url")
    assert words in str(caught.value) and "hunter2" not in str(caught.value)
