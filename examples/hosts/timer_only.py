"""A host that can only call you later, here the standard library's `sched`: so do Blender's timers,
Unreal's tick, Windows' Proactor. Its adapter says that it cannot watch, and timers do."""

from __future__ import annotations

import os
import sched
from collections.abc import Callable

import engine
import engine.emulator
from engine.loops.host import attach

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")


class Entry:
    def __init__(self, loop: sched.scheduler, event: sched.Event) -> None:
        self.loop, self.event = loop, event

    def cancel(self) -> None:
        if self.event in self.loop.queue:
            self.loop.cancel(self.event)


class SchedHost:
    """A `Host`: `attach` asks no more of a loop than this."""

    def __init__(self, loop: sched.scheduler) -> None:
        self.loop = loop

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        raise NotImplementedError

    def unwatch(self, fd: int) -> None:
        pass

    def call_later(self, seconds: float, call: Callable[[], None]) -> Entry:
        return Entry(self.loop, self.loop.enter(seconds, 0, call))


if __name__ == "__main__":
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tps=40, tokens=40)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url

    loop = sched.scheduler()
    with engine.Client() as client:
        attachment = attach(client.multi, SchedHost(loop))
        client.stream(
            MODEL,
            "What is an event loop?",
            on_text=lambda delta: print(delta, end="", flush=True),
            on_done=lambda: attachment.close(),  # the scheduler runs until nothing is due
        )
        loop.run()
    print()
