"""A `ModelRequest` as a `generateContent` body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.errors import ConfigError
from engine.messages import Tool, VendorTool
from engine.providers.contract import Endpoint
from engine.providers.gemini.contents import render_contents, render_system
from engine.providers.origin import tool_extra, with_extra
from engine.request import ModelRequest

__all__ = ["render_gemini"]

# The levels in tokens; https://ai.google.dev/gemini-api/docs/thinking#set-budget
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


def render_gemini(request: ModelRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The body; see https://ai.google.dev/api/generate-content. The model stands in the path.

    Raises:
        ConfigError: a part cannot be said in this format.
    """
    contents = render_contents(request.messages, endpoint.name, request.model)
    body: dict[str, Any] = {"contents": contents}
    system = render_system(request.messages, endpoint.name)
    if system:
        body["systemInstruction"] = system
    if request.tools:
        body["tools"] = _tools(request.tools)
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
    if any(isinstance(tool, Tool) and tool.strict for tool in request.tools):
        return {"mode": "VALIDATED"}  # text or calls, and calls that keep to their schema
    return {"mode": "AUTO"} if choice == "auto" else {}


def _tools(tools: list[Tool | VendorTool]) -> list[dict[str, Any]]:
    functions = [_declaration(tool) for tool in tools if isinstance(tool, Tool)]
    declared = [{"functionDeclarations": functions}] if functions else []
    return declared + [tool.data for tool in tools if isinstance(tool, VendorTool)]


def _declaration(tool: Tool) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": tool.name}
    if tool.description:
        declaration["description"] = tool.description
    # In `parameters` an object without properties was long refused: "should be non-empty".
    plain = tool.parameters.get("properties") and _is_plain(tool.parameters)
    declaration["parameters" if plain else "parametersJsonSchema"] = tool.parameters
    return with_extra(declaration, tool_extra(tool, "gemini"))


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
