"""Gemini generateContent: https://ai.google.dev/api/generate-content.

``streamGenerateContent`` is an event stream with ``alt=sse``, and one JSON array without. There is
no end marker but the ``finishReason``.
"""

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
from engine.emulator.reading import as_role, checked_turns
from engine.emulator.writing import seal

__all__ = ["Gemini"]

# google.rpc.Code of each HTTP status
_STATUS: Final = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISH: Final = {
    Finish.STOP: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.TOOL_USE: "STOP",
    Finish.REFUSAL: "SAFETY",
}
_CHOICES: Final = {"AUTO": "auto", "NONE": "none", "ANY": "required", "VALIDATED": "auto"}
_SSE: Final = "sse"

_json = msgspec.json.encode


class _Content(msgspec.Struct):
    parts: list[dict[str, Any]] = []
    role: str = "user"


class _Declaration(msgspec.Struct, rename="camel"):
    name: str
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None


class _Tool(msgspec.Struct, rename="camel"):
    function_declarations: list[_Declaration] = []


class _CallingConfig(msgspec.Struct, frozen=True, rename="camel"):
    mode: str = "AUTO"
    allowed_function_names: list[str] = []


class _ToolConfig(msgspec.Struct, frozen=True, rename="camel"):
    function_calling_config: _CallingConfig = _CallingConfig()


class _ThinkingConfig(msgspec.Struct, frozen=True, rename="camel"):
    include_thoughts: bool = False
    thinking_budget: int | None = None


class _GenerationConfig(msgspec.Struct, frozen=True, rename="camel"):
    max_output_tokens: int | None = None
    stop_sequences: list[str] = []
    candidate_count: int = 1
    response_mime_type: str = "text/plain"
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    thinking_config: _ThinkingConfig | None = None


class _Body(msgspec.Struct, rename="camel"):
    contents: list[_Content]
    system_instruction: _Content | None = None
    # To Google, as to every reader of protocol buffers, null is what was left out.
    tools: list[_Tool] | None = None
    tool_config: _ToolConfig | None = None
    generation_config: _GenerationConfig | None = None


_decode = msgspec.json.Decoder(_Body).decode


class Gemini:
    """The server's side of ``gemini`` and ``gemini-array``."""

    def question(self, request: Request) -> Question:
        body = _decode(request.body)
        if not body.contents:
            raise BadRequest("contents: must not be empty")
        config = body.generation_config or _GenerationConfig()
        if config.candidate_count != 1:
            raise BadRequest("Multiple candidates is not enabled for this model")
        turns = []
        if body.system_instruction is not None:
            turns.append(Turn("system", _text(body.system_instruction.parts)))
        for content in body.contents:
            turns += _turns(content)
        thinking = config.thinking_config
        return Question(
            model=request.captured["model"],
            turns=checked_turns(turns),
            stream=request.captured["method"] == "streamGenerateContent",
            tools=[
                ToolOffer(one.name, one.parameters_json_schema or one.parameters or {})
                for tool in body.tools or ()
                for one in tool.function_declarations
            ],
            tool_choice=_tool_choice((body.tool_config or _ToolConfig()).function_calling_config),
            max_tokens=config.max_output_tokens,
            stop=config.stop_sequences,
            thinking=thinking is not None
            and thinking.include_thoughts
            and thinking.thinking_budget != 0,
            schema=_schema(config),
            variant=_SSE if request.query.get("alt") == "sse" else "",
        )

    def content_type(self, question: Question) -> str:
        return "text/event-stream" if question.variant == _SSE else "application/json"

    def stream(self, question: Question, answers: list[Answer]) -> Iterator[bytes]:
        first = True
        for chunk in _chunks(question, answers[0]):
            yield _record(question, _json(chunk), first)
            first = False
        if question.variant != _SSE:
            yield b"\n]"

    def whole(self, question: Question, answers: list[Answer]) -> dict[str, Any]:
        answer = answers[0]
        parts = [_part(block, block.text) for block in answer.blocks if _is_shown(block)]
        candidate = _candidate(parts, _FINISH[answer.finish])
        thought = answer.thinking_tokens
        return _chunk(question, answer, candidate, answer.output_tokens - thought, thought)

    def error(self, status: int, message: str, retry_after: float = 0.0) -> Any:
        default = "INTERNAL" if status >= 500 else "INVALID_ARGUMENT"
        error: dict[str, Any] = {
            "code": status,
            "message": message,
            "status": _STATUS.get(status, default),
        }
        if retry_after:
            kind = "type.googleapis.com/google.rpc.RetryInfo"
            error["details"] = [{"@type": kind, "retryDelay": f"{retry_after:g}s"}]
        return {"error": error}

    def stream_error(self, question: Question, first: bool) -> bytes:
        error = self.error(503, "The model is overloaded. Please try again later.")
        return _record(question, _json(error), first)

    def malformed(self, question: Question, first: bool) -> bytes:
        # Framed well: in the array an element ends with its brackets.
        return _record(question, b'{"candidates": nonsense}', first)


