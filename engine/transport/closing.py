"""Freeing a CurlMulti without waiting for a name server."""

from __future__ import annotations

import pycurl

from engine.transport.patched import original

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
    done = original("_thread", "allocate_lock")()
    done.acquire()

    def close() -> None:
        curl.close()
        done.release()

    try:
        # Not threading.Thread: gevent makes a greenlet of it, which would stop the whole program.
        original("_thread", "start_new_thread")(close, ())
    except RuntimeError:  # no thread is to be had: the interpreter is going down
        curl.close()
    else:
        done.acquire(timeout=_PATIENCE)
