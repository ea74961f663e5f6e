"""Callbacks: what is called, when, and what may be done in one (anything but wait).

`on_event`, `on_text` and the listeners of `on` are called in `perform`; `on_done` in `info_read`.
"""

from __future__ import annotations

import os

import engine
import engine.emulator

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")

emulator = None
if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
    emulator = engine.emulator.start(tokens=40)
    os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url

multi = engine.Multi()
client = engine.Client(multi)


def until_200_characters(delta: str, stream: engine.Stream) -> object:
    """A callback that returns STOP ends its stream; what came is kept."""
    return engine.STOP if len(stream.text) > 200 else None


def summarise(completion: engine.Completion, stream: engine.Stream) -> None:
    """A stream that is begun in a callback runs like any other."""
    print(f"first: {completion.status}, {len(completion.text)} characters")
    second = client.stream(MODEL, f"Sum up: {completion.text}")
    second.once("text", lambda delta: print("second begins:", delta.strip()))
    second.on("final_message", lambda message: print("second:", message.text))
    second.on("error", lambda error: print("second failed:", error))
    second.on("end", lambda: print("second is over"))


client.stream(MODEL, "Tell me a story.", on_text=until_200_characters, on_done=summarise)


def fails(delta: str, stream: engine.Stream) -> None:
    raise ValueError("a mistake of mine")


def why(completion: engine.Completion, stream: engine.Stream) -> None:
    cause = completion.error.__cause__ if completion.error is not None else None
    print(f"third: {completion.status}, because of {cause!r}; the others did not notice")


client.stream(MODEL, "And another.", on_text=fails, on_done=why)

multi.run()  # or any loop: see select_loop.py
multi.close()
