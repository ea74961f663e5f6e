"""The scenario, in a real host loop and in a process of its own: ``python -m tests.loops.hosts NAME
URL WAY COUNT FILE``. Writes a JSON object of what came of it.

The host runs alone for a while, then with an idle client attached (which has asked once, so that
all is imported), then with many streams: one is cancelled from a callback, one has a callback that
raises, one an `on_done` that does, one stalls, and one never ends. The host's own timer of 50 Hz
ticks throughout. Then the host is left by WAY, ``stop`` (a window: it is closed) or ``exception``,
while the endless one still streams.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import engine

PERIOD = 0.02
ALONE, IDLE = 25, 50  # ticks; a fifth of it where few streams are a first look only
MANY = 200
PHASES = ("start", "alone", "warm", "idle", "busy")


class Left(Exception):
    """What the host is left by."""


class Scenario:
    """Made in the host's thread; `tick` is called by the host's timer, each `PERIOD`.

    Attributes:
        attach: has the host drive a `Multi`.
    """

    def __init__(self, url: str, way: str = "stop", count: int = 20) -> None:
        self.attach: Callable[[engine.Multi], object] = lambda multi: None
        self.client: engine.Client
        self._url = url
        self._way = way
        self._count = count
        self._ends: dict[str, list[str]] = {}
        self._texts: Counter[str] = Counter()
        self._ticks: dict[str, list[float]] = {name: [] for name in PHASES}
        self._cpu: dict[str, float] = {}
        self._alone, self._idle, self._silence = ALONE, IDLE, 3.0
        if count < MANY:
            self._alone, self._idle, self._silence = ALONE // 5, IDLE // 5, 1.0
        self._phase = "start"
        self._before: set[str] = set()
        self._began()

    def tick(self) -> bool:
        """Whether it is time to leave; or raises, where an exception leaves."""
        now, cpu = time.monotonic(), time.process_time()
        # A tick is late by what this process did meanwhile, not by what the machine did.
        late = min(now - self._ticked - PERIOD, cpu - self._cpu_at_tick)
        self._ticks[self._phase].append(late)
        self._ticked, self._cpu_at_tick = now, cpu
        ticks = len(self._ticks[self._phase])
        if self._phase == "start":
            self._next("alone")
        elif self._phase == "alone" and ticks == self._alone:
            self._before = inventory()
            timeouts = engine.Timeouts(idle=self._silence)
            self.client = engine.Client(base_url=self._url, timeouts=timeouts)
            self.attach(self.client.multi)
            self._next("warm")
            self._warm = self.client.stream("short", "hi")
        elif self._phase == "warm" and self._warm.completion is not None:
            self._next("idle")
        elif self._phase == "idle" and ticks == self._idle:
            self._next("busy")
            self._todo = self._streams()
        elif self._phase == "busy":
            for _ in zip(range(10), self._todo, strict=False):
                pass  # ten more have begun
            if len(self._ends) == self._count + 4:
                return self._leave()
        return False

    def report(self) -> dict[str, Any]:
        """Once the host is left."""
        cut = self._count + 4
        self.client.close()
        return {
            "ends": Counter(end for ends in self._ends.values() for end in ends),
            "told": Counter(len(ends) for ends in self._ends.values()),
            "open": len(self._ends) - cut,
            "texts": self._texts,
            "ticks": {name: len(ticks) for name, ticks in self._ticks.items()},
            "late": {name: _p99(ticks) for name, ticks in self._ticks.items()},
            "idle_cpu": self._cpu["idle"] - self._cpu["alone"],
            "left": self._left_behind(),
        }

    def _left_behind(self) -> list[str]:
        """What is there that was not before; a thread of libcurl's may be about to end."""
        end = time.monotonic() + 10
        while (left := inventory() - self._before) and time.monotonic() < end:
            time.sleep(0.01)
        return sorted(left)

    # ------------------------------------------------------------------------------------------

    def _next(self, phase: str) -> None:
        spent = time.process_time() - self._spent
        self._cpu[self._phase] = spent / (time.monotonic() - self._since)
        self._phase = phase
        self._began()

    def _began(self) -> None:
        self._since = self._ticked = time.monotonic()
        self._spent = self._cpu_at_tick = time.process_time()

    def _leave(self) -> bool:
        if self._way == "exception":
            raise Left
        return True

    def _streams(self) -> Iterator[None]:
        """Begins one with each step."""
        yield self._stream("endless", on_text=lambda delta: None)
        yield self._stream("stalls")
        yield self._stream("cancelled", on_text=lambda delta, stream: stream.cancel())
        yield self._stream("raising", on_text=self._raise)
        yield self._stream("on_done raises")
        for number in range(self._count):
            yield self._stream(f"plain {number}")

    def _stream(self, name: str, **callbacks: Any) -> None:
        def done(completion: engine.Completion[Any]) -> None:
            self._ends.setdefault(name, []).append(completion.status)
            if name.startswith("plain"):
                self._texts[completion.text] += 1
            if name == "on_done raises":
                self._raise()

        self.client.stream(name.split()[0], "hi", on_done=done, **callbacks)

    def _raise(self, *_: object) -> None:
        raise ValueError("a mistake of mine")


