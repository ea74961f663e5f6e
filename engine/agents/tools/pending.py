"""A value that comes later, in the same loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Pending"]


class Pending:
    """What a tool returns when its result comes later: resolve it from any callback.

        @tool
        def page(url: str, context: ToolContext) -> Pending:
            pending = Pending()
            request = HttpRequest("GET", url)
            context.multi.add(request, on_done=lambda response, _: pending.resolve(response.body))
            return pending

    Belongs to the thread of the `Multi`; from another, `multi.call_soon(lambda:
    pending.resolve(…))`.

    Args:
        cancel: called once if the result is no longer wanted: the run was cancelled, or the tool's
            time is over. None: nothing is to be done then.
    """

    __slots__ = ("_cancel", "_listener", "_outcome")

    def __init__(self, cancel: Callable[[], object] | None = None) -> None:
        self._cancel = cancel
        self._outcome: tuple[Any, Exception | None] | None = None
        self._listener: Callable[[Any, Exception | None], object] | None = None

    @property
    def done(self) -> bool:
        """Whether it has a value or an error, or was cancelled."""
        return self._outcome is not None

    def resolve(self, value: Any) -> None:
        """`value` is the result. Nothing where there is one already."""
        self._end(value, None)

    def fail(self, error: Exception) -> None:
        """There will be none, because of `error`. Nothing where there is a result already."""
        self._end(None, error)

    def cancel(self) -> None:
        """The result is no longer wanted. Nothing where there is one already."""
        if self._outcome is None:
            self._outcome = (None, None)
            self._listener = None
            if self._cancel is not None:
                self._cancel()

    def then(self, listener: Callable[[Any, Exception | None], object]) -> None:
        """Call `listener` with (value, error) once: now where it is done, else when it is."""
        if self._outcome is not None:
            listener(*self._outcome)
        else:
            self._listener = listener

    def _end(self, value: Any, error: Exception | None) -> None:
        if self._outcome is None:
            self._outcome = (value, error)
            listener, self._listener = self._listener, None
            if listener is not None:
                listener(value, error)
