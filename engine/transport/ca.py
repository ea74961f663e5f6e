"""Where the trusted certificates are.

The Linux wheels of pycurl bring a libcurl that ignores SSL_CERT_FILE and CURL_CA_BUNDLE and looks
for one distribution's layout, so that https fails with error 60 or 77 on the others. The engine
looks itself and always tells libcurl (CURLOPT_CAINFO, CURLOPT_CAPATH).
"""

from __future__ import annotations

import logging
import os
import sys
from functools import cache
from typing import Final, NamedTuple

from engine.errors import ConfigError

__all__ = ["Trust", "find_trust"]

_log: Final = logging.getLogger("engine.transport")

# Each names a file, or a directory as `openssl rehash` makes it (requests and curl allow both).
_VARIABLES: Final = ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
# OpenSSL's: one directory or several, beside the file.
_DIRECTORY_VARIABLE: Final = "SSL_CERT_DIR"
_FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/var/lib/ca-certificates/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS, OpenBSD
    "/usr/local/etc/ssl/cert.pem",  # FreeBSD
    "/opt/homebrew/etc/openssl@3/cert.pem",
)


class Trust(NamedTuple):
    """Whom to trust over https: `file` holds certificates one after another, `directories` hold
    one a file, named by its hash; None: none."""

    file: str | None
    directories: str | None


def find_trust(explicit: str | None = None) -> Trust:
    """The certificates for https: `explicit` (a file or a directory), else what the environment
    names, else the system's file, else certifi's. Both None on Windows, where libcurl uses the
    system's store.

    Raises:
        ConfigError: what was named does not exist, or there is nothing anywhere.
    """
    _warn_of_key_log(os.environ.get("SSLKEYLOGFILE"))
    if explicit is not None:
        return _existing(explicit, "ca_file")
    return _find(
        os.environ.get(_DIRECTORY_VARIABLE), *(os.environ.get(name) for name in _VARIABLES)
    )


@cache
def _find(directories: str | None, *values: str | None) -> Trust:
    for name, value in zip(_VARIABLES, values, strict=True):
        if value:
            named = _existing(value, name)
            if name == "SSL_CERT_FILE" and named.file and directories:
                return Trust(named.file, _existing_directories(directories))
            return named
    if directories:
        return Trust(None, _existing_directories(directories))
    for path in _FILES:
        if os.path.isfile(path):
            return Trust(path, None)
    try:
        import certifi
    except ImportError:
        if sys.platform == "win32":
            return Trust(None, None)
        raise ConfigError(
            "no file of trusted certificates was found, so https cannot be used; install the "
            "package ca-certificates, or certifi, or set SSL_CERT_FILE"
        ) from None
    return Trust(str(certifi.where()), None)


def _existing(path: str, name: str) -> Trust:
    if os.path.isfile(path):
        return Trust(path, None)
    if os.path.isdir(path):
        return Trust(None, path)
    raise ConfigError(
        f"{name} names {path!r}, which is neither a file nor a directory; correct or unset it"
    )


def _existing_directories(value: str) -> str:
    """`value`, if one of its directories is there: OpenSSL passes over the others."""
    if not any(os.path.isdir(path) for path in value.split(os.pathsep)):
        raise ConfigError(
            f"{_DIRECTORY_VARIABLE} names {value!r}, which is no directory; correct or unset it"
        )
    return value


@cache
def _warn_of_key_log(path: str | None) -> None:
    """Once: a libcurl built with it writes the keys of each connection there, for whoever listens
    (https://curl.se/libcurl/c/libcurl-env.html)."""
    if path:
        _log.warning(
            "SSLKEYLOGFILE is set: the keys of TLS connections may be written to %r, and who has "
            "them reads all that is sent, API keys too; unset it unless you are debugging",
            path,
        )