def _p99(numbers: list[float]) -> float:
    return sorted(numbers)[int((len(numbers) - 1) * 0.99)] if numbers else 0.0


def inventory() -> set[str]:
    """Descriptors, threads and children of this process."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{fd} {os.readlink(f'/proc/self/fd/{fd}')}")
        except OSError:
            pass  # the one that listed them
    for task in os.listdir("/proc/self/task"):
        found.add(f"thread {task}")
        try:
            children = Path(f"/proc/self/task/{task}/children").read_text().split()
        except OSError:
            continue  # it ended meanwhile
        found |= {f"child {child}" for child in children}
    return found


# -- asyncio, in all its coats -------------------------------------------------------------------


async def _in_asyncio(scenario: Scenario) -> None:
    import asyncio

    from engine.loops.asyncio import attach

    scenario.attach = attach
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    while not scenario.tick():
        await asyncio.sleep(PERIOD)


def asyncio_host(scenario: Scenario) -> None:
    import asyncio

    asyncio.run(_in_asyncio(scenario))


def uvloop_host(scenario: Scenario) -> None:
    import uvloop

    uvloop.run(_in_asyncio(scenario))


def timers_of_asyncio_host(scenario: Scenario) -> None:
    """As Windows' Proactor, which watches no descriptor."""
    import asyncio

    class Proactor(asyncio.SelectorEventLoop):
        def add_reader(self, *_: Any) -> None:
            raise NotImplementedError

    with asyncio.Runner(loop_factory=Proactor) as runner:
        runner.run(_in_asyncio(scenario))


