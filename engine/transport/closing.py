"""Freeing a CurlMulti without waiting for a name server."""

from __future__ import annotations

import threading

import pycurl

__all__ = ["close_curl_multi"]


def close_curl_multi(curl: pycurl.CurlMulti, *, in_background: bool) -> None:
    """Free `curl`, which has no easy handle left.

    curl_multi_cleanup joins the threads of look-ups that hang, for about ten seconds (libcurl
    8.23). With `in_background` a daemon thread waits for them instead; at the end of the process
    it is simply dropped.
    """
    if not in_background:
        curl.close()
        return
    thread = threading.Thread(target=curl.close, name="engine-close", daemon=True)
    thread.start()