def _record(question: Question, data: bytes, first: bool) -> bytes:
    """One chunk, framed."""
    if question.variant == _SSE:
        return b"data: " + data + b"\r\n\r\n"
    return (b"[" if first else b"\n,\r\n") + data


def _chunks(question: Question, answer: Answer) -> Iterator[dict[str, Any]]:
    """A chunk a token; a call is one chunk, for its arguments come whole."""
    spoken = thought = 0
    waiting: dict[str, Any] | None = None
    for block in answer.blocks:
        if not _is_shown(block):
            continue
        for piece in [block.text] if block.kind is Kind.CALL else block.pieces:
            if waiting is not None:
                yield waiting
            tokens = len(block.pieces) if block.kind is Kind.CALL else 1
            if block.kind is Kind.THINKING:
                thought += tokens
            else:
                spoken += tokens
            candidate = _candidate([_part(block, piece)], None)
            waiting = _chunk(question, answer, candidate, spoken, thought)
    # The reason comes with the last token, as the vendor has it.
    if waiting is None:
        waiting = _chunk(question, answer, _candidate([], None), spoken, thought)
    waiting["candidates"][0]["finishReason"] = _FINISH[answer.finish]
    yield waiting


def _chunk(
    question: Question,
    answer: Answer,
    candidate: dict[str, Any],
    spoken: int,
    thought: int,
) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "promptTokenCount": answer.input_tokens,
        "candidatesTokenCount": spoken,
        "totalTokenCount": answer.input_tokens + spoken + thought,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": answer.input_tokens}],
    }
    if thought:
        usage["thoughtsTokenCount"] = thought
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": question.model,
        "responseId": answer.id,
    }


def _candidate(parts: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0}
    if parts:
        candidate["content"] = {"parts": parts, "role": "model"}
    if reason is not None:
        candidate["finishReason"] = reason
    return candidate


def _is_shown(block: Block) -> bool:
    """An answer that Gemini stops for safety has no content; nor has a call that was cut."""
    if block.kind is Kind.CALL:
        return _arguments(block) is not None
    return block.kind is not Kind.REFUSAL


def _part(block: Block, text: str) -> dict[str, Any]:
    if block.kind is Kind.THINKING:
        return {"text": text, "thought": True}
    if block.kind is Kind.TEXT:
        return {"text": text}
    call = {"id": block.id, "name": block.name, "args": _arguments(block)}
    return {"functionCall": call, "thoughtSignature": seal(block.id)}


def _arguments(block: Block) -> dict[str, Any] | None:
    """The arguments of a call; None: `max_tokens` or a script made them no JSON object."""
    try:
        return msgspec.json.decode(block.text or "{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        return None


def _text(parts: list[dict[str, Any]]) -> str:
    return "\n".join(str(part["text"]) for part in parts if "text" in part)


def _turns(content: _Content) -> list[Turn]:
    """A content as turns: each function's response is one of its own. A call is known by its id,
    or by its name where the client gives no id back."""
    results, calls, rest = [], [], []
    for part in content.parts:
        response, call = part.get("functionResponse"), part.get("functionCall")
        if isinstance(response, dict):
            text = _response_text(response.get("response"))
            results.append(Turn("tool", text, result_of=_call_key(response)))
        elif isinstance(call, dict):
            calls.append(_call_key(call))
            signature = part.get("thoughtSignature")
            if signature is not None and signature != seal(str(call.get("id"))):
                raise BadRequest("Thought signature is not valid.")
        elif not part.get("thought"):
            rest.append(part)
    if results and not rest:
        return results
    return [*results, Turn(as_role(content.role), _text(rest), tuple(calls))]


def _response_text(response: Any) -> str:
    """A function's response; a lone ``result`` or ``output`` by itself."""
    if isinstance(response, dict) and len(response) == 1:
        (value,) = response.values()
        if isinstance(value, str):
            return value
    return _json(response).decode()


def _call_key(part: dict[str, Any]) -> str:
    return str(part.get("id") or part.get("name"))


def _tool_choice(config: _CallingConfig) -> str:
    if config.mode.upper() == "ANY" and len(config.allowed_function_names) == 1:
        return config.allowed_function_names[0]
    return _CHOICES.get(config.mode.upper(), "auto")


def _schema(config: _GenerationConfig) -> dict[str, Any] | None:
    if config.response_mime_type != "application/json":
        return None
    return config.response_json_schema or config.response_schema or {}
