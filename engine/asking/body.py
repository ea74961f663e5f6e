"""The JSON body of a question, in the format of who is asked."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.errors import ConfigError
from engine.messages import Message, Part, Thinking
from engine.providers import Dialect, Endpoint
from engine.providers.origin import format_of
from engine.request import ModelRequest

__all__ = ["render_body"]


def render_body(format: Dialect, request: ModelRequest, row: Endpoint) -> dict[str, Any]:
    """`request` as `format` writes it for `row`, without the user's ``extra_body``.

    Raises:
        ConfigError: a piece of it can be said in another format only, and is named by its place;
            or it cannot be said in this one.
    """
    name = format_of(format.name)
    for bound in request.bound:
        if name not in bound.formats:
            known = " and ".join(bound.formats)
            raise ConfigError(
                f"{bound.place} means nothing in the {name} format, in which {row.name or 'this'} "
                f"is asked (it belongs to {known}); leave it out, or ask in that format (dialect=)"
            )
    try:
        return format.render(request, row)
    except ConfigError as error:
        place = _place_of(error, format, request, row)
        if place is None:
            raise
        words = str(error).removeprefix("input: ")
        raise ConfigError(f"{place}: {words}") from error


def _place_of(
    error: ConfigError, format: Dialect, request: ModelRequest, row: Endpoint
) -> str | None:
    """Where in the input that stands which cannot be said: the message, and the part, that cannot
    be said alone either; None where it is no one's."""
    if not str(error).startswith("input: "):
        return None

    def is_refused(message: Message) -> bool:
        try:
            format.render(msgspec.structs.replace(request, messages=[message]), row)
        except ConfigError as refusal:
            return str(refusal) == str(error)
        return False

    for number, message in enumerate(request.messages):
        if not is_refused(message):
            continue
        place = f"input[{number - request.before}]" if number >= request.before else "system"
        beside = [part for part in message.parts if not _is_beside(part)]
        for index, part in enumerate(beside):
            if is_refused(msgspec.structs.replace(message, parts=[part])):
                return f"{place}.content[{index}]"
        return place
    return None


def _is_beside(part: Part) -> bool:
    """Whether a part came from beside the content: reasoning under a name of its own."""
    return isinstance(part, Thinking) and part.field not in (None, "content")
