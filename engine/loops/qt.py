"""A `Multi` in Qt's event loop (PySide6).

attachment = attach(client.multi)
client.stream(model, question, on_text=view.insertPlainText)
app.exec()
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, QSocketNotifier, QTimer

from engine.errors import MisuseError
from engine.loops import host
from engine.loops.host import Attachment
from engine.transport.multi import Multi

__all__ = ["attach"]


class _Once:
    """The one timer, armed for one call."""

    def __init__(self, timer: QTimer) -> None:
        self._timer = timer

    def cancel(self) -> None:
        self._timer.stop()


class _QtHost:
    def __init__(self, app: QCoreApplication) -> None:
        self.loop = app
        self.closed = False
        self._call: Callable[[], None] | None = None
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._fired)
        self._notifier: QSocketNotifier | None = None
        app.aboutToQuit.connect(self._quit)

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        notifier = self._notifier = QSocketNotifier(fd, QSocketNotifier.Type.Read)
        notifier.activated.connect(lambda *_: call())

    def unwatch(self, fd: int) -> None:
        notifier, self._notifier = self._notifier, None
        if notifier is not None:
            notifier.setEnabled(False)
            notifier.deleteLater()  # not at once: it may be the one that is calling

    def call_later(self, seconds: float, call: Callable[[], None]) -> _Once:
        self._call = call
        self._timer.start(max(round(seconds * 1000), 0))
        return _Once(self._timer)

    def _fired(self) -> None:
        if self._call is not None:
            self._call()

    def _quit(self) -> None:
        self.unwatch(0)
        self._timer.stop()
        self.closed = True


def attach(multi: Multi) -> Attachment:
    """Have the application's event loop drive `multi`, until the application quits.

    Raises:
        MisuseError: there is no QCoreApplication yet; or see `engine.loops.host.attach`.
    """
    app = QCoreApplication.instance()
    if app is None:
        raise MisuseError("there is no QApplication yet; make it first, then attach")
    return host.attach(multi, _QtHost(app))
