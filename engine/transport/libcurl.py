"""The libcurl that pycurl brings: its version, and what is known to be wrong with it."""

from __future__ import annotations

from typing import Final, NamedTuple

import pycurl

__all__ = ["Fault", "Libcurl", "faults_of", "libcurl"]


class Libcurl(NamedTuple):
    """What runs under the engine.

    Attributes:
        pycurl: version of the Python binding.
        version: of libcurl, as three numbers.
        tls: the TLS library and its version, or an empty string.
        features: what it was built with, of what the engine uses: HTTP2, HTTP3, GSS …
    """

    pycurl: str
    version: tuple[int, int, int]
    tls: str
    features: tuple[str, ...]


class Fault(NamedTuple):
    """Something wrong with the libcurls from `first` up to and without `mended`.

    Attributes:
        name: the CVE, or the number of the bug in curl's tracker.
        what: in a few words.
    """

    first: tuple[int, int, int]
    mended: tuple[int, int, int]
    name: str
    what: str


# What touches a client of this kind. Sources: curl.se/docs/security.html and the bugs named.
_FAULTS: Final = (
    Fault((7, 69, 0), (8, 4, 0), "CVE-2023-38545", "a SOCKS5 proxy can overflow the heap"),
    Fault((8, 6, 0), (8, 9, 0), "CVE-2024-6197", "a TLS server can corrupt the stack"),
    Fault((7, 32, 0), (8, 9, 1), "CVE-2024-7264", "a TLS server can make it read too far"),
    Fault((8, 10, 0), (8, 10, 1), "curl#14898", "transfers that are over are never told"),
    Fault((8, 20, 0), (8, 20, 1), "curl#21960", "it keeps one processor busy while it waits"),
)

_FEATURES: Final = {"HTTP2": "VERSION_HTTP2", "HTTP3": "VERSION_HTTP3", "brotli": "VERSION_BROTLI"}


def libcurl() -> Libcurl:
    """The one in this process."""
    facts = pycurl.version_info()
    number = int(facts[2])
    version = (number >> 16 & 255, number >> 8 & 255, number & 255)
    bits = int(facts[4])
    features = tuple(
        name for name, constant in _FEATURES.items() if bits & getattr(pycurl, constant, 0)
    )
    binding = pycurl.version.partition(" ")[0].removeprefix("PycURL/").strip('"')
    return Libcurl(binding, version, str(facts[5] or ""), features)


def faults_of(version: tuple[int, int, int]) -> list[Fault]:
    """What is known to be wrong with libcurl `version`."""
    return [fault for fault in _FAULTS if fault.first <= version < fault.mended]
