"""The form of a dialogue's turns: all but their messages, rendered once for who asks the same of
many dialogues, turn after turn."""

from __future__ import annotations

from collections.abc import Mapping
from marshal import dumps
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import msgspec

from engine.asking.dialogue import Dialogue
from engine.asking.input import read_input
from engine.asking.rendered import Rendered, encode_body
from engine.asking.target import Place, Target
from engine.errors import ConfigError
from engine.messages import Message, Tool
from engine.providers import Endpoint, is_built_in

__all__ = ["TurnForm", "key_of_turn", "turn_form"]

# Bytes that what tells two questions apart may take: tools and schemas can be large.
_LONGEST_KEY: Final = 16 * 1024
# The last form of marshal in which equal values are always the same bytes: the later ones write
# how often a string is referred to.
_MARSHAL_VERSION: Final = 2
# The field of the messages, of which nothing else of the body depends on the messages.
_FIELD: Final = "messages"


@runtime_checkable
class LineDialect(Protocol):
    """A format in whose body the messages are one field, and nothing else depends on them."""

    def lines(
        self,
        messages: list[Message],
        endpoint: Endpoint,
        model: str,
        rendered: dict[Any, Any] | None,
    ) -> list[dict[str, Any]]:
        """The field."""


class _Page(NamedTuple):
    """What one model is asked, before and after the messages."""

    model: str
    place: Place
    dialect: LineDialect
    rendered: Rendered
    before: bytes
    after: bytes


class TurnForm:
    """What is asked beside the messages: of one model, and of those to fall back to."""

    __slots__ = ("_models", "_pages", "_places", "_system")

    def __init__(self, pages: list[_Page], system: str | None) -> None:
        self._pages = pages
        self._models = [page.model for page in pages]
        self._places = [page.place for page in pages]
        self._system = [Message.system(system)] if system else []

    def stands(self, target: Target) -> bool:
        """Whether it would be rendered the same now: no variable, key or table changed."""
        return [*map(target.place, self._models)] == self._places

    def filled(self, dialogue: Dialogue) -> Rendered | None:
        """The request for `dialogue`; None where that needs a look at the whole of it, which also
        tells what is wrong with it."""
        try:
            messages, bound = read_input(dialogue, None)
            if bound:
                return None
            if self._system:
                messages = self._system + messages
            rendered: Rendered | None = None
            for _, place, dialect, asked, before, after in self._pages:
                lines = dialect.lines(
                    messages, place.named_row, place.model, dialogue.known.rendered
                )
                http = asked.http.with_body(before + encode_body(lines) + after)
                rendered = msgspec.structs.replace(asked, http=http, fallback=rendered)
        except ConfigError:
            return None
        return rendered


def key_of_turn(
    model: str, response_format: object, options: Mapping[str, Any], streaming: bool
) -> bytes | None:
    """All that decides what is sent beside the messages of the dialogue; None where it is not of
    plain values. Made anew each time: who asks may have changed in place what he gives."""
    given, tools = options.get("tools"), []
    if not isinstance(given, list | tuple | None):
        return None  # what can be read only once is not for us
    try:
        for tool in given or ():
            known = tool if type(tool) is Tool else tool.definition
            if type(known) is not Tool:
                return None
            tools.append(msgspec.structs.astuple(known))
        beside = {name: value for name, value in options.items() if name != "tools"}
        # Tells 1 from 1.0 and True, -0.0 from 0.0, and refuses whatever is no plain value.
        asked: Any = ("turn", streaming, model, response_format, beside, tools)
        key = dumps(asked, _MARSHAL_VERSION)
    except (AttributeError, TypeError, ValueError):
        return None
    return key if len(key) <= _LONGEST_KEY else None


def turn_form(target: Target, rendered: Rendered, options: Mapping[str, Any]) -> TurnForm | None:
    """The form of turns such as `rendered` was made of; None where their messages do not stand in
    it by themselves."""
    system = options.get("system")
    if not (system is None or type(system) is str) or _FIELD in (options.get("extra_body") or ()):
        return None
    pages: list[_Page] = []
    asked: Rendered | None = rendered
    while asked is not None:
        dialect = asked.dialect
        # A dialect of somebody else's may do with a message what it likes.
        if not is_built_in(dialect) or not isinstance(dialect, LineDialect):
            return None
        before, after = _beside(asked.http.body or b"")
        page = msgspec.structs.replace(asked, http=asked.http.with_body(b""), fallback=None)
        place = target.place(asked.model)
        pages.insert(0, _Page(asked.model, place, dialect, page, before, after))
        asked = asked.fallback
    return TurnForm(pages, system)


def _beside(body: bytes) -> tuple[bytes, bytes]:
    """What stands before and after the messages in `body`."""
    fields = list(msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items())
    at = [name for name, _ in fields].index(_FIELD)
    before, after = (
        msgspec.json.encode(dict(fields[:at])),
        msgspec.json.encode(dict(fields[at + 1 :])),
    )
    return (
        b'%b%b"%b":' % (before[:-1], b"," if at else b"", _FIELD.encode()),
        b"," + after[1:] if len(after) > 2 else after[1:],
    )
