"""Four models side by side in Qt (PySide6): one question, four answers at once, and Stop.

python examples/hosts/qt_four_models.py openai/gpt-5 anthropic/claude-opus-4-5 ollama/qwen3 …
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from PySide6.QtGui import QTextCursor
from PySide6.QtWidgets import (
    QApplication,
    QGridLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QWidget,
)

import engine
import engine.emulator
from engine.loops.qt import attach

DEMO = [f"emulator/demo-tps={speed}" for speed in (80, 40, 20, 10)]
MODELS = sys.argv[1:] or os.environ.get("ENGINE_MODEL", "").split() or DEMO


class Window(QWidget):
    def __init__(self, client: engine.Client) -> None:
        super().__init__()
        self.setWindowTitle("side by side")
        self.resize(760, 480)
        self.client = client
        self.question = QLineEdit("What is an event loop?")
        self.views = {model: QPlainTextEdit(readOnly=True) for model in MODELS}
        ask, stop = QPushButton("Ask"), QPushButton("Stop")
        grid = QGridLayout(self)
        for number, (model, view) in enumerate(self.views.items()):
            row, column = divmod(number, 2)
            grid.addWidget(QLabel(model), 2 * row, column)
            grid.addWidget(view, 2 * row + 1, column)
        grid.addWidget(self.question, grid.rowCount(), 0)
        buttons = QGridLayout()
        buttons.addWidget(ask, 0, 0)
        buttons.addWidget(stop, 0, 1)
        grid.addLayout(buttons, grid.rowCount() - 1, 1)
        ask.clicked.connect(self.ask)
        self.question.returnPressed.connect(self.ask)
        stop.clicked.connect(client.multi.cancel_all)
        # Once a turn and not once a token: a widget is slower than four models can be.
        client.multi.on_turn(self.show_texts)

    def ask(self) -> None:
        self.client.multi.cancel_all()
        for model, view in self.views.items():
            view.clear()
            self.client.stream(model, self.question.text(), on_done=self.done, user_data=view)

    def show_texts(self, texts: Sequence[tuple[Any, str]]) -> None:
        for stream, text in texts:
            self.append(stream.user_data, text)

    def done(self, completion: engine.Completion[None], stream: engine.Stream[None]) -> None:
        if completion.error is not None:
            self.append(stream.user_data, f"\n[{completion.error}]")

    def append(self, view: QPlainTextEdit, text: str) -> None:
        view.moveCursor(QTextCursor.MoveOperation.End)
        view.insertPlainText(text)


if __name__ == "__main__":
    emulator = None
    if MODELS is DEMO and "ENGINE_EMULATOR_URL" not in os.environ:
        emulator = engine.emulator.start(ttft=0.3, tokens=150)
        os.environ["ENGINE_EMULATOR_URL"] = emulator.base_url
    app = QApplication([])
    with engine.Client() as client:
        attach(client.multi)
        window = Window(client)
        window.show()
        window.ask()
        app.exec()
