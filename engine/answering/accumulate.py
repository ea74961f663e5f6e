"""Events become a message, or what a late reader is told: appended while they come, joined when
somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final, get_args

from engine.answering.recap import Recap, way_of_keeping
from engine.events import (
    AudioDelta,
    CitationDelta,
    Event,
    ImageDone,
    LogprobsDelta,
    ModelUpdate,
    PartInfo,
    RedactedThinkingDone,
    RefusalDelta,
    Restarted,
    ServerToolDone,
    SignatureDelta,
    Start,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStart,
    UsageUpdate,
    VendorItemDone,
)
from engine.messages import (
    Audio,
    Citation,
    Message,
    Part,
    PartialToolCall,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)

__all__ = ["Accumulator"]


_Whole = ToolCallDone | RedactedThinkingDone | ServerToolDone | VendorItemDone | ImageDone

_NOWHERE: Final = (-1, -1)

# So many pieces of text are joined to one: a piece of six letters weighs 63 bytes by itself.
_JOIN = 8
# Characters that are joined in a tenth of a turn, and pieces that are not so long.
_LONG = 1 << 20
_FEW = 8


class _Block:
    """One content block in the making."""

    __slots__ = (
        "citations",
        "extra",
        "field",
        "id",
        "kind",
        "name",
        "pieces",
        "signature",
        "sound",
        "whole",
    )

    def __init__(self, kind: type[Event] | None) -> None:
        self.kind = kind  # None: only something about it came
        self.pieces: list[str] = []
        self.signature: str | None = None
        self.citations: list[Citation] = []
        self.id: str | None = None
        self.field: str | None = None
        self.extra: dict[str, Any] | None = None
        self.name = ""  # of the tool; media type of the sound
        self.sound: list[str] | None = None
        self.whole: Part | None = None

    def text(self) -> str:
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""

    def part(self) -> Part | None:
        if self.whole is not None:
            return self.whole
        text, kind = self.text(), self.kind
        if kind is TextDelta or kind is None:
            if not text and not self.citations and not self.signature:
                return None
            return Text(text, self.citations, self.signature, self.extra or {})
        if kind is ToolCallStart:
            return PartialToolCall(self.id or "", self.name, text)
        if kind is ThinkingDelta:
            if not text and not self.signature:
                return None
            return Thinking(text, self.signature, self.id, self.field, self.extra or {})
        if kind is RefusalDelta:
            return Refusal(text)
        return Audio("".join(self.sound or ()), self.name or None, text, self.id, self.extra or {})

    def joined(self, choice: int, index: int) -> list[Event]:
        """An event for all pieces of a kind."""
        told: list[Event] = []
        if self.kind is AudioDelta:
            sound, kind = "".join(self.sound or ()), self.name or None
            told.append(AudioDelta(sound, self.text(), kind, index, choice))
        elif self.pieces and self.kind in _DELTAS:
            told.append(_DELTAS[self.kind](self.text(), index, choice))
        if self.signature is not None:
            told.append(SignatureDelta(self.signature, index, choice))
        return told


# A block's kind → the event that its pieces are told by.
_DELTAS: dict[Any, type[TextDelta | ThinkingDelta | RefusalDelta | ToolCallDelta]] = {
    TextDelta: TextDelta,
    ThinkingDelta: ThinkingDelta,
    RefusalDelta: RefusalDelta,
    ToolCallStart: ToolCallDelta,
}


class Accumulator:
    """Gathers the events of one stream, for every provider alike.

    Args:
        started: the answer had begun before: another `Start` voids what was gathered.

    Attributes:
        id: the provider's id of the answer, or None.
        model: the model that answers, or None.
        usage: the last count of tokens, or None.
        logprobs: log probabilities of the first choice's tokens, as the provider gave them.
        format: the format the answer comes in (`Message.formats`), or None.
    """

    __slots__ = (
        "_arguments_so_far",
        "_blocks",
        "_call_key",
        "_choices",
        "_joined_pieces",
        "_key",
        "_pieces",
        "_recap",
        "_started",
        "format",
        "id",
        "logprobs",
        "model",
        "usage",
    )

    def __init__(self, started: bool = False) -> None:
        self._blocks: dict[tuple[int, int], _Block] = {}
        self._choices = 1
        self._key = _NOWHERE  # choice and index of the text block that grows
        self._pieces: list[str] = []
        self._call_key = _NOWHERE  # the same of the call whose arguments come
        self._arguments_so_far: list[str] = self._pieces
        self._joined_pieces = 0  # those at the beginning that are long already
        self._started = started
        self._recap = Recap(started)
        self.id: str | None = None
        self.model: str | None = None
        self.usage: Usage | None = None
        self.logprobs: list[dict[str, Any]] = []
        self.format: str | None = None

    def extend(self, events: Iterable[Event]) -> None:
        """Take `events`, in order."""
        (choice, index), pieces = self._key, self._pieces
        for event in events:
            kind = type(event)
            if kind is TextDelta and event.index == index and event.choice == choice:  # type: ignore[union-attr]
                pieces.append(event.text)  # type: ignore[union-attr]
            elif kind is ToolCallDelta and (event.choice, event.index) == self._call_key:  # type: ignore[union-attr]
                self._arguments_so_far.append(event.arguments)  # type: ignore[union-attr]
            else:
                keep, take = _ways_of(kind)
                if keep is not None:
                    keep(self._recap, event)
                if take is not None:
                    take(self, event)
                    (choice, index), pieces = self._key, self._pieces
        joined = self._joined_pieces
        if len(pieces) - joined >= _JOIN:
            pieces[joined:] = ["".join(pieces[joined:])]
            self._joined_pieces = joined + 1

    def text(self) -> str:
        """The text of the first choice so far."""
        return self._joined(TextDelta)

    def thinking(self) -> str:
        """The reasoning of the first choice so far."""
        return self._joined(ThinkingDelta)

    def arguments(self, index: int) -> str:
        """The JSON text of the tool call in block `index` so far; empty where there is none."""
        block = self._blocks.get((0, index))
        if block is None or block.kind is not ToolCallStart:
            return ""
        self._call_key = _NOWHERE  # as `_forget` says
        return block.whole.arguments if isinstance(block.whole, ToolCall) else block.text()

    def message(self, provider: str | None, choice: int = 0) -> Message:
        """The message as far as it has come."""
        parts = [
            part
            for (of, _), block in sorted(self._blocks.items())
            if of == choice and (part := block.part()) is not None
        ]
        self._forget()
        formats = (self.format,) if self.format is not None else ()
        return Message("assistant", parts, provider, self.id, self.model, formats=formats)

    def events(self) -> list[Event]:
        """What was taken, for who reads from now on: each block where it first appeared, one event
        where its pieces were many; what a new beginning voided is not told, nor are pings. Joined
        by kind and block, it is what was taken."""
        self._forget()
        return self._recap.events({key: b.joined(*key) for key, b in self._blocks.items()})

    def fresh(self) -> Accumulator:
        """An empty one, for what comes from now on."""
        return Accumulator(self._started)

    @property
    def long(self) -> bool:
        """Whether to join the text takes longer than a turn should."""
        pieces = self._pieces
        return len(pieces) > _FEW and sum(map(len, pieces)) > _LONG

    def choices(self) -> int:
        """How many alternatives there are, at least 1."""
        return self._choices

    # ----------------------------------------------------------------------------------------

    def _joined(self, kind: type[Event]) -> str:
        blocks = sorted(
            (key[1], block)
            for key, block in self._blocks.items()
            if key[0] == 0 and block.kind is kind
        )
        self._forget()
        return "".join(block.text() for _, block in blocks)

    def _forget(self) -> None:
        # Joining gives a block a new list of pieces; the shortcuts must not grow the old one.
        self._key = self._call_key = _NOWHERE

    def _block(self, event: Any, kind: type[Event] | None) -> _Block:
        key = (event.choice, event.index)
        block = self._blocks.get(key)
        if block is None:
            block = self._blocks[key] = _Block(kind)
            if event.choice >= self._choices:
                self._choices = event.choice + 1
        elif block.kind is None:
            block.kind = kind
        return block

    def _text(self, event: TextDelta) -> None:
        block = self._block(event, TextDelta)
        block.pieces.append(event.text)
        self._key = (event.choice, event.index)
        self._pieces = block.pieces
        self._joined_pieces = len(block.pieces)

    def _said(self, event: ThinkingDelta | RefusalDelta) -> None:
        self._block(event, type(event)).pieces.append(event.text)

    def _signed(self, event: SignatureDelta) -> None:
        block = self._block(event, ThinkingDelta)
        block.signature = (block.signature or "") + event.signature

    def _cited(self, event: CitationDelta) -> None:
        self._block(event, TextDelta).citations.append(event.citation)

    def _call(self, event: ToolCallStart) -> None:
        block = self._block(event, ToolCallStart)
        block.id, block.name = event.id, event.name

    def _arguments(self, event: ToolCallDelta) -> None:
        self._arguments_so_far = pieces = self._block(event, ToolCallStart).pieces
        pieces.append(event.arguments)
        self._call_key = (event.choice, event.index)

    def _likely(self, event: LogprobsDelta) -> None:
        if event.choice == 0:
            self.logprobs.extend(event.logprobs)

    def _counted(self, event: UsageUpdate) -> None:
        self.usage = event.usage

    def _named(self, event: ModelUpdate) -> None:
        self.id, self.model = event.id or self.id, event.model or self.model

    def _restart(self, _: Restarted) -> None:
        self._void()
        self.id = self.model = self.usage = None

    def _void(self) -> None:
        self._blocks.clear()
        self._choices = 1
        self.logprobs.clear()
        self._forget()

    def _whole(self, event: _Whole) -> None:
        block = self._block(event, ToolCallStart if type(event) is ToolCallDone else type(event))
        match event:
            case ToolCallDone():
                block.whole = event.call
            case RedactedThinkingDone():
                block.whole = RedactedThinking(event.data)
            case ServerToolDone():
                block.whole = event.tool
            case VendorItemDone():
                block.whole = event.item
            case ImageDone():
                block.whole = event.image

    def _sound(self, event: AudioDelta) -> None:
        block = self._block(event, AudioDelta)
        block.sound = block.sound or []
        block.sound.append(event.data)
        block.pieces.append(event.transcript)
        block.name = event.media_type or block.name

    def _inform(self, event: PartInfo) -> None:
        block = self._block(event, None)
        block.id, block.field = event.id or block.id, event.field or block.field
        block.extra = {**(block.extra or {}), **event.extra}

    def _start(self, event: Start) -> None:
        if self._started:  # a proxy tried again: what came before is not the answer
            self._void()
        self._started = True
        self.id, self.model = event.id, event.model


_Keep = Callable[[Recap, Any], None]
_Take = Callable[[Accumulator, Any], None]


@cache
def _ways_of(kind: type[Event]) -> tuple[_Keep | None, _Take | None]:
    """What is done with an event of that kind for who reads late, and for the message."""
    return way_of_keeping(kind), _TAKEN.get(kind)


# What is done with an event, by its type: most are looked up once a request, and a chain of
# questions for each costs what the whole answer does.
_TAKEN: Final[dict[type[Any], Callable[[Accumulator, Any], None]]] = {
    TextDelta: Accumulator._text,
    ThinkingDelta: Accumulator._said,
    RefusalDelta: Accumulator._said,
    SignatureDelta: Accumulator._signed,
    CitationDelta: Accumulator._cited,
    ToolCallStart: Accumulator._call,
    ToolCallDelta: Accumulator._arguments,
    AudioDelta: Accumulator._sound,
    PartInfo: Accumulator._inform,
    LogprobsDelta: Accumulator._likely,
    UsageUpdate: Accumulator._counted,
    Start: Accumulator._start,
    ModelUpdate: Accumulator._named,
    Restarted: Accumulator._restart,
    **dict.fromkeys(get_args(_Whole), Accumulator._whole),
}
