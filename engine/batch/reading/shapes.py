"""Which request a value of the input is, told by its keys. Pure.

    {"custom_id", "method", "url", "body"}     OpenAI batch: any POST path, see `path_shape`
    {"custom_id", "params"}                    Anthropic Message Batches
    {"key", "request"}                         Gemini batch
    {"messages" | "input" | "query", …}        a request body as it is (openai-cookbook)
    {"prompt", "system", parameters, …}        a question; what is no parameter is kept as metadata
    "text"                                     the same, as a JSON string

Everywhere ``metadata`` comes back in the output. Of a body every other key is sent; a question has
the parameters below; an envelope has the keys above and no others.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

__all__ = [
    "COLUMNS",
    "PARAMETERS",
    "Asked",
    "Shape",
    "Unfit",
    "custom_id_of",
    "path_shape",
    "shape_of",
]

Shape = Literal["chat", "responses", "completions", "messages", "gemini", "prompt", "other"]

PARAMETERS: Final = frozenset(
    {
        "max_tokens",
        "temperature",
        "top_p",
        "stop",
        "seed",
        "thinking",
        "response_format",
        "tools",
        "tool_choice",
        # Of bodies like OpenAI's; sent as they are where such a body is sent.
        "extra_body",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_output_tokens",
        "min_p",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "repetition_penalty",
        "service_tier",
        "top_k",
        "top_logprobs",
        "user",
    }
)
"""What a question may say of how it is asked, beside ``model`` and ``system``."""

COLUMNS: Final = PARAMETERS - {"n", "user"}
"""The same of a table, where these two are more often something of the user's own."""

# Legacy completions, and nothing else, know these; nor can these models chat.
_COMPLETIONS_ONLY: Final = frozenset({"suffix", "echo", "best_of"})
_COMPLETION_MODELS: Final = ("gpt-3.5-turbo-instruct", "davinci-002", "babbage-002")


class Asked(msgspec.Struct, frozen=True):
    """A request: `body` in the format `shape`, for `path` where that is ``other``."""

    shape: Shape
    body: dict[str, Any]
    metadata: Any = None
    path: str | None = None


class Unfit(Exception):
    """A value that is no request; says why."""


def shape_of(data: Any, endpoint: str | None = None) -> Asked:
    """The request `data` is; one that names no path goes to `endpoint`, where there is one.

    Raises:
        Unfit: it is none.
    """
    if isinstance(data, str):
        return _question({"prompt": data}, endpoint)
    if not isinstance(data, dict):
        hint = "; an array of rows is called .json (--format json)" if _holds_rows(data) else ""
        raise Unfit(f"a row is an object or a string, not {_kind(data)}{hint}")
    if "body" in data or "url" in data:
        return _openai(data)
    if "params" in data:
        _only(data, "custom_id", "params", "metadata")
        return Asked("messages", _object(data, "params"), data.get("metadata"))
    if "request" in data:
        _only(data, "key", "custom_id", "request", "metadata")
        return Asked("gemini", _object(data, "request"), data.get("metadata"))
    if "prompt" in data and not _is_completion(data):
        return _question(data, endpoint)
    return _bare(data, endpoint)


def custom_id_of(data: Any) -> str | None:
    """The id a row was given, or None.

    Raises:
        Unfit: it is no string, or empty.
    """
    if not isinstance(data, dict):
        return None
    for name in ("custom_id", "key"):
        value = data.get(name)
        if value is not None:
            if not isinstance(value, str) or not value:
                raise Unfit(f"{name} must be a string that is not empty")
            return value
    return None


@lru_cache(maxsize=256)  # a file names a few, in every row
def path_shape(path: str) -> Shape:
    """The format of what is sent to `path`: ``other`` goes through as it is.

    Raises:
        Unfit: it is no path.
    """
    if not path.startswith("/") or path.startswith("//") or ".." in path.split("/"):
        raise Unfit(f"url must be a path such as /v1/chat/completions, not {path!r}")
    name = path.partition("?")[0].rstrip("/")
    for end, shape in _PATHS.items():
        if name.endswith(end):
            return shape
    return "other"


_PATHS: Final[dict[str, Shape]] = {
    "/chat/completions": "chat",
    "/responses": "responses",
    "/completions": "completions",
    "/messages": "messages",
}


