"""A window in GTK 4: ask, read while it is written, Stop."""

from __future__ import annotations

import os
from typing import Any

import gi

gi.require_version("Gtk", "4.0")
from gi.repository import Gtk  # noqa: E402

import engine  # noqa: E402
import engine.emulator  # noqa: E402
from engine.loops.glib import attach  # noqa: E402

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")


class Window:
    def __init__(self, app: Any, client: engine.Client) -> None:
        self.client = client
        self.buffer = Gtk.TextBuffer()
        view = Gtk.TextView(
            buffer=self.buffer, editable=False, wrap_mode=Gtk.WrapMode.WORD, left_margin=8
        )
        self.scrolled = Gtk.ScrolledWindow(child=view, vexpand=True)
        self.entry = Gtk.Entry(text="What is an event loop?", hexpand=True)
        stop = Gtk.Button(label="Stop")
        row = Gtk.Box(spacing=8)
        row.append(self.entry)
        row.append(stop)
        column = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=8)
        column.append(self.scrolled)
        column.append(row)
        self.entry.connect("activate", lambda entry: self.ask())
        stop.connect("clicked", lambda button: client.multi.cancel_all())
        # Once a turn and not once a token: a widget is slower than a model can be.
        client.multi.on_turn(lambda texts: self.show("".join(text for _, text in texts)))
        Gtk.ApplicationWindow(
            application=app, title="chat", default_width=640, default_height=400, child=column
        ).present()

    def ask(self) -> None:
        self.client.multi.cancel_all()
        self.buffer.set_text("")
        self.client.stream(MODEL, self.entry.get_text(), on_done=self.done)

    def show(self, text: str) -> None:
        self.buffer.insert(self.buffer.get_end_iter(), text)
        bar = self.scrolled.get_vadjustment()
        bar.set_value(bar.get_upper())

    def done(self, completion: engine.Completion[None]) -> None:
        if completion.error is not None:
            self.show(f"\n[{completion.error}]")


if __name__ == "__main__":
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tps=20, tokens=150)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url
    app = Gtk.Application()
    with engine.Client() as client:
        attach(client.multi)
        app.connect("activate", lambda app: Window(app, client).ask())
        app.run()
