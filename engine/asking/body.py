"""The JSON body of a question, in the format of who is asked."""

from __future__ import annotations

from typing import Any

from engine.errors import ConfigError
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
    return format.render(request, row)
