"""A `ModelRequest` as a `generateContent` body."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.errors import ConfigError
from engine.messages import (
    Document,
    Image,
    Message,
    Part,
    Refusal,
    ServerTool,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from engine.providers.call_ids import is_made_up
from engine.providers.contract import Endpoint
from engine.request import ModelRequest

__all__ = ["render_gemini"]

# ikigai's levels in tokens; https://ai.google.dev/gemini-api/docs/thinking#set-budget
_BUDGETS: Final = {"none": 0, "low": 128, "medium": 11008, "high": 21888}

# "Gemini 2.5 Flash Lite: 512 to 24576" (same page).
_LITE_BUDGET: Final = 512

# What `Schema` has (https://ai.google.dev/api/caching#Schema). Google's parser refuses a request
# with any other name in `parameters`; such schemas go as `parametersJsonSchema`.
_SCHEMA_NAMES: Final = frozenset(
    {
        *("type", "format", "title", "description", "nullable", "default", "example", "enum"),
        *("items", "minItems", "maxItems", "anyOf", "minimum", "maximum", "pattern"),
        *("properties", "required", "propertyOrdering", "minProperties", "maxProperties"),
        *("minLength", "maxLength"),
    }
)

# "to bypass the validator for calls the model did not make, set the signature to this":
# https://ai.google.dev/gemini-api/docs/thought-signatures#faqs
_SKIP_SIGNATURE: Final = "skip_thought_signature_validator"


def render_gemini(request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The body; see https://ai.google.dev/api/generate-content. The model stands in the path.

    Raises:
        ConfigError: a part cannot be said in this format.
    """
    body: dict[str, Any] = {"contents": _Conversation(request, endpoint).contents()}
    system = [{"text": message.text} for message in request.messages if message.role == "system"]
    if system:
        body["systemInstruction"] = {"parts": system}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}]
    calling = _calling_config(request)
    if calling:
        body["toolConfig"] = {"functionCallingConfig": calling}
    config = _generation_config(request)
    if config:
        body["generationConfig"] = config
    return body


def _generation_config(request: ModelRequest) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for name, value in (
        ("maxOutputTokens", request.max_tokens),
        ("temperature", request.temperature),
        ("topP", request.top_p),
        ("seed", request.seed),
        ("stopSequences", request.stop or None),
    ):
        if value is not None:
            config[name] = value
    if request.response_format is not None:
        config["responseMimeType"] = "application/json"
        if request.response_format != "json":
            config["responseJsonSchema"] = _schema(request.response_format)
    if request.thinking is not None:
        config["thinkingConfig"] = _thinking(request.thinking, request.model)
    return config


def _schema(wanted: Mapping[str, Any]) -> Any:
    if "schema" not in wanted:
        raise ConfigError("response_format has no 'schema'; give 'json', or name and schema")
    return wanted["schema"]


def _thinking(level: str, model: str) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if _is_gemini_3(model):
        # "minimal" is as near to none as Gemini 3 comes; a model that lacks it says so.
        config["thinkingLevel"] = "minimal" if level == "none" else level
    else:
        budget = _BUDGETS[level]
        if budget and "flash-lite" in model:
            budget = max(budget, _LITE_BUDGET)
        config["thinkingBudget"] = budget
    if level != "none":
        config["includeThoughts"] = True
    return config


def _is_gemini_3(model: str) -> bool:
    return model.rpartition("/")[2].startswith("gemini-3")


def _calling_config(request: ModelRequest) -> dict[str, Any]:
    choice = request.tool_choice
    if choice == "none":
        return {"mode": "NONE"}
    if choice == "required":
        return {"mode": "ANY"}
    if choice not in (None, "auto"):
        return {"mode": "ANY", "allowedFunctionNames": [choice]}
    if any(tool.strict for tool in request.tools):
        return {"mode": "VALIDATED"}  # text or calls, and calls that keep to their schema
    return {"mode": "AUTO"} if choice == "auto" else {}


def _declaration(tool: Tool) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": tool.name}
    if tool.description:
        declaration["description"] = tool.description
    # In `parameters` an object without properties was long refused: "should be non-empty".
    plain = tool.parameters.get("properties") and _is_plain(tool.parameters)
    declaration["parameters" if plain else "parametersJsonSchema"] = tool.parameters
    return declaration


def _is_plain(schema: Any) -> bool:
    """Whether all of `schema` can be said with the names of Google's `Schema`."""
    if not isinstance(schema, Mapping) or not _SCHEMA_NAMES.issuperset(schema):
        return False
    enum = schema.get("enum", ())
    if not isinstance(schema.get("type", ""), str) or not all(isinstance(e, str) for e in enum):
        return False
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    if "items" in schema:
        inner.append(schema["items"])
    return all(_is_plain(item) for item in inner)


