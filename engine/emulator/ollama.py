"""Ollama's own API, lines of JSON: https://docs.ollama.com/api/chat and /api/generate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from engine.emulator.contract import (
    Answer,
    BadRequest,
    Block,
    Finish,
    Kind,
    Question,
    Request,
    ToolOffer,
    Turn,
)
from engine.emulator.reading import as_role, as_stops, wants_thinking

__all__ = ["OllamaChat", "OllamaGenerate"]

_CREATED: Final = "2025-01-01T00:00:00Z"
# What a token "took": durations are part of the format, and the same request has the same bytes.
_TOKEN_NS: Final = 10_000_000
_FINISH: Final = {Finish.LENGTH: "length"}

_json = msgspec.json.encode


class _Message(msgspec.Struct):
    role: str
    content: str = ""
    tool_calls: list[dict[str, Any]] | None = None


class _Function(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Tool(msgspec.Struct):
    function: _Function


class _Options(msgspec.Struct):
    num_predict: int | None = None
    stop: str | list[str] | None = None


class _Body(msgspec.Struct):
    model: str
    messages: list[_Message] = []
    prompt: str = ""
    system: str = ""
    stream: bool = True
    tools: list[_Tool] = []
    think: bool | str | None = None
    format: str | dict[str, Any] | None = None
    options: _Options | None = None


_decode = msgspec.json.Decoder(_Body).decode


class _Ollama(ABC):
    """What both have in common; they differ in the fields that hold what is said."""

    def content_type(self, question: Question) -> str:
        return "application/x-ndjson"

    def stream(self, question: Question, answers: list[Answer]) -> Iterator[bytes]:
        answer = answers[0]
        common = _json({"model": question.model, "created_at": _CREATED})[:-1]
        for block in answer.blocks:
            # A call is one line, for its arguments come whole.
            for piece in [block.text] if block.kind is Kind.CALL else block.pieces:
                said = _json(self.said(block, piece))[1:-1]
                yield common + b"," + said + b',"done":false}\n'
        yield _json({**self._head(question), **self.nothing(), **_end(answer)}) + b"\n"

    def whole(self, question: Question, answers: list[Answer]) -> dict[str, Any]:
        answer = answers[0]
        said = self.everything(answer.blocks)
        return {**self._head(question), **said, **_end(answer)}

    def error(self, status: int, message: str, retry_after: float = 0.0) -> Any:
        return {"error": message}

    def stream_error(self, question: Question, first: bool) -> bytes:
        return _json({"error": "model runner has unexpectedly stopped"}) + b"\n"

    def malformed(self, question: Question, first: bool) -> bytes:
        return b'{"model":"demo","message":{"role":"assista\n'

    @abstractmethod
    def said(self, block: Block, piece: str) -> dict[str, Any]:
        """A piece of a block."""

    @abstractmethod
    def nothing(self) -> dict[str, Any]:
        """The fields of the last line, which says nothing."""

    @abstractmethod
    def everything(self, blocks: list[Block]) -> dict[str, Any]:
        """All blocks in one."""

    def _head(self, question: Question) -> dict[str, Any]:
        return {"model": question.model, "created_at": _CREATED}


class OllamaChat(_Ollama):
    """The server's side of ``ollama``."""

    def question(self, request: Request) -> Question:
        body = _decode(request.body)
        if not body.messages:
            raise BadRequest("messages: must hold at least one message")
        turns = [Turn(as_role(m.role), m.content, _calls(m)) for m in body.messages]
        return _question(body, turns)

    def said(self, block: Block, piece: str) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        if block.kind is Kind.CALL:
            message["tool_calls"] = [_call(block)]
        elif block.kind is Kind.THINKING:
            message["thinking"] = piece
        else:
            message["content"] = piece
        return {"message": message}

    def nothing(self) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": ""}}

    def everything(self, blocks: list[Block]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        for block in blocks:
            if block.kind is Kind.CALL:
                message.setdefault("tool_calls", []).append(_call(block))
            else:
                message["thinking" if block.kind is Kind.THINKING else "content"] = block.text
        return {"message": message}


class OllamaGenerate(_Ollama):
    """The server's side of ``ollama-generate``."""

    def question(self, request: Request) -> Question:
        body = _decode(request.body)
        turns = [Turn("system", body.system)] if body.system else []
        body.tools = []  # this one has none
        return _question(body, [*turns, Turn("user", body.prompt)])

    def said(self, block: Block, piece: str) -> dict[str, Any]:
        if block.kind is Kind.THINKING:
            return {"response": "", "thinking": piece}
        return {"response": "" if block.kind is Kind.CALL else piece}

    def nothing(self) -> dict[str, Any]:
        return {"response": ""}

    def everything(self, blocks: list[Block]) -> dict[str, Any]:
        said = {"response": ""}
        for block in blocks:
            if block.kind is not Kind.CALL:
                said["thinking" if block.kind is Kind.THINKING else "response"] = block.text
        return said


def _question(body: _Body, turns: list[Turn]) -> Question:
    options = body.options or _Options()
    limit = options.num_predict
    return Question(
        model=body.model,
        turns=turns,
        stream=body.stream,
        tools=[ToolOffer(tool.function.name, tool.function.parameters) for tool in body.tools],
        max_tokens=limit if limit is not None and limit >= 0 else None,  # -1: no limit
        stop=as_stops(options.stop),
        thinking=wants_thinking(body.think),
        schema=_schema(body.format),
    )


def _calls(message: _Message) -> tuple[str, ...]:
    return tuple(str(number) for number, _ in enumerate(message.tool_calls or ()))


def _call(block: Block) -> dict[str, Any]:
    try:
        arguments = msgspec.json.decode(block.text or "{}")
    except msgspec.MsgspecError:
        arguments = {}  # cut by num_predict: the vendor parses calls itself and drops the rest
    return {"function": {"name": block.name, "arguments": arguments}}


def _end(answer: Answer) -> dict[str, Any]:
    prompt, answered = answer.input_tokens, answer.output_tokens
    return {
        "done": True,
        "done_reason": _FINISH.get(answer.finish, "stop"),
        "total_duration": (prompt + answered) * _TOKEN_NS,
        "load_duration": 0,
        "prompt_eval_count": prompt,
        "prompt_eval_duration": prompt * _TOKEN_NS,
        "eval_count": answered,
        "eval_duration": answered * _TOKEN_NS,
    }


def _schema(format: str | dict[str, Any] | None) -> dict[str, Any] | None:
    if isinstance(format, dict):
        return format
    return {} if format == "json" else None
