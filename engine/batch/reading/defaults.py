"""The names that limits and sampling have in the bodies of each format. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from engine.providers import Endpoint

__all__ = ["most_output", "with_defaults"]

# The names of the output limit; the first is the one that is written.
_LIMITS: Final = {
    "chat": ("max_tokens", "max_completion_tokens"),
    "responses": ("max_output_tokens",),
    "completions": ("max_tokens",),
    "messages": ("max_tokens",),
    "cohere": ("max_tokens",),
}
# Endpoints whose answers are no text.
_NO_OUTPUT: Final = ("/embeddings", "/moderations", "/rerank")


def with_defaults(
    format: str,
    body: dict[str, Any],
    max_tokens: int | None,
    temperature: float | None,
    row: Endpoint,
) -> dict[str, Any]:
    """`body`, with the limit and the temperature where it says none itself."""
    if max_tokens is None and temperature is None:
        return body
    if format == "gemini":
        given = body.get("generationConfig")
        config = dict(given) if isinstance(given, dict) else {}
        if max_tokens is not None:
            config.setdefault("maxOutputTokens", max_tokens)
        if temperature is not None:
            config.setdefault("temperature", temperature)
        return {**body, "generationConfig": config}
    names = _LIMITS.get(format, ("max_tokens",))
    if max_tokens is not None and not any(body.get(name) is not None for name in names):
        name = row.max_tokens_field if format == "chat" else names[0]
        body = {**body, name: max_tokens}
    if temperature is not None and body.get("temperature") is None:
        body = {**body, "temperature": temperature}
    return body


def most_output(format: str, body: Mapping[str, Any]) -> int | None:
    """Tokens the answers to `body` have at most; None: it does not say. `format` is the name of a
    dialect, or the path of what goes through as it is."""
    if format.startswith("/"):
        return 0 if format.rstrip("/").endswith(_NO_OUTPUT) else None
    if format == "gemini":
        config = body.get("generationConfig")
        if not isinstance(config, Mapping):
            return None
        return _times(_count(config.get("maxOutputTokens")), config.get("candidateCount"))
    if format.startswith("ollama"):
        options = body.get("options")
        return _count(options.get("num_predict")) if isinstance(options, Mapping) else None
    found = [_count(body.get(name)) for name in _LIMITS.get(format, ("max_tokens",))]
    limits = [limit for limit in found if limit is not None]
    if not limits:
        return None
    return _times(max(limits), max(_count(body.get(n)) or 1 for n in ("n", "best_of")))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _times(limit: int | None, times: Any) -> int | None:
    return limit * (_count(times) or 1) if limit is not None else None
