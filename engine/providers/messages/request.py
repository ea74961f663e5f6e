"""A `ModelRequest` as an Anthropic Messages body."""

from __future__ import annotations

import re
from typing import Any, Final

from engine.errors import ConfigError
from engine.messages import Tool, VendorTool
from engine.providers.contract import Endpoint
from engine.providers.messages.turns import container_of, render_system, render_turns
from engine.providers.origin import tool_extra, with_extra
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
    system = render_system(request.messages, endpoint.name)
    body: dict[str, Any] = {"model": request.model, "max_tokens": _max_tokens(request)}
    if system:
        body["system"] = system
    body["messages"] = render_turns(request.messages, endpoint.name)
    container = container_of(request.messages, endpoint.name)
    if container is not None:
        body["container"] = container
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


def _tool(tool: Tool | VendorTool) -> dict[str, Any]:
    if isinstance(tool, VendorTool):
        return tool.data
    definition: dict[str, Any] = {"name": tool.name}
    if tool.description:
        definition["description"] = tool.description
    definition["input_schema"] = tool.parameters
    if tool.strict is not None:
        definition["strict"] = tool.strict
    return with_extra(definition, tool_extra(tool, "messages"))


def _tool_choice(choice: str) -> dict[str, Any]:
    if choice in ("auto", "none"):
        return {"type": choice}
    if choice == "required":
        return {"type": "any"}
    return {"type": "tool", "name": choice}
