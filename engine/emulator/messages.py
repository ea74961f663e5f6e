"""Anthropic Messages: https://platform.claude.com/docs/en/build-with-claude/streaming."""

from __future__ import annotations

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
from engine.emulator.reading import as_role, checked_turns, plain_text, wants_thinking
from engine.emulator.writing import seal, sse_event

__all__ = ["Messages"]

# https://platform.claude.com/docs/en/api/errors
_ERRORS: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STOP_REASONS: Final = {
    Finish.STOP: "end_turn",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL_USE: "tool_use",
    Finish.REFUSAL: "refusal",
}
_LEAST_BUDGET: Final = 1024

_json = msgspec.json.encode


class _Message(msgspec.Struct):
    role: str
    content: str | list[dict[str, Any]]


class _Tool(msgspec.Struct):
    name: str
    input_schema: dict[str, Any] | None = None


class _Body(msgspec.Struct):
    model: str
    max_tokens: int
    messages: list[_Message]
    system: str | list[dict[str, Any]] | None = None
    stream: bool | None = None
    tools: list[_Tool] | None = None
    tool_choice: dict[str, Any] | None = None
    stop_sequences: list[str] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Body).decode


class Messages:
    """The server's side of ``messages``."""

    def question(self, request: Request) -> Question:
        if "anthropic-version" not in request.headers:
            raise BadRequest("anthropic-version: header is required")
        body = _decode(request.body)
        if not body.messages:
            raise BadRequest("messages: at least one message is required")
        if body.max_tokens < 1:
            raise BadRequest("max_tokens: must be at least 1")
        _check_budget(body)
        turns = [Turn("system", plain_text(body.system))] if body.system else []
        for number, message in enumerate(body.messages):
            turns += _turns(message, f"messages.{number}")
        return Question(
            model=body.model,
            turns=checked_turns(turns),
            stream=bool(body.stream),
            # A tool without a schema is one of Anthropic's own, which their server runs.
            tools=[
                ToolOffer(tool.name, tool.input_schema)
                for tool in body.tools or ()
                if tool.input_schema is not None
            ],
            tool_choice=_tool_choice(body.tool_choice),
            max_tokens=body.max_tokens,
            stop=body.stop_sequences or [],
            thinking=wants_thinking(body.thinking),
            schema=_schema(body.output_config),
        )

    def content_type(self, question: Question) -> str:
        return "text/event-stream; charset=utf-8"

    def stream(self, question: Question, answers: list[Answer]) -> Iterator[bytes]:
        answer = answers[0]
        begun = _message(question, answer, [], None, None, 1)
        lead = sse_event("message_start", {"type": "message_start", "message": begun})
        lead += sse_event("ping", {"type": "ping"})
        for index, block in enumerate(answer.blocks):
            start = {"type": "content_block_start", "index": index, "content_block": _empty(block)}
            lead += sse_event("content_block_start", start)
            before, after = _delta_around(block, index)
            for piece in block.pieces:
                yield lead + before + _json(piece) + after
                lead = b""
            lead += _block_end(block, index)
        delta = {"stop_reason": _stop_reason(answer), "stop_sequence": answer.stop}
        end = {"type": "message_delta", "delta": delta, "usage": _usage(answer)}
        lead += sse_event("message_delta", end)
        yield lead + sse_event("message_stop", {"type": "message_stop"})

    def whole(self, question: Question, answers: list[Answer]) -> dict[str, Any]:
        answer = answers[0]
        content = [_content(block) for block in answer.blocks]
        reason, tokens = _stop_reason(answer), answer.output_tokens
        return _message(question, answer, content, reason, answer.stop, tokens)

    def error(self, status: int, message: str, retry_after: float = 0.0) -> Any:
        default = "api_error" if status >= 500 else "invalid_request_error"
        error = {"type": _ERRORS.get(status, default), "message": message}
        return {"type": "error", "error": error}

    def stream_error(self, question: Question, first: bool) -> bytes:
        return sse_event("error", self.error(529, "Overloaded"))

    def malformed(self, question: Question, first: bool) -> bytes:
        return b'event: content_block_delta\ndata: {"type": "content_block_delta", "ind\n\n'


