"""A `Multi` in Tk's main loop.

    attach(client.multi, root)
    client.stream(model, question, on_text=lambda delta: view.insert("end", delta))
    root.mainloop()

Where Tk can watch a descriptor it does; elsewhere (Windows; a number of 1,024 or more) its timers
do.
"""

from __future__ import annotations

import tkinter
from collections.abc import Callable

from engine.loops import host
from engine.loops.host import Attachment
from engine.transport.multi import Multi

__all__ = ["attach"]


class _After:
    def __init__(self, root: tkinter.Misc, seconds: float, call: Callable[[], None]) -> None:
        self._root = root
        self._name: str | None = root.after(max(round(seconds * 1000), 0), self._call)
        self._then = call

    def _call(self) -> None:
        self._name = None
        self._then()

    def cancel(self) -> None:
        name, self._name = self._name, None
        if name is not None:
            self._root.after_cancel(name)


class _TkHost:
    def __init__(self, root: tkinter.Misc) -> None:
        self.loop = root.tk
        self._root = root

    @property
    def closed(self) -> bool:
        try:
            return not self._root.winfo_exists()
        except tkinter.TclError:  # the application was destroyed
            return True

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        create = getattr(self.loop, "createfilehandler", None)
        if create is None:
            raise NotImplementedError
        create(host.for_select(fd), tkinter.READABLE, lambda *_: call())

    def unwatch(self, fd: int) -> None:
        self.loop.deletefilehandler(fd)

    def call_later(self, seconds: float, call: Callable[[], None]) -> _After:
        return _After(self._root, seconds, call)

    def failed(self, error: Exception) -> None:
        self._root._report_exception()  # type: ignore[attr-defined]  # as for any callback of Tk's


def attach(multi: Multi, root: tkinter.Misc) -> Attachment:
    """Have the main loop of `root`'s application drive `multi`.

    Raises:
        MisuseError: see `engine.loops.host.attach`.
    """
    return host.attach(multi, _TkHost(root))
