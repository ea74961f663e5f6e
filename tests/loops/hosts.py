"""The scenario, in a real host loop and in a process of its own: ``python -m tests.loops.hosts NAME
URL``. Prints a JSON object of what came of it.

Thirty streams, one cancelled from a callback, a callback and an `on_done` that raise, one that
stalls, one that never ends; the host's own 50 Hz timer throughout; then the host is left.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import engine

COUNT = 30


class Scenario:
    def __init__(self, url: str) -> None:
        self.client = engine.Client(base_url=url, timeouts=engine.Timeouts(idle=0.3))
        self.ends: list[str] = []
        self.texts: list[str] = []
        self.ticks: list[float] = []
        self.ticked = time.monotonic()
        self.endless: Any = None

    def begin(self) -> None:
        """In the host, once it runs."""
        stream = self.client.stream
        for _ in range(COUNT):
            stream("plain", "hi", on_done=self._ended)
        stream("plain", "hi", on_text=lambda d, s: s.cancel(), on_done=self._ended)
        stream("plain", "hi", on_text=self._raise, on_done=self._ended)
        stream("plain", "hi", on_done=self._raise)
        stream("stalls", "hi", on_done=self._ended)
        self.endless = stream("endless", "hi", on_text=lambda d: None, on_done=self._ended)
        self.ticked = time.monotonic()

    def tick(self) -> None:
        """The host's own timer, each 20 ms."""
        now = time.monotonic()
        self.ticks.append(now - self.ticked)
        self.ticked = now

    @property
    def over(self) -> bool:
        """Whether all but the endless one have ended."""
        if len(self.ends) == COUNT + 3 and self.endless.completion is None:
            self.endless.cancel()
        return len(self.ends) == COUNT + 4

    def report(self) -> str:
        self.client.close()
        return json.dumps(
            {
                "ends": sorted(self.ends),
                "texts": sorted(set(self.texts)),
                "tick": sorted(self.ticks)[len(self.ticks) // 2],
                "slowest_tick": max(self.ticks),
                "ticks": len(self.ticks),
                "descriptors": len(os.listdir("/proc/self/fd")),
            }
        )

    def _raise(self, *_: object) -> None:
        raise ValueError("a mistake of mine")

    def _ended(self, completion: engine.Completion[Any]) -> None:
        self.ends.append(completion.status)
        if completion.status == "complete":
            self.texts.append(completion.text)


def asyncio_host(scenario: Scenario) -> None:
    import asyncio

    from engine.loops.asyncio import attach

    async def main() -> None:
        with attach(scenario.client.multi):
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            scenario.begin()
            while not scenario.over:
                await asyncio.sleep(0.02)
                scenario.tick()

    asyncio.run(main())


def uvloop_host(scenario: Scenario) -> None:
    import asyncio

    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio_host(scenario)


def trio_host(scenario: Scenario) -> None:
    import trio

    from engine.loops.trio import attach

    async def main() -> None:
        with attach(scenario.client.multi):
            scenario.begin()
            while not scenario.over:
                await trio.sleep(0.02)
                scenario.tick()

    trio.run(main)


def gevent_host(scenario: Scenario) -> None:
    import gevent

    from engine.loops.gevent import attach

    with attach(scenario.client.multi):
        scenario.begin()
        others = [gevent.spawn(_result, scenario) for _ in range(3)]
        while not scenario.over:
            gevent.sleep(0.02)
            scenario.tick()
        gevent.joinall(others, raise_error=True)


def _result(scenario: Scenario) -> None:
    """A greenlet that waits lets the others run."""
    stream = scenario.client.stream("plain", "hi")
    words = [delta for delta in stream.text_deltas()]
    assert "".join(words) == stream.result().text


def gevent_patched_host(scenario: Scenario) -> None:
    gevent_host(scenario)


def tk_host(scenario: Scenario) -> None:
    import tkinter

    from engine.loops.tk import attach

    root = tkinter.Tk()
    attach(scenario.client.multi, root)

    def tick() -> None:
        scenario.tick()
        if scenario.over:
            root.destroy()  # as the window's close button does
        else:
            root.after(20, tick)

    root.after(0, scenario.begin)
    root.after(20, tick)
    root.mainloop()


def qt_host(scenario: Scenario) -> None:
    from PySide6.QtCore import QCoreApplication, QTimer

    from engine.loops.qt import attach

    app = QCoreApplication([])
    attach(scenario.client.multi)
    timer = QTimer()

    def tick() -> None:
        scenario.tick()
        if scenario.over:
            app.quit()

    timer.timeout.connect(tick)
    timer.start(20)
    QTimer.singleShot(0, scenario.begin)
    app.exec()


def glib_host(scenario: Scenario) -> None:
    from gi.repository import GLib

    from engine.loops.glib import attach

    loop = GLib.MainLoop()
    attach(scenario.client.multi)

    def tick() -> bool:
        scenario.tick()
        if scenario.over:
            loop.quit()
        return True

    GLib.timeout_add(20, tick)
    GLib.idle_add(lambda: scenario.begin())
    loop.run()


def twisted_host(scenario: Scenario) -> None:
    from twisted.internet import reactor as _reactor
    from twisted.internet.task import LoopingCall

    from engine.loops.twisted import attach

    reactor: Any = _reactor
    attach(scenario.client.multi)

    def tick() -> None:
        scenario.tick()
        if scenario.over:
            reactor.stop()

    reactor.callWhenRunning(scenario.begin)
    LoopingCall(tick).start(0.02)
    reactor.run()


HOSTS: dict[str, Callable[[Scenario], None]] = {
    "asyncio": asyncio_host,
    "uvloop": uvloop_host,
    "trio": trio_host,
    "gevent": gevent_host,
    "gevent patched": gevent_patched_host,
    "tk": tk_host,
    "qt": qt_host,
    "glib": glib_host,
    "twisted": twisted_host,
}


if __name__ == "__main__":
    if sys.argv[1] == "gevent patched":
        from gevent import monkey

        monkey.patch_all()
    scenario = Scenario(sys.argv[2])
    HOSTS[sys.argv[1]](scenario)
    print(scenario.report())
