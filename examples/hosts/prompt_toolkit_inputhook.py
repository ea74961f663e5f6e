"""Answers in a program that stands in a blocking `prompt()` (prompt_toolkit's inputhook, which is
also IPython's `%gui`): they stream while the prompt waits for a key."""

from __future__ import annotations

import os
import select

from prompt_toolkit import PromptSession
from prompt_toolkit.eventloop import InputHookContext
from prompt_toolkit.patch_stdout import patch_stdout

import engine
import engine.emulator

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")

multi = engine.Multi()
client = engine.Client(multi)


def inputhook(context: InputHookContext) -> None:
    """prompt_toolkit calls it when it would wait: go on until a key is there."""
    while not context.input_is_ready():
        reading, writing, failing = multi.fdset()
        select.select([context.fileno(), *reading], writing, failing, multi.timeout())
        multi.perform()
        multi.info_read()


def answered(completion: engine.Completion) -> None:
    print(completion.error or completion.text.strip())


if __name__ == "__main__":
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tps=100, tokens=40)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url

    session: PromptSession[str] = PromptSession("> ")
    with patch_stdout():
        while True:
            try:
                question = session.prompt(inputhook=inputhook)
            except (EOFError, KeyboardInterrupt):
                break
            client.stream(MODEL, question, on_done=answered)
    multi.close()
