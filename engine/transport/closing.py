"""Freeing a CurlMulti without waiting for a name server."""

from __future__ import annotations

import threading

import pycurl

__all__ = ["close_curl_multi"]

# Seconds; without a hung look-up curl_multi_cleanup takes less than a millisecond.
_PATIENCE = 0.1


def close_curl_multi(curl: pycurl.CurlMulti) -> None:
    """Free `curl`, which has no easy handle left, in a fraction of a second.

    curl_multi_cleanup joins the threads of look-ups that hang, for five to ten seconds (libcurl
    8.23, a name server that is mute), also of those whose transfer was removed long before. So a
    daemon thread does it; where that takes longer than `_PATIENCE` it goes on alone, and the end
    of the process drops it.
    """
    thread = threading.Thread(target=curl.close, name="engine-close", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no thread is to be had: the interpreter is going down
        curl.close()
    else:
        thread.join(_PATIENCE)
