"""`engine batch`: a file of prompts in, a file of answers out, nothing lost."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from engine.batch import Batch, Options, Summary, load_prices
from engine.batch.flow import SendBy
from engine.batch.keeping.mirror import mirrored
from engine.batch.keeping.store import written
from engine.batch.reading.kinds import FORMATS
from engine.batch.showing.progress import View, view
from engine.batch.showing.report import check_report, write_report
from engine.batch.showing.table import check_table, write_table
from engine.cli.asking import key_of
from engine.cli.console import complain
from engine.cli.neutral import one_line
from engine.errors import ConfigError
from engine.transport.deadlines import Timeouts
from engine.transport.multi import Multi

__all__ = ["add_arguments", "run"]

# Seconds rows under way get after the first Ctrl-C.
_DRAIN: Final = 10.0
# Seconds between two looks at the progress.
_LOOK: Final = 0.25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = (
        "The output is the journal: run the same command again after any end, and what is missing "
        "is asked. Exit codes: 0 all rows, 1 some failed, 2 usage, 3 could not run, 4 stopped by a "
        "budget, 130 interrupted."
    )
    parser.add_argument(
        "input",
        help="rows: JSONL, a JSON array, CSV, TSV, text, Parquet, Arrow; .gz, .zst; - stdin",
    )
    parser.add_argument("-o", "--output", required=True, help="answers; - is stdout")
    parser.add_argument("--format", choices=FORMATS, help="of the input")
    parser.add_argument("--errors", metavar="FILE", help="failures (default: OUTPUT.errors.jsonl)")
    parser.add_argument("--force", action="store_true", help="go on with another run's output")
    _add_request_arguments(parser.add_argument_group("what is asked"))
    _add_pace_arguments(parser.add_argument_group("pace and budget"))
    _add_row_arguments(parser.add_argument_group("which rows"))
    many = parser.add_argument_group("many machines")
    many.add_argument("--ray", nargs="?", const="", metavar="ADDRESS", help="run on Ray")
    many.add_argument("--ray-actors", type=int, metavar="N", help="default: one for each CPU")
    parser.add_argument("--text-field", metavar="NAME", help="the answer's text, beside the body")
    parser.add_argument(
        "--table", metavar="FILE", help="a table of all answers at the end: .csv, .tsv, .parquet"
    )
    shown = parser.add_argument_group("what is shown")
    modes = ("auto", "rich", "plain", "json", "none")
    shown.add_argument("--progress", choices=modes, default="auto", help="on stderr")
    shown.add_argument("--report", metavar="FILE.html", help="write a page with plots at the end")


def _add_request_arguments(group: Any) -> None:
    group.add_argument("-m", "--model", help="PROVIDER/MODEL; instead of what the rows name")
    group.add_argument("--provider", help="see `engine providers`")
    group.add_argument("--base-url", metavar="URL", help="address of any other server")
    group.add_argument("--api-key-env", metavar="NAME", help="variable that holds the key")
    group.add_argument("--prompt", metavar="TEXT", help="template: 'Classify: {text}'")
    group.add_argument("--system", metavar="TEXT", help="instructions, for prompts; a template too")
    group.add_argument("--endpoint", metavar="PATH", help="of rows that name none: /v1/embeddings")
    group.add_argument("-n", "--samples", type=int, default=1, metavar="N", help="of each row")
    group.add_argument("--max-tokens", type=int, metavar="N", help="for rows that do not say it")
    group.add_argument("--temperature", type=float, metavar="X", help="for rows that do not say it")
    group.add_argument(
        "--header", action="append", default=[], metavar="NAME:VALUE", help="sent along; repeatable"
    )
    group.add_argument("--timeout", type=float, metavar="S", help="seconds a request may take")
    group.add_argument("--body", metavar="JSON", help='merged into each request: {"temperature":0}')
    group.add_argument("--schema", metavar="FILE", help="JSON schema the answers must fit")
    group.add_argument("--stream", action="store_true", help="stream chat rows, to time tokens")


def _add_pace_arguments(group: Any) -> None:
    group.add_argument("--concurrency", default="auto", metavar="N|auto", type=_concurrency)
    group.add_argument("--max-concurrency", type=int, default=1000, metavar="N", help="for auto")
    group.add_argument("--rpm", type=float, metavar="N", help="requests a minute")
    group.add_argument("--tpm", type=float, metavar="N", help="tokens a minute")
    group.add_argument("--max-attempts", type=int, default=5, metavar="N", help="for each row")
    group.add_argument(
        "--max-wait", type=float, metavar="S", help="seconds; give a provider up that asks for more"
    )
    group.add_argument("--max-cost", type=float, metavar="USD", help="stop before it costs more")
    group.add_argument("--prices", metavar="FILE", help="JSON: USD a million tokens, by model")
    group.add_argument("--max-tokens-total", type=int, metavar="N", help="in and out, all rows")


def _add_row_arguments(group: Any) -> None:
    group.add_argument("--retry-errors", action="store_true", help="ask again what failed")
    group.add_argument("--ordered", action="store_true", help="sort the output at the end")
    group.add_argument("--limit", type=int, metavar="N", help="the first N rows only")
    group.add_argument("--shard", type=_shard, metavar="I/N", help="the I-th of N parts; see merge")
    group.add_argument("--dry-run", action="store_true", help="read, check, count; ask nothing")


def _concurrency(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number or auto, not {text!r}") from None


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    try:
        return int(index), int(count)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be I/N, as in 1/8, not {text!r}") from None


def run(arguments: argparse.Namespace) -> int:
    """Run the batch and return its exit code."""
    options = _options(arguments)
    if arguments.dry_run:
        return _dry_run(arguments, options)
    if arguments.report:
        check_report(arguments.report)
    if arguments.table:
        check_table(arguments.table)
    shown = view(arguments.progress, sys.stderr)
    summary: Summary | None = None
    try:
        with (
            Multi() as multi,
            _senders(arguments, multi) as send_by,
            mirrored(arguments.output, options.errors) as files,
        ):
            options = msgspec.structs.replace(options, errors=files.errors)
            batch = Batch(
                multi,
                arguments.input,
                files.output,
                options,
                format=arguments.format,
                on_notice=lambda sentence: shown.say(one_line(sentence)),
                send_by=send_by,
            )
            summary, signalled = _drive(multi, batch, shown)
            if arguments.table:
                write_table(arguments.table, lambda: written(files.output, options.errors))
    finally:
        shown.close(summary)
    if summary.stopped == "error" and arguments.progress == "none":
        complain(summary.reason)
    if arguments.report:
        write_report(arguments.report, summary, batch.meter)
    return signalled if signalled and summary.stopped == "interrupted" else summary.exit_code


@contextmanager
def _senders(arguments: argparse.Namespace, multi: Multi) -> Iterator[SendBy | None]:
    """Who sends: workers of Ray, or this process."""
    if arguments.ray is None:
        yield None
        return
    from engine.batch.ray import RayWorkers

    workers = RayWorkers(multi, arguments.ray or None, arguments.ray_actors)
    try:
        yield workers.send
    finally:
        workers.close()


def _drive(multi: Multi, batch: Batch, shown: View) -> tuple[Summary, int]:
    """Run `batch` to its end; its summary, and the exit code of a signal that came, or 0."""
    signals: list[int] = []

    def note(number: int, frame: object) -> None:
        # Between any two bytecodes: no more than a note, and a reason for the loop to look.
        signals.append(number)
        multi.wakeup()

    # What was inherited ignored (nohup, `&` of a script) stays so.
    every = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    watched = [number for number in every if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in watched}
    try:
        seen = 0
        batch.start()
        while batch.summary is None:
            multi.poll(_LOOK)
            shown.show(batch.progress())
            if len(signals) > seen:
                if seen or len(signals) > 1:
                    batch.cancel()
                else:
                    shown.say(f"finishing what is under way, {_DRAIN:g} s at most; again: stop now")
                    batch.drain(_DRAIN)
                seen = len(signals)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return batch.summary, 128 + signals[0] if signals else 0


def _dry_run(arguments: argparse.Namespace, options: Options) -> int:
    from engine.batch.estimate import estimate

    found = estimate(arguments.input, arguments.output, options, arguments.format)
    for line in found.lines():
        print(line)
    return 0


def _options(arguments: argparse.Namespace) -> Options:
    return Options(
        model=arguments.model,
        provider=arguments.provider,
        base_url=arguments.base_url,
        api_key=key_of(arguments.api_key_env),
        prompt=arguments.prompt,
        system=arguments.system,
        endpoint=arguments.endpoint,
        samples=arguments.samples,
        max_tokens=arguments.max_tokens,
        temperature=arguments.temperature,
        headers=_headers(arguments.header),
        body=_object("--body", arguments.body) if arguments.body else {},
        schema=_schema(arguments.schema) if arguments.schema else None,
        errors=arguments.errors,
        concurrency=arguments.concurrency,
        max_concurrency=arguments.max_concurrency,
        rpm=arguments.rpm,
        tpm=arguments.tpm,
        max_attempts=arguments.max_attempts,
        max_wait=arguments.max_wait,
        max_cost=arguments.max_cost,
        max_tokens_total=arguments.max_tokens_total,
        prices=load_prices(arguments.prices) if arguments.prices else {},
        retry_errors=arguments.retry_errors,
        ordered=arguments.ordered,
        limit=arguments.limit,
        shard=arguments.shard,
        stream=arguments.stream,
        force=arguments.force,
        text_field=arguments.text_field,
        timeouts=_timeouts(arguments.timeout),
    )


def _headers(given: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for header in given:
        name, found, value = header.partition(":")
        if not found:
            raise ConfigError(f"--header must be NAME:VALUE, not {header!r}")
        headers[name.strip()] = value.strip()
    return headers


def _timeouts(seconds: float | None) -> Timeouts:
    usual = Options().timeouts
    if seconds is None:
        return usual
    if not seconds > 0:
        raise ConfigError(f"--timeout must be more than 0 seconds, not {seconds:g}")
    return msgspec.structs.replace(usual, first_event=seconds, idle=seconds, total=seconds)


def _schema(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            return _object(f"--schema {path}", file.read())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--schema {path} cannot be read: {error}") from error


def _object(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{name} must be a JSON object")
    return value
