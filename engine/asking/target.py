"""Whom a client asks: who, where, under which name of the model, and with whose key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from engine.asking.base_url import base_url_of, request_url, split_endpoint
from engine.asking.consulted import Consulted
from engine.asking.keys import environment_headers, find_key, keeper_of, key_headers
from engine.asking.question import check_kind
from engine.errors import ConfigError
from engine.providers import Dialect, Endpoint, detect, dialect, endpoint, registered, split_model
from engine.providers.endpoints import row_for_url
from engine.request import (
    HttpRequest,
    ModelRequest,
    check_unix_socket,
    check_url,
    check_way,
    merged_headers,
    shown_url,
)
from engine.transport.deadlines import Timeouts
from engine.transport.retry import Retry

__all__ = ["Place", "Sizes", "Target", "resolve_model"]

# OpenAI's reasoning families show their reasoning in the Responses format only.
_REASONS: Final = re.compile(r"o\d(?:$|-)|gpt-[5-9]")

# A server that is in no table: plain chat, at the URL of the argument or of the environment.
_ANY_SERVER: Final = Endpoint(
    "", "", key_required=False, base_variables=("OPENAI_BASE_URL", "OPENAI_API_BASE")
)
_KINDS: Final = {
    "provider": str,
    "dialect": str,
    "base_url": str,
    "api_key": str,
    "timeouts": Timeouts,
    "retry": Retry,
    "headers": Mapping,
    "unix_socket": str,
}
# Models whose places a target remembers: more than one program asks at a time.
_PLACES: Final = 64
_HTTP_UNIX: Final = "http+unix://"
_BEHIND_A_SOCKET: Final = "http://localhost/v1"


class Sizes(msgspec.Struct, frozen=True):
    """How many bytes a stream may hold: see `engine.Client`."""

    max_event_bytes: int = 16 << 20
    max_answer_bytes: int | None = None
    max_unread_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is None and name != "max_answer_bytes":
                raise ConfigError(f"{name} must be a whole number, not NoneType")
            check_kind(value, int, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, not {value}")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a client was told once: see `engine.Client`. Checked when it is made."""

    provider: str | None = None
    dialect: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    timeouts: Timeouts = Timeouts()
    retry: Retry = Retry()
    headers: Mapping[str, str] = {}
    allow_insecure: bool = False
    unix_socket: str | None = None
    gate: Literal["shared"] | None = "shared"
    sizes: Sizes = Sizes()
    think_tags: bool = False
    endpoint_url: str | None = None
    """What was given as `base_url`, where that is the whole endpoint; set by itself."""
    places: dict[str, tuple[Place, Consulted, int]] = msgspec.field(default_factory=dict)
    """Where models were asked, with what that hangs on; see `place`."""

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            check_kind(getattr(self, name), kind, name)
        msgspec.structs.force_setattr(self, "headers", dict(self.headers))
        if self.gate not in ("shared", None):
            raise ConfigError(f"gate must be 'shared' or None, not {self.gate!r}")
        if self.provider is not None:
            endpoint(self.provider)
        if self.dialect is not None:
            dialect(self.dialect)
        if self.base_url is not None and self.base_url.startswith(_HTTP_UNIX):
            socket, _, path = self.base_url.removeprefix(_HTTP_UNIX).partition("/")
            self._set(unix_socket=unquote(socket), base_url=f"http://localhost/{path}")
        if self.unix_socket is not None:
            check_unix_socket(self.unix_socket)
            if self.base_url is None and self.provider is None:
                self._set(base_url=_BEHIND_A_SOCKET)
        if self.base_url is not None:
            check_url(self.base_url, "base_url")
            self._read_base_url(self.base_url)

    def _read_base_url(self, url: str) -> None:
        if "#" in url:
            raise ConfigError("base_url holds a '#', after which nothing is sent; leave it out")
        base, pasted = split_endpoint(url)
        if pasted is not None and self.dialect in (None, pasted):
            path, found, query = url.partition("?")
            exact = f"{path.rstrip('/')}{found}{query}"
            # Gemini's names a model too, which need not be the one that is asked.
            self._set(dialect=pasted, endpoint_url=exact if pasted != "gemini" else None)
        self._set(base_url=base)

    def __repr__(self) -> str:
        # A query may hold a key.
        base_url = shown_url(self.base_url) if self.base_url else None
        return f"Target({base_url or self.provider or 'any provider'})"

    def _set(self, **values: str | None) -> None:
        for name, value in values.items():
            msgspec.structs.force_setattr(self, name, value)

    def place(self, model: str) -> Place:
        """Where `model` (as the user wrote it) is asked. Remembered for as long as the variables,
        and the file, that were looked at stay as they are, and no provider or dialect is
        registered.

        Raises:
            ConfigError: nothing tells who it is asked of, or a key is missing.
        """
        known = self.places.get(model) if isinstance(model, str) else None
        if known is not None:
            place, consulted, table = known
            if table == registered() and consulted.stands():
                return place
        consulted = Consulted()
        place = self._find_place(model, consulted)
        if len(self.places) >= _PLACES:
            self.places.clear()
        self.places[model] = place, consulted, registered()
        return place

    def _find_place(self, model: str, environ: Mapping[str, str]) -> Place:
        row, id = resolve_model(model, self.provider, self.base_url, environ)
        base_url = self._address(row, environ)
        keeper = keeper_of(row, base_url)
        key, variable = find_key(row, base_url, self.api_key, environ)
        insecure = self.allow_insecure or self.unix_socket is not None
        provider = row.name or urlsplit(base_url).netloc
        return Place(
            row=row,
            # Seals go back to whom they came from: a server in no table is known by its host.
            named_row=row if row.name else msgspec.structs.replace(row, name=provider),
            provider=provider,
            model=id,
            base_url=base_url,
            dialect=self._dialect(row, id),
            headers=merged_headers(
                row.headers,
                environment_headers(keeper, base_url, environ),
                key_headers(row, key, variable, base_url, insecure),
                self.headers,
            ),
            key_variable=variable if not self._own_key(keeper) else "headers=",
            allow_insecure=self.allow_insecure,
            unix_socket=self.unix_socket,
            endpoint_url=self.endpoint_url,
            endpoint_dialect=self.dialect,
            lane=hash((base_url, self.unix_socket, key, id)),
        )

    def _own_key(self, row: Endpoint) -> bool:
        """Whether the user's headers have a key of his own, which then goes."""
        return any(name.lower() in ("authorization", row.auth) for name in self.headers)

    def _address(self, row: Endpoint, environ: Mapping[str, str]) -> str:
        if self.base_url is None:
            return base_url_of(row, environ)
        known = row_for_url(self.base_url)
        address, found, query = self.base_url.partition("?")
        if known is not None and not urlsplit(address).path:
            # No path, where the vendor's begin below one: as its own pages write the host.
            address += urlsplit(known.base_url).path
        return address + found + query

    def _dialect(self, row: Endpoint, id: str) -> Dialect:
        if self.dialect is not None:
            return dialect(self.dialect)
        if row.name == "openai" and _REASONS.match(id):
            return dialect("responses")
        return dialect(row.dialects[0])


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model is asked.

    Attributes:
        row: who is asked; without a name where it is in no table.
        named_row: the same, by the name `provider`.
        provider: a name of the table, or a host.
        model: the model's id there.
        base_url: the address.
        dialect: the format it is asked in, where nothing else decides.
        headers: the row's, the environment's, the key's and the client's.
        key_variable: where the key is from, or would be: the name of the environment's variable,
            mostly; or None.
        allow_insecure, unix_socket: as in `HttpRequest`.
        endpoint_url: the whole address of requests in the format `endpoint_dialect`, or None.
        lane: the same for what shares address, key and model, and with them the provider's limits.
    """

    row: Endpoint
    named_row: Endpoint
    provider: str
    model: str
    base_url: str
    dialect: Dialect
    headers: Mapping[str, str]
    key_variable: str | None
    allow_insecure: bool = False
    unix_socket: str | None = None
    endpoint_url: str | None = None
    endpoint_dialect: str | None = None
    lane: int = 0
    sent: dict[tuple[str, ...], HttpRequest] = msgspec.field(default_factory=dict)
    """Requests without a body that were checked, by what they differ in; see `http`."""

    def __repr__(self) -> str:
        return f"Place({shown_url(self.base_url)})"  # a header holds the key

    def url(self, format: Dialect, request: ModelRequest) -> str:
        """The URL of `request` in `format`.

        Raises:
            ConfigError: the model's id would lead out of the base URL.
        """
        if self.endpoint_url is not None and format.name == self.endpoint_dialect:
            return self.endpoint_url
        path = format.path(request)
        # libcurl resolves them, and so do servers, however they are encoded.
        steps = unquote(path.partition("?")[0]).replace("\\", "/").split("/")[1:]
        if not {"", ".", ".."}.isdisjoint(steps):
            raise ConfigError(
                f"model {request.model!r} is part of the URL and would lead out of it; give its id"
            )
        return request_url(self.base_url, format.name, path)

    def http(self, request: ModelRequest, extra: Mapping[str, str], body: bytes) -> HttpRequest:
        """The HTTP request of `request`, with the headers `extra` beside those of the place.

        Raises:
            ConfigError: a header cannot be sent, or a key in one would cross the network openly.
        """
        format = self.dialect
        url = self.url(format, request)
        accept = format.content_types[0] if request.stream else "application/json"
        named = format.headers(request)
        form = (url, accept, *named, *named.values())
        http = self.sent.get(form) if not extra else None
        if http is None:
            told = {"Content-Type": "application/json", "Accept": accept}
            http = HttpRequest(
                "POST",
                url,
                merged_headers(told, named, self.headers, extra),
                allow_insecure=self.allow_insecure,
                unix_socket=self.unix_socket,
            )
            check_way(http)
            if not extra:
                if len(self.sent) >= _PLACES:
                    self.sent.clear()
                self.sent[form] = http
        return http.with_body(body)


def resolve_model(
    model: str,
    provider: str | None,
    base_url: str | None,
    environ: Mapping[str, str] | None = None,
) -> tuple[Endpoint, str]:
    """Who is asked, and the model's id there.

    *Who* is `provider`; else the row that has the host of `base_url`; else, where there is no
    `base_url`, the row the id begins with, or whose family it is; else plain chat at `base_url` or
    at the environment's ``OPENAI_BASE_URL``. *The id* is as it was written where `provider` is
    given or the host of `base_url` is in no table; else the row's own name comes off its beginning,
    except where the id is one of the row's own.

    Args:
        model: as the user wrote it.
        provider: the argument.
        base_url: the argument; a variable of the environment says only where the row is.
        environ: the environment; None: this process's.

    Raises:
        ConfigError: none of these tells the provider.
    """
    if not isinstance(model, str) or not model:
        raise ConfigError(f"model must be a name such as 'provider/model', not {model!r}")
    if provider is not None:
        return endpoint(provider), model
    prefix, rest = split_model(model)
    if base_url is not None:
        row = row_for_url(base_url)
        if row is None:
            return _ANY_SERVER, model
        return row, _own_id(row, model, rest if prefix == row.name else model)
    name = prefix or detect(model)
    if name is not None:
        return endpoint(name), _own_id(endpoint(name), model, rest)
    environ = os.environ if environ is None else environ
    if any(environ.get(variable) for variable in _ANY_SERVER.base_variables):
        return _ANY_SERVER, model
    raise ConfigError(
        f"model {model!r} does not tell its provider; write 'provider/model' "
        "(`engine providers` lists them), or give provider= or base_url="
    )


def _own_id(row: Endpoint, written: str, rest: str) -> str:
    if row.own_ids is not None and re.fullmatch(row.own_ids, written):
        return written
    return rest or row.default_model or ""
