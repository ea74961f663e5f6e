"""A chat in the terminal (Textual): Escape stops the answer, Ctrl-Q ends the program."""

from __future__ import annotations

import os
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Input, Static

import engine
import engine.emulator
from engine.loops.asyncio import attach  # Textual's loop is asyncio's

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")


class Chat(App[None]):
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "stop", "Stop")]

    def __init__(self, client: engine.Client) -> None:
        super().__init__()
        self.client = client
        self.history: list[engine.Message] = []
        self.answer: engine.Stream[None] | None = None

    def compose(self) -> ComposeResult:
        yield VerticalScroll(id="view")
        yield Input(placeholder="Ask anything")
        yield Footer()

    def on_mount(self) -> None:
        attach(self.client.multi)
        self.client.multi.on_turn(self.show)
        self.query_one(Input).focus()

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        if self.answer is not None or not submitted.value.strip():
            return
        submitted.input.clear()
        view = self.query_one("#view", VerticalScroll)
        view.mount(Static(f"> {submitted.value}", markup=False))
        view.mount(written := Static(markup=False))
        view.anchor()
        self.history.append(engine.Message.user(submitted.value))
        self.answer = self.client.stream(MODEL, self.history, on_done=self.done, user_data=written)

    def show(self, texts: object) -> None:
        """Once a turn, not once a token."""
        if self.answer is not None:
            self.answer.user_data.update(self.answer.text)

    def action_stop(self) -> None:
        if self.answer is not None:
            self.answer.cancel()

    def done(self, completion: engine.Completion[None], stream: engine.Stream[None]) -> None:
        self.answer = None
        stream.user_data.update(f"{completion.text}\n{completion.error or ''}")
        if completion.text:
            self.history.append(engine.Message.assistant(completion.text))


if __name__ == "__main__":
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tps=20, tokens=150)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url
    with engine.Client() as client:
        Chat(client).run()
