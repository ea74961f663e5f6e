"""Bare pycurl: libcurl's multi handle on epoll, events counted by their blank lines, nothing
decoded. The floor for anything in Python on libcurl; half of it, at full speed, is the counting.
"""

from __future__ import annotations

import json
import select
from time import monotonic

import pycurl

from benchmarks.clients.job import Job, Meter, Report, run


class Loop:
    """libcurl's event interface: it says which sockets it wants watched, and until when."""

    def __init__(self) -> None:
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self.multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._epoll = select.epoll()
        self._watched: set[int] = set()
        self._due: float | None = None

    def turn(self) -> None:
        wait = -1.0 if self._due is None else max(self._due - monotonic(), 0)
        for fd, mask in self._epoll.poll(wait):
            readable = pycurl.CSELECT_IN if mask & ~select.EPOLLOUT else 0
            writable = pycurl.CSELECT_OUT if mask & select.EPOLLOUT else 0
            self.multi.socket_action(fd, readable | writable)
        if self._due is not None and self._due <= monotonic():
            self._due = None
            self.multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def done(self) -> list[pycurl.Curl]:
        """The transfers that have ended since the last call, taken out of the multi handle."""
        ended: list[pycurl.Curl] = []
        more = 1
        while more:
            more, good, failed = self.multi.info_read()
            assert not failed, failed
            ended += good
        for easy in ended:
            self.multi.remove_handle(easy)
        return ended

    def _on_socket(self, what: int, fd: int, *_: object) -> None:
        if what == pycurl.POLL_REMOVE:
            self._watched.discard(fd)
            self._epoll.unregister(fd)
            return
        mask = select.EPOLLIN if what & pycurl.POLL_IN else 0
        mask |= select.EPOLLOUT if what & pycurl.POLL_OUT else 0
        if fd in self._watched:
            self._epoll.modify(fd, mask)
        else:
            self._watched.add(fd)
            self._epoll.register(fd, mask)

    def _on_timer(self, timeout_ms: int) -> None:
        self._due = None if timeout_ms < 0 else monotonic() + timeout_ms / 1000


def read(job: Job) -> Report:
    loop = Loop()
    multi = loop.multi
    body = json.dumps(job.chat_body)
    received = found = 0

    def on_bytes(data: bytes) -> None:
        nonlocal received, found
        received += len(data)
        found += data.count(b"\n\n")
        meter.event()

    def request() -> pycurl.Curl:
        easy = pycurl.Curl()
        easy.setopt(pycurl.URL, job.chat_url)
        easy.setopt(pycurl.POSTFIELDS, body)
        easy.setopt(pycurl.HTTPHEADER, ["Content-Type: application/json"])
        easy.setopt(pycurl.UPLOAD_BUFFERSIZE, 16 * 1024)  # the least; held as long as the stream
        easy.setopt(pycurl.WRITEFUNCTION, on_bytes)
        if job.ca_file is not None:
            easy.setopt(pycurl.CAINFO, job.ca_file)
            easy.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
            easy.setopt(pycurl.PIPEWAIT, 1)
        return easy

    meter = Meter(job.at_once)
    easies = {request() for _ in range(job.at_once)}
    for easy in easies:
        multi.add_handle(easy)
    left = job.streams - job.at_once
    while easies:
        loop.turn()
        for easy in loop.done():
            meter.end()
            easies.discard(easy)
            if left:
                left -= 1
                easy = request()  # a fresh one: who keeps them must know what lingers in them
                easies.add(easy)
                multi.add_handle(easy)
    assert found, "no event was found"
    return meter.report(received)


if __name__ == "__main__":
    run(read)
