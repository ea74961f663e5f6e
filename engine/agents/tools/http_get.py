"""HTTP GET for agents: of the public internet, unless told otherwise."""

from __future__ import annotations

import socket
from collections.abc import Collection
from html.parser import HTMLParser
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from engine.agents.tools.pending import Pending
from engine.agents.tools.tool import FunctionTool, ToolContext
from engine.agents.tools.workers import run_in_thread
from engine.errors import EngineError, ProtocolError
from engine.request import HttpRequest, check_url
from engine.transport.deadlines import Timeouts

if TYPE_CHECKING:
    from engine.response import HttpResponse
    from engine.transport.exchange import Exchange

__all__ = ["http_tool", "is_public"]

_MAX_REDIRECTS: Final = 5
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_TEXT: Final = ("text/", "json", "xml", "javascript", "yaml", "csv")
_NAT64: Final = IPv6Network("64:ff9b::/96")


def http_tool(
    *,
    allow_private: bool = False,
    hosts: Collection[str] | None = None,
    max_bytes: int = 1_000_000,
    seconds: float = 20.0,
    name: str = "http_get",
) -> FunctionTool:
    """A tool that fetches an address in the same loop, without a thread for the transfer.

    What a page says goes to the model, and a page may try to give it orders: use `approve` where
    the agent has other tools that matter. Host names are looked up and every address they have is
    checked before each request and each redirect.

    Args:
        allow_private: let it reach this machine and private networks.
        hosts: the only host names allowed; None: any.
        max_bytes: the most of a body that is read; the rest is left.
        seconds: time for all of it, redirects too.
        name: what the model calls it.
    """

    def http_get(url: str, context: ToolContext) -> Pending:
        """Fetch a web page or another text by HTTP GET.

        Args:
            url: its address, beginning with https:// or http://.
        """
        fetch = _Fetch(context, allow_private, hosts, max_bytes)
        fetch.begin(url)
        return fetch.pending

    return FunctionTool(http_get, name=name, timeout=seconds)


_ACCEPT: Final = "text/html, application/json, text/*, */*;q=0.5"


class _Fetch:
    """One address, and where it redirects to."""

    def __init__(
        self, context: ToolContext, private: bool, hosts: Collection[str] | None, limit: int
    ) -> None:
        self.pending = Pending(self._cancel)
        self._multi = context.multi
        self._private = private
        self._hosts = hosts
        self._limit = limit
        self._redirects = 0
        self._exchange: Exchange | None = None
        self._body: list[bytes] = []
        self._size = 0

    def begin(self, url: str) -> None:
        """Look the host up, in a thread, and go on here."""
        check_url(url)
        parts = urlsplit(url)
        host = parts.hostname or ""
        if self._hosts is not None and host not in self._hosts:
            raise EngineError(f"{host} is not among the hosts allowed: {sorted(self._hosts)}")
        if self._private:
            self._request(url)
            return
        port = parts.port or (443 if parts.scheme == "https" else 80)

        def then(found: Any, error: BaseException | None) -> None:
            self._multi.call_soon(lambda: self._looked_up(url, host, found, error))

        run_in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), then)

    def _looked_up(self, url: str, host: str, found: Any, error: BaseException | None) -> None:
        if self.pending.done:
            return
        if error is not None:
            self.pending.fail(EngineError(f"{host} could not be found: {error}"))
            return
        addresses = {str(entry[4][0]) for entry in found}
        if not all(map(is_public, addresses)):
            self.pending.fail(EngineError(f"{host} is not on the public internet; it is denied"))
            return
        self._guarded(self._request, url, tuple(sorted(addresses)))

    def _request(self, url: str, addresses: tuple[str, ...] = ()) -> None:
        # The addresses that were checked are the ones that are used: a second look-up could tell
        # others (DNS rebinding).
        self._body, self._size = [], 0
        self._exchange = self._multi.add(
            HttpRequest("GET", url, {"Accept": _ACCEPT}, addresses=addresses),
            on_data=self._received,
            on_done=lambda response, exchange: self._guarded(self._done, url, response),
            timeouts=Timeouts(connect=10, first_event=None, idle=None),
        )

    def _received(self, data: bytes, exchange: Exchange) -> None:
        self._body.append(data)
        self._size += len(data)
        if self._size > self._limit:
            exchange.cancel()

    def _done(self, url: str, response: HttpResponse) -> None:
        cut = self._size > self._limit
        if response.error is not None and not cut:
            self.pending.fail(response.error)
            return
        location = response.headers.get("location")
        if response.http_status in _REDIRECTS and location:
            self._redirects += 1
            if self._redirects > _MAX_REDIRECTS:
                raise ProtocolError(f"{url} redirects more than {_MAX_REDIRECTS} times")
            self.begin(urljoin(url, location))
            return
        body = b"".join(self._body)[: self._limit]
        kind = response.headers.get("content-type", "")
        text = _text(body, kind)
        more = f"\n[cut: the first {self._limit} bytes]" if cut else ""
        self.pending.resolve(f"HTTP {response.http_status} {kind}\n\n{text}{more}")

    def _guarded(self, call: Any, *arguments: Any) -> None:
        try:
            call(*arguments)
        except EngineError as error:
            self.pending.fail(error)

    def _cancel(self) -> None:
        if self._exchange is not None:
            self._exchange.cancel()


def is_public(address: str) -> bool:
    """Whether `address` is one of the public internet: not of this machine, a private network, a
    link, a group; also not one of those in the clothes of IPv6."""
    try:
        ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip in _NAT64:
            ip = IPv4Address(int(ip) & 0xFFFFFFFF)
        else:
            teredo = ip.teredo
            inner = ip.ipv4_mapped or ip.sixtofour or (teredo[1] if teredo else None)
            ip = inner if inner is not None else ip
    return ip.is_global and not ip.is_multicast


def _text(body: bytes, kind: str) -> str:
    media, _, parameters = kind.partition(";")
    media = media.strip().lower()
    if media and not any(word in media for word in _TEXT):
        return f"[{len(body)} bytes that are no text]"
    charset = parameters.partition("charset=")[2].strip("\"' ") or "utf-8"
    try:
        text = body.decode(charset, errors="replace")
    except LookupError:
        text = body.decode(errors="replace")
    if media in ("text/html", "application/xhtml+xml"):
        page = _Page()
        page.feed(text)
        page.close()
        return page.text()
    return text


class _Page(HTMLParser):
    """The words of a page."""

    _UNSEEN: Final = ("script", "style", "noscript", "template", "svg")
    _INLINE: Final = ("a", "abbr", "b", "code", "em", "i", "small", "span", "strong", "sub", "sup")

    def __init__(self) -> None:
        super().__init__()
        self._words: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self._unseen += tag in self._UNSEEN
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        self._unseen = max(self._unseen - (tag in self._UNSEEN), 0)
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self._words.append(data)

    def text(self) -> str:
        """A line a block, without empty ones."""
        lines = (" ".join(line.split()) for line in "".join(self._words).split("\n"))
        return "\n".join(line for line in lines if line)

    def _break(self, tag: str) -> None:
        if tag not in self._INLINE:
            self._words.append("\n")
