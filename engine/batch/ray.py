"""A batch on many machines: Ray Data moves the rows, one `Multi` an actor asks them.

The driver alone reads the input and writes the output, with the same lock, manifest and journal as
a batch on one machine: whatever actors, nodes or the driver do, a row is written once. Rows of a
block that an actor had not handed back when the driver died are asked again. The limits of rate
are shared out among the actors; each has a gate of its own. A key given by name goes to the actors
through Ray's object store; one from the environment must be in theirs too. Extra ``ray``.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from importlib import import_module
from time import monotonic
from typing import Any, Final

import msgspec

from engine.batch.flow import Flow
from engine.batch.keeping.plan import Past, Plan
from engine.batch.keeping.records import Record, read_entry
from engine.batch.keeping.store import Store
from engine.batch.options import Options
from engine.batch.reading.kinds import Format
from engine.batch.reading.manifest import Manifest
from engine.batch.reading.rendering import Address
from engine.batch.reading.rows import BadRow, Row
from engine.batch.reading.source import Source
from engine.batch.showing.summary import Stopped, Summary
from engine.errors import ConfigError, EngineError, ResourceError
from engine.transport.multi import Multi

__all__ = ["run_on_ray"]

# Rows an actor takes at once. It hands them back together: more lose more when the driver dies,
# fewer leave the actor idle while the slowest of them ends.
_BLOCK: Final = 512

_encode_row: Final = msgspec.json.Encoder().encode
_decode_row: Final = msgspec.json.Decoder(Row).decode
_decode_bad: Final = msgspec.json.Decoder(BadRow).decode


def run_on_ray(
    input: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: Options | None = None,
    *,
    address: str | None = None,
    actors: int | None = None,
    format: Format | None = None,
    on_notice: Callable[[str], object] | None = None,
) -> Summary:
    """Run a batch on Ray to its end; blocks.

    Args:
        input, output, options, format, on_notice: as for `Batch`; ``concurrency`` is each actor's,
            ``ordered`` and the budgets are left to a batch on one machine.
        address: of the cluster; None: RAY_ADDRESS, else one on this machine.
        actors: processes that ask, a CPU each; None: as many as the cluster has CPUs.

    Raises:
        ConfigError, ResourceError: it could not be begun.
    """
    options = options or Options()
    _check(options)
    ray = _ray()
    notice = on_notice or (lambda sentence: None)
    began = monotonic()
    source = Source(input, format)
    store: Store | None = None
    try:
        store = Store(output, options.errors, options.manifest(), force=options.force)
        past, plan = _plan(source, store, options, notice)
        store.begin(past if options.retry_errors else None)
        if not ray.is_initialized():
            ray.init(address=address, log_to_driver=False)
        actors = actors or max(int(ray.cluster_resources().get("CPU", 1)), 1)
        lines = _lines(ray, _blocks(ray, source, past, options), store.manifest, options, actors)
        counts = _write(lines, store)
    finally:
        source.close()
        if store is not None:
            store.close()
    return _summary(plan, counts, store, monotonic() - began)


def _check(options: Options) -> None:
    for name in ("ordered", "max_cost", "max_tokens_total"):
        if getattr(options, name):
            raise ConfigError(f"{name} cannot be kept on Ray; leave it out, or run without --ray")


def _ray() -> Any:
    try:
        import_module("ray.data")
        return import_module("ray")
    except ImportError as error:
        raise ConfigError("--ray needs Ray: pip install 'streamengine[ray]'") from error


def _plan(
    source: Source, store: Store, options: Options, notice: Callable[[str], object]
) -> tuple[Past, Plan]:
    past, plan = Past(), Plan()
    for warning in store.warnings:
        notice(warning)
    for _ in store.read(past):
        pass
    check = Address(store.manifest, options.api_key, options.headers, options.base_url).check
    ask, limit = options.retry_errors, options.limit
    for _ in plan.take(source, past, options.takes, check, ask, limit):
        pass
    for sentence in plan.report(past, source.name):
        notice(sentence)
    return past, plan


def _blocks(ray: Any, source: Source, past: Past, options: Options) -> list[Any]:
    """The rows that are left, in Ray's object store, which spills to disk what is too much."""
    arrow = import_module("pyarrow")
    blocks: list[Any] = []
    block: list[bytes] = []

    def put() -> None:
        if block:
            table = arrow.table({"row": arrow.array(block, type=arrow.binary())})
            blocks.append(ray.put(table))
            block.clear()

    for row in source.rows(options.limit):
        if options.takes(row) and past.wanted(row, options.retry_errors):
            block.append(_packed(row))
            if len(block) >= _BLOCK:
                put()
    put()
    return blocks


