"""Streams beside a live prompt, in a loop that is yours.

Type a question at any time, also while answers are being written; they go on side by side. Ctrl-D
ends it when the last answer has. Nothing here is a thread, and nothing waits but `select`.
"""

from __future__ import annotations

import os
import select
import sys

import engine
import engine.emulator

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")


class Answer:
    """What belongs to one stream: its `user_data`."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.sentence = ""

    def add(self, delta: str) -> None:
        """Show a sentence when it is whole, so that two answers do not mix within a line."""
        self.sentence += delta
        if delta.rstrip().endswith((".", "!", "?", ":")) or delta.endswith("\n"):
            self.flush()

    def flush(self) -> None:
        if self.sentence.strip():
            print(f"[{self.number}] {self.sentence.strip()}", flush=True)
        self.sentence = ""


def show(delta: str, stream: engine.Stream) -> None:
    stream.user_data.add(delta)


def finished(completion: engine.Completion, stream: engine.Stream) -> None:
    stream.user_data.flush()
    if completion.error is not None:
        print(f"[{stream.user_data.number}] {completion.error}")


def ask(question: str) -> None:
    """Begin an answer: returns at once."""
    global asked
    asked += 1
    client.stream(MODEL, question, on_text=show, on_done=finished, user_data=Answer(asked))


emulator = None
if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
    emulator = engine.emulator.start(ttft=0.3, tps=20, tokens=60)
    os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url

multi = engine.Multi()
client = engine.Client(multi)
asked = 0
typed = b""
keyboard = [sys.stdin.fileno()]

print("Ask at any time; Ctrl-D ends.")
ask("What is an event loop?")
while keyboard or len(multi):
    reading, writing, failing = multi.fdset()
    ready, _, _ = select.select([*reading, *keyboard], writing, failing, multi.timeout())
    multi.perform()
    multi.info_read()
    if keyboard and keyboard[0] in ready:
        # os.read and not sys.stdin: select does not know what a Python buffer holds.
        data = os.read(keyboard[0], 65536)
        *lines, typed = (typed + data).split(b"\n")
        if not data:
            keyboard = []
            lines.append(typed)
        for line in lines:
            if line.strip():
                ask(line.decode())
multi.close()
