"""Which proxy of the environment it was, for words that hold no password."""

from __future__ import annotations

import pytest

from engine.transport.proxy import is_proxied, proxy_name


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
