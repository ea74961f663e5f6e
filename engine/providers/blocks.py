"""What the parsers of all formats share: the shell of a dialect, the blocks, the beginning, what is
odd, and the end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from engine.errors import Category, EngineError, ProtocolError, ProviderError
from engine.events import Event, ModelUpdate, Ping, Start, StreamError, Unknown
from engine.messages import FinishReason, Usage
from engine.providers.contract import Decoder
from engine.providers.finish import Finish
from engine.providers.halves import NO_HALVES, Halves
from engine.providers.one_step import OneStepParser
from engine.providers.refusal import UNNAMED, is_error, stream_error
from engine.providers.tool_calls import Calls, OpenCall
from engine.request import ModelRequest
from engine.wire import SSERecord
from engine.wire.event_stream import EventStreamDecoder
from engine.wire.json import Odd, TypedDecoder, excerpt_of, is_json, json_or_text

__all__ = ["AnswerParser", "Choice", "DialectShell", "joined_usage", "merge"]

T = TypeVar("T")

_FRAME = re.compile(rb"(?:data:\s*)+")

_UNFINISHED = Finish()


class DialectShell:
    """What most dialects have in common: an event stream, one path, no headers of its own."""

    name = ""
    content_types: tuple[str, ...] = ("text/event-stream",)
    _path = ""

    def path(self, request: ModelRequest) -> str:
        return self._path

    def headers(self, request: ModelRequest) -> Mapping[str, str]:
        return {}

    def decoder(self) -> Decoder:
        return EventStreamDecoder()

    def parser(self) -> AnswerParser:
        """A new parser for one stream."""
        raise NotImplementedError

    def parse_answer(self, body: bytes) -> list[Event]:
        return self.parser().read_whole(body)


class Choice:
    """What is open of one alternative: ``n`` > 1 gives several.

    Attributes:
        number: which of them.
        kind: of the block that grows, or None.
        kinds: of all blocks that `AnswerParser._block` began.
        block: its number.
        finish: why it ended.
        opened: its calls, in order.
    """

    __slots__ = ("_calls", "block", "finish", "kind", "kinds", "number")

    def __init__(self, number: int = 0) -> None:
        self.number: int = number
        self.kind: type[Event] | None = None
        self.kinds: tuple[type[Event], ...] = ()
        self.block: int = 0
        self.finish: Finish = _UNFINISHED
        self._calls: Calls | None = None  # made for the first: most answers have none

    @property
    def calls(self) -> Calls:
        """Its tool calls, for who has something to say of them."""
        calls = self._calls
        if calls is None:
            calls = self._calls = Calls(self.number)
        return calls

    @property
    def opened(self) -> Sequence[OpenCall]:
        return self._calls.opened if self._calls is not None else ()

    def drop_calls(self) -> None:
        """Forget those there were."""
        self._calls = None

    def end_calls(self) -> list[Event]:
        """See `Calls.end`."""
        return self._calls.end(self.finish) if self._calls is not None else []

    def reason(self) -> FinishReason:
        """The reason to tell: see `Finish.told`."""
        calls = self._calls
        if calls is None:
            return self.finish.told(called=False, partial=False)
        return self.finish.told(called=calls.called, partial=calls.partial)


class AnswerParser(OneStepParser):
    """The part of a parser that is the same in each format.

    Attributes:
        complete: the format's own end marker came.
        metadata: what the provider says that has no name of ours; its own names.
        strange: the first record that was none of this format, where nothing was understood yet.
        failing: an error was told, and is held back until what follows it has come.
    """

    __slots__ = (
        *("_blocks", "_ended", "_failure", "_first", "_halves", "_id", "_lines", "_model"),
        *("complete", "metadata", "strange"),
    )

    def __init__(self, first: Choice | None = None) -> None:
        self.complete = False
        self.metadata: dict[str, Any] = {}
        self.strange: bytes | None = None
        self._first = first or Choice()
        self._blocks = 0
        self._started = False
        self._ended = False
        self._failure: EngineError | None = None
        self._halves = NO_HALVES
        self._lines = False  # objects came a line each, as no event stream has them
        self._id: str | None = None
        self._model: str | None = None
        self._room = 0

    def finish(self) -> list[Event]:
        """See `engine.providers.contract.Parser`."""
        raise NotImplementedError

    def read_whole(self, body: bytes) -> list[Event]:
        """The events of an answer that was not streamed, the same a stream of it would give."""
        raise NotImplementedError

    @property
    def failing(self) -> bool:
        return self._failure is not None

    @property
    def may_end(self) -> bool:
        """Whether the answer is complete if the bytes end here, though no marker came."""
        return False

    @property
    def understood(self) -> bool:
        """Whether something of this format came."""
        return self._started or self._ended

    # -- blocks ------------------------------------------------------------------------------

    def _new_block(self, state: Choice) -> int:
        """The number of a block that begins."""
        state.kind = None
        state.block = self._blocks
        self._blocks += 1
        return state.block

    def _block(self, state: Choice, kind: type[Event]) -> int:
        """The content block for an event of `kind`: the open one, or a new one."""
        if state.kind is not kind:
            self._new_block(state)
            state.kind = kind
            if kind not in state.kinds:
                state.kinds = (*state.kinds, kind)
        return state.block

    # -- characters that come in two halves ------------------------------------------------------

    def _own_halves(self) -> Halves:
        if self._halves is NO_HALVES:
            self._halves = Halves()
        return self._halves

    def _mend(self, events: list[Event], since: int) -> None:
        """See `Halves.mend`."""
        self._own_halves().mend(events, since)

    # -- who answers -------------------------------------------------------------------------

    def _begin(self, events: list[Event]) -> None:
        """The answer begins."""
        self._started = True
        events.append(Start(self._id, self._model))

    def _answers(self, id: Any, model: Any, events: list[Event]) -> None:
        """Who answers, as far as it was not known: Azure's first chunk leaves both empty, and
        LiteLLM gives each chunk an id of its own."""
        if self._id and self._model:
            return
        new_id = id if isinstance(id, str) and id and not self._id else None
        new_model = model if isinstance(model, str) and model and not self._model else None
        self._id, self._model = self._id or new_id, self._model or new_model
        if self._started and (new_id or new_model):
            events.append(ModelUpdate(new_id, new_model))

    # -- what is odd -------------------------------------------------------------------------

    def _as_records(self, lines: list[bytes]) -> list[Any]:
        """`lines`, as the decoder of the format would give them."""
        return [SSERecord(line) for line in lines]

    def _unreadable(
        self,
        decoder: TypedDecoder[T],
        name: str,
        data: bytes,
        error: Exception,
        events: list[Event],
    ) -> T | None:
        """What can be made of a record that did not decode; None: nothing, or the stream ended.

        What is no JSON object, and what follows the end of the answer, cannot be a word of it.
        """
        text = data.strip()
        framed = _FRAME.match(text)
        if framed is not None:  # a gateway framed what had its frame
            events += self.feed(self._as_records([text[framed.end() :]]))
            return None
        if text[:1] not in (b"{", b"[") or text in (b"[]", b"{}"):
            self._odd_record(name, text, events)
            return None
        lines = [line.strip() for line in text.split(b"\n") if line.strip()]
        if len(lines) > 1 and all(line[:1] == b"{" or line == b"[DONE]" for line in lines):
            # Events without a blank line between them are one event to the standard.
            self._lines = True
            events += self.feed(self._as_records(lines))
            return None
        odd: list[Odd] = []
        try:
            value = decoder.recover(data, error, odd)
        except ProtocolError as failure:
            told = json_or_text(data)
            if is_error(told) or (name == "error" and isinstance(told, dict)):
                self._fail(stream_error(told), events)
            elif self._over():
                events.append(Unknown(name, json_or_text(data)))
            elif self._started and not is_json(text.decode("utf-8", "replace")):
                self._fail(_garbled(text), events)
            else:
                self._fail(failure, events)
            return None
        for place, what in odd:
            events.append(Unknown(place, what))
            self._misfit(place)
        self._own_halves().open = True  # it may hold one: its events go through `_mend`, once
        return value

    def _odd_record(self, name: str, text: bytes, events: list[Event]) -> None:
        if name == "error" and text:
            self._fail(stream_error({"error": text.decode("utf-8", "replace")}), events)
        elif not text or name == "ping" or text == b"ping":
            events.append(Ping())
        else:
            self._foreign(name, text, events)

    def _foreign(self, name: str, data: bytes, events: list[Event]) -> None:
        """A record that is none of this format."""
        if not self.understood and self.strange is None:
            self.strange = data
        events.append(Unknown(name, json_or_text(data)))

    def _misfit(self, place: str) -> None:
        """A field was left out: whether a call can still be trusted."""
        if "call" in place:
            self._first.calls.astray = True

    def _over(self) -> bool:
        """Whether the answer said that it ended."""
        return self._first.finish.stands

    # -- the end -----------------------------------------------------------------------------

    def _fail(self, error: EngineError, events: list[Event]) -> None:
        self._ended = True
        events += self._halves.give_up()
        events.append(StreamError(error))

    def _no_answer(self, format: str) -> ProtocolError:
        excerpt = excerpt_of(self.strange or b"")
        seen = f"; it begins with {excerpt!r}" if excerpt else ""
        return ProtocolError(
            f"the stream ended without one record of {format}{seen}; check that the base URL and "
            "the dialect belong together"
        )

    def _not_yet(self, what: str, status: str, id: str | None) -> ProviderError:
        """The error for an answer asked for in the background, of which only the head came."""
        return ProviderError(
            f"{UNNAMED}: the {what} {id!r} is still being made (status {status!r}); ask for it by "
            "its id, or leave out background=True to have it in one go",
            category=Category.INVALID_ARG,
        )


def _garbled(data: bytes) -> ProtocolError:
    """The error for a record that is no JSON among others that are."""
    excerpt = excerpt_of(data)
    return ProtocolError(
        f"in the middle of the answer came what is no JSON: {excerpt!r}; send the request again",
        detail=excerpt_of(data, 4096),
    )


def joined_usage(old: Usage | None, new: Usage) -> Usage:
    """What is known after `new`: a count that it leaves out stands."""
    if old is None or None not in (new.input_tokens, new.output_tokens):
        return new
    names = Usage.__struct_fields__
    return Usage(*(getattr(old if getattr(new, n) is None else new, n) for n in names))


def merge(into: dict[str, Any], new: Mapping[str, Any]) -> None:
    """Put into `into` what `new` says; what was said last and is not empty counts."""
    for name, value in new.items():
        if isinstance(value, dict):
            old = into.get(name)
            if isinstance(old, dict):
                merge(old, value)
            elif value:
                into[name] = dict(value)
        elif value or value == 0:  # False and 0.0 say something, too
            into[name] = value
