"""The type a final answer should have: told to the model, and found in what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from json import JSONDecoder
from typing import Any, Final

import msgspec

from engine.agents.tools.shape import Shape
from engine.asking.schema import as_response_format, is_answer_type
from engine.errors import ConfigError, ProtocolError

__all__ = ["AnswerType"]

_WRAPPER: Final = "result"
_FENCED: Final = re.compile(r"```[^\n`]*\n(.*?)```", re.DOTALL)
_OPENING: Final = re.compile(r"[{\[]")
_BARE: Final = re.compile(r"true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\"(?:[^\"\\]|\\.)*\"")
# So many places of a long text are tried; beyond, it is prose with brackets.
_MOST_TRIED: Final = 200


class AnswerType:
    """What a `result_type` asks for.

    Args:
        kind: a class with fields (msgspec Struct, dataclass, TypedDict, pydantic model), or any
            other type hint: ``int``, ``bool``, ``list[str]``, ``Optional[…]``, a union.

    Raises:
        ConfigError: no JSON schema can say it.
    """

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self._object = is_answer_type(kind)
        try:
            self._shape = Shape(kind)
            # Providers want an object at the root: anything else is a member of one.
            wrapped = msgspec.defstruct("Answer", [(_WRAPPER, self._shape.hint)])
            self._wrapped = Shape(wrapped)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(
                "result_type must be a Struct, dataclass, TypedDict, pydantic model, or a plain "
                f"type such as int, bool or list[str], not {kind!r:.80}: {error}"
            ) from error

    def schema(self) -> dict[str, Any]:
        """What the model is told."""
        return self._shape.schema() if self._object else self._wrapped.schema()

    def response_format(self) -> Any:
        """As `Client.stream` takes it. The schema and not the type: an answer that does not fit is
        no error of the stream."""
        if self._object:
            return as_response_format(self.kind)
        return {"name": "answer", "schema": self.schema()}

    def instructions(self) -> str:
        """What the model is told in words."""
        wanted = as_response_format(self.kind) if self._object else None
        schema = wanted["schema"] if isinstance(wanted, Mapping) else self.schema()
        return (
            "Your final answer must be JSON that fits this schema, and nothing else: "
            f"{msgspec.json.encode(schema).decode()}"
        )

    def decode(self, text: str) -> Any:
        """The value in `text`: the text itself is JSON, or it holds JSON in a fence or in prose.

        Raises:
            ProtocolError: nothing in it fits; the message is for the model.
        """
        problem: Exception | None = None
        for candidate in _candidates(text, bare=not self._object):
            for shape in (self._shape,) if self._object else (self._wrapped, self._shape):
                try:
                    value = shape.decode(candidate)
                except Exception as error:  # a __post_init__ of the user's may raise anything
                    if problem is None or "Expected `object`" in str(problem):
                        problem = error
                    continue
                return value.result if shape is self._wrapped else value
        if self.kind is str:
            return text
        raise ProtocolError(
            f"the answer does not fit {self.name}: {str(problem)[:300]}; look at the text, ask "
            "again, or make the type looser",
            detail=text[:4096],
        ) from problem

    @property
    def name(self) -> str:
        """Of the type, for messages."""
        return getattr(self.kind, "__name__", str(self.kind)) if self._object else str(self.kind)


def _candidates(text: str, bare: bool) -> Iterator[str]:
    """What may be the JSON meant, the likeliest first: all of the text, what is in fences, each
    object or list in the prose (the last first: models think before they answer), a bare value."""
    yield text.strip()
    for fenced in reversed(_FENCED.findall(text)):
        yield fenced.strip()
    decoder, found, place = JSONDecoder(), [], 0
    for _ in range(_MOST_TRIED):
        match = _OPENING.search(text, place)
        if match is None:
            break
        try:
            _, end = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            place = match.start() + 1
        else:
            found.append(text[match.start() : end])
            place = end
    yield from reversed(found)
    if bare:
        words = _BARE.findall(text)
        # Several numbers in a sentence: which is the answer, nobody can tell.
        if len(words) == 1:
            yield words[0]