def _lines(
    ray: Any, blocks: list[Any], manifest: Manifest, options: Options, actors: int
) -> Iterator[tuple[bytes, str]]:
    """Lines for the journals, as they come, and why the run must stop, where it must."""
    if not blocks:
        return
    actors = min(actors, len(blocks))
    share = msgspec.structs.replace(
        options,
        rpm=max(options.rpm / actors, 1) if options.rpm is not None else None,
        tpm=max(options.tpm / actors, 1) if options.tpm is not None else None,
    )
    asked = ray.data.from_arrow_refs(blocks).map_batches(
        Asker,
        fn_constructor_args=(manifest, share),
        batch_size=_BLOCK,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=actors),
    )
    for batch in asked.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for line, halt in zip(batch["line"], batch["halt"], strict=True):
            yield line.as_py(), halt.as_py()


def _write(lines: Iterator[tuple[bytes, str]], store: Store) -> dict[str, Any]:
    """Write what comes, until the end or until it must stop."""
    counts: dict[str, Any] = {"done": 0, "failed": 0, "halt": ""}
    for line, halt in lines:
        if halt:
            counts["halt"] = halt
            break
        entry = read_entry(line)
        assert entry is not None
        store.write_line(line, entry.failed)
        if store.failure is not None:
            break
        counts["failed" if entry.failed else "done"] += 1
    return counts


def _summary(plan: Plan, counts: dict[str, Any], store: Store, seconds: float) -> Summary:
    error: EngineError | None = store.failure
    if counts["halt"]:
        error = ResourceError(counts["halt"], retryable=False)
    stopped: Stopped | None = "error" if error is not None else None
    return Summary(
        rows=plan.rows,
        done=plan.done + counts["done"],
        failed=plan.failed + counts["failed"],
        begun=plan.done + plan.failed,
        requests=counts["done"] + counts["failed"],
        seconds=seconds,
        stopped=stopped,
        reason=error.message if error is not None else None,
        error=error,
    )


def _packed(row: Row | BadRow) -> bytes:
    return (b"+" if isinstance(row, Row) else b"-") + _encode_row(row)


def _unpacked(data: bytes) -> Row | BadRow:
    return _decode_row(data[1:]) if data[:1] == b"+" else _decode_bad(data[1:])


class Asker:
    """The actor: asks a block of rows, and hands back the lines of their outcomes.

    It is the `Ledger` of its `Flow`; what the pace has learned stays from block to
    block.
    """

    pending = 0
    failure: ResourceError | None = None

    def __init__(self, manifest: Manifest, options: Options) -> None:
        self.manifest = manifest
        self._multi = Multi()
        self._flow = Flow(self._multi, options, self, self._wake_at, lambda sentence: None)
        self._lines: list[bytes] = []
        self._wake: float | None = None
        self._cancel_at: float | None = None

    def __call__(self, batch: Any) -> Any:
        """Ask the rows of a block."""
        self._flow.open(_unpacked(row.as_py()) for row in batch["row"])
        while not self._flow.landed:
            self._turn()
        lines, self._lines = self._lines, []
        halts = [""] * len(lines)
        ending = self._flow.ending
        if ending is not None:
            lines, halts = [*lines, b""], [*halts, ending.reason]
        arrow = import_module("pyarrow")
        return arrow.table(
            {"line": arrow.array(lines, arrow.binary()), "halt": arrow.array(halts, arrow.string())}
        )

    def _turn(self) -> None:
        waits = [wait for wait in (self._multi.timeout(), self._until()) if wait is not None]
        select.select(*self._multi.fdset(), min(waits, default=1.0))
        self._multi.perform()
        self._multi.info_read()
        now = monotonic()
        if self._cancel_at is not None and now >= self._cancel_at:
            self._cancel_at = None
            self._flow.cancel()
        if self._wake is not None and now >= self._wake:
            self._wake = None
            self._flow.turn()
        ending = self._flow.ending
        if ending is not None and self._cancel_at is None:
            self._flow.close()
            self._cancel_at = now + ending.seconds
            self._wake_at(now)

    def _until(self) -> float | None:
        due = [when for when in (self._wake, self._cancel_at) if when is not None]
        return max(min(due) - monotonic(), 0.0) if due else None

    # -- Ledger: see engine.batch.book ---------------------------------------------------------

    def write(self, record: Record) -> None:
        self._lines.append(record.line_bytes())

    def _wake_at(self, when: float) -> None:
        self._wake = when if self._wake is None else min(self._wake, when)
