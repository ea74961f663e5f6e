"""Names that are looked up beside libcurl: it has twenty threads for that, two to a name, and ten
names that hang take them all for as long as the name server is mute.

So of hosts that were never reached a few are left to it at a time; the names of the others are
looked up by threads of ours, and libcurl is told the addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from engine.transport.admission import Admission
from engine.transport.patched import original
from engine.transport.proxy import is_proxied
from engine.transport.timers import Timer

__all__ = ["Names"]

# Threads of ours at a time.
_MOST: Final = 100
# Seconds after which libcurl is asked all the same, and its words are the user's: a name server
# that answers does so within one or two.
_PATIENCE: Final = 3.0
# Seconds that addresses hold, as in libcurl.
_HOLDS: Final = 60.0


class Names:
    """Looks names up for a `Multi`.

    Args:
        admission: where hosts are held meanwhile.
        call_soon: calls a function on the owner's thread; may be called from any.
        call_later: calls a function so many seconds from now.

    Attributes:
        found: what libcurl is told of each host (empty: nothing was found, it is to ask itself),
            and until when.
    """

    __slots__ = ("_admission", "_call_later", "_call_soon", "_open", "_threads", "found")

    def __init__(
        self,
        admission: Admission,
        call_soon: Callable[[Callable[[], object]], None],
        call_later: Callable[[float, Callable[[], None]], Timer],
    ) -> None:
        self._admission = admission
        self._call_soon = call_soon
        self._call_later = call_later
        self._open: dict[str, Timer] = {}  # hosts that are held
        self._threads = 0
        self.found: dict[str, tuple[str, float]] = {}

    def look_up(self, host: str) -> bool:
        """Whether `host` is held now until its name was looked up."""
        known = self.found.get(host)
        if (known is not None and monotonic() < known[1]) or self._threads >= _MOST:
            return False
        named = _name_of(host)
        if named is None:
            return False
        name, port = named
        try:
            original("_thread", "start_new_thread")(self._ask, (host, name, port))
        except RuntimeError:
            return False  # no thread is to be had
        self._threads += 1
        self._admission.hold(host, _nothing)
        self._open[host] = self._call_later(_PATIENCE, lambda: self._told(host, ""))
        return True

    def line(self, host: str) -> str | None:
        """CURLOPT_RESOLVE's line for `host`; None: libcurl looks it up."""
        known = self.found.get(host)
        if known is None:
            return None
        if monotonic() >= known[1]:
            del self.found[host]
            return None
        return known[0] or None

    def _ask(self, host: str, name: str, port: int) -> None:
        # A thread of ours. The function in C is nobody's but the system's, patched or not.
        import _socket

        line = ""
        try:
            found = _socket.getaddrinfo(name, port, 0, _socket.SOCK_STREAM)
            addresses = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
            shown = ",".join(f"[{each}]" if ":" in each else each for each in addresses)
            line = f"+{name}:{port}:{shown}"
        except (OSError, UnicodeError):
            pass
        self._call_soon(lambda: self._answered(host, line))

    def _answered(self, host: str, line: str) -> None:
        self._threads -= 1
        self._told(host, line)

    def _told(self, host: str, line: str) -> None:
        self.found[host] = (line, monotonic() + _HOLDS)
        if len(self.found) > 10 * _MOST:
            del self.found[next(iter(self.found))]
        timer = self._open.pop(host, None)
        if timer is not None:
            timer.cancel()
            self._admission.let_go(host)


def _nothing() -> None:
    """Whoever waits for a name waits for its thread."""


def _name_of(host: str) -> tuple[str, int] | None:
    """Name and port of a host of `Transfer.host`; None where there is no name to look up."""
    parts = urlsplit(host)
    name = parts.hostname
    if not name or " " in host or name == "localhost" or is_proxied(host):
        return None
    if ":" in name or name.rpartition(".")[2].isdigit():
        return None  # an address
    return name, parts.port or (443 if parts.scheme == "https" else 80)
