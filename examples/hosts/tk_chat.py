"""A chat window in Tk, with Stop (or Escape)."""

from __future__ import annotations

import os
import tkinter
from tkinter import ttk
from tkinter.scrolledtext import ScrolledText

import engine
import engine.emulator
from engine.loops.tk import attach

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")


class Chat:
    def __init__(self, root: tkinter.Tk, client: engine.Client) -> None:
        self.client = client
        self.history: list[engine.Message] = []
        self.answer: engine.Stream[None] | None = None
        self.view = ScrolledText(root, wrap="word", padx=8, pady=8, font=("TkTextFont", 12))
        self.entry = ttk.Entry(root)
        self.stop = ttk.Button(root, text="Stop", command=self.cancel, state="disabled")
        self.view.tag_configure("question", foreground="#1b6ca8")
        self.view.grid(row=0, column=0, columnspan=2, sticky="nsew")
        self.entry.grid(row=1, column=0, sticky="ew", padx=8, pady=8)
        self.stop.grid(row=1, column=1, padx=(0, 8))
        root.rowconfigure(0, weight=1)
        root.columnconfigure(0, weight=1)
        root.bind("<Escape>", lambda event: self.cancel())
        self.entry.bind("<Return>", lambda event: self.ask(self.entry.get()))
        self.entry.focus()
        # Once a turn and not once a token: a widget is slower than a model can be.
        client.multi.on_turn(lambda texts: self.show("".join(text for _, text in texts)))

    def ask(self, question: str) -> None:
        if self.answer is not None or not question.strip():
            return
        self.entry.delete(0, "end")
        self.show(f"{question}\n", "question")
        self.history.append(engine.Message.user(question))
        self.answer = self.client.stream(MODEL, self.history, on_done=self.done)
        self.stop.configure(state="normal")

    def cancel(self) -> None:
        if self.answer is not None:
            self.answer.cancel()

    def show(self, text: str, *tags: str) -> None:
        self.view.insert("end", text, tags)
        self.view.see("end")

    def done(self, completion: engine.Completion[None]) -> None:
        if completion.text:
            self.history.append(engine.Message.assistant(completion.text))
        self.answer = None
        self.stop.configure(state="disabled")
        self.show("\n\n" if completion.error is None else f"\n[{completion.error}]\n\n")


def main() -> None:
    root = tkinter.Tk()
    root.title("chat")
    root.geometry("640x400")
    with engine.Client() as client:
        attach(client.multi, root)
        Chat(root, client).ask("What is an event loop?")
        root.mainloop()


if __name__ == "__main__":
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tps=20, tokens=150)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url
    main()