def threads_host(scenario: Scenario) -> None:
    """A loop in another thread, and a `Multi` of its own there, beside the one of the scenario."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    from engine.loops.asyncio import AsyncClient

    async def other() -> list[str]:
        async with AsyncClient(base_url=scenario._url) as client:
            streams = [client.stream("plain", "hi") for _ in range(10)]
            return [(await stream).status for stream in streams]

    with ThreadPoolExecutor(2) as pool:
        others = [pool.submit(asyncio.run, other()) for _ in range(2)]
        try:
            asyncio.run(_in_asyncio(scenario))
        finally:
            assert [each.result() for each in others] == [["complete"] * 10] * 2


def qasync_host(scenario: Scenario) -> None:
    os.environ["QT_API"] = "PySide6"
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    import qasync
    from PySide6.QtWidgets import QApplication

    app = QApplication([])
    with qasync.QEventLoop(app) as loop:
        loop.run_until_complete(_in_asyncio(scenario))


class _Leaving:
    """Ticks where an exception that a timer raises does not leave the loop: `stop` does, and what
    was raised is raised afterwards.

    Attributes:
        left: what was raised.
    """

    def __init__(self, scenario: Scenario, stop: Callable[[], object]) -> None:
        self.left: list[Left] = []
        self._scenario = scenario
        self._stop = stop

    def tick(self) -> bool:
        """True: as GLib wants it, once more."""
        try:
            over = self._scenario.tick()
        except Left as error:
            self.left.append(error)
            over = True
        if over:
            self._stop()
        return True

    def leave(self) -> None:
        """Raise what was raised."""
        if self.left:
            raise self.left[0]


def tornado_host(scenario: Scenario) -> None:
    from tornado.ioloop import IOLoop, PeriodicCallback

    from engine.loops.asyncio import attach

    def stop() -> None:
        timer.stop()
        loop.stop()

    scenario.attach = attach
    leaving = _Leaving(scenario, stop)
    timer = PeriodicCallback(leaving.tick, PERIOD * 1000)
    loop = IOLoop.current()
    loop.asyncio_loop.set_exception_handler(lambda *_: None)  # type: ignore[attr-defined]
    loop.add_callback(timer.start)
    loop.start()
    loop.close()
    leaving.leave()


def textual_host(scenario: Scenario) -> None:
    import asyncio

    from textual.app import App

    from engine.loops.asyncio import attach

    class Host(App[None]):
        def on_mount(self) -> None:
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            scenario.attach = attach
            self.set_interval(PERIOD, self.beat)

        def beat(self) -> None:
            if scenario.tick():
                self.exit()

    host = Host()
    host.run()
    if host.return_code:  # Textual has shown what was raised
        raise Left


def prompt_toolkit_host(scenario: Scenario) -> None:
    import asyncio

    from prompt_toolkit.application import Application
    from prompt_toolkit.layout import Layout, Window

    from engine.loops.asyncio import attach

    async def main() -> None:
        app: Application[None] = Application(layout=Layout(Window()), full_screen=True)
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        scenario.attach = attach

        async def beat() -> None:
            try:
                while not scenario.tick():
                    await asyncio.sleep(PERIOD)
                app.exit()
            except Left as error:
                app.exit(exception=error)

        app.create_background_task(beat())
        await app.run_async(set_exception_handler=False)

    asyncio.run(main())


def jupyter_host(scenario: Scenario) -> None:
    """Never here: the scenario is made in a kernel, see `in_kernel`."""
    raise NotImplementedError


def in_kernel(arguments: list[str]) -> None:
    from jupyter_client.manager import start_new_kernel

    manager, kernel = start_new_kernel()
    cell = f"from tests.loops import hosts\nawait hosts.cell({arguments!r})"
    try:
        kernel.execute_interactive(cell, timeout=60, output_hook=lambda message: None)
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)


async def cell(arguments: list[str]) -> None:
    """What the cell awaits."""
    _name, url, way, count, file = arguments
    scenario = Scenario(url, way, int(count))
    left = False
    try:
        await _in_asyncio(scenario)
    except Left:
        left = True
        raise
    finally:
        Path(file).write_text(json.dumps({**scenario.report(), "by_exception": left}))


# -- others that have an adapter ------------------------------------------------------------------


async def _in_trio(scenario: Scenario) -> None:
    import trio

    from engine.loops.trio import attach

    scenario.attach = attach
    while not scenario.tick():
        await trio.sleep(PERIOD)


def trio_host(scenario: Scenario) -> None:
    import trio

    trio.run(_in_trio, scenario)


def anyio_host(scenario: Scenario) -> None:
    import anyio

    anyio.run(_in_asyncio, scenario, backend="asyncio")


def anyio_on_trio_host(scenario: Scenario) -> None:
    import anyio

    anyio.run(_in_trio, scenario, backend="trio")


def gevent_host(scenario: Scenario) -> None:
    import gevent

    from engine.loops.gevent import attach

    scenario.attach = attach
    while not scenario.tick():
        gevent.sleep(PERIOD)


def tk_host(scenario: Scenario) -> None:
    import tkinter

    from engine.loops.tk import attach

    root = tkinter.Tk()
    left: list[BaseException] = []

    def failed(kind: object, error: BaseException, trace: object) -> None:
        if isinstance(error, Left):
            left.append(error)
            root.destroy()

    def tick() -> None:
        if scenario.tick():
            root.destroy()  # as the window's close button does
        else:
            root.after(round(PERIOD * 1000), tick)

    root.report_callback_exception = failed
    scenario.attach = lambda multi: attach(multi, root)
    root.after(0, tick)
    root.mainloop()
    if left:
        raise left[0]


def qt_host(scenario: Scenario) -> None:
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication, QWidget

    from engine.loops.qt import attach

    app = QApplication([])
    window = QWidget()
    window.show()
    timer = QTimer()
    left: list[BaseException] = []

    def failed(kind: object, error: BaseException, trace: object) -> None:
        left.append(error)
        app.quit()

    def tick() -> None:
        if scenario.tick():
            window.close()  # the last one: the application quits

    sys.excepthook = failed
    scenario.attach = attach
    timer.timeout.connect(tick)
    timer.start(round(PERIOD * 1000))
    app.exec()
    if left:
        raise left[0]


def glib_host(scenario: Scenario) -> None:
    from gi.repository import GLib

    from engine.loops.glib import attach

    loop = GLib.MainLoop()
    leaving = _Leaving(scenario, loop.quit)
    scenario.attach = attach
    GLib.timeout_add(round(PERIOD * 1000), leaving.tick)
    loop.run()
    leaving.leave()


def twisted_host(scenario: Scenario) -> None:
    from twisted.internet import reactor as _reactor
    from twisted.internet.task import LoopingCall

    from engine.loops.twisted import attach

    reactor: Any = _reactor
    left: list[Left] = []

    def tick() -> None:
        if scenario.tick():
            reactor.stop()

    def failed(failure: Any) -> None:
        left.append(failure.value)
        reactor.stop()

    scenario.attach = attach
    LoopingCall(tick).start(PERIOD).addErrback(failed)
    reactor.run()
    if left:
        raise left[0]


# -- loops of one's own --------------------------------------------------------------------------


class _OwnLoop:
    """A loop around `wait`, which waits for the `Multi`'s descriptor at most so many seconds."""

    def __init__(
        self, scenario: Scenario, wait: Callable[[engine.Multi | None, float], object]
    ) -> None:
        self._scenario = scenario
        self._wait = wait
        self._multi: engine.Multi | None = None
        self._due = time.monotonic()
        scenario.attach = self._attach

    def _attach(self, multi: engine.Multi) -> None:
        self._multi = multi

    def turn(self) -> bool:
        """Whether it was the last one."""
        multi = self._multi
        deadline = None if multi is None else multi.timeout()
        seconds = max(self._due - time.monotonic(), 0)
        self._wait(multi, seconds if deadline is None else min(seconds, deadline))
        if multi is not None:
            try:
                multi.perform()
                multi.info_read()
            except ValueError:
                pass  # the mistake of an on_done
        if time.monotonic() < self._due:
            return False
        self._due = time.monotonic() + PERIOD
        return self._scenario.tick()


