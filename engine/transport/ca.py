"""Where the trusted certificates are.

The Linux wheels of pycurl bring a libcurl that ignores SSL_CERT_FILE and CURL_CA_BUNDLE and looks
for one distribution's layout, so that https fails with error 60 or 77 on the others. The engine
looks itself and always tells libcurl (CURLOPT_CAINFO, CURLOPT_CAPATH).
"""

from __future__ import annotations

import logging
import os
import re
import sys
from functools import cache
from typing import Final, NamedTuple

from engine.errors import ConfigError

__all__ = ["Trust", "faults_of_trust", "find_trust", "trust_variable"]

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
# How OpenSSL looks for a certificate in a directory (`openssl rehash`).
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")


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


def trust_variable() -> str:
    """The environment's variable that says whom to trust; where none does, the one to set."""
    set_ones = (name for name in (*_VARIABLES, _DIRECTORY_VARIABLE) if os.environ.get(name))
    return next(set_ones, "SSL_CERT_FILE")


def faults_of_trust(trust: Trust) -> list[str]:
    """What is wrong with the certificates of `trust`, which libcurl reads with the first https
    request only: OpenSSL is asked, as libcurl asks it."""
    faults = []
    if trust.file is not None and (reason := _unreadable(trust.file)):
        faults.append(f"{_named(trust.file)} cannot be read as certificates in PEM ({reason})")
    if trust.directories is not None and not any(map(_has_certificate, _parts(trust.directories))):
        faults.append(
            f"{_named(trust.directories)} holds no certificate under the name of its hash; "
            "run `openssl rehash` on it"
        )
    return faults


def _unreadable(path: str) -> str | None:
    """Why no certificate can be read from `path`; None: it can."""
    import ssl  # 10 ms that a request need not pay

    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError as error:
        return (error.reason or "broken").replace("_", " ").lower()
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def _has_certificate(directory: str) -> bool:
    try:
        names = [name for name in sorted(os.listdir(directory)) if _HASHED.fullmatch(name)]
    except OSError:
        return False
    return any(_unreadable(os.path.join(directory, name)) is None for name in names)


def _named(path: str) -> str:
    """`path` and the variable that names it, if one does."""
    names = (*_VARIABLES, _DIRECTORY_VARIABLE)
    variable = next((name for name in names if os.environ.get(name) == path), None)
    return path if variable is None else f"{path} ({variable})"


def _parts(directories: str) -> list[str]:
    return directories.split(os.pathsep)


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
    if not any(os.path.isdir(path) for path in _parts(value)):
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
