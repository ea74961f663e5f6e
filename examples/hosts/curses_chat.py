"""A chat in the terminal with nothing but the standard library: curses, and a select loop.

Return asks, also while an answer comes; Escape stops what comes; Ctrl-C ends the program.
"""

from __future__ import annotations

import curses
import os
import select
import sys
import textwrap

import engine
import engine.emulator

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")
RETURN, ESCAPE, BACKSPACE = "\n", "\x1b", ("\x7f", "\b")


class Chat:
    def __init__(self, screen: curses.window, client: engine.Client) -> None:
        self.screen = screen
        self.client = client
        self.typed = ""
        self.said: list[str | engine.Stream[None]] = []
        screen.nodelay(True)  # select() waits, curses does not
        curses.set_escdelay(25)

    def draw(self) -> None:
        height, width = self.screen.getmaxyx()
        lines: list[str] = []
        for said in self.said:
            text = said if isinstance(said, str) else said.text
            for line in text.splitlines():
                lines += textwrap.wrap(line, width - 1) or [""]
        self.screen.erase()
        for row, line in enumerate(lines[-(height - 2) :]):
            self.screen.addstr(row, 0, line)
        self.screen.addstr(height - 1, 0, f"> {self.typed}"[-(width - 1) :])
        self.screen.refresh()

    def read_keys(self) -> None:
        while True:
            try:
                key = self.screen.get_wch()
            except curses.error:
                return  # none is left
            if key == RETURN and self.typed:
                self.said += [f"> {self.typed}", self.client.stream(MODEL, self.typed)]
                self.typed = ""
            elif key == ESCAPE:
                self.client.multi.cancel_all()
            elif key in BACKSPACE or key == curses.KEY_BACKSPACE:
                self.typed = self.typed[:-1]
            elif isinstance(key, str) and key.isprintable():
                self.typed += key

    def run(self) -> None:
        multi = self.client.multi
        while True:
            self.draw()
            reading, writing, failing = multi.fdset()
            try:
                select.select([sys.stdin, *reading], writing, failing, multi.timeout())
            except InterruptedError:
                pass  # the window was resized; get_wch tells
            self.read_keys()
            multi.perform()
            multi.info_read()


def main(screen: curses.window) -> None:
    with engine.Client() as client:
        Chat(screen, client).run()


if __name__ == "__main__":
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tps=20, tokens=150)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url
    try:
        curses.wrapper(main)
    except KeyboardInterrupt:
        pass
