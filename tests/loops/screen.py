"""A screen that nobody sits at: X's virtual one. What is on it, and a hand on mouse and keys."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from PIL import Image, ImageGrab
from Xlib import X, Xatom
from Xlib.display import Display
from Xlib.error import BadDrawable, BadWindow
from Xlib.ext import xtest
from Xlib.protocol.event import ClientMessage

SIZE = (960, 640)


class Screen:
    """Attributes:
    name: for DISPLAY.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._display = Display(name)

    def shot(self) -> Image.Image:
        return ImageGrab.grab(xdisplay=self.name).convert("L")

    def ink(self) -> int:
        """Pixels of the window that are unlike its most frequent colour: what is written."""
        counts = self.shot().crop(self.window()).histogram()
        return sum(counts) - max(counts)

    def window(self) -> tuple[int, int, int, int] | None:
        """Left, top, right, bottom of the one application's window that is shown."""
        _, at = self._top()
        if at is None:
            return None
        return at.x, at.y, at.x + at.width, at.y + at.height

    def click(self, x: int, y: int) -> None:
        xtest.fake_input(self._display, X.MotionNotify, x=x, y=y)
        xtest.fake_input(self._display, X.ButtonPress, 1)
        xtest.fake_input(self._display, X.ButtonRelease, 1)
        self._display.sync()

    def press(self, key: int) -> None:
        """A key, by its X keysym."""
        code = self._display.keysym_to_keycode(key)
        xtest.fake_input(self._display, X.KeyPress, code)
        xtest.fake_input(self._display, X.KeyRelease, code)
        self._display.sync()

    def close_window(self) -> None:
        """As the button of its frame does."""
        window, _ = self._top()
        assert window is not None
        protocols = self._display.get_atom("WM_PROTOCOLS")
        delete = self._display.get_atom("WM_DELETE_WINDOW")
        data = (32, [delete, X.CurrentTime, 0, 0, 0])
        window.send_event(ClientMessage(window=window, client_type=protocols, data=data))
        self._display.sync()

    def close(self) -> None:
        self._display.close()

    def _top(self) -> tuple[Any, Any]:
        """The largest window that says how it is to be closed, and where it is; None twice where
        there is none."""
        protocols = self._display.get_atom("WM_PROTOCOLS")
        found = []
        todo = list(self._display.screen().root.query_tree().children)
        while todo:
            window = todo.pop()
            try:
                if window.get_attributes().map_state != X.IsViewable:
                    continue
                if window.get_full_property(protocols, Xatom.ATOM) is not None:
                    found.append((window, window.get_geometry()))
                else:
                    todo.extend(window.query_tree().children)
            except (BadWindow, BadDrawable):
                pass  # of a program that ended a moment ago
        return max(found, key=lambda pair: pair[1].width, default=(None, None))


@contextmanager
def screen() -> Iterator[Screen]:
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    reading, writing = os.pipe()
    size = "x".join(map(str, (*SIZE, 24)))
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", size, "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    try:
        with closing(Screen(f":{number}")) as shown:
            yield shown
    finally:
        server.terminate()
        server.wait()
