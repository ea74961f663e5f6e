"""Which key goes to which server."""

from __future__ import annotations

import os
from collections.abc import Mapping

from engine.errors import ConfigError
from engine.providers import Endpoint, key_variable_for_host
from engine.transport.options import is_loopback

__all__ = ["find_key", "key_headers"]


def find_key(
    row: Endpoint, base_url: str, explicit: str | None, environ: Mapping[str, str] | None = None
) -> tuple[str | None, str | None]:
    """The key for a request to `base_url`, and the name of the variable it is from.

    `explicit` wins; then the row's own variables; for a server that is no row of the table the
    variable its host selects. An unset or empty variable is no key.

    Raises:
        ConfigError: the row needs a key and there is none.
    """
    environ = os.environ if environ is None else environ
    variables = row.key_variables or (() if row.name else (key_variable_for_host(base_url),))
    if explicit:
        return explicit, variables[0] if variables else None
    for name in variables:
        if environ.get(name):
            return environ[name], name
    if row.key_required and variables:
        raise ConfigError(
            f"{row.name} needs a key: set {' or '.join(variables)}, or give api_key=",
            provider=row.name,
        )
    return None, variables[0] if variables else None


def key_headers(
    row: Endpoint, key: str | None, variable: str | None, base_url: str, allow_insecure: bool
) -> dict[str, str]:
    """The headers that carry `key`.

    Raises:
        ConfigError: the key would go over plain http to another machine.
    """
    if key is None:
        return {}
    if base_url.startswith("http:") and not is_loopback(base_url) and not allow_insecure:
        raise ConfigError(
            f"the key would cross the network unencrypted to {base_url.split('/')[2]}; use https, "
            "or allow it with allow_insecure=True, or give no key"
        )
    header = row.auth
    if variable == "ANTHROPIC_AUTH_TOKEN":
        header = "authorization"  # as the official SDK does with that variable
    if header == "authorization":
        return {"Authorization": f"Bearer {key}"}
    return {header: key}
