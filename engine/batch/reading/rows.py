"""Rows of the input: which request each is (see `engine.batch.reading.shapes`), and who it is."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final

import msgspec

from engine.batch.reading.key_table import KeyTable
from engine.batch.reading.numbers import Numbers
from engine.batch.reading.shapes import COLUMNS, Shape, Unfit, custom_id_of, shape_of
from engine.batch.reading.template import Template
from engine.wire.json import UNREADABLE, mended_json

__all__ = ["MADE_ID", "BadRow", "Reading", "Row", "RowParser", "digest"]


class Row(msgspec.Struct, frozen=True):
    """A request of the input.

    Attributes:
        number: its line, or its place, from 1.
        custom_id: the user's id, or one made of the content where there is none.
        key: digest of `custom_id`; what sets of rows are made of.
        content: digest of the request; tells whether an input was edited between runs.
        shape: the wire format of `body`; ``prompt`` is a question still to be rendered, ``other``
            is sent to `path` as it is.
        body: the request body, or the question.
        metadata: given back in the output row; None: nothing.
        path: for ``other``: the path, from ``/v1`` on as a rule.
    """

    number: int
    custom_id: str
    key: bytes
    content: str
    shape: Shape
    body: dict[str, Any]
    metadata: Any = None
    path: str | None = None


class BadRow(msgspec.Struct, frozen=True):
    """A line that is no request; `message` says why. The other fields are those of `Row`."""

    number: int
    custom_id: str
    key: bytes
    content: str
    message: str


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How rows are made of what is in the input.

    Attributes:
        prompt: template of the prompt, with columns in it; None: rows are requests.
        system: instructions for rows that are questions and have none; a template too.
        endpoint: path of rows that name none, such as ``/v1/embeddings``; None: their keys tell.
        samples: how often each row is asked; with more than one, ids end in ``#1``, ``#2``, ….
    """

    prompt: str | None = None
    system: str | None = None
    endpoint: str | None = None
    samples: int = 1


def digest(data: bytes) -> bytes:
    """16 bytes that stand for `data`: of 10 million rows, two meet once in 10^24 times."""
    return blake2b(data, digest_size=16).digest()


MADE_ID: Final = "row-"
"""How the ids of rows without one begin."""

_decode: Final = msgspec.json.Decoder().decode


class RowParser:
    """Reads the rows of one pass. Equal rows without an id are told apart by their order, so
    that both are asked, and are the same two in the next run.

    Args:
        reading: how rows are made.
        only: numbers of the lines that are wanted; None: all.

    Raises:
        ConfigError: a template is wrong.
    """

    def __init__(self, reading: Reading | None = None, only: Numbers | None = None) -> None:
        self._only = only
        self._reading = reading or Reading()
        prompt, system = self._reading.prompt, self._reading.system
        self._prompt = Template(prompt, "prompt") if prompt is not None else None
        self._system = Template(system, "system") if system is not None else None
        self._seen = _Occurrences()

    @property
    def columns(self) -> frozenset[str]:
        """Columns a row must have, as the templates say."""
        wanted = self._prompt.columns if self._prompt is not None else frozenset()
        return wanted | (self._system.columns if self._system is not None else frozenset())

    def passes_over(self, number: int) -> bool:
        """Whether the line `number` is not wanted: it need not be read."""
        return self._only is not None and number not in self._only

    def parse(self, line: bytes, number: int) -> Row | BadRow:
        """The row in `line`, which is JSON, has no line break and is not blank."""
        try:
            data = _decode(line)
        except UNREADABLE:
            return self.bad(number, line, _why_unreadable(line))
        return self.take(data, number, line)

    def take(self, data: Any, number: int, line: bytes | None = None) -> Row | BadRow:
        """The row that `data` is; `line` is what it was read from."""
        custom_id = None
        try:
            custom_id = custom_id_of(data)
            if isinstance(data, dict) and self._prompt is not None:
                data = _question(data, self._fill(self._prompt, data), data)
            elif isinstance(data, str) and self._prompt is not None:
                # Not kept as metadata: it is the prompt, as good as.
                data = {"prompt": self._fill(self._prompt, {"text": data, "prompt": data})}
            asked = shape_of(data, self._reading.endpoint)
            body = named = asked.body
            if asked.shape == "prompt" and "system" not in body and self._system is not None:
                beside = asked.metadata if isinstance(asked.metadata, dict) else {}
                body = {**body, "system": self._fill(self._system, {**beside, **body})}
                if self._system.columns:
                    named = body
        except Unfit as error:
            if line is None:
                line = msgspec.json.encode(data, enc_hook=repr)
            return self.bad(number, line, str(error), custom_id)
        parts = [asked.shape, named] if asked.path is None else [asked.shape, named, asked.path]
        content = digest(msgspec.json.encode(parts, order="sorted"))
        if custom_id is None:
            custom_id = self._seen.name(content)
        return Row(
            number,
            custom_id,
            digest(custom_id.encode()),
            content.hex(),
            asked.shape,
            body,
            asked.metadata,
            asked.path,
        )

    def take_columns(self, columns: dict[str, Any], number: int) -> Row | BadRow:
        """The row of a table that has a column ``prompt``, or those of the template."""
        if self._prompt is None:
            rest = {name: columns[name] for name in columns if name != "prompt"}
            columns = _question(columns, columns.get("prompt", ""), rest)
        return self.take(columns, number)

    def bad(self, number: int, line: bytes, why: str, custom_id: str | None = None) -> BadRow:
        """The row of a line that cannot be asked; `line` may be a part of it."""
        content = digest(line)
        custom_id = custom_id or self._seen.name(content)
        message = f"line {number}: {why}"
        return BadRow(number, custom_id, digest(custom_id.encode()), content.hex(), message)

    def samples(self, row: Row | BadRow) -> Iterator[Row | BadRow]:
        """`row`, once for each time it is asked."""
        count = self._reading.samples
        if count == 1 or isinstance(row, BadRow):
            yield row
            return
        for sample in range(1, count + 1):
            custom_id = f"{row.custom_id}#{sample}"
            yield msgspec.structs.replace(row, custom_id=custom_id, key=digest(custom_id.encode()))

    # ----------------------------------------------------------------------------------------

    def _fill(self, template: Template, columns: dict[str, Any]) -> str:
        try:
            return template.fill(columns)
        except KeyError as error:
            raise Unfit(
                f"it has nothing for {{{error.args[0]}}}; its columns are "
                f"{', '.join(map(str, columns)) or 'none'}"
            ) from None


def _question(columns: dict[str, Any], prompt: str, kept: dict[str, Any]) -> dict[str, Any]:
    """A question with `prompt`; of `kept`, what is no parameter comes back as metadata."""
    own = {name: columns[name] for name in columns if name in _OWN or name in COLUMNS}
    rest = {name: kept[name] for name in kept if name not in own}
    if set(rest) == {"metadata"}:
        rest = rest["metadata"]
    return {**own, "metadata": rest or None, "prompt": prompt}


_OWN: Final = frozenset({"custom_id", "key", "model", "system"})


def _why_unreadable(line: bytes) -> str:
    try:
        _decode(mended_json(line))
    except UNREADABLE:
        return "it is not JSON"
    return r"it holds half a character (\ud800 to \udfff without its other half)"


class _Occurrences:
    """Names for rows without an id: their content, and how often it came before."""

    def __init__(self) -> None:
        self._seen = KeyTable()

    def name(self, content: bytes) -> str:
        count = self._seen.get(content) + 1
        self._seen.put(content, count)
        return f"{MADE_ID}{content.hex()}-{count}"
