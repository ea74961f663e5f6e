"""A `Multi` in GLib's main loop: GTK, GNOME's shell, GStreamer.

attach(client.multi)
client.stream(model, question, on_text=lambda delta: buffer.insert_at_cursor(delta))
app.run()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gi.repository import GLib

from engine.loops import host
from engine.loops.host import Attachment
from engine.transport.multi import Multi

__all__ = ["attach"]


class _Source:
    """An entry of the main context."""

    def __init__(self) -> None:
        self.id: int | None = None

    def cancel(self) -> None:
        number, self.id = self.id, None
        if number is not None:
            GLib.source_remove(number)


class _GLibHost:
    def __init__(self) -> None:
        self.loop: Any = GLib.MainContext.default()
        self._watch = _Source()

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        def readable(*_: object) -> bool:
            call()
            return True

        self._watch.id = GLib.unix_fd_add_full(
            GLib.PRIORITY_DEFAULT, fd, GLib.IOCondition.IN, readable
        )

    def unwatch(self, fd: int) -> None:
        self._watch.cancel()

    def call_later(self, seconds: float, call: Callable[[], None]) -> _Source:
        source = _Source()

        def due() -> bool:
            source.id = None
            call()
            return False

        source.id = GLib.timeout_add(max(round(seconds * 1000), 0), due)
        return source


def attach(multi: Multi) -> Attachment:
    """Have GLib's default main context drive `multi`.

    Raises:
        MisuseError: see `engine.loops.host.attach`.
    """
    return host.attach(multi, _GLibHost())