class _Conversation:
    """The turns as contents; results find the calls they belong to."""

    def __init__(self, request: ModelRequest, endpoint: Endpoint) -> None:
        self._messages = [message for message in request.messages if message.role != "system"]
        self._provider = endpoint.name
        self._signs_calls = _is_gemini_3(request.model)
        self._calls: dict[str, tuple[str, bool]] = {}  # id → name; whether Google knows the id

    def contents(self) -> list[dict[str, Any]]:
        contents: list[dict[str, Any]] = []
        results: list[dict[str, Any]] | None = None
        for message in self._messages:
            if message.role == "assistant":
                parts = self._answer(message)
            else:
                parts = [self._asked(part) for part in message.parts]
            if message.role == "tool" and results is not None:
                # The results of parallel calls stand in one content.
                results.extend(parts)
                continue
            if parts:
                role = "model" if message.role == "assistant" else "user"
                contents.append({"role": role, "parts": parts})
            results = parts if parts and message.role == "tool" else None
        return contents

    def _asked(self, part: Part) -> dict[str, Any]:
        if isinstance(part, Text):
            return {"text": part.text}
        if isinstance(part, Image):
            return _blob(part, "image/png")
        if isinstance(part, Document):
            return _blob(part, "application/pdf")
        if isinstance(part, ToolResult):
            return self._result(part)
        raise ConfigError(
            f"input: a part of type {type(part).__name__} cannot stand in a question to Gemini"
        )

    def _result(self, result: ToolResult) -> dict[str, Any]:
        known, sent = self._calls.get(result.id, (None, False))
        name = result.name or known
        if name is None:
            raise ConfigError(
                f"input: the result for call {result.id!r} has no name and no call of that id is "
                "before it; Gemini wants the tool's name: ToolResult(…, name=…)"
            )
        response: dict[str, Any] = {"name": name, "response": _response(result)}
        if sent:
            response = {"id": result.id, **response}
        return {"functionResponse": response}

    def _answer(self, message: Message) -> list[dict[str, Any]]:
        """An answer as it came where it came from here; else its text, images and calls."""
        ours = message.provider is not None and message.provider == self._provider
        parts: list[dict[str, Any]] = []
        called = False
        for part in message.parts:
            if isinstance(part, ToolCall):
                line = self._call(part, ours)
                if self._signs_calls and not called:
                    # Gemini 3 answers 400 where the first call of a step has no signature.
                    line.setdefault("thoughtSignature", _SKIP_SIGNATURE)
                called = True
                parts.append(line)
            elif isinstance(part, Thinking) and ours:
                _add_thinking(part, parts)
            elif isinstance(part, ServerTool) and ours:
                parts.append(part.data)
            elif isinstance(part, Text) and part.text:
                parts.append(_signed({"text": part.text}, part.signature if ours else None))
            elif isinstance(part, Image):
                parts.append(_blob(part, "image/png"))
            elif isinstance(part, Refusal) and not ours:
                parts.append({"text": part.text})
        return parts

    def _call(self, call: ToolCall, ours: bool) -> dict[str, Any]:
        sent = ours and not is_made_up(call.id)
        self._calls[call.id] = call.name, sent
        function: dict[str, Any] = {"name": call.name, "args": _arguments(call)}
        if sent:
            function = {"id": call.id, **function}
        return _signed({"functionCall": function}, call.signature if ours else None)


def _arguments(call: ToolCall) -> Any:
    try:
        return call.input
    except msgspec.MsgspecError as error:
        raise ConfigError(
            f"input: the arguments of call {call.id!r} are no JSON: {error}"
        ) from error


def _add_thinking(thinking: Thinking, parts: list[dict[str, Any]]) -> None:
    if thinking.text:
        parts.append(_signed({"text": thinking.text, "thought": True}, thinking.signature))
    elif parts and "inlineData" in parts[-1]:
        _signed(parts[-1], thinking.signature)  # an image has its signature beside it
    else:
        parts.append(_signed({"text": ""}, thinking.signature))


def _signed(part: dict[str, Any], signature: str | None) -> dict[str, Any]:
    if signature is not None:
        part["thoughtSignature"] = signature
    return part


def _blob(part: Image | Document, usual: str) -> dict[str, Any]:
    if part.data is not None:
        return {"inlineData": {"mimeType": part.media_type or usual, "data": part.data}}
    if part.url is None:
        raise ConfigError(f"input: {type(part).__name__} has neither data nor url")
    media_type = part.media_type or mimetypes.guess_type(part.url.partition("?")[0])[0]
    file = {"mimeType": media_type} if media_type else {}
    return {"fileData": {**file, "fileUri": part.url}}


def _response(result: ToolResult) -> Any:
    """The result as the object Google asks for: an error under ``error``, an object as it is."""
    if result.is_error:
        return {"error": result.content}
    try:
        value = msgspec.json.decode(result.content)
    except msgspec.MsgspecError:
        value = None
    return value if isinstance(value, dict) else {"result": result.content}