def _stop_reason(answer: Answer) -> str:
    return "stop_sequence" if answer.stop is not None else _STOP_REASONS[answer.finish]


def _message(
    question: Question,
    answer: Answer,
    content: list[dict[str, Any]],
    reason: str | None,
    stop: str | None,
    output_tokens: int,
) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": question.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": stop,
        "usage": {**_usage(answer), "output_tokens": output_tokens},
    }


def _usage(answer: Answer) -> dict[str, int]:
    return {
        "input_tokens": answer.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": answer.output_tokens,
    }


def _content(block: Block) -> dict[str, Any]:
    """A whole content block."""
    if block.kind is Kind.THINKING:
        return {"type": "thinking", "thinking": block.text, "signature": seal(block.text)}
    if block.kind is Kind.CALL:
        try:
            arguments = msgspec.json.decode(block.text or "{}")
        except msgspec.MsgspecError:
            arguments = {}  # cut by max_tokens: the vendor sends what it could read
        return {**_empty(block), "input": arguments}
    return {"type": "text", "text": block.text}


def _empty(block: Block) -> dict[str, Any]:
    """A content block as it begins."""
    if block.kind is Kind.THINKING:
        return {"type": "thinking", "thinking": "", "signature": ""}
    if block.kind is Kind.CALL:
        return {"type": "tool_use", "id": f"toolu_{block.id}", "name": block.name, "input": {}}
    return {"type": "text", "text": ""}


_DELTAS: Final = {
    Kind.TEXT: (b"text_delta", b"text"),
    Kind.REFUSAL: (b"text_delta", b"text"),
    Kind.THINKING: (b"thinking_delta", b"thinking"),
    Kind.CALL: (b"input_json_delta", b"partial_json"),
}


def _delta_around(block: Block, index: int) -> tuple[bytes, bytes]:
    before = (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
        b'"delta":{"type":"%b","%b":' % (index, *_DELTAS[block.kind])
    )
    return before, b"}}\n\n"


def _block_end(block: Block, index: int) -> bytes:
    end = b""
    if block.kind is Kind.THINKING:
        delta = {"type": "signature_delta", "signature": seal(block.text)}
        data = {"type": "content_block_delta", "index": index, "delta": delta}
        end = sse_event("content_block_delta", data)
    return end + sse_event("content_block_stop", {"type": "content_block_stop", "index": index})


def _turns(message: _Message, where: str) -> list[Turn]:
    """A message as turns: each tool result is one of its own."""
    if isinstance(message.content, str):
        return [Turn(as_role(message.role), message.content)]
    results, calls, rest = [], [], []
    for number, block in enumerate(message.content):
        kind = block.get("type")
        if kind == "tool_result":
            text = plain_text(block.get("content"))
            results.append(Turn("tool", text, result_of=str(block.get("tool_use_id"))))
        elif kind == "tool_use":
            calls.append(str(block.get("id")))
        elif kind == "thinking":
            if block.get("signature") != seal(str(block.get("thinking"))):
                raise BadRequest(f"{where}.content.{number}: Invalid `signature` in `thinking`")
        elif kind != "redacted_thinking":
            rest.append(block)
    if results and not rest:
        return results
    return [*results, Turn(as_role(message.role), plain_text(rest), tuple(calls))]


def _check_budget(body: _Body) -> None:
    budget = (body.thinking or {}).get("budget_tokens")
    if not isinstance(budget, int):
        return
    if not _LEAST_BUDGET <= budget < body.max_tokens:
        raise BadRequest(
            f"thinking.budget_tokens: must be at least {_LEAST_BUDGET} and less than max_tokens, "
            f"{body.max_tokens}; got {budget}"
        )


def _tool_choice(choice: dict[str, Any] | None) -> str:
    kind = (choice or {}).get("type", "auto")
    if choice is not None and kind == "tool":
        return str(choice.get("name"))
    return "required" if kind == "any" else str(kind)


def _schema(output: dict[str, Any] | None) -> dict[str, Any] | None:
    format = (output or {}).get("format")
    if format is None:
        return None
    schema = format.get("schema") if isinstance(format, dict) else None
    if not isinstance(schema, dict):
        raise BadRequest("output_config.format: must have a schema")
    return schema