def _own_loop(scenario: Scenario, wait: Callable[[engine.Multi | None, float], object]) -> None:
    loop = _OwnLoop(scenario, wait)
    while not loop.turn():
        pass


def select_host(scenario: Scenario) -> None:
    import select

    def wait(multi: engine.Multi | None, seconds: float) -> None:
        reading, writing, failing = multi.fdset() if multi is not None else ([], [], [])
        select.select(reading, writing, failing, seconds)

    _own_loop(scenario, wait)


def _polling(poll: Any, readable: int, scale: int) -> Callable[[engine.Multi | None, float], None]:
    registered: list[engine.Multi] = []

    def wait(multi: engine.Multi | None, seconds: float) -> None:
        if multi is not None and not registered:
            registered.append(multi)
            poll.register(multi, readable)
        poll.poll(seconds * scale)

    return wait


def poll_host(scenario: Scenario) -> None:
    import select

    _own_loop(scenario, _polling(select.poll(), select.POLLIN, 1000))


def epoll_host(scenario: Scenario) -> None:
    import select

    with select.epoll() as poll:
        _own_loop(scenario, _polling(poll, select.EPOLLIN, 1))


def selectors_host(scenario: Scenario) -> None:
    import selectors

    registered: list[engine.Multi] = []
    with selectors.DefaultSelector() as selector:

        def wait(multi: engine.Multi | None, seconds: float) -> None:
            if multi is not None and not registered:
                registered.append(multi)
                selector.register(multi, selectors.EVENT_READ)
            selector.select(seconds)

        _own_loop(scenario, wait)


