"""Which key goes to which server.

The host decides whose: a known one gets its own provider's, whoever is asked by name; any other
gets that of the row that is asked, and a server that is no row OPENAI_API_KEY. A key is looked for
in this order: the argument ``api_key``; the provider's environment variables; the credentials file.
It travels in a header, over https or to this machine only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.asking.consulted import Consulted
from engine.errors import ConfigError
from engine.providers import Endpoint, key_variable_for_host
from engine.providers.endpoints import is_at, row_for_url
from engine.request import check_header, is_open

__all__ = ["credentials_path", "environment_headers", "find_key", "keeper_of", "key_headers"]


def keeper_of(row: Endpoint, base_url: str) -> Endpoint:
    """The row whose key goes to `base_url` where `row` is asked."""
    if row.name and is_at(row, base_url):
        return row
    return row_for_url(base_url) or row


def find_key(
    row: Endpoint, base_url: str, explicit: str | None, environ: Mapping[str, str] | None = None
) -> tuple[str | None, str | None]:
    """The key for a request to `base_url`, and where it is from, or would be: the name of the
    variable, mostly.

    `explicit` wins; then the row's own variables, or for a server in no table the variable its
    host selects; then the credentials file. An unset or empty variable is no key. A key that is
    nowhere asked for is not offered over plain http to another machine.

    Args:
        row: the provider.
        base_url: where the request goes.
        explicit: the user's key, or None.
        environ: the environment; None: this process's.

    Raises:
        ConfigError: the row needs a key and there is none; a key cannot be sent in a header; the
            credentials file cannot be used. The key is never in the message.
    """
    environ = os.environ if environ is None else environ
    row = keeper_of(row, base_url)
    variables = row.key_variables or (() if row.name else (key_variable_for_host(base_url),))
    variable = variables[0] if variables else None
    if explicit:
        return _checked(explicit, "api_key"), "api_key="
    if not row.key_required and is_open(base_url):
        return None, variable
    for name in variables:
        if environ.get(name):
            return _checked(environ[name], name), name
    saved = _saved_key(row.name or (urlsplit(base_url).hostname or ""), environ)
    if saved is not None:
        return saved, f"{credentials_path(environ)}"
    if row.key_required and variables:
        raise ConfigError(
            f"{row.name} needs a key: set {' or '.join(variables)}, give api_key=, or write it to "
            f"{credentials_path(environ)} under [{row.name}]",
            provider=row.name,
        )
    return None, variable


def key_headers(
    row: Endpoint, key: str | None, variable: str | None, base_url: str, allow_insecure: bool
) -> dict[str, str]:
    """The headers that carry `key`.

    Raises:
        ConfigError: the key would go over plain http to another machine.
    """
    if key is None:
        return {}
    if is_open(base_url) and not allow_insecure:
        raise ConfigError(
            f"the key would cross the network unencrypted to {base_url.split('/')[2]}; use https, "
            "or allow it with allow_insecure=True, or give no key"
        )
    header = keeper_of(row, base_url).auth
    if variable == "ANTHROPIC_AUTH_TOKEN":
        header = "authorization"  # as the official SDK does with that variable
    if header == "authorization":
        return {"Authorization": f"Bearer {key}"}
    return {header: key}


def environment_headers(
    row: Endpoint, base_url: str, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The headers the official SDKs of OpenAI and Anthropic take from the environment:
    organisation, project, and ``…_CUSTOM_HEADERS``, lines of ``Name: value``. None over plain http
    to another machine, since they may hold secrets.

    Raises:
        ConfigError: a header cannot be sent as it is; the variable is named, not its value.
    """
    environ = os.environ if environ is None else environ
    if row.name not in ("openai", "anthropic") or is_open(base_url):
        return {}
    found: dict[str, tuple[str, str]] = {}
    if row.name == "openai":
        for variable, name in _OPENAI_HEADERS:
            if environ.get(variable):
                found[name] = (environ[variable], variable)
    variable = f"{row.name.upper()}_CUSTOM_HEADERS"
    for line in environ.get(variable, "").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip()] = (value.strip(), variable)
    for name, (value, variable) in found.items():
        try:
            check_header(name, value)
        except ConfigError as error:
            raise ConfigError(f"{variable}: {error}") from None
    return {name: value for name, (value, _) in found.items()}


_OPENAI_HEADERS = (
    ("OPENAI_ORG_ID", "OpenAI-Organization"),
    ("OPENAI_PROJECT_ID", "OpenAI-Project"),
)


def credentials_path(environ: Mapping[str, str] | None = None) -> Path:
    """Where keys may be kept: ``streamengine/credentials.toml`` under ``$XDG_CONFIG_HOME``, by
    default ``~/.config``. It holds tables of a provider's name, or of a host's in quotes, with
    ``api_key = "…"``, and must be readable for its owner alone."""
    environ = os.environ if environ is None else environ
    # "All paths set in these environment variables must be absolute. If an implementation
    # encounters a relative path … it should … ignore it." (XDG Base Directory Specification)
    home = environ.get("XDG_CONFIG_HOME", "")
    if not home.startswith("/"):
        home = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    return Path(home, "streamengine", "credentials.toml")


def _saved_key(name: str, environ: Mapping[str, str]) -> str | None:
    path = credentials_path(environ)
    if isinstance(environ, Consulted):
        environ.look_at(str(path))
    try:
        facts = path.stat()
    except OSError:
        return None
    if os.name == "posix" and stat.S_IMODE(facts.st_mode) & 0o077:
        raise ConfigError(f"{path} can be read by others; run: chmod 600 {path}")
    section = _load(path, facts.st_mtime_ns, facts.st_size).get(name, {})
    key = section.get("api_key") if isinstance(section, dict) else None
    if not key:
        return None
    return _checked(key, f"api_key of [{name}] in {path}")


@lru_cache(maxsize=4)
def _load(path: Path, mtime_ns: int, size: int) -> dict[str, Any]:
    """The file, read again where its time or size changed."""
    import tomllib  # 10 ms that only those pay who keep such a file

    try:
        return tomllib.loads(path.read_text("utf-8"))
    # "from None": the decoders' exceptions hold the text, which holds the keys.
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; write it again") from None
    except tomllib.TOMLDecodeError as error:
        place = str(error).rpartition("(")[2].rstrip(")") or "somewhere"
        raise ConfigError(
            f'{path} is not TOML ({place}); write [provider] and api_key = "…"'
        ) from None


def _checked(key: Any, source: str) -> str:
    """`key` if it can stand in a header. What is wrong with it is told, the key is not."""
    if not isinstance(key, str):
        raise ConfigError(f"{source} must be a string, not {type(key).__name__}")
    fault = _fault(key)
    if fault is not None:
        raise ConfigError(f"{source} {fault}")
    return key


def _fault(key: str) -> str | None:
    """What keeps `key` from being one, and what to do; None: nothing."""
    if key[:7].lower() == "bearer ":
        return "begins with the word Bearer, which goes before it by itself: give the key alone"
    if not key.isascii() or any(c <= " " or c == "\x7f" for c in key):
        return (
            "holds a space, line break, control or non-ASCII character, which no key does; one "
            "that is read from a file often ends with a newline: strip it"
        )
    if key[0] in _QUOTES or key[-1] in _QUOTES:  # as a file read by `docker --env-file` leaves it
        return "stands in quotes, which would be sent with it: leave them out"
    return None


_QUOTES = "\"'`"
