"""Where the trusted certificates are.

The Linux wheels of pycurl bring a libcurl that ignores SSL_CERT_FILE and CURL_CA_BUNDLE and looks
for one distribution's layout, so that https fails with error 60 or 77 on the others. The engine
looks itself and always tells libcurl (CURLOPT_CAINFO).
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

from engine.errors import ConfigError

__all__ = ["find_ca_file"]

_VARIABLES = ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/var/lib/ca-certificates/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS, OpenBSD
    "/usr/local/etc/ssl/cert.pem",  # FreeBSD
    "/opt/homebrew/etc/openssl@3/cert.pem",
)


def find_ca_file(explicit: str | None = None) -> str | None:
    """The CA bundle for https: `explicit`, else an environment variable's, else the system's, else
    certifi's. None on Windows, where libcurl uses the system's store.

    Raises:
        ConfigError: the file named does not exist, or there is none anywhere.
    """
    if explicit is not None:
        return _existing(explicit, "ca_file")
    return _find(*(os.environ.get(name) for name in _VARIABLES))


@cache
def _find(*values: str | None) -> str | None:
    for name, value in zip(_VARIABLES, values, strict=True):
        if value:
            return _existing(value, name)
    for path in _FILES:
        if os.path.isfile(path):
            return path
    try:
        import certifi
    except ImportError:
        if sys.platform == "win32":
            return None
        raise ConfigError(
            "no file of trusted certificates was found, so https cannot be used; install the "
            "package ca-certificates, or certifi, or set SSL_CERT_FILE"
        ) from None
    return str(certifi.where())


def _existing(path: str, name: str) -> str:
    if not Path(path).is_file():
        raise ConfigError(f"{name} names {path!r}, which is not a file; correct or unset it")
    return path
