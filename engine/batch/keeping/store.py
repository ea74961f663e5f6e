"""The files of a batch: output, errors, manifest and lock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

import msgspec

from engine.batch.answer import Answer, answer_of
from engine.batch.keeping.journal import GroupSync, Journal
from engine.batch.keeping.lock import Lock
from engine.batch.keeping.plan import Past
from engine.batch.keeping.records import Record, read_entry
from engine.batch.pacing.cost import Spent
from engine.batch.reading.key_table import KeyTable
from engine.batch.reading.manifest import Manifest, load_manifest, save_manifest
from engine.batch.reading.rows import digest
from engine.errors import ConfigError, ResourceError

__all__ = ["Store", "errors_path", "written"]


class Store:
    """Opens the files of a run, or of the one it goes on with.

    Args:
        output: path of the output, or ``"-"`` for stdout, which leaves nothing to go on with.
        errors: path of the errors file; None: beside the output.
        manifest: of this run; takes the name of the run that was begun.
        force: go on although that was another run.

    Attributes:
        output: path of the output, links followed.
        manifest: the one in force: what a `Flow` goes by.
        warnings: what the user should know.

    Raises:
        ConfigError: the output is no file, or belongs to another run, or to no run at all.
        ResourceError: another process writes it, or the disk refuses.
    """

    def __init__(
        self,
        output: str | os.PathLike[str],
        errors: str | os.PathLike[str] | None,
        manifest: Manifest,
        *,
        force: bool = False,
    ) -> None:
        output = os.fspath(output)
        if output != "-" and os.path.exists(output) and not os.path.isfile(output):
            raise ConfigError(f"{output} is not a file; give a file, or - for stdout")
        self.output: str = output if output == "-" else os.path.realpath(output)
        self.manifest: Manifest = manifest
        self.warnings: list[str] = []
        self._locks: list[Lock] = []
        self._journals: list[Journal] = []
        self._syncs: GroupSync | None = None
        self._unwritten: ResourceError | None = None
        self._lost = 0
        self._ours = True
        self._unsaved = False  # the manifest: a run that does not come to its begin leaves none
        self._past: Past | None = None
        self._sizes: list[int] = []
        try:
            paths = [self.output]
            if errors is not None or output != "-":
                paths.append(os.fspath(errors or errors_path(self.output)))
            if output != "-":
                self._hold(self.output)
                if os.path.realpath(paths[-1]) != os.path.realpath(errors_path(self.output)):
                    self._hold(os.path.realpath(paths[-1]))  # another output may name it, too
                self._agree(paths, force)
            journals = [self._open(path) for path in paths]
            self._answers, self._failures = journals[0], journals[-1]
        except BaseException:
            self.close()
            raise

    def _hold(self, path: str) -> None:
        lock = Lock(f"{path}.lock")
        self._locks.append(lock)
        if lock.warning is not None:
            self.warnings.append(lock.warning)

    def _agree(self, paths: list[str], force: bool) -> None:
        """Go on with the run that was begun, or begin one."""
        path = f"{self.output}.manifest.json"
        self._ours = os.path.exists(path)
        before = None if force else load_manifest(path)
        written = [file for file in paths if os.path.exists(file) and os.path.getsize(file)]
        if before is None:
            foreign = written if not self._ours else []
            if foreign and not force:
                raise ConfigError(
                    f"{foreign[0]} exists and no batch wrote it ({path} is not there); give "
                    "another file, or go on with it by --force"
                )
            self._unsaved = True
            return
        differences = before.differences(self.manifest)
        if differences and not written and not before.spent_tokens:
            self._unsaved = True  # nothing came of that run: its model's name was wrong, say
            return
        if differences:
            raise ConfigError(
                f"{self.output} was begun as another run: {'; '.join(differences)}; give another "
                "output, or mix the two by --force"
            )
        self.manifest = before

    def _open(self, path: str) -> Journal:
        journal = Journal(path)
        self._journals.append(journal)
        # In a file no batch wrote, nothing is torn.
        cut = journal.mend(lambda line: not self._ours or read_entry(line) is not None)
        if cut:
            self.warnings.append(
                f"{journal.path}: the last line was torn ({cut} bytes) and is cut off; its row is "
                "asked again"
            )
        return journal

    def read(self, past: Past) -> Iterator[None]:
        """Take in what earlier runs left, in pieces."""
        past.carry(Spent(cost=self.manifest.spent_cost, tokens=self.manifest.spent_tokens))
        for journal in self._journals:
            yield from past.read(journal.path, journal.lines())

    def tidy(self, past: Past) -> Iterator[None]:
        """Drop the failures whose row has another outcome, in pieces; what they cost is kept."""
        if not past.superseded or self._failures is self._answers:
            return
        last = KeyTable()  # where the last failure of each row is
        dropped = Spent()
        for number, line in self._failures.lines():
            entry = read_entry(line)
            if entry is not None:
                if past.done(entry.key) or last.get(entry.key):
                    dropped.add(entry.spent.cost, entry.spent.tokens)
                if not past.done(entry.key):
                    last.put(entry.key, number)
            yield
        numbers = count(1)

        def wanted(line: bytes) -> bool:
            number, entry = next(numbers), read_entry(line)
            return entry is None or last.get(entry.key) == number

        # First this: a crash in between counts what was spent twice, never not at all.
        self.carry(dropped)
        yield from self._failures.keep(wanted)
        past.superseded = 0

    def carry(self, spent: Spent) -> None:
        """Keep for later runs that so much was spent that no line tells."""
        if self.output == "-" or not (spent.cost or spent.tokens):
            return
        self.manifest = msgspec.structs.replace(
            self.manifest,
            spent_cost=self.manifest.spent_cost + spent.cost,
            spent_tokens=self.manifest.spent_tokens + spent.tokens,
        )
        save_manifest(f"{self.output}.manifest.json", self.manifest)

    def begin(self, past: Past | None = None) -> None:
        """Be ready for `write`; `past` hears of rows that failed before and are asked again."""
        if self._unsaved:
            save_manifest(f"{self.output}.manifest.json", self.manifest)
            self._unsaved = False
        self._past = past
        self._sizes = [journal.size for journal in self._journals]
        self._syncs = GroupSync(self._journals)

    def earlier(self) -> Iterator[bytes]:
        """The lines that were there when `begin` was called."""
        for journal, size in zip(self._journals, self._sizes, strict=False):
            read = 0
            for _, line in journal.lines():
                read += len(line) + 1
                if read > size:
                    break
                yield line

    def write(self, record: Record) -> None:
        """Write a line: a failure to the errors file, an answer to the output. Where the disk
        refuses it is lost, and `failure` is set."""
        failed = record.error is not None
        self.write_line(record.line_bytes(), failed)
        if self._past is not None:
            self._past.renew(digest(record.custom_id.encode()), failed)

    def write_line(self, line: bytes, failed: bool) -> None:
        """`write` for a record that is a line already."""
        assert self._syncs is not None
        journal = self._failures if failed else self._answers
        if self.failure is None:
            try:
                journal.append(line)
                self._syncs.note()
                return
            except ResourceError as error:
                self._unwritten = error
        self._lost += 1

    @property
    def pending(self) -> int:
        """Lines that are not on disk yet."""
        return self._syncs.pending if self._syncs is not None else 0

    @property
    def whole(self) -> bool:
        """After `finish`: everything is on disk, and what was written is what is there."""
        return self._syncs is None or self._syncs.checked

    @property
    def lost(self) -> int:
        """Lines a failing disk did not take."""
        failed = self._syncs is not None and self._syncs.failure is not None
        return self._lost + (self.pending if failed else 0)

    @property
    def failure(self) -> ResourceError | None:
        """Why nothing more can be written, or None."""
        return self._unwritten or (self._syncs.failure if self._syncs is not None else None)

    def finish(self) -> None:
        """No more is written: put what is `pending` on the disk at once."""
        if self._syncs is not None:
            self._syncs.finish()

    def close(self) -> None:
        """Sync what was written and let the files go."""
        if self._syncs is not None:
            self._syncs.close()
            if self._syncs.failure is not None:
                for journal in self._journals:
                    journal.forget_unsynced()
        for journal in self._journals:
            journal.close(forget=self._syncs is None)
        self._journals.clear()
        while self._locks:
            self._locks.pop().close()


def written(
    output: str | os.PathLike[str], errors: str | os.PathLike[str] | None = None
) -> Iterator[Answer]:
    """The outcomes in the files of a run: answers, then failures; what is torn is left out."""
    output = os.fspath(output)
    for path in (output, os.fspath(errors or errors_path(output))):
        if path != "-" and os.path.isfile(path):
            with open(path, "rb") as file:
                for line in file:
                    if read_entry(line) is not None:
                        yield answer_of(line)


def errors_path(output: str) -> str:
    """``out.jsonl`` → ``out.errors.jsonl``."""
    root, ending = os.path.splitext(output)
    return f"{root}.errors{ending or '.jsonl'}"
