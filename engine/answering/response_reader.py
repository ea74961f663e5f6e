"""Reading one response: which kind it is, its events, and whether it really ended. No socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from engine.answering.allowance import Allowance, too_large
from engine.answering.cursor import Cursor, not_the_rest
from engine.answering.think_tags import ThinkTags
from engine.errors import Category, EngineError, ProtocolError, TruncatedError
from engine.events import Event, StreamError
from engine.messages import Usage
from engine.providers.contract import Decoder, Dialect, Parser
from engine.providers.refusal import UNNAMED
from engine.wire.headers import Head, request_id
from engine.wire.json import is_cut, is_json
from engine.wire.sse import MAX_EVENT_BYTES

__all__ = ["ResponseReader"]

_MAX_ERROR_BYTES = 64 * 1024
_MAX_WHOLE_BYTES = 64 * 1024 * 1024

# Content types of vendors' own framings, and what to use in their place.
_NATIVE = {
    "application/vnd.amazon.eventstream": "that is Bedrock's own framing, which is not spoken "
    "here: use Bedrock's OpenAI-compatible endpoint, or a gateway",
}

# Failures after which the rest may be asked for; not where the time for the content, or for all,
# ran out: a server that goes on to say nothing has had its time.
_DROPS: Final = frozenset({Category.NETWORK, Category.TRUNCATED, Category.TIMEOUT})
_GIVEN_UP: Final = frozenset({"content", "total"})

_Kind = Literal["stream", "whole", "refusal", "page"]
_Read = Callable[[bytes], list[Event]]


class ResponseReader:
    """The response to one attempt.

    Args:
        dialect: the wire format expected.
        provider: the provider's name, for errors.
        key_variable: where the key is from, for advice.
        streaming: whether a stream was asked for.
        max_event_bytes: the most bytes one event of a stream may have.
        max_answer_bytes: the most bytes the answer may have; None: no limit of a stream, and
            64 MiB of an answer that comes whole.
        think_tags: whether ``<think>…</think>`` in the text is thinking.
        cursor: notes how far a stream was read; None: its rest will not be asked for.

    Attributes:
        complete: the end marker came.
        began: a response with a good status began.
        read: once it is known to be a stream, what `feed` does with the bytes, for callers to
            whom a call more for each read matters; None before.
        failure: after `end`, why the answer is not complete; None where it is.
    """

    __slots__ = (
        "_allowance",
        "_body",
        "_cursor",
        "_decoder",
        "_dialect",
        "_head",
        "_key_variable",
        "_kind",
        "_max_answer_bytes",
        "_max_event_bytes",
        "_parser",
        "_provider",
        "_size",
        "_streaming",
        "_tags",
        "_told_whole",
        "failure",
        "read",
    )

    def __init__(
        self,
        dialect: Dialect,
        provider: str,
        key_variable: str | None,
        streaming: bool,
        max_event_bytes: int = MAX_EVENT_BYTES,
        max_answer_bytes: int | None = None,
        think_tags: bool = False,
        cursor: Cursor | None = None,
    ) -> None:
        self._cursor = cursor
        self._max_event_bytes = max_event_bytes
        self._max_answer_bytes = max_answer_bytes
        self._allowance = (
            None if max_answer_bytes is None else Allowance(max_answer_bytes, provider)
        )
        self._tags = ThinkTags() if think_tags else None
        self._dialect = dialect
        self._provider = provider
        self._key_variable = key_variable
        self._streaming = streaming
        self._kind: _Kind | None = None
        self._head: Head | None = None
        self._decoder: Decoder | None = None
        self._parser: Parser | None = None
        self.read: _Read | None = None
        self._told_whole = False
        self._body: list[bytes] = []
        self._size = 0
        self.failure: EngineError | None = None

    @property
    def complete(self) -> bool:
        return self._told_whole or (self._parser is not None and self._parser.complete)

    @property
    def began(self) -> bool:
        return self._head is not None and 200 <= self._head.status < 300

    @property
    def untold_usage(self) -> Usage | None:
        """A count of tokens that came and that no event has told yet."""
        untold = getattr(self._parser, "untold_usage", None)
        return untold() if untold is not None else None

    @property
    def metadata(self) -> dict[str, Any]:
        """What the provider said that has no name of ours."""
        return getattr(self._parser, "metadata", {})

    @property
    def failing(self) -> bool:
        """Whether an error came, which is held back until what belongs to it has come too."""
        return getattr(self._parser, "failing", False)

    def head(self, head: Head) -> None:
        """Status and headers, before the first `feed`; where no byte came, before `end`."""
        self._head = head

    def feed(self, data: bytes) -> list[Event]:
        """The events of the next bytes; the last is `StreamError` where the provider reports one.

        Raises:
            ProtocolError: the bytes are not what the protocol allows, or pass a limit.
        """
        if self.read is not None:
            return self.read(data)
        if self._kind is None:
            # Blank lines come before the body of slow answers (DeepSeek's keep-alive).
            if data.isspace() or not data:
                return []
            self._kind = self._classify(data.lstrip())
            if self._kind == "stream":
                return self._begin_stream()(data)
        self._keep(data)
        return []

    def _begin_stream(self) -> _Read:
        decoder = self._decoder = self._dialect.decoder()
        parser = self._parser = self._parser or self._dialect.parser()
        if hasattr(decoder, "limit"):
            decoder.limit = self._max_event_bytes
        read_from = getattr(parser, "read_from", None)
        if self._cursor is not None:
            read = _followed(self._cursor, decoder, parser)
        elif read_from is not None:
            read = read_from(decoder)
        else:
            read = lambda data: parser.feed(decoder.feed(data))  # noqa: E731
        if self._allowance is not None:
            read = self._allowance.of(read)
        if self._tags is not None:
            read = _split(read, self._tags)
        self.read = read
        return read

    def broke_off(self, error: EngineError | None) -> EngineError | None:
        """Why the bytes ended before the answer did, where its rest may be asked for: `error`, the
        transport's, or that there was no end. None where something else ended it."""
        if self._cursor is None or self.complete or self.failing:
            return None
        if getattr(self._parser, "may_end", False):
            return None  # only the marker is missing, which some never send
        if self._kind not in (None, "stream") or (self._head is not None and not self.began):
            return None
        if error is None:
            return self._truncated("no end marker: it is not whole")
        return error if error.category in _DROPS and error.phase not in _GIVEN_UP else None

    def go_on(self) -> None:
        """What comes from now on is another response, with the rest of the answer."""
        self._kind = self._head = self._decoder = self.read = self.failure = None
        self._body = []

    def end_rest(self, error: EngineError | None) -> list[Event]:
        """As `end`, where the response should have been the rest and was something else: what was
        read before stays as it is."""
        if self._kind == "whole" and self.began:
            self.failure = not_the_rest("the whole answer, in one piece")
            return []
        if self._kind != "stream" or self.failing or getattr(self._parser, "may_end", False):
            return self.end(error)
        self.failure = error or self._truncated("no end marker: it is not whole")
        return []

    def end(self, error: EngineError | None) -> list[Event]:
        """The response is over; `error` is the transport's. The last events; `failure` is set
        unless the answer is complete."""
        if self.failure is not None or self.complete:
            return []
        if self._head is not None and not self.began:
            from engine.providers.refusal import http_error  # imported when something goes wrong

            self.failure = http_error(
                self._head.status,
                self._head.headers,
                b"".join(self._body),
                self._provider,
                self._key_variable,
            )
            self.failure.__cause__ = error
            return []
        if self._kind == "stream" and self._decoder is not None and self._parser is not None:
            return self._end_stream(self._decoder, self._parser, error)
        if self._kind == "whole" and (error is None or error.category in _DROPS):
            return self._end_whole(error)
        if error is not None:
            self.failure = error
        else:
            self.failure = self._page() if self._kind else self._truncated("nothing in it")
        return []

    # ----------------------------------------------------------------------------------------

    def _classify(self, data: bytes) -> _Kind:
        head, first = self._head, data[:1]
        if head is None or not 200 <= head.status < 300:
            return "refusal"
        content_type = head.headers.get("content-type", "")
        if content_type != "text/event-stream":  # as it nearly always is
            content_type = content_type.partition(";")[0].strip().lower()
        if first == b"<" or "html" in content_type:
            return "page"
        # What it is counts, and not what was asked for: some servers have only one of the two ways.
        wanted = self._dialect.content_types
        if wanted[0] == "text/event-stream":
            array = getattr(self._dialect, "array", None) if first == b"[" else None
            if array is not None and self._streaming:
                self._dialect = array
                return "stream"
            # No line of an event stream begins with a brace: this is one JSON object.
            return "whole" if first in (b"{", b"[") else "stream"
        if content_type in wanted and (self._streaming or content_type != "application/json"):
            return "stream"
        return "stream" if self._streaming and "json" not in content_type else "whole"

    def _keep(self, data: bytes) -> None:
        whole = self._max_answer_bytes or _MAX_WHOLE_BYTES
        limit = whole if self._kind == "whole" else _MAX_ERROR_BYTES
        room = limit - self._size
        self._size += len(data)
        if room > 0:
            self._body.append(data[:room])
        if self._kind == "whole" and self._size > limit:
            raise too_large(limit, self._provider)

    def _end_stream(
        self, decoder: Decoder, parser: Parser, error: EngineError | None
    ) -> list[Event]:
        try:
            records, cursor = decoder.finish(), self._cursor
            events = (
                parser.feed(records) if cursor is None else cursor.events(records, decoder, parser)
            )
        except ProtocolError as failure:
            self.failure = failure
            return []
        events = self._without_error(self._split(events))
        if self.failure is None and not parser.complete:
            events += self._without_error(self._split(parser.finish(), last=True))
        if self.failure is None and not parser.complete:
            strange = getattr(decoder, "strange", None) or getattr(parser, "strange", None)
            self.failure = error or self._unended(parser, strange)
        return events

    def _end_whole(self, error: EngineError | None) -> list[Event]:
        """The answer that came in one piece: its last brace says that it is whole, however the
        transport ended, and without it no end of the transport's, however clean, makes it so."""
        body = b"".join(self._body)
        if error is not None and not is_json(body):
            self.failure = error
            return []
        parser = self._parser = self._dialect.parser()
        try:
            by_parser = getattr(parser, "read_whole", None)
            events: list[Event] = (by_parser or self._dialect.parse_answer)(body)
        except ProtocolError as failure:
            events = [StreamError(failure)]
        events = self._without_error(self._split(events, last=True))
        if isinstance(self.failure, ProtocolError) and is_cut(body):
            self.failure = self._truncated("its JSON broken off: it is not whole")
        if by_parser is not None and self.failure is None and not parser.complete:
            self.failure = self._unended(parser, getattr(parser, "strange", None))
        self._told_whole = self.failure is None
        return events

    def _unended(self, parser: Parser, strange: bytes | None) -> EngineError:
        if strange and not getattr(parser, "understood", True):
            return self._foreign(strange)
        return self._truncated("no end marker: it is not whole")

    def _split(self, events: list[Event], *, last: bool = False) -> list[Event]:
        return events if self._tags is None else self._tags.split(events, last=last)

    def _without_error(self, events: list[Event]) -> list[Event]:
        if events and type(events[-1]) is StreamError:
            self.failure = self.named(events.pop().error)  # type: ignore[union-attr]
        return events

    def named(self, error: EngineError) -> EngineError:
        """`error` from inside the stream, with the provider and the request id it belongs to."""
        if error.provider is None:
            error.provider = self._provider
            if error.message.startswith(UNNAMED):
                error.message = self._provider + error.message.removeprefix(UNNAMED)
                error.args = (error.message,)
        head = self._head
        if head is not None and error.request_id is None:
            error.request_id = request_id(head.headers)
        if head is not None and isinstance(error, ProtocolError) and error.http_status is None:
            error.http_status = head.status
            kind = head.headers.get("content-type", "no content type")
            error.message += f" (it came as {kind!r})"
            error.args = (error.message,)
        return error

    def _truncated(self, what: str) -> TruncatedError:
        return TruncatedError(
            f"{self._provider} ended the answer with {what}; send the request again",
            http_status=self._head.status if self._head is not None else None,
            provider=self._provider,
        )

    def _foreign(self, seen: bytes) -> ProtocolError:
        """What came is in no way the format expected: to ask again would bring it again."""
        assert self._head is not None
        kind = self._head.headers.get("content-type", "no content type")
        native = _NATIVE.get(kind.partition(";")[0].strip().lower())
        return ProtocolError(
            f"{self._provider} answered with {kind!r}, and nothing in it is of the format "
            f"{self._dialect.name!r}; it begins with {seen[:80]!r}; "
            + (native or "check that the base URL and the dialect belong together"),
            http_status=self._head.status,
            provider=self._provider,
            request_id=request_id(self._head.headers),
            detail=seen.decode("utf-8", "replace"),
        )

    def _page(self) -> ProtocolError:
        assert self._head is not None
        from engine.providers.refusal import http_error

        text = http_error(200, self._head.headers, b"".join(self._body), self._provider).message
        return ProtocolError(
            f"{self._provider} answered with a web page instead of a stream; check base_url, and "
            "whether a proxy or login page stands in between",
            http_status=self._head.status,
            provider=self._provider,
            detail=text,
        )


def _followed(cursor: Cursor, decoder: Decoder, parser: Parser) -> _Read:
    """The two steps of a read, with `cursor` between them."""
    return lambda data: cursor.events(decoder.feed(data), decoder, parser)


def _split(read: _Read, tags: ThinkTags) -> _Read:
    """`read`, and what is thought in the text told as such."""
    return lambda data: tags.split(read(data))
