"""The windows of `examples/hosts` on a virtual screen: what is written appears, Stop stops it, and
to close the window leaves nothing behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

pytest.importorskip("PIL")
pytest.importorskip("Xlib")

from tests.faults.server import FaultServer
from tests.loops import gi
from tests.loops.examples import Running, provider, running, until
from tests.loops.screen import Screen, screen

pytestmark = pytest.mark.slow

ESCAPE = 0xFF1B


def in_gtk(server: FaultServer, display: str) -> AbstractContextManager[Running]:
    return running(
        "gtk_window.py",
        server,
        python=gi.python() or "",
        DISPLAY=display,
        GSK_RENDERER="cairo",
        GTK_A11Y="none",
        **gi.environment(),
    )


def shows_text(shown: Screen, example: Running, server: FaultServer, count: int) -> None:
    """The picture fills while the answers come."""
    until(lambda: shown.window() is not None, example)
    example.wait_for_requests(count)
    before = shown.ink()
    until(lambda: shown.ink() > before + 500 * count, example)
    assert server.left == []


def stop_at(right: int, bottom: int) -> Callable[[Screen], None]:
    """A click so many pixels from the window's lower right corner, where Stop stands."""

    def click(shown: Screen) -> None:
        window = shown.window()
        assert window is not None
        shown.click(window[2] - right, window[3] - bottom)

    return click


@pytest.mark.parametrize("stop", [stop_at(45, 20), lambda shown: shown.press(ESCAPE)])
def test_tk_chat(stop: Callable[[Screen], None]) -> None:
    with (
        provider() as server,
        screen() as shown,
        running("tk_chat.py", server, DISPLAY=shown.name) as example,
    ):
        shows_text(shown, example, server, 1)
        stop(shown)
        example.wait_for_leavers(1)
        shown.close_window()
        assert example.ended() == ""


def test_qt_shows_four_models_side_by_side() -> None:
    with (
        provider() as server,
        screen() as shown,
        running("qt_four_models.py", server, DISPLAY=shown.name) as example,
    ):
        shows_text(shown, example, server, 4)
        stop_at(60, 20)(shown)
        example.wait_for_leavers(4)
        shown.close_window()
        assert example.ended() == ""


# Not a skip: no package index has it for a Python that is not the system's.
if gi.python() is not None:

    def test_gtk_window() -> None:
        with provider() as server, screen() as shown, in_gtk(server, shown.name) as example:
            shows_text(shown, example, server, 1)
            stop_at(30, 15)(shown)
            example.wait_for_leavers(1)
            shown.close_window()
            assert example.ended() == ""


def test_pygame_keeps_its_frames_while_four_speak() -> None:
    # The least of three: what else the machine does costs frames, too.
    assert any(late_frames() < 0.2 for _ in range(3))


def late_frames() -> float:
    """The part of a second's frames that came more than 20 ms after the one before."""
    with (
        provider() as server,
        screen() as shown,
        running("pygame_scene.py", server, DISPLAY=shown.name) as example,
    ):
        shows_text(shown, example, server, 4)
        until(lambda: sum(server.bytes_sent.values()) > 60_000, example)
        shown.close_window()
        told = re.search(r"(\d+) frames, (\d+) a second, (\d+) of them late", example.ended())
    assert told is not None
    frames, _, late = map(int, told.groups())
    assert frames > 10
    return late / frames
