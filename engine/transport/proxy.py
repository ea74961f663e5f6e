"""Which proxy of the environment libcurl takes, for words: it does not say itself."""

from __future__ import annotations

import os
import re
from typing import Final

__all__ = ["is_proxied", "proxy_name", "proxy_variable", "without_user"]

# As libcurl looks them up (lib/url.c, detect_proxy). HTTP_PROXY is left out: a CGI program has it
# from any client's "Proxy:" header.
_VARIABLES: Final = {
    "http": ("http_proxy", "all_proxy", "ALL_PROXY"),
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}


# A scheme, perhaps behind what does not belong there; and what follows the user and password, which
# may hold anything, an @ written as %40 among it.
_ADDRESS: Final = re.compile(
    r"(\W?[a-z][a-z0-9+.-]*://)?(?:.*(?:@|%40))?(.*)", re.IGNORECASE | re.DOTALL
)


def proxy_name(url: str) -> str:
    """Scheme, host and port of the environment's proxy for `url`, without user and password, and
    the variable that names it; for a transfer that is known to have used one."""
    variable = proxy_variable(url)
    if variable is None:
        return "of the environment"
    return f"{without_user(os.environ[variable])} ({variable})"


def without_user(address: str) -> str:
    """The `address` of a proxy, also one that is malformed, in one line and without user and
    password."""
    found = _ADDRESS.fullmatch(address)
    assert found is not None  # it fits anything
    shown = (found[1] or "") + found[2].removesuffix("/")
    return shown if shown.isprintable() else repr(shown)


def proxy_variable(url: str) -> str | None:
    """The environment's variable that names the proxy for `url`; None: none may."""
    variables = _VARIABLES.get(url.partition(":")[0].lower(), ())
    return next((name for name in variables if os.environ.get(name)), None)


def is_proxied(url: str) -> bool:
    """Whether the environment may have a proxy for `url`, which looks its name up itself."""
    return proxy_variable(url) is not None
