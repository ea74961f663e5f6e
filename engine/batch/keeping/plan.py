"""What is left to do: the output of earlier runs against the input of this one.

Both are read by generators, which yield after each row, so that a host loop goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from engine.batch.keeping.records import read_entry
from engine.batch.reading.rows import BadRow, Row
from engine.batch.reading.source import Source
from engine.errors import ConfigError

__all__ = ["Past", "Plan"]

_SHOWN: Final = 10  # line numbers that a message names


class Past:
    """What earlier runs left.

    Attributes:
        done, failed: digest of the request, by the key of the row.
        cost, tokens: what they took, the failed ones too; `counted` of them told their tokens.
        damaged: place of each line that cannot be read; its row is asked again.
    """

    def __init__(self) -> None:
        self.done: dict[bytes, str] = {}
        self.failed: dict[bytes, str] = {}
        self.cost = 0.0
        self.tokens = 0
        self.counted = 0
        self.damaged: list[str] = []

    def read(self, path: str, lines: Iterator[tuple[int, bytes]]) -> Iterator[None]:
        """Take in `lines`, numbered, of the file at `path`."""
        for number, line in lines:
            entry = read_entry(line)
            if entry is None:
                if line:
                    self.damaged.append(f"{path}:{number}")
                continue
            rows = self.failed if entry.failed else self.done
            rows[entry.key] = entry.content
            self.cost += entry.cost
            self.tokens += entry.tokens
            self.counted += entry.tokens > 0
            yield

    def settled(self, row: Row | BadRow, retry_errors: bool) -> bool:
        """Whether nothing is to be done for `row`."""
        return row.key in self.done or (not retry_errors and row.key in self.failed)


class Plan:
    """The rows of the input, counted.

    Attributes:
        rows: of the input, those of other shards left out.
        done, failed: of them, those an earlier run settled.
        bad: lines that are no request, and are not settled.
        changed: numbers of lines whose request was another when it was answered.
        orphans: settled rows of earlier runs that the input has no more.
    """

    def __init__(self) -> None:
        self.rows = self.done = self.failed = self.bad = 0
        self.changed: list[int] = []
        self.orphans = 0

    @property
    def left(self) -> int:
        """Rows to be asked."""
        return self.rows - self.done - self.failed

    def read(
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
        lines: dict[bytes, int] = {}
        twice: list[str] = []
        for row in source.rows():
            if limit is not None and len(lines) >= limit:
                break
            first = lines.setdefault(row.key, row.number)
            if first != row.number:
                twice.append(f"{row.custom_id!r} (lines {first} and {row.number})")
            elif belongs(row):
                self._count(row, past, check, retry_errors)
            yield
        if twice:
            more = f" and {len(twice) - _SHOWN} more" if len(twice) > _SHOWN else ""
            raise ConfigError(
                f"ids occur twice: {', '.join(twice[:_SHOWN])}{more}; make them unique, nothing "
                "was asked"
            )
        if limit is None:
            known = (key for rows in (past.done, past.failed) for key in rows)
            self.orphans = sum(key not in lines for key in known)

    def _count(
        self,
        row: Row | BadRow,
        past: Past,
        check: Callable[[Row], str | None],
        retry_errors: bool,
    ) -> None:
        self.rows += 1
        before = past.done.get(row.key)
        if before is not None:
            self.done += 1
        elif not retry_errors:
            before = past.failed.get(row.key)
            self.failed += before is not None
        if before is None:
            self.bad += isinstance(row, BadRow) or check(row) is not None
        elif before and before != row.content:
            self.changed.append(row.number)

    def report(self, past: Past, name: str) -> list[str]:
        """What the user should know before it begins."""
        told = []
        if self.done or self.failed:
            told.append(
                f"going on: {self.done} rows are done, {self.failed} failed, {self.left} are left"
            )
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