def curses_host(scenario: Scenario) -> None:
    import curses
    import select

    def main(screen: curses.window) -> None:
        screen.nodelay(True)

        def wait(multi: engine.Multi | None, seconds: float) -> None:
            reading = [] if multi is None else multi.fdset()[0]
            select.select([sys.stdin, *reading], [], [], seconds)
            screen.refresh()

        _own_loop(scenario, wait)

    curses.wrapper(main)


def inputhook_host(scenario: Scenario) -> None:
    """A blocking prompt of prompt_toolkit's, which calls its hook when it would wait."""
    import select

    from prompt_toolkit import PromptSession
    from prompt_toolkit.eventloop import InputHookContext

    def hook(context: InputHookContext) -> None:
        def wait(multi: engine.Multi | None, seconds: float) -> None:
            reading = [] if multi is None else multi.fdset()[0]
            select.select([context.fileno(), *reading], [], [], seconds)

        loop._wait = wait
        while not context.input_is_ready():
            if loop.turn():
                session.app.exit(result="")
                return

    loop = _OwnLoop(scenario, lambda multi, seconds: None)
    session: PromptSession[str] = PromptSession("> ")
    session.prompt(inputhook=hook)


def pygame_host(scenario: Scenario) -> None:
    os.environ["SDL_VIDEODRIVER"] = "dummy"
    import pygame

    pygame.display.init()
    pygame.display.set_mode((320, 200))
    clock = pygame.time.Clock()

    def wait(multi: engine.Multi | None, seconds: float) -> None:
        pygame.event.get()
        pygame.display.flip()
        clock.tick(1 / PERIOD)

    try:
        _own_loop(scenario, wait)
    finally:
        pygame.quit()


def sched_host(scenario: Scenario) -> None:
    """A host with timers only: the example's."""
    import sched

    from engine.loops import host
    from examples.hosts.timer_only import SchedHost

    loop = sched.scheduler()
    attached: list[host.Attachment] = []

    def tick() -> None:
        if scenario.tick():
            attached[0].close()
        else:
            loop.enter(PERIOD, 0, tick)

    scenario.attach = lambda multi: attached.append(host.attach(multi, SchedHost(loop)))
    tick()
    loop.run()


HOSTS: dict[str, Callable[[Scenario], None]] = {
    "asyncio": asyncio_host,
    "trio": trio_host,
    "select": select_host,
    "poll": poll_host,
    "epoll": epoll_host,
    "selectors": selectors_host,
    "timers": sched_host,
    "asyncio, timers": timers_of_asyncio_host,
    "asyncio, threads": threads_host,
    "uvloop": uvloop_host,
    "qasync": qasync_host,
    "anyio": anyio_host,
    "anyio on trio": anyio_on_trio_host,
    "tornado": tornado_host,
    "textual": textual_host,
    "prompt_toolkit": prompt_toolkit_host,
    "inputhook": inputhook_host,
    "jupyter": jupyter_host,
    "curses": curses_host,
    "pygame": pygame_host,
    "gevent": gevent_host,
    "gevent patched": gevent_host,
    "tk": tk_host,
    "qt": qt_host,
    "glib": glib_host,
    "twisted": twisted_host,
}


def main(name: str, url: str, way: str, count: str, file: str) -> None:
    if name == "jupyter":
        return in_kernel([name, url, way, count, file])
    scenario = Scenario(url, way, int(count))
    left = False
    try:
        HOSTS[name](scenario)
    except Left:
        left = True
    told = scenario.report()
    Path(file).write_text(json.dumps({**told, "by_exception": left}))
    return None


if __name__ == "__main__":
    if sys.argv[1] == "gevent patched":
        from gevent import monkey

        monkey.patch_all()
    main(*sys.argv[1:])
