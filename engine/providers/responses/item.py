"""One item of an OpenAI Responses output: a message, a reasoning, a call, a server tool.

An item is told piece by piece and then once more whole. Servers differ in which of the two they
leave out, so each piece of content is taken from the first that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from engine.events import (
    CitationDelta,
    Event,
    ImageDone,
    LogprobsDelta,
    PartInfo,
    RefusalDelta,
    ServerToolDone,
    ServerToolStart,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    VendorItemDone,
)
from engine.messages import ServerTool, VendorItem
from engine.providers.responses.event import (
    StreamEvent,
    as_citation,
    as_image,
    dicts,
    parts_of,
    text_of,
)
from engine.providers.tool_calls import Calls, OpenCall, text_of_arguments

__all__ = ["WORDS", "Item", "Outputs", "runs_here"]

# Kinds of parts, and the event of their words.
WORDS: Final[dict[str, Callable[[str, int], Event]]] = {
    "text": TextDelta,
    "refusal": RefusalDelta,
    "summary": ThinkingDelta,
    "reasoning": ThinkingDelta,
}

# Of a call: what has events, or a place of its own, or is told by the order of things.
_TOLD_OF_CALL: Final = frozenset({"type", "id", "call_id", "name", "arguments", "input", "status"})


class Item:
    """An output item that is open or done.

    Args:
        new_block: gives the number of the next content block.
        calls: opens calls.

    Attributes:
        block: the content block of a call or tool, -1 for an item of parts.
        call: the call, where it is one.
        data: the whole, once it was seen.
        parts: kind and number of each part that began → its content block. Kinds are ``text``,
            ``refusal``, ``reasoning`` and ``summary``.
        cited: citations that were told.
        done: the whole was seen.
        early: pieces of arguments that came before it was known for a call.
    """

    __slots__ = (
        *("_calls", "_new_block", "block", "call", "cited", "data", "done"),
        *("early", "parts"),
    )

    def __init__(self, new_block: Callable[[], int], calls: Calls) -> None:
        self._new_block = new_block
        self._calls = calls
        self.block: int = -1
        self.call: OpenCall | None = None
        self.data: dict[str, Any] = {}
        self.parts: dict[tuple[str, int], int] = {}
        self.cited = 0
        self.early: list[str] = []
        self.done: bool = False

    @property
    def kind(self) -> str:
        """The provider's name for what it is."""
        return str(self.data.get("type") or "")

    def part(self, kind: str, number: int) -> int:
        """The content block of a part, which may begin here."""
        block = self.parts.get((kind, number))
        if block is None:
            block = self.parts[kind, number] = self._new_block()
        return block

    def begin(self, data: dict[str, Any], *, announced: bool = True) -> list[Event]:
        """The item begins, with its provider's object `data`.

        Args:
            announced: it goes on; else `data` is the whole.
        """
        self.data = {**self.data, **data}
        kind = self.kind
        if kind in ("message", "reasoning", "") or self.block >= 0:
            return []
        self.block = self._new_block()
        if kind in ("function_call", "custom_tool_call"):
            id = text_of(data.get("call_id")) or text_of(data.get("id"))
            call = self._calls.open(id, text_of(data.get("name")), self.block)
            call.custom = kind == "custom_tool_call"
            self.call = call
            events = call.tell() if call.name else []
            return events + call.add("".join(self.early))
        if not announced or not kind.endswith("_call"):
            return []
        return [ServerToolStart(text_of(data.get("name")) or kind, data, self.block)]

    def add_arguments(self, piece: str) -> list[Event]:
        """A further piece of the arguments."""
        if self.call is not None:
            return self.call.add(piece)
        self.early.append(piece)
        return []

    def close(self) -> list[Event]:
        """The response ended: pieces of a call that was never named are told as such, and
        arguments that stood in its announcement alone."""
        if self.call is not None:
            field = "input" if self.call.custom else "arguments"
            given = "" if self.done else text_of_arguments(self.data.get(field))
            return self.call.add(given) if not self.call.arguments else []
        if not self.early or self.kind not in ("", "function_call"):
            return []
        self.call = self._calls.open(None, "", self._new_block())
        return self.call.add("".join(self.early))

    def end(self, data: dict[str, Any]) -> list[Event]:
        """The item is whole: what was not told yet."""
        if self.done:
            return []
        events = self.begin(data, announced=False)
        self.done = True
        kind = self.kind
        if kind == "message":
            self._end_message(data, events)
        elif kind == "reasoning":
            self._end_reasoning(data, events)
        elif self.call is not None:
            self._end_call(self.call, data, events)
        else:
            events.append(self.tool(data))
            image = as_image(data)
            if image is not None:
                events.append(ImageDone(image, self._new_block()))
        return events

    def tool(self, data: dict[str, Any], *, served: bool = False) -> Event:
        """The event of an item that is neither words nor a function's call.

        Args:
            data: the provider's object.
            served: the provider's own output of it has come.
        """
        kind = str(data.get("type") or "")
        if not served and (runs_here(data) or not kind.endswith(_TOOLS)):
            return VendorItemDone(VendorItem(kind, data, "responses"), self.block)
        return ServerToolDone(ServerTool(text_of(data.get("name")) or kind, data), self.block)

    def _end_message(self, data: dict[str, Any], events: list[Event]) -> None:
        # By kind, not by number: vLLM (Bedrock) numbers the parts of a stream over all items.
        told = {kind for kind, _ in self.parts}
        cited = self.cited
        for number, part in enumerate(parts_of(data.get("content"))):
            refusal = text_of(part.get("refusal"))
            if refusal and "refusal" not in told:
                events.append(RefusalDelta(refusal, self.part("refusal", number)))
            text = text_of(part.get("text"))
            if text and "text" not in told:
                events.append(TextDelta(text, self.part("text", number)))
                logprobs = dicts(part.get("logprobs"))
                if logprobs:
                    events.append(LogprobsDelta(logprobs, self.part("text", number)))
            for annotation in dicts(part.get("annotations")):
                if cited:
                    cited -= 1
                    continue
                block = max(self.parts.values()) if self.parts else self.part("text", number)
                events.append(CitationDelta(as_citation(annotation), block))
        if phase := data.get("phase"):
            events += [PartInfo(block, extra={"phase": phase}) for block in self.parts.values()]

    def _end_reasoning(self, data: dict[str, Any], events: list[Event]) -> None:
        told = {kind for kind, _ in self.parts}
        for kind, field in (("reasoning", "content"), ("summary", "summary")):
            for number, part in enumerate(parts_of(data.get(field))):
                text = text_of(part.get("text"))
                if text and kind not in told:
                    events.append(ThinkingDelta(text, self.part(kind, number)))
        # "use the completed reasoning item and its encrypted_content from the
        # response.output_item.done event […] in output_item.added [it] may be incomplete"
        seal = text_of(data.get("encrypted_content"))
        if seal:
            # It seals the whole item: its last part, or a block of its own.
            block = max(self.parts.values()) if self.parts else self._new_block()
            self.parts.setdefault(("summary", -1), block)
            events.append(SignatureDelta(seal, block))
        if id := text_of(data.get("id")):
            events += [PartInfo(block, id=id) for block in dict.fromkeys(self.parts.values())]

    def _end_call(self, call: OpenCall, data: dict[str, Any], events: list[Event]) -> None:
        text = text_of_arguments(data.get("input" if call.custom else "arguments"))
        if name := text_of(data.get("name")):
            events += call.named(name)
        call.extra = {k: v for k, v in data.items() if k not in _TOLD_OF_CALL and v is not None}
        if call.custom or data.get("status") == "incomplete":
            # Whose custom tool it is, what follows it tells.
            events += call.whole(text)
            return
        events += self._calls.mark(call, text or None)


