"""Which proxy of the environment it was, for words that hold no password."""

from __future__ import annotations

import pytest

from engine.transport.proxy import ProxyUse, ask_proxy, is_proxied, proxy_name


@pytest.mark.parametrize(
    ("environment", "url", "name"),
    [
        ({"https_proxy": "http://u:p%40@h:1/"}, "https://x/", "http://h:1 (https_proxy)"),
        ({"HTTPS_PROXY": "h:1"}, "https://x/", "h:1 (HTTPS_PROXY)"),
        ({"ALL_PROXY": "socks5h://u:p@a@h:1"}, "http://x/", "socks5h://h:1 (ALL_PROXY)"),
        ({"http_proxy": "", "all_proxy": "h:2"}, "http://x/", "h:2 (all_proxy)"),
        ({"https_proxy": "h:1"}, "http://x/", "of the environment"),
        # Malformed: what is shown is what is wrong, and no password.
        ({"http_proxy": '"http://u:p@h:1"'}, "http://x/", '"http://h:1" (http_proxy)'),
        ({"http_proxy": "http://u:p w@[::1"}, "HTTP://x/", "http://[::1 (http_proxy)"),
        ({"http_proxy": "http://u:p%40h:1"}, "http://x/", "http://h:1 (http_proxy)"),
        ({"http_proxy": "u:x://y@h:1"}, "http://x/", "h:1 (http_proxy)"),
        ({"http_proxy": "http://u:a/b@h:1\n"}, "http://x/", "'http://h:1\\n' (http_proxy)"),
    ],
)
def test_the_proxys_name_has_no_password(
    environment: dict[str, str], url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert proxy_name(url) == name
    assert is_proxied(url) == (name != "of the environment")


PROXY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("environment", "url", "variable"),
    [
        ({}, "https://x.example/", None),
        ({"https_proxy": PROXY}, "https://x.example/", "https_proxy"),
        ({"HTTPS_PROXY": PROXY}, "https://x.example/", "HTTPS_PROXY"),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, "https://x.example/", "HTTPS_PROXY"),
        ({"https_proxy": PROXY}, "http://x.example/", None),
        ({"http_proxy": PROXY}, "http://x.example/", "http_proxy"),
        ({"HTTP_PROXY": PROXY}, "http://x.example/", None),
        ({"all_proxy": PROXY}, "http://x.example/", "all_proxy"),
        ({"ALL_PROXY": "socks5h://p.invalid"}, "https://x.example/", "ALL_PROXY"),
        ({"all_proxy": PROXY}, "https://127.0.0.1/", None),
        ({"all_proxy": PROXY}, "http://localhost:8000/", None),
        ({"all_proxy": "http://p.invalid:08080/path?x"}, "https://x.example/", "all_proxy"),
        ({"all_proxy": PROXY, "NO_PROXY": "*"}, "https://x.example/", None),
        ({"all_proxy": PROXY, "NO_PROXY": " * "}, "https://x.example/", "all_proxy"),
        ({"all_proxy": PROXY, "NO_PROXY": "a, x.example"}, "https://x.example/", None),
        ({"all_proxy": PROXY, "NO_PROXY": "a x.example"}, "https://x.example/", "all_proxy"),
        ({"all_proxy": PROXY, "no_proxy": ".example"}, "https://x.example/", None),
        ({"all_proxy": PROXY, "no_proxy": "*.example"}, "https://x.example/", "all_proxy"),
        ({"all_proxy": PROXY, "no_proxy": "x.example:443"}, "https://x.example/", "all_proxy"),
        ({"all_proxy": PROXY, "no_proxy": "y", "NO_PROXY": "*"}, "https://x.example/", "all_proxy"),
        ({"all_proxy": PROXY, "no_proxy": "10.0.0.0/8"}, "https://10.1.2.3/", None),
    ],
)
def test_libcurl_is_asked_what_it_takes(
    environment: dict[str, str],
    url: str,
    variable: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ask_proxy(url) == ProxyUse(variable)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("http://u:canary@h:bad", "Port number"),
        ("http://u:canary@h:99999", "Port number"),
        ("http://u:canary@", "No host"),
        ("http://u:can ary@h:1", "Bad password"),
        ("http://u:canary@[::1", "Bad IPv6"),
        (" http://u:canary@h:1", "Port number"),
        ("canary://h:1", "Unsupported proxy scheme"),
        ("x://u:canary': Bad canary@h:1", "Unsupported proxy"),
        (f"http://u:{'canary' * 60}@h:bad", "Unsupported proxy syntax"),
    ],
)
def test_what_is_no_proxy_is_told_without_its_words(
    value: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", value)
    use = ask_proxy("https://x.example/")
    assert use.variable == "https_proxy"
    assert use.fault is not None and fault in use.fault
    assert "canary" not in use.fault


@pytest.mark.parametrize("value", ["u:canary://x@h:1", "http://u:canary?x@h:1", "u:can/ary@h:1"])
def test_a_password_of_any_letters_is_no_part_of_the_name(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", value)
    assert "can" not in proxy_name("https://x.example/")
