"""What is left to do: the output of earlier runs against the input of this one.

Both are read by generators, which yield after each row, so that a host loop goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

import msgspec

from engine.batch.keeping.records import read_entry
from engine.batch.pacing.cost import Spent
from engine.batch.reading.key_table import KeyTable
from engine.batch.reading.numbers import Numbers
from engine.batch.reading.rows import MADE_ID, BadRow, Row
from engine.batch.reading.source import Source
from engine.errors import ConfigError

__all__ = ["Past", "Plan"]

_SHOWN: Final = 10  # line numbers that a message names

# What is known of a row, in one number of 48 bits: what became of it, twelve bits of the digest of
# its request (to tell an edited one), and the line it is on.
_DONE: Final = 1 << 47
_FAILED: Final = 1 << 46
_SEEN: Final = 1 << 45
_CHECK: Final = 0xFFF << 33
_LINE: Final = (1 << 33) - 1


class Past:
    """What earlier runs left.

    Attributes:
        spent: what they took; `counted` rows told it, the largest of them `largest`.
        settled: rows with an outcome.
        superseded: lines of failures whose row has another line since.
        damaged: place of each line that cannot be read; its row is asked again.
    """

    def __init__(self) -> None:
        self.rows: KeyTable = KeyTable()
        self.spent: Spent = Spent()
        self.largest: Spent = Spent()
        self.counted: int = 0
        self.settled: int = 0
        self.superseded: int = 0
        self.damaged: list[str] = []

    def read(self, path: str, lines: Iterator[tuple[int, bytes]]) -> Iterator[None]:
        """Take in `lines`, numbered, of the file at `path`; answers before failures."""
        for number, line in lines:
            entry = read_entry(line)
            if entry is None:
                if line:
                    self.damaged.append(f"{path}:{number}")
                continue
            state = (_FAILED if entry.failed else _DONE) | _check(entry.content)
            before = self.rows.change(entry.key, 0, state)
            if not before:
                self.settled += 1
            else:
                self.superseded += entry.failed
                if before & _DONE:
                    self.rows.put(entry.key, before)
            self._count(entry.spent)
            yield

    def _count(self, spent: Spent) -> None:
        self.spent.add(spent.cost, spent.tokens)
        self.counted += spent.tokens > 0
        largest = self.largest
        if spent.cost > largest.cost:
            largest.cost = spent.cost
        if spent.tokens > largest.tokens:
            largest.tokens = spent.tokens

    def carry(self, spent: Spent) -> None:
        """Earlier runs spent that besides, on what is in no line."""
        self.spent.add(spent.cost, spent.tokens)

    def wanted(self, row: Row | BadRow, retry_errors: bool) -> bool:
        """Whether `row`, which the plan has seen, is to be asked."""
        known = self.rows.get(row.key)
        return bool(known & _SEEN) and not known & (_DONE if retry_errors else _DONE | _FAILED)

    def seen(self, key: bytes) -> bool:
        """Whether the row is in the input."""
        return bool(self.rows.get(key) & _SEEN)

    def done(self, key: bytes) -> bool:
        """Whether the row has an answer."""
        return bool(self.rows.get(key) & _DONE)

    def renew(self, key: bytes, failed: bool) -> None:
        """The row has a new outcome."""
        known = self.rows.get(key)
        self.superseded += bool(known & _FAILED)
        if not failed:
            self.rows.put(key, known | _DONE)


class Plan(msgspec.Struct):
    """The rows of the input, counted.

    Attributes:
        rows: of the input, those of other shards left out.
        read: of the input, all of them: a second pass goes no further.
        done, failed: of them, those an earlier run settled.
        bad: lines that are no request, and are not settled.
        first_bad: what is wrong with the first of them.
        changed: numbers of lines whose request was another when it was answered.
        orphans: settled rows of earlier runs that the input has no more.
        named: every row that is to be asked has an id of its own.
        lines: numbers of those that hold what is to be asked.
    """

    rows: int = 0
    read: int = 0
    done: int = 0
    failed: int = 0
    bad: int = 0
    first_bad: str | None = None
    changed: list[int] = []
    orphans: int = 0
    named: bool = True
    lines: Numbers = msgspec.field(default_factory=Numbers)

    @property
    def left(self) -> int:
        """Rows to be asked."""
        return self.rows - self.done - self.failed

    def take(
        self,
        source: Source,
        past: Past,
        belongs: Callable[[Row | BadRow], bool],
        check: Callable[[Row], str | None],
        retry_errors: bool,
        limit: int | None,
    ) -> Iterator[None]:
        """Take in the rows of `source` that belong to this run.

        Raises:
            ConfigError: ids occur twice, or a row shows that none like it can be asked.
        """
        twice: list[str] = []
        doubled = known_again = 0
        for row in source.rows(limit):
            self.read += 1
            known = past.rows.change(row.key, ~_LINE, _SEEN | row.number)
            if known & _SEEN:
                past.rows.put(row.key, known)
                doubled += 1
                if len(twice) < _SHOWN:
                    twice.append(f"{row.custom_id!r} (lines {known & _LINE} and {row.number})")
                continue
            known_again += known != 0
            if belongs(row):
                self._count(row, known, check, retry_errors)
            yield
        if twice:
            more = f" and {doubled - _SHOWN} more" if doubled > _SHOWN else ""
            raise ConfigError(
                f"ids occur twice: {', '.join(twice)}{more}; make them unique, nothing was asked"
            )
        if limit is None:
            self.orphans = past.settled - known_again

    def _count(
        self, row: Row | BadRow, known: int, check: Callable[[Row], str | None], retry: bool
    ) -> None:
        self.rows += 1
        if known & _DONE:
            self.done += 1
        elif known & _FAILED and not retry:
            self.failed += 1
        else:
            self.lines.add(row.number)
            self.named = self.named and not row.custom_id.startswith(MADE_ID)
            why = row.message if isinstance(row, BadRow) else check(row)
            if why is not None:
                self.bad += 1
                place = "" if isinstance(row, BadRow) else f"line {row.number}: "
                self.first_bad = self.first_bad or place + why
            return
        if known & _CHECK and known & _CHECK != _check(row.content):
            self.changed.append(row.number)

    def again(self, source: Source, limit: int | None) -> Iterator[Row | BadRow]:
        """The rows of `source` a second time, no further than the first time; those left out that
        are not to be asked, where they can be told without reading them."""
        if not self.left:
            return iter(())
        if self.named:
            return source.rows(None, self.lines)
        return islice(source.rows(limit), self.read)

    def report(self, past: Past, name: str) -> list[str]:
        """What the user should know before it begins."""
        told = []
        if self.done or self.failed:
            told.append(
                f"going on: {self.done} rows are done, {self.failed} failed, {self.left} are left"
            )
        if self.bad:
            told.append(f"{self.bad} rows cannot be asked, the first: {self.first_bad}")
        if self.changed:
            lines = ", ".join(map(str, self.changed[:_SHOWN]))
            more = ", …" if len(self.changed) > _SHOWN else ""
            told.append(
                f"{len(self.changed)} rows were edited after they were answered (lines "
                f"{lines}{more}); their answers are kept"
            )
        if self.orphans:
            told.append(f"{self.orphans} rows of the output are not in {name} (any more)")
        if past.damaged:
            places = ", ".join(past.damaged[:_SHOWN])
            told.append(
                f"{len(past.damaged)} lines of the output cannot be read ({places}); their rows "
                "are asked again"
            )
        return told


def _check(content: str) -> int:
    """Twelve bits of the digest of a request, in their place; 0 where there is none."""
    return (int(content[:3], 16) or 1) << 33 if content else 0
