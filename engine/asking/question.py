"""A question: what a user asks, checked for its kind before anything is made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, Final, TypedDict

import msgspec

from engine.asking.dialogue import Dialogue
from engine.asking.input import Input, System, read_input
from engine.asking.schema import as_response_format, is_answer_type
from engine.asking.tools import ToolLike, read_tools
from engine.errors import ConfigError
from engine.request import ModelRequest, ThinkingLevel

__all__ = [
    "ModelOptions",
    "Question",
    "QuestionOptions",
    "as_question",
    "check_kind",
    "check_options",
]


class ModelOptions(TypedDict, total=False):
    """How a model is asked, whatever it is asked: see `engine.Client.stream`."""

    tool_choice: str | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: str | Iterable[str] | None
    seed: int | None
    thinking: ThinkingLevel | None
    extra_body: Mapping[str, Any] | None
    extra_headers: Mapping[str, str] | None
    fallback: Iterable[str] | None


class QuestionOptions(ModelOptions, total=False):
    """What may be asked beside the input: see `engine.Client.stream`."""

    system: System | None
    tools: Iterable[ToolLike] | None


class Question(msgspec.Struct, frozen=True):
    """What is asked, whoever is asked it. Everything that can be read only once was read.

    Attributes:
        models: as the user wrote them: the first, then those to fall back to.
        request: in no provider's terms; `model` and `stream` are set for each that is asked.
        extra_headers: sent along.
        answer_type: what `Completion.parsed` is decoded into, or None.
    """

    models: tuple[str, ...]
    request: ModelRequest
    extra_headers: Mapping[str, str] = {}
    answer_type: type | None = None

    def __repr__(self) -> str:
        return f"Question({', '.join(map(repr, self.models))})"  # no prompt, no header


def as_question(
    model: str, input: Input, response_format: object, options: QuestionOptions
) -> Question:
    """The question of `Client.stream`'s arguments.

    Raises:
        ConfigError: one is of the wrong kind, or can mean nothing to any provider; it is named.
        TypeError: there is no argument of that name.
    """
    check_options(options, QuestionOptions)
    stop = options.get("stop")
    messages, bound = read_input(input, options.get("system"))
    tools, bound_tools = read_tools(options.get("tools"))
    request = ModelRequest(
        model=model,
        messages=messages,
        tools=tools,
        tool_choice=options.get("tool_choice"),
        max_tokens=options.get("max_tokens"),
        temperature=options.get("temperature"),
        top_p=options.get("top_p"),
        stop=_strings([stop] if isinstance(stop, str) else stop, "stop"),
        seed=options.get("seed"),
        thinking=options.get("thinking"),
        response_format=as_response_format(response_format),
        extra_body=dict(options.get("extra_body") or {}),
        bound=bound + bound_tools,
        before=1 if options.get("system") else 0,
        rendered=input.known.rendered if type(input) is Dialogue else None,
    )
    _check_sense(request)
    return Question(
        models=(model, *_strings(options.get("fallback"), "fallback")),
        request=request,
        extra_headers=dict(options.get("extra_headers") or {}),
        answer_type=response_format if is_answer_type(response_format) else None,
    )


def check_options(options: Mapping[str, Any], known: Any) -> None:
    """Raise unless the names of `options` are those of the TypedDict `known`, and each value is of
    its kind.

    Raises:
        ConfigError: a value is of the wrong kind; it is named.
        TypeError: there is no argument of that name.
    """
    names = known.__annotations__
    for name, value in options.items():
        if name not in names:
            from difflib import get_close_matches  # 4 ms that only a mistake is worth

            near = get_close_matches(name, names, 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"unexpected keyword argument {name!r}{meant}")
        if value is not None and name in _KINDS:
            check_kind(value, _KINDS[name], name)


_NUMBER: Final = (int, float)
_KINDS: Final[dict[str, type | tuple[type, ...]]] = {
    "tool_choice": str,
    "max_tokens": int,
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "seed": int,
    "extra_body": Mapping,
    "extra_headers": Mapping,
}
_WORDS: Final = {
    str: "a string",
    int: "a whole number",
    _NUMBER: "a number",
    Mapping: "a dict",
}


def check_kind(value: object, kind: Any, name: str) -> None:
    """ConfigError naming the argument `name` unless `value` is None or a `kind`."""
    # True is an int to Python, and never a number somebody meant.
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        words = _WORDS.get(kind) or f"an engine.{kind.__name__}"
        raise ConfigError(f"{name} must be {words}, not {type(value).__name__}")
    if isinstance(value, float) and not isfinite(value):
        raise ConfigError(f"{name} must be a finite number, not {value}")


def _strings(value: object, name: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ConfigError(f"{name} must be a list of strings, not {type(value).__name__}")
    strings = list(value)
    for number, string in enumerate(strings):
        if not isinstance(string, str):
            raise ConfigError(f"{name}[{number}] must be a string, not {type(string).__name__}")
    return strings


def _check_sense(request: ModelRequest) -> None:
    """Raise ConfigError for what no provider can make sense of."""
    if request.max_tokens is not None and request.max_tokens < 1:
        raise ConfigError(f"max_tokens must be at least 1, not {request.max_tokens}")
    if request.thinking not in (None, "none", "low", "medium", "high"):
        raise ConfigError(
            f"thinking must be 'none', 'low', 'medium' or 'high', not {request.thinking!r}"
        )
    if request.tool_choice not in (None, "auto", "none"):
        names = [tool.name for tool in request.tools if tool.name]
        if not names or request.tool_choice not in ("required", *names):
            raise ConfigError(
                f"tool_choice {request.tool_choice!r} is neither 'auto', 'none', 'required' nor "
                f"one of the tools {names}"
            )
