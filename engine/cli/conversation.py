"""A conversation with a model: its turns so far, and each answer shown as it comes."""

from __future__ import annotations

import sys
from typing import Any, Final

from engine.cli.answer_view import AnswerView
from engine.cli.console import complain, dim
from engine.cli.line_editor import LineEditor
from engine.client import Client
from engine.completion import Completion
from engine.errors import EngineError
from engine.messages import Message
from engine.stream import Stream

__all__ = ["Conversation"]

_COMMANDS: Final = {
    "/help": "this list; a pasted text of several lines is one question",
    "/clear": "forget what was said so far",
    "/quit": "end, as Ctrl-D does",
}


class Conversation:
    """The turns with one model.

    Args:
        client: asks.
        model: as in `Client.stream`.
        streaming: show answers as they are written, not whole at the end.
        color: show what is not the answer fainter.
        options: more arguments of `Client.stream`.
    """

    def __init__(
        self, client: Client, model: str, *, streaming: bool, color: bool, **options: Any
    ) -> None:
        self._client = client
        self._model = model
        self._streaming = streaming
        self._color = color
        self._options = options
        self._turns: list[Message] = []

    def ask(self, question: str) -> Completion:
        """Ask, and show the answer. Ctrl-C cancels it; a second one, before that is done, is
        KeyboardInterrupt. Only a turn that was answered, if only in part, is remembered.

        Raises:
            ConfigError: the question cannot be asked; see `Client.stream`.
        """
        asked = [*self._turns, Message.user(question)]
        open_stream = self._client.stream if self._streaming else self._client.request
        completion = self._show(open_stream(self._model, asked, **self._options))
        answer = completion.message
        if completion.status != "complete":
            # Half a thought has no seal, and a provider may refuse it when it is sent back.
            answer = Message.assistant(answer.text) if answer.text else Message("assistant", [])
        if answer.parts:
            self._turns = [*asked, answer]
        return completion

    def converse(self, editor: LineEditor) -> None:
        """Ask what is typed, question by question, until Ctrl-D. Text typed while an answer is
        written waits in the terminal and is the next question."""
        words = "Ctrl-C cancels an answer, /help tells more, Ctrl-D ends"
        print(dim(f"{self._model} · {words}", self._color))
        while True:
            try:
                question = editor.read("> ")
                if question in _COMMANDS:
                    if self._command(question):
                        return
                elif question.startswith("/") and " " not in question and "/" not in question[1:]:
                    complain(f"there is no command {question}; /help lists them")
                elif question:
                    self._answer(question)
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print()

    def _command(self, name: str) -> bool:
        """Carry out a command; whether the conversation is over."""
        if name == "/help":
            for command, what in _COMMANDS.items():
                print(f"{command:7} {what}")
        elif name == "/clear":
            self._turns = []
            print(dim("forgotten", self._color))
        return name == "/quit"

    def _answer(self, question: str) -> None:
        try:
            completion = self.ask(question)
        except EngineError as error:
            complain(error)
            return
        if completion.status == "cancelled":
            print(dim("cancelled", self._color))
        elif completion.error is not None:
            complain(completion.error)

    def _show(self, stream: Stream) -> Completion:
        view = AnswerView(sys.stdout, sys.stderr, self._color)
        try:
            for event in stream:
                view.show(event)
        except KeyboardInterrupt:
            stream.cancel()
        finally:
            view.end()
        return stream.result()
