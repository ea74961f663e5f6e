"""What one delta of a chat choice holds: words, reasoning, parts, images, sound, calls."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engine.events import (
    AudioDelta,
    CitationDelta,
    Event,
    ImageDone,
    LogprobsDelta,
    PartInfo,
    RedactedThinkingDone,
    RefusalDelta,
    ServerToolDone,
    ServerToolStart,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    Unknown,
    UsageUpdate,
    VendorItemDone,
)
from engine.messages import ServerTool, Usage, VendorItem
from engine.providers.blocks import AnswerParser, Choice, joined_usage, merge
from engine.providers.chat.calls import call_of, gemini_seal, is_told_again
from engine.providers.chat.chunk import (
    UNSAID,
    ChunkUsage,
    Delta,
    Function,
    PlainChoice,
    StreamChoice,
    ToolCallPiece,
    as_citation,
    as_image,
    as_usage,
    decode_findings,
)
from engine.providers.chat.facts import UsualChoice
from engine.providers.chat.told_again import untold
from engine.providers.refusal import stream_error
from engine.providers.sealed import SealedReasoning
from engine.providers.tool_calls import OpenCall

__all__ = ["SILENT", "Alternative", "ContentParser"]

# What opens an answer and what ends it, without a word: to look for each field takes longer.
SILENT: Final = (Delta(), Delta(role="assistant", content=""), Delta(role="assistant"))
_WORDS_OF_THOUGHT: Final = ("type", "thinking", "summary", "reasoning")


class Alternative(Choice):
    """What is open of one choice."""

    __slots__ = ("by_index", "reasoned", "running", "sealed")

    def __init__(self, number: int = 0) -> None:
        super().__init__(number)
        self.reasoned: bool = False  # reasoning came in a field of its own
        # Made for the first of them.
        self.by_index: dict[int, OpenCall] | None = None
        self.sealed: dict[str, SealedReasoning] | None = None
        self.running: dict[Any, int] | None = None  # blocks of the server's tools that have begun


class ContentParser(AnswerParser):
    """The part of the chat parser that looks into deltas, and what stands beside them.

    Attributes:
        _choices: the alternatives that have begun.
        _usage: the count so far.
    """

    __slots__ = ("_choices", "_findings", "_usage")

    _first: Alternative

    def __init__(self) -> None:
        super().__init__(Alternative())
        self._choices: dict[int, Alternative] = {}
        self._usage: Usage | None = None
        self._findings = UNSAID  # what Azure found in the last piece, where that was plain text

    # -- one alternative of a chunk ------------------------------------------------------------

    def _choice(self, choice: StreamChoice | UsualChoice, events: list[Event]) -> None:
        number = choice.index or 0
        state = self._choices.get(number)
        if state is None:
            state = self._choices[number] = self._first if number == 0 else Alternative(number)
        before = len(events)
        delta = choice.delta
        # A whole answer has `message`; Perplexity repeats it beside the delta.
        if delta is None and choice.message is not None:
            delta = untold(choice.message, state)
        if delta is None and choice.text:
            delta = Delta(content=choice.text)  # as legacy completions have it
        if delta is not None and delta not in SILENT:
            self._delta(delta, state, number, events)
        if choice.logprobs:
            self._logprobs(choice.logprobs, state, number, events)
        if choice.usage is not None:
            self._count(choice.usage, events)
        if choice.content_filter_results or choice.content_filter_offsets:
            self._filtered(choice)
        if choice.finish_reason:
            state.finish = state.finish.said(choice.finish_reason)
        elif len(events) > before and state.finish.word is not None:
            state.finish = state.finish.withdrawn()
        if choice.error:
            self._error({"error": choice.error}, True, events)

    def _count(self, usage: ChunkUsage, events: list[Event]) -> None:
        counts = as_usage(usage)
        if counts is not None:
            self._usage = joined_usage(self._usage, counts)
            events.append(UsageUpdate(self._usage))

    def _error(self, data: Any, more: bool, events: list[Event]) -> None:
        """An error inside the stream; OpenRouter counts the tokens in the chunk after it."""
        error = stream_error(data)
        if more:
            self._failure = self._failure or error
        else:
            self._fail(error, events)

    def _over(self) -> bool:
        for state in self._choices.values():  # nearly always one
            if not state.finish.stands:
                return False
        return bool(self._choices)

    # -- what Azure found ------------------------------------------------------------------------

    def _found(self, choice: PlainChoice) -> msgspec.Raw:
        """What Azure found in a plain piece of text; nothing where it is the same as in the last.
        Gives what the next one's are held against. Raises one of `UNREADABLE` where it is no
        finding."""
        results, offsets = choice.content_filter_results, choice.content_filter_offsets
        if results is not UNSAID and results != self._findings:
            merge(self.metadata, {"content_filter_results": decode_findings(results)})
            self._findings = results.copy()
        if offsets is not UNSAID:
            merge(self.metadata, {"content_filter_offsets": decode_findings(offsets)})
        return self._findings

    def _filtered(self, choice: StreamChoice | UsualChoice) -> None:
        """The same of a choice that was looked at closely."""
        for name in ("content_filter_results", "content_filter_offsets"):
            merge(self.metadata, {name: getattr(choice, name)})

    # -- its words -------------------------------------------------------------------------------

    def _delta(self, delta: Delta, state: Alternative, choice: int, events: list[Event]) -> None:
        if delta.reasoning_content:
            state.reasoned = True
            self._think(delta.reasoning_content, None, state, choice, events)
        elif delta.reasoning or delta.thinking or delta.reasoning_details or delta.thinking_blocks:
            self._reasoning(delta, state, choice, events)
        if isinstance(delta.content, list):
            for part in delta.content:
                self._part(part, state, choice, events)
        elif delta.content:
            events.append(TextDelta(delta.content, self._block(state, TextDelta), choice))
        if delta.refusal:
            state.finish = state.finish.refusing()
            events.append(RefusalDelta(delta.refusal, self._block(state, RefusalDelta), choice))
        earlier: list[ToolCallPiece] = []
        for call in delta.tool_calls or ():
            self._tool_call(call, state, events, earlier)
            earlier.append(call)
        # OpenAI's before 2023-11; llama-cpp-python 0.3 says each piece of a call in both.
        if delta.function_call is not None and not delta.tool_calls:
            self._tool_call(ToolCallPiece(0, None, delta.function_call), state, events, [])
        self._extras(delta, state, choice, events)

    def _reasoning(
        self, delta: Delta, state: Alternative, choice: int, events: list[Event]
    ) -> None:
        # vLLM renamed reasoning_content to reasoning and some send both: never twice.
        field, words = "reasoning", delta.reasoning
        if not words and delta.thinking:
            field, words = "thinking", delta.thinking
        if words:
            state.reasoned = True
        elif not state.reasoned and (delta.reasoning_details or delta.thinking_blocks):
            field = "reasoning_details" if delta.reasoning_details else "thinking_blocks"
            words = _words(delta.reasoning_details or delta.thinking_blocks or [])
        if words:
            self._think(words, field, state, choice, events)

    def _think(
        self, words: str, field: str | None, state: Alternative, choice: int, events: list[Event]
    ) -> None:
        begins = state.kind is not ThinkingDelta
        block = self._block(state, ThinkingDelta)
        if begins and field is not None:
            events.append(PartInfo(block, choice, field=field))
        events.append(ThinkingDelta(words, block, choice))

    def _part(self, part: Any, state: Alternative, choice: int, events: list[Event]) -> None:
        """A part of a content list: Mistral's, Databricks'."""
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        if not isinstance(part, dict):
            events.append(Unknown("content", part, state.block))
            return
        kind, text = part.get("type"), part.get("text")
        if kind in ("thinking", "reasoning"):
            self._thought(part, state, choice, events)
        elif isinstance(text, str) and kind in ("text", "output_text", None):
            if text:
                events.append(TextDelta(text, self._block(state, TextDelta), choice))
        elif kind in ("reference", "tool_reference"):
            self._cite(part, state, choice, events)
        elif kind == "image_url" and (image := as_image(part)) is not None:
            events.append(ImageDone(image, self._new_block(state), choice))
        else:
            item = VendorItem(str(kind), part, "chat")
            events.append(VendorItemDone(item, self._new_block(state), choice))

    def _thought(
        self, part: dict[str, Any], state: Alternative, choice: int, events: list[Event]
    ) -> None:
        """A part of reasoning, with what seals it: Mistral's, Databricks'."""
        inner = part.get("thinking", part.get("summary", part.get("reasoning")))
        words = inner if isinstance(inner, str) else _words(inner)
        if words:
            self._think(words, "content", state, choice, events)
        rest = {k: v for k, v in part.items() if k not in _WORDS_OF_THOUGHT}
        if part["type"] == "reasoning":
            rest["type"] = "reasoning"  # to go back as one
        if rest:
            block = self._block(state, ThinkingDelta)
            events.append(PartInfo(block, choice, field="content", extra=rest))
        for piece in inner if isinstance(inner, list) else ():
            if not isinstance(piece, dict):
                continue
            seal = piece.get("signature")
            if isinstance(seal, str) and seal:
                block = self._block(state, ThinkingDelta)
                events.append(SignatureDelta(seal, block, choice))
            elif "text" not in piece and "summary" not in piece and "thinking" not in piece:
                events.append(Unknown("thinking", piece, state.block))

    def _tool_call(
        self,
        piece: ToolCallPiece,
        state: Alternative,
        events: list[Event],
        earlier: list[ToolCallPiece],
    ) -> None:
        """Take `piece`; `earlier`: what came before it in its array."""
        function = piece.function or Function()
        by_index = state.by_index
        if by_index is None:
            by_index = state.by_index = {}
        if not (piece.id or function.name or piece.custom) and type(function.arguments) is str:
            known = by_index.get(piece.index) if piece.index is not None else None
            if known is not None:  # a further piece, as nearly all are
                events += known.add(function.arguments)
                return
        if piece.custom is not None:
            function = Function(piece.custom.name, piece.custom.input)
        name, arguments = function.name or "", function.text()
        call = call_of(piece, name, arguments, state.calls, by_index, earlier)
        if call is None:
            if not (name or piece.id or arguments):
                return  # a piece of nothing
            for other in state.opened:
                events += other.tell() if other.name else ()
            call = state.calls.open(piece.id, name, self._new_block(state), self._id or "")
        elif name:
            events += call.named(name)
        if is_told_again(piece, arguments, call):
            return
        call.custom = call.custom or piece.custom is not None
        if piece.index is not None:
            by_index[piece.index] = call
        if piece.extra_content is not None:
            call.signature = gemini_seal(piece.extra_content) or call.signature
            call.extra = {**call.extra, "extra_content": piece.extra_content}
        events += call.add(arguments)

    def _extras(self, delta: Delta, state: Alternative, choice: int, events: list[Event]) -> None:
        """What only some vendors send."""
        for annotation in delta.annotations or ():
            self._cite(annotation, state, choice, events)
        for item in delta.images or ():
            image = as_image(item)
            if image is not None:
                events.append(ImageDone(image, self._new_block(state), choice))
            else:
                events.append(Unknown("images", item, state.block))
        for tool in delta.executed_tools or ():
            self._executed(tool, state, choice, events)
        if delta.audio is not None:
            self._audio(delta.audio, state, choice, events)
        if delta.extra_content is not None:
            self._sealed(delta.extra_content, choice, events)
        if delta.channel is not None:
            self.metadata["channel"] = delta.channel
        if delta.provider_metadata:
            events.append(Unknown("provider_metadata", delta.provider_metadata, state.block))
        for field in ("reasoning_details", "thinking_blocks"):
            pieces = getattr(delta, field)
            if pieces:
                state.sealed = state.sealed or {}
                state.sealed.setdefault(field, SealedReasoning(field)).add(pieces)

    def _sealed(self, extra: dict[str, Any], choice: int, events: list[Event]) -> None:
        """The seal of what was said, a block of its own; the text goes on in its block."""
        seal = gemini_seal(extra)
        if seal is None:
            merge(self.metadata, {"extra_content": extra})
            return
        block, self._blocks = self._blocks, self._blocks + 1
        events.append(PartInfo(block, choice, field="extra_content"))
        events.append(SignatureDelta(seal, block, choice))

    def _executed(self, tool: Any, state: Alternative, choice: int, events: list[Event]) -> None:
        """A tool Groq ran: announced first, then told again with its output."""
        if not isinstance(tool, dict):
            events.append(Unknown("executed_tools", tool, state.block))
            return
        name, key = str(tool.get("type")), tool.get("index")
        running = state.running = state.running or {}
        block = running.get(key)
        if block is None:
            block = running[key] = self._new_block(state)
            if "output" not in tool:
                events.append(ServerToolStart(name, tool, block, choice))
        if "output" in tool:
            events.append(ServerToolDone(ServerTool(name, tool), block, choice))
            del running[key]

    def _audio(
        self, audio: dict[str, Any], state: Alternative, choice: int, events: list[Event]
    ) -> None:
        id, data, words = (audio.get(name) for name in ("id", "data", "transcript"))
        block = self._block(state, AudioDelta)
        rest = {k: v for k, v in audio.items() if k not in ("id", "data", "transcript")}
        if id or rest:
            id = id if isinstance(id, str) else None
            events.append(PartInfo(block, choice, id=id, extra=rest))
        data = data if isinstance(data, str) else ""
        words = words if isinstance(words, str) else ""
        if data or words:
            events.append(AudioDelta(data, words, None, block, choice))

    def _cite(self, source: Any, state: Choice, choice: int, events: list[Event]) -> None:
        citation = as_citation(source)
        if citation is not None:
            events.append(CitationDelta(citation, self._block(state, TextDelta), choice))
        else:
            events.append(Unknown("annotations", source, state.block))

    def _logprobs(
        self, logprobs: dict[str, Any], state: Choice, choice: int, events: list[Event]
    ) -> None:
        for name, tokens in logprobs.items():
            if name == "content" and isinstance(tokens, list):
                tokens = [token for token in tokens if isinstance(token, dict)]
                if tokens:
                    events.append(LogprobsDelta(tokens, state.block, choice))
            elif tokens:
                events.append(Unknown(f"logprobs.{name}", tokens, state.block))

    def _close(self, state: Alternative, choice: int, events: list[Event]) -> None:
        """The choice is over: its calls, and the reasoning to send back."""
        events += state.end_calls()
        if state.sealed:
            self._close_reasoning(state, events, choice)

    def _close_reasoning(self, state: Alternative, events: list[Event], choice: int = 0) -> None:
        for sealed in (state.sealed or {}).values():
            data = sealed.data()
            if data is not None:
                events.append(RedactedThinkingDone(data, self._new_block(state), choice))
            else:
                merge(self.metadata, sealed.facts())
        state.sealed = None


def _words(parts: Any) -> str:
    """The words of a list of reasoning parts, whatever each of them calls its own."""
    texts = [
        part.get("text") or part.get("summary") or part.get("thinking")
        for part in (parts if isinstance(parts, list) else ())
        if isinstance(part, dict)
    ]
    return "".join(text for text in texts if isinstance(text, str))
