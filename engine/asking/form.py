"""A form: a question rendered once but for its text, for who asks the same of many texts."""

from __future__ import annotations

from collections.abc import Mapping
from marshal import dumps
from os import urandom
from typing import Any, Final, NamedTuple

import msgspec

from engine.asking.dialogue import Dialogue
from engine.asking.input import Input
from engine.asking.question import QuestionOptions, as_question
from engine.asking.rendered import Rendered, encode_body, render
from engine.asking.target import Place, Target
from engine.asking.turn_form import TurnForm, key_of_turn, turn_form
from engine.providers import is_built_in

__all__ = ["Form", "Forms", "render_question"]

# Forms a client remembers: more kinds of questions than one program asks at a time.
_MOST: Final = 64
# Bytes that what tells two questions apart may take: tools and schemas can be large.
_LONGEST_KEY: Final = 16 * 1024
# The last form of marshal in which equal values are always the same bytes: the later ones write
# how often a string is referred to.
_MARSHAL_VERSION: Final = 2


class _Page(NamedTuple):
    """What one model is asked, before and after the text."""

    model: str
    place: Place
    rendered: Rendered
    before: bytes
    after: bytes


class Form:
    """What is asked of a text, rendered without it: of one model, and of those to fall back to."""

    __slots__ = ("_models", "_pages", "_places")

    def __init__(self, pages: list[_Page]) -> None:
        self._pages = pages
        self._models = [page.model for page in pages]
        self._places = [page.place for page in pages]

    def stands(self, target: Target) -> bool:
        """Whether it would be rendered the same now: no variable, key or table changed."""
        return [*map(target.place, self._models)] == self._places

    def filled(self, text: str) -> Rendered:
        """The request for `text`.

        Raises:
            ConfigError: `text` cannot be written as JSON.
        """
        written = encode_body(text)
        rendered: Rendered | None = None
        for page in self._pages:
            asked = page.rendered
            http = asked.http.with_body(b"%b%b%b" % (page.before, written, page.after))
            rendered = msgspec.structs.replace(asked, http=http, fallback=rendered)
        assert rendered is not None
        return rendered


class Forms:
    """The forms of one client, by all that tells two questions apart but the text, or the messages
    of a dialogue. A question that is asked once makes none."""

    __slots__ = ("_forms",)

    def __init__(self) -> None:
        self._forms: dict[bytes, Form | TurnForm | None] = {}

    def __len__(self) -> int:
        return len(self._forms)

    def find(self, key: bytes, target: Target) -> Form | TurnForm | None:
        """The form of `key`, if it still stands."""
        form = self._forms.get(key)
        return form if form is not None and form.stands(target) else None

    def asked(self, key: bytes) -> bool:
        """Whether `key` was asked before; it is noted that it was now."""
        if key in self._forms:
            return True
        self.keep(key, None)
        return False

    def keep(self, key: bytes, form: Form | TurnForm | None) -> None:
        """Remember `form`; the one that was remembered first is forgotten where they are many."""
        self._forms.pop(key, None)
        if len(self._forms) >= _MOST:
            del self._forms[next(iter(self._forms))]
        self._forms[key] = form


def render_question(
    forms: Forms,
    target: Target,
    model: str,
    input: Input,
    response_format: object,
    options: QuestionOptions,
    *,
    streaming: bool,
) -> Rendered:
    """The request for what `Client.stream` is asked; raises as `as_question` and `render` do."""
    turn = type(input) is Dialogue
    if turn:
        key = key_of_turn(model, response_format, options, streaming)
    else:
        key = _key_of(model, input, response_format, options, streaming)
    form = forms.find(key, target) if key is not None else None
    if form is not None:
        filled = form.filled(input)  # type: ignore[arg-type]  # a key is of a text or a dialogue
        if filled is not None:
            return filled
    question = as_question(model, input, response_format, options)
    rendered = render(target, question, streaming=streaming)
    if key is not None and form is None and forms.asked(key):
        if turn:
            form = turn_form(target, rendered, options)
        else:
            form = _form_of(target, model, response_format, options, streaming)
        forms.keep(key, form)
    return rendered


def _key_of(
    model: str, input: object, response_format: object, options: Mapping[str, Any], streaming: bool
) -> bytes | None:
    """All that decides what is sent beside the text `input`; None where that is no text, or is
    blank, which some formats leave out, or an option is not of plain values."""
    if type(input) is not str or not input or input.isspace():
        return None
    try:
        # Tells 1 from 1.0 and True, -0.0 from 0.0, and refuses whatever is no plain value.
        asked: Any = (streaming, model, response_format, options)
        key = dumps(asked, _MARSHAL_VERSION)
    except ValueError:
        return None
    return key if len(key) <= _LONGEST_KEY else None


def _form_of(
    target: Target,
    model: str,
    response_format: object,
    options: QuestionOptions,
    streaming: bool,
) -> Form | None:
    """The form of such questions; None where the text is not written as it is, at one place."""
    text = f"text-{urandom(16).hex()}"
    question = as_question(model, text, response_format, options)
    asked: Rendered | None = render(target, question, streaming=streaming)
    pages: list[_Page] = []
    while asked is not None:
        # A dialect of somebody else's may do with a text what it likes.
        http, found = asked.http, is_built_in(asked.dialect)
        before, _, after = (http.body or b"").partition(f'"{text}"'.encode())
        if not found or not after or text.encode() in after or text.encode() in before:
            return None
        if text in http.url or any(text in value for value in http.headers.values()):
            return None
        place = target.place(asked.model)
        page = msgspec.structs.replace(asked, http=http.with_body(b""), fallback=None)
        pages.insert(0, _Page(asked.model, place, page, before, after))
        asked = asked.fallback
    return Form(pages)
