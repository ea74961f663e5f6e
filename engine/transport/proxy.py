"""Which proxy of the environment libcurl takes, for words: it does not say itself."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["is_proxied", "proxy_name"]

# As libcurl looks them up (lib/url.c, detect_proxy). HTTP_PROXY is left out: a CGI program has it
# from any client's "Proxy:" header.
_VARIABLES: Final = {
    "http": ("http_proxy", "all_proxy", "ALL_PROXY"),
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}


def proxy_name(url: str) -> str:
    """Scheme, host and port of the environment's proxy for `url`, without user and password, and
    the variable that names it; for a transfer that is known to have used one."""
    for variable in _VARIABLES.get(url.partition(":")[0], ()):
        value = os.environ.get(variable)
        if value:
            scheme, separator, rest = value.rpartition("://")
            address = rest.rpartition("@")[2].rstrip("/")
            return f"{scheme}{separator}{address} ({variable})"
    return "of the environment"


def is_proxied(url: str) -> bool:
    """Whether the environment may have a proxy for `url`, which looks its name up itself."""
    return any(os.environ.get(name) for name in _VARIABLES.get(url.partition(":")[0], ()))
