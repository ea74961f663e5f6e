"""Which proxy of the environment libcurl takes, for words: it does not say itself."""

from __future__ import annotations

import os
import re
from typing import Final, NamedTuple

import pycurl

from engine.errors import NetworkError
from engine.request import is_loopback

__all__ = [
    "PROXY_VARIABLES",
    "ProxyUse",
    "ask_proxy",
    "is_proxied",
    "proxy_name",
    "proxy_variable",
    "set_proxy",
    "without_user",
]

# As libcurl looks them up (lib/url.c, detect_proxy). HTTP_PROXY is left out: a CGI program has it
# from any client's "Proxy:" header.
PROXY_VARIABLES: Final = {
    "http": ("http_proxy", "all_proxy", "ALL_PROXY"),
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}
# A proxy's address that gives none of its own.
_DEFAULT_PORTS: Final = (80, 443, 1080)
# The reasons libcurl knows, by the words they begin with (lib/urlapi.c, curl_url_strerror): a
# password may look like anything else.
_REASON: Final = re.compile(
    r"': ((?:Port number|No host|Bad|Malformed|Unsupported|An unknown|Credentials|The URL|URL "
    r"decode)[A-Za-z0-9 /-]*)$"
)
# What libcurl says of an address it cannot use: 1, 3, 4, 5, 7.
_UNUSABLE: Final = frozenset(
    {
        pycurl.E_UNSUPPORTED_PROTOCOL,
        pycurl.E_URL_MALFORMAT,
        pycurl.E_NOT_BUILT_IN,
        pycurl.E_COULDNT_RESOLVE_PROXY,
        pycurl.E_COULDNT_CONNECT,
    }
)
# A scheme, perhaps behind what does not belong there; and what follows the user and password, which
# may hold anything, an @ written as %40 among it.
_ADDRESS: Final = re.compile(
    r"(\W?[a-z][a-z0-9+.-]*://)?(?:.*(?:@|%40))?(.*)", re.IGNORECASE | re.DOTALL
)


class ProxyUse(NamedTuple):
    """What libcurl makes of the environment for one address.

    Attributes:
        variable: the one it takes; None: it goes past every proxy.
        fault: why it cannot use what the variable says, without the value, which may hold a
            password; None: it can.
    """

    variable: str | None
    fault: str | None = None


def set_proxy(easy: pycurl.Curl, url: str, unix_socket: str | None = None) -> None:
    """Have `easy` go past the environment's proxies where `url` is on this machine."""
    if unix_socket is not None or is_loopback(url):
        easy.setopt(pycurl.NOPROXY, "*")


def ask_proxy(url: str) -> ProxyUse:
    """What libcurl makes of the environment's proxies for `url`: asked, since its rules for
    NO_PROXY are its own. Nothing is sent, and no name is looked up.

    Raises:
        NetworkError: it could not be asked (no file descriptor is left).
    """
    variable = proxy_variable(url)
    if variable is None:
        return ProxyUse(None)
    opened: list[object] = []

    def refuse(*place: object) -> int:
        opened.append(place)
        return int(pycurl.SOCKET_BAD)

    # Any name is this machine, at any port that may be meant.
    written = (int(digits) for digits in re.findall(r":(\d{1,5})", os.environ[variable]))
    ports = {port for port in written if port < 1 << 16}
    easy = pycurl.Curl()
    try:
        easy.setopt(pycurl.URL, url)
        easy.setopt(pycurl.TIMEOUT_MS, 1000)
        easy.setopt(pycurl.RESOLVE, [f"*:{port}:127.0.0.1" for port in {*ports, *_DEFAULT_PORTS}])
        easy.setopt(pycurl.OPENSOCKETFUNCTION, refuse)
        set_proxy(easy, url)
        code, text = _perform(easy)
        used = bool(easy.getinfo(pycurl.USED_PROXY))
    finally:
        easy.close()
    if opened or used:
        return ProxyUse(variable if used else None)
    if code in _UNUSABLE:
        return ProxyUse(variable, _reason(text))
    raise NetworkError(f"libcurl could not be asked for its proxy: {text}", retryable=False)


def _perform(easy: pycurl.Curl) -> tuple[int, str]:
    try:
        easy.perform()
    except pycurl.error as error:
        code, text = error.args
        return int(code), str(text)
    return 0, ""


def _reason(text: str) -> str:
    """Why libcurl refuses a proxy, of its words `text`, which quote the address, password and all,
    and may be cut off where their buffer ends."""
    said, _, rest = text.partition("'")
    reason = _REASON.search(rest)
    what = re.sub(r" (in|for)\s*$", "", said)
    return what if reason is None else f"{what}: {reason[1]}"


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
    variables = PROXY_VARIABLES.get(url.partition(":")[0].lower(), ())
    return next((name for name in variables if os.environ.get(name)), None)


def is_proxied(url: str) -> bool:
    """Whether the environment may have a proxy for `url`, which looks its name up itself."""
    return proxy_variable(url) is not None