class Outputs:
    """The items of one response, by what the events call them: a number, an id, both or neither.

    The number counts. An id counts where there is no number, and where several open items were
    given the same one. Ids of items stand; of those that come beside a number, an item's last one
    does, since some give each event another. What had only an id gets the number that comes with
    it.

    Args:
        new_block, calls: as of `Item`.
    """

    __slots__ = ("_by_id", "_calls", "_items", "_latest", "_new_block", "_said", "_strays")

    def __init__(self, new_block: Callable[[], int], calls: Calls) -> None:
        self._new_block = new_block
        self._calls = calls
        self._items: dict[int, Item] = {}
        self._by_id: dict[str, int] = {}  # item id → its key in _items
        self._said: dict[int, str] = {}  # key → the id in the last event with its number
        self._strays: list[Item] = []  # those under keys of ours
        self._latest = -1

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    @property
    def numbered(self) -> bool:
        """Whether each open item has a number of its own, by which its pieces are known."""
        return not self._strays or all(item.done for item in self._strays)

    def of(self, event: StreamEvent) -> Item:
        """The item an event is about: by its number, else by its id, else the latest."""
        data, number = event.item, event.output_index
        id = text_of((data or {}).get("id")) or text_of(event.item_id)
        key = self._key(number, id, whole=data is not None)
        if key is None:
            key = self._beyond() if data is not None or id else self._latest
        if data is not None and event.type == "response.output_item.added":
            self._make_room(key, data)
        self._latest = key
        if number is None or data is not None:
            if id:
                self._by_id[id] = key
        else:
            self._said[key] = id
        return self._items.get(key) or self.begin(key)

    def of_whole(self, number: int, data: dict[str, Any]) -> Item | None:
        """The item `data`, the one at `number` of the whole; None where it has not begun."""
        known = self._known(text_of(data.get("id")))
        return self._items.get(number if known is None else known)

    def begin(self, key: int) -> Item:
        """A new item under `key`."""
        item = self._items[key] = Item(self._new_block, self._calls)
        if key < 0:
            self._strays.append(item)
        return item

    def _key(self, number: int | None, id: str, *, whole: bool) -> int | None:
        """The key of the item an event is about, which is `whole` or a piece of one."""
        if number is not None and not self._strays:
            return number
        known = self._known(id)
        if number is None:
            return known
        if known is None or known >= 0 or (self._items[known].done and not whole):
            return number
        return known if number in self._items else self._move(known, number)

    def _known(self, id: str) -> int | None:
        """The key of the item with this id."""
        if not id or id in self._by_id:
            return self._by_id.get(id)
        return next((key for key, said in self._said.items() if said == id), None)

    def _beyond(self) -> int:
        """A key that is no number of the provider's."""
        return -3 - len(self._items)

    def _make_room(self, key: int, data: dict[str, Any]) -> None:
        """Where `data` announces another item than the one that has its number (some gateways
        number all items 0), that one goes on under a key of ours, by its id alone."""
        item = self._items.get(key)
        if item is None or not item.kind:
            return
        if any(item.data.get(name) != data.get(name) for name in ("id", "call_id")):
            self._move(key, self._beyond())

    def _move(self, old: int, new: int) -> int:
        """Give the item under `old` the key `new`; its place among the others stays."""
        self._items = {new if k == old else k: item for k, item in self._items.items()}
        self._by_id = {id: new if k == old else k for id, k in self._by_id.items()}
        self._said = {new if k == old else k: id for k, id in self._said.items()}
        self._strays = [item for k, item in self._items.items() if k < 0]
        return new


_TOOLS: Final = ("_call", "_output", "_list_tools")


def runs_here(data: dict[str, Any]) -> bool:
    """Whether the user has to run the tool of the call `data`, or to say yes to it: what the
    provider runs itself has no ``call_id`` to answer to."""
    return VendorItem(str(data.get("type") or ""), data).waits
