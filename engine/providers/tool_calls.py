"""Tool calls that arrive in pieces."""

from __future__ import annotations

from engine.events import Event, ToolCallDelta, ToolCallDone, ToolCallStart
from engine.messages import ToolCall
from engine.wire.json import is_json

__all__ = ["OpenCall"]


class OpenCall:
    """A call whose arguments are still arriving.

    Args:
        id: the provider's id, or one made up.
        name: the tool.
        index: the content block of its events.
        choice: the alternative it belongs to.
    """

    __slots__ = ("_pieces", "choice", "done", "id", "index", "name", "signature")

    def __init__(self, id: str, name: str, index: int, choice: int = 0) -> None:
        self.id = id
        self.name = name
        self.index = index
        self.choice = choice
        self.signature: str | None = None
        self.done = False
        self._pieces: list[str] = []

    def start(self) -> ToolCallStart:
        """The event that opens it."""
        return ToolCallStart(self.id, self.name, self.index, self.choice)

    def add(self, arguments: str) -> ToolCallDelta:
        """The event of a further piece of the arguments."""
        self._pieces.append(arguments)
        return ToolCallDelta(arguments, self.index, self.choice)

    @property
    def arguments(self) -> str:
        """The arguments so far."""
        return "".join(self._pieces)

    def is_whole(self) -> bool:
        """Whether the arguments so far are one whole JSON value: a further piece would spoil it."""
        return is_json(self.arguments)

    def close(self, *, cut: bool = False, arguments: str | None = None) -> list[Event]:
        """The call ended: the event that hands it over, or none where it is not whole.

        Args:
            cut: the answer was cut off (by a length limit), so that no arguments at all do not
                mean a call without arguments.
            arguments: the whole arguments where the provider repeats them at the end.
        """
        if self.done:
            return []
        text = self.arguments if arguments is None else arguments
        if not text.strip():
            text = "" if cut else "{}"
        if not is_json(text):
            return []
        self.done = True
        call = ToolCall(self.id, self.name, text, self.signature)
        return [ToolCallDone(call, self.index, self.choice)]
