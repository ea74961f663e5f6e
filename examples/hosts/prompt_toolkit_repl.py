"""A REPL in which one types while the answer streams (prompt_toolkit's application, in asyncio).

Ctrl-C cancels the answer and nothing else; Ctrl-D ends the program. A question that is sent while
an answer comes is asked after it.
"""

from __future__ import annotations

import asyncio
import os

from prompt_toolkit import PromptSession
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout

import engine
import engine.emulator
from engine.loops.asyncio import AsyncClient, AsyncStream

MODEL = os.environ.get("ENGINE_MODEL", "emulator/demo")


class Repl:
    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.questions: asyncio.Queue[str] = asyncio.Queue()
        self.history: list[engine.Message] = []
        self.answer: AsyncStream[None] | None = None
        self.line = ""  # the answer's last one, which is not whole yet: it stands above the prompt
        keys = KeyBindings()
        keys.add("c-c")(self.cancel)
        self.session: PromptSession[str] = PromptSession(self.prompt, key_bindings=keys)

    def prompt(self) -> str:
        return f"{self.line}\n> " if self.line else "> "

    def cancel(self, event: KeyPressEvent) -> None:
        if self.answer is not None:
            self.answer.cancel()

    def show(self, delta: str) -> None:
        *lines, self.line = (self.line + delta).split("\n")
        if len(self.line) >= self.session.output.get_size().columns:  # a prompt does not wrap
            whole, _, self.line = self.line.rpartition(" ")
            lines.append(whole)
        for line in lines:
            print(line)
        self.session.app.invalidate()

    async def answer_all(self) -> None:
        while True:
            self.history.append(engine.Message.user(await self.questions.get()))
            self.answer = self.client.stream(MODEL, self.history)
            try:
                async for delta in self.answer.text_deltas():
                    self.show(delta)
            except engine.EngineError as error:
                self.show(f"[{error}]")
            completion, self.answer = await self.answer, None
            self.show(" [cancelled]\n" if completion.status == "cancelled" else "\n")
            if completion.text:
                self.history.append(engine.Message.assistant(completion.text))

    async def run(self) -> None:
        answering = asyncio.create_task(self.answer_all())
        with patch_stdout():
            try:
                while True:
                    self.questions.put_nowait(await self.session.prompt_async())
            except EOFError:
                answering.cancel()


async def main() -> None:
    async with AsyncClient() as client:
        await Repl(client).run()


if __name__ == "__main__":
    emulator = None
    if MODEL.startswith("emulator/") and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tps=20, tokens=120)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url
    asyncio.run(main())
