"""A `ModelRequest` as an Anthropic Messages body."""

from __future__ import annotations

import base64
import re
from typing import Any, Final

from engine.errors import ConfigError
from engine.messages import (
    Document,
    Image,
    Message,
    Part,
    RedactedThinking,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from engine.providers.contract import Endpoint
from engine.request import ModelRequest

__all__ = ["render_messages"]

# The format wants max_tokens. Every Claude since 4 writes at least 32,000 tokens; the older ones
# and the small models other servers run refuse more than they can, and 4,096 is what all can.
_MAX_TOKENS_CLAUDE: Final = 16_384
_MAX_TOKENS: Final = 4_096

_BUDGETS: Final = {"low": 1_024, "medium": 22_016, "high": 43_008}
_LEAST_BUDGET: Final = 1_024  # "Must be ≥1024 and less than max_tokens"

_CLAUDE = re.compile(r"claude-(?!3)")

# "Manual thinking is deprecated on 4.6 and rejected from Opus 4.7 on": those are asked for
# adaptive thinking. Claude up to 4.5, by any of its names (claude-3-7-sonnet-latest,
# claude-sonnet-4-20250514, claude-opus-4-1, anthropic/claude-sonnet-4.5), knows budgets only.
_ADAPTIVE = re.compile(r"claude-(?!3[-.]|\w+-4(?:[-.][0-5])?(?:$|[@:]|-\d{8}|-latest))")


def render_messages(request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The body; see https://platform.claude.com/docs/en/api/messages/create.

    System messages become ``system``, joined, wherever they stand. Thinking, citations and server
    tools go back only to the provider that wrote them; others are not told of them.

    Raises:
        ConfigError: an argument cannot be said in this format.
    """
    system = [message.text for message in request.messages if message.role == "system"]
    body: dict[str, Any] = {"model": request.model, "max_tokens": _max_tokens(request)}
    if system:
        body["system"] = "\n\n".join(system)
    body["messages"] = _turns(request.messages, endpoint.name)
    if request.stream:
        body["stream"] = True
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    for name in ("temperature", "top_p"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.stop:
        body["stop_sequences"] = request.stop
    if request.seed is not None:
        raise ConfigError("seed: Anthropic's messages format has none; leave it out")
    if request.thinking is not None:
        body["thinking"] = _thinking(request, body["max_tokens"])
    output_config = _output_config(request)
    if output_config:
        body["output_config"] = output_config
    return body


def _output_config(request: ModelRequest) -> dict[str, Any]:
    output: dict[str, Any] = {}
    if request.thinking in _BUDGETS and _ADAPTIVE.search(request.model):
        output["effort"] = request.thinking
    wanted = request.response_format
    if wanted == "json":
        raise ConfigError(
            "response_format: Anthropic has no JSON mode without a schema; give a JSON schema "
            "with additionalProperties false, or ask for JSON in the prompt"
        )
    if wanted is not None:
        output["format"] = {"type": "json_schema", "schema": wanted["schema"]}
    return output


def _max_tokens(request: ModelRequest) -> int:
    if request.max_tokens is not None:
        return request.max_tokens
    most = _MAX_TOKENS_CLAUDE if _CLAUDE.search(request.model) else _MAX_TOKENS
    if request.thinking in _BUDGETS and not _ADAPTIVE.search(request.model):
        most += _BUDGETS[request.thinking]
    return most


def _thinking(request: ModelRequest, max_tokens: int) -> dict[str, Any]:
    """Thinking counts against ``max_tokens``: a budget leaves at least as much for the answer as
    the least budget there is."""
    level = request.thinking
    if level is None or level == "none":
        return {"type": "disabled"}
    if _ADAPTIVE.search(request.model):
        # From Opus 4.7 on the text is left out unless it is asked for.
        return {"type": "adaptive", "display": "summarized"}
    if max_tokens < 2 * _LEAST_BUDGET:
        raise ConfigError(
            f"max_tokens={max_tokens} leaves no room for thinking={level!r}; give at least "
            f"{2 * _LEAST_BUDGET}, or thinking='none'"
        )
    budget = min(_BUDGETS[level], max_tokens - _LEAST_BUDGET)
    return {"type": "enabled", "budget_tokens": budget}


def _tool(tool: Tool) -> dict[str, Any]:
    definition: dict[str, Any] = {"name": tool.name}
    if tool.description:
        definition["description"] = tool.description
    definition["input_schema"] = tool.parameters
    if tool.strict is not None:
        definition["strict"] = tool.strict
    return definition


def _tool_choice(choice: str) -> dict[str, Any]:
    if choice in ("auto", "none"):
        return {"type": choice}
    if choice == "required":
        return {"type": "any"}
    return {"type": "tool", "name": choice}


# -- turns -------------------------------------------------------------------------------------


def _turns(messages: list[Message], provider: str) -> list[dict[str, Any]]:
    """Turns of user and assistant. Tool results are the user's, and all that belong to one turn
    must stand in one message, before anything else in it."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if role == "assistant":
            blocks = _assistant(message, provider)
        else:
            blocks = [_block(part) for part in message.parts]
            blocks.sort(key=lambda block: block["type"] != "tool_result")
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        blocks = turn["content"]
        if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
            turn["content"] = blocks[0]["text"]
    return turns


def _assistant(message: Message, provider: str) -> list[dict[str, Any]]:
    own = message.provider == provider
    blocks = [_answer_block(part, own) for part in message.parts]
    return [block for block in blocks if block is not None]


def _answer_block(part: Part, own: bool) -> dict[str, Any] | None:
    """A part of an answer, None for what this provider cannot read or did not write."""
    if isinstance(part, Text):
        if not part.text:
            return None  # "text content blocks must be non-empty"
        block: dict[str, Any] = {"type": "text", "text": part.text}
        if own and part.citations:
            block["citations"] = [citation.data for citation in part.citations]
        return block
    if isinstance(part, ToolCall):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.input}
    if isinstance(part, Thinking) and own and part.signature:
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    if isinstance(part, RedactedThinking) and own:
        return {"type": "redacted_thinking", "data": part.data}
    if isinstance(part, ServerTool) and own:
        return part.data
    return None


def _block(part: Part) -> dict[str, Any]:
    """A part of a question."""
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, ToolResult):
        result = {"type": "tool_result", "tool_use_id": part.id, "content": part.content}
        return {**result, "is_error": True} if part.is_error else result
    if isinstance(part, Image):
        return {"type": "image", "source": _source(part, "image/png")}
    if isinstance(part, Document):
        document: dict[str, Any] = {"type": "document", "source": _source(part, "application/pdf")}
        if part.title:
            document["title"] = part.title
        return document
    raise ConfigError(
        f"input: a part of type {type(part).__name__} cannot stand in a question to this provider"
    )


def _source(part: Image | Document, usual: str) -> dict[str, Any]:
    if part.url is not None:
        return {"type": "url", "url": part.url}
    if part.data is None:
        raise ConfigError(f"input: a part of type {type(part).__name__} has neither url nor data")
    media_type = part.media_type or usual
    if media_type == "text/plain":
        text = base64.b64decode(part.data).decode("utf-8", "replace")
        return {"type": "text", "media_type": media_type, "data": text}
    return {"type": "base64", "media_type": media_type, "data": part.data}