def _openai(data: dict[str, Any]) -> Asked:
    _only(data, "custom_id", "method", "url", "body", "metadata", "key")
    url = data.get("url")
    if url is None:
        raise Unfit("url is missing; it is a path such as /v1/chat/completions")
    if not isinstance(url, str):
        raise Unfit(f"url must be a path such as /v1/chat/completions, not {url!r}")
    shape = path_shape(url)
    if data.get("method", "POST") != "POST":
        raise Unfit(f"method must be POST, not {data['method']!r}")
    path = url if shape == "other" else None
    return Asked(shape, _object(data, "body"), data.get("metadata"), path)


def _question(data: dict[str, Any], endpoint: str | None) -> Asked:
    prompt = data["prompt"]
    if not isinstance(prompt, str | list):
        raise Unfit("prompt must be a string or a list of messages")
    if not prompt:
        raise Unfit("prompt is empty")
    own = {"prompt", "system", "model", *PARAMETERS}
    body = {name: data[name] for name in data if name in own and data[name] is not None}
    rest = {name: data[name] for name in data if name not in own and name not in _IDS}
    metadata = rest["metadata"] if set(rest) == {"metadata"} else rest or None
    shape = path_shape(endpoint) if endpoint is not None else "chat"
    if endpoint is None or shape in ("chat", "messages"):
        return Asked("prompt", body, metadata)
    name = "prompt" if shape == "completions" else "input"
    if shape == "other" and not endpoint.rstrip("/").endswith(("/embeddings", "/moderations")):
        raise Unfit(f"a prompt cannot be asked of {endpoint}; write the body of each request")
    if "system" in body:
        raise Unfit(f"system: {endpoint} knows none")
    asked = {name: prompt, **{key: body[key] for key in body if key != "prompt"}}
    return Asked(shape, asked, metadata, endpoint if shape == "other" else None)


_IDS: Final = frozenset({"custom_id", "key"})


def _bare(data: dict[str, Any], endpoint: str | None) -> Asked:
    """A body as it is; `endpoint` or its keys tell where it goes."""
    body = {name: data[name] for name in data if name not in _IDS and name != "metadata"}
    metadata = data.get("metadata")
    path = endpoint or _path_of(body)
    if path is None:
        raise Unfit(
            "it has none of the keys 'body', 'params', 'request', 'messages', 'input', 'prompt' "
            "that make a row; for other columns give a template: --prompt 'Classify: {text}'"
        )
    shape = path_shape(path)
    return Asked(shape, body, metadata, path if shape == "other" else None)


def _path_of(body: dict[str, Any]) -> str | None:
    if "messages" in body:
        return "/v1/chat/completions"
    if "prompt" in body:
        return "/v1/completions"
    if "query" in body and "documents" in body:
        return "/v1/rerank"
    if "input" not in body:
        return None
    model = str(body.get("model") or "")
    if "moderation" in model:
        return "/v1/moderations"
    if "embed" in model or "encoding_format" in body or "dimensions" in body:
        return "/v1/embeddings"
    return "/v1/embeddings" if _is_tokens_or_texts(body["input"]) else "/v1/responses"


def _is_completion(data: dict[str, Any]) -> bool:
    """Whether a row with a prompt is a body of legacy completions and no question."""
    model = str(data.get("model") or "").rpartition("/")[2]
    return (
        not _COMPLETIONS_ONLY.isdisjoint(data)
        or model in _COMPLETION_MODELS
        or _is_tokens_or_texts(data["prompt"])
    )


def _is_tokens_or_texts(value: Any) -> bool:
    """Whether it is a list of tokens or of texts, which no list of messages is."""
    return isinstance(value, list) and bool(value) and not isinstance(value[0], dict)


def _only(data: dict[str, Any], *names: str) -> None:
    unknown = [name for name in data if name not in names]
    if unknown:
        raise Unfit(
            f"{unknown[0]!r} is no key of this kind of row, which has {', '.join(names)}; what "
            "should come back with the answer goes under 'metadata'"
        )


def _object(data: dict[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name)
    if not isinstance(value, dict):
        raise Unfit(f"{name} must be an object" if name in data else f"{name} is missing")
    return value


def _holds_rows(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and isinstance(data[0], dict)


def _kind(data: Any) -> str:
    if data is None:
        return "null"
    return {"list": "a list", "bool": "a truth value"}.get(type(data).__name__, "a number")
