"""What is measured on sockets, section by section. Each returns a `Table`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks.origins import (
    Certificate,
    certificate,
    compile_paced,
    nginx,
    paced,
    raise_descriptor_limit,
)
from benchmarks.recording import recording
from benchmarks.runner import Case, Outcome, take_turns
from benchmarks.streams import FORMATS, WireStream, pieces, wire_stream
from benchmarks.table import Goal, Table, number, times

__all__ = [
    "FULL",
    "QUICK",
    "Setting",
    "Sizes",
    "dialects",
    "full_speed",
    "many_open",
    "one_event_a_read",
    "over_http2",
    "recorded",
    "short_answers",
]


@dataclass(frozen=True)
class Client:
    """A row of a comparison: its name, its module, what its time pays for, and whether that is
    more than bytes."""

    label: str
    module: str
    includes: str
    decodes: bool = True


BARE = Client("bare pycurl", "pycurl_bare", "bytes, events counted", decodes=False)
ENGINE = Client(
    "engine", "engine_select", "events, typed JSON, accumulated message, callback, completion"
)
ASYNCIO = Client("engine in asyncio", "engine_asyncio", "the same, a task and an async for each")
AIOHTTP = Client("aiohttp + json", "aiohttp_json", "lines, JSON as dicts")
ORJSON = Client("aiohttp + orjson, uvloop", "aiohttp_orjson", "lines, JSON as dicts")
CURL_CFFI = Client("curl_cffi + json", "curl_cffi_json", "lines, JSON as dicts")
PYREQWEST = Client("pyreqwest (Rust) + json", "pyreqwest_json", "lines, JSON as dicts")
HTTPX = Client("httpx + httpx-sse + json", "httpx_sse_json", "events, JSON as dicts")
OPENAI = Client("openai-python", "openai_sdk", "events, JSON as pydantic objects")
CLIENTS = (BARE, ENGINE, ASYNCIO, AIOHTTP, ORJSON, CURL_CFFI, PYREQWEST, HTTPX, OPENAI)


@dataclass(frozen=True)
class Sizes:
    """How much is measured: streams, at once where not all, events a stream; and rounds. Of short
    answers: streams, at once."""

    full: tuple[int, int, int]
    paced: tuple[int, int]
    many: tuple[int, int]
    rounds: int
    short: tuple[int, int] = (2000, 50)


FULL = Sizes(full=(200, 50, 500), paced=(1000, 100), many=(10_000, 20), rounds=3)
QUICK = Sizes(full=(200, 50, 500), paced=(300, 30), many=(1000, 20), rounds=1)


@dataclass(frozen=True)
class Setting:
    """Where and how one run of the benchmarks takes place.

    Attributes:
        folder: empty, for the servers' files.
        note: called with a line about what is going on.
        clients: the rows of the comparisons; the first two are always `BARE` and `ENGINE`.
    """

    folder: Path
    sizes: Sizes
    note: Callable[[str], None]
    clients: tuple[Client, ...] = CLIENTS


def full_speed(setting: Setting) -> Table:
    """The cost of an event when bytes come faster than they can be used: nginx sends a file, a
    read brings about fifty events, and what counts is decoding and dispatch.

    What it showed: half of the bare client's time is the search for blank lines (0.24 µs of 0.52
    without it); asyncio and JSON as dicts cost four engines, pydantic objects forty."""
    streams, at_once, events = setting.sizes.full
    stream = wire_stream("chat", pieces(events))
    outcomes = _from_nginx(setting, setting.clients, stream, streams, at_once)
    title = (
        f"Full speed: {streams} streams × {events} events of {len(stream.events[0])} bytes from "
        f"nginx, {at_once} at once"
    )
    by_label = {outcome.case.label: outcome for outcome in outcomes}
    engine = by_label[ENGINE.label]
    goals = [Goal("engine to bare pycurl", engine.ratio(by_label[BARE.label]), 3.3)]
    if ASYNCIO.label in by_label:
        goals.append(Goal("in asyncio to select", by_label[ASYNCIO.label].ratio(engine), 1.35))
    for peer, limit in ((OPENAI, 45), (AIOHTTP, 4)):
        if peer.label in by_label:
            ratio = by_label[peer.label].ratio(engine)
            goals.append(Goal(f"{peer.label} to engine", ratio, limit, at_least=True))
    return _comparison(title, outcomes, goals)


def short_answers(setting: Setting) -> Table:
    """What a request costs: answers of three pieces, from nginx, over connections that stay open.

    What it showed: to begin and to end is the work, and clients do it in Python; three quarters of
    the engine's time here are its own and not libcurl's."""
    streams, at_once = setting.sizes.short
    stream = wire_stream("chat", pieces(3))
    outcomes = _from_nginx(setting, setting.clients, stream, streams, at_once)
    bare, engine = outcomes[:2]
    title = f"Short answers: {streams} of 3 events from nginx, {at_once} at once"
    goals = [Goal("engine to bare pycurl", engine.ratio(bare), 3.0)]
    return _requests(title, outcomes, goals)


def over_http2(setting: Setting) -> Table:
    """The same, and answers of full length, by HTTP/2 with TLS: a few connections carry all.

    What it showed: TLS and frames are a small part of either; a request costs the engine a quarter
    more, since its place on a connection is looked after."""
    streams, at_once = setting.sizes.short
    full, _, events = setting.sizes.full
    tls = certificate(setting.folder)
    clients = tuple(client for client in setting.clients if client in (BARE, ENGINE))
    outcomes = []
    for label, answer, count in (("short", 3, streams), ("full", events, full)):
        stream = wire_stream("chat", pieces(answer))
        named = [replace(client, label=f"{client.label}, {label}") for client in clients]
        inside = replace(setting, folder=setting.folder / label)
        inside.folder.mkdir()
        outcomes += _from_nginx(inside, named, stream, count, at_once, tls)
    title = f"HTTP/2 with TLS: {streams} of 3 events and {full} of {events}, {at_once} at once"
    return _requests(title, outcomes, [Goal("engine to bare", outcomes[3].ratio(outcomes[2]), 3.3)])


def recorded(setting: Setting) -> Table:
    """A stream as a provider sent it, and one made here, at full speed. `ENGINE_CORPUS` names the
    folder of recordings; without one there is a row that says so.

    What it showed: Azure's events, with its filters' findings in each, cost half as much again."""
    streams, at_once, _ = setting.sizes.full
    head = ("stream", "bytes an event", "µs an event", "to bare", "")
    stream = recording()
    if stream is None:
        return Table("Recorded", head, [("none here", "–", "–", "–", "set ENGINE_CORPUS")])
    rows = []
    for label, sent in (("recorded", stream), ("made", wire_stream("chat", pieces(500)))):
        inside = replace(setting, folder=setting.folder / label)
        inside.folder.mkdir()
        bare, *others = _from_nginx(inside, setting.clients, sent, streams, at_once)
        size = len(sent.body) / len(sent.events)
        rows += [
            (
                f"{label}, {other.case.label}",
                number(size, 0),
                number(other.best()),
                times(other.ratio(bare)),
                other.failure or other.case.includes,
            )
            for other in others
        ]
    return Table(f"Recorded and made: {streams} streams from nginx", head, rows)


def one_event_a_read(setting: Setting) -> Table:
    """The cost of an event as models send them: each comes alone, and what counts is the way from
    the socket through the loop. A client that is always busy gets several a read instead, which
    flatters it; so the slowest is given longer ticks.

    What opening and ending the streams costs is in the first figure and not in the ratios.

    What it showed: system calls are most of it, for every client; decoding and dispatch, several
    times the bare client's cost at full speed, add less than half of it here."""
    streams, events = setting.sizes.paced
    program = compile_paced(setting.folder)
    cases = [
        _paced_case(client, program, streams, events, 250 if client is OPENAI else 100)
        for client in setting.clients
    ]
    outcomes = take_turns(cases, setting.sizes.rounds, setting.note)
    bare, engine = outcomes[:2]
    title = f"One event a read: {streams} streams × {events} events, all open at once"
    goals = [Goal("engine to bare pycurl", engine.ratio(bare, steady=True), 1.3)]
    for outcome in outcomes:
        if outcome.case.label == ASYNCIO.label:
            goals.append(Goal("in asyncio to select", outcome.ratio(engine, steady=True), 1.35))
    return _comparison(title, outcomes, goals, steady=True)


def many_open(setting: Setting) -> Table:
    """Ten thousand streams on one thread: what one holds of memory, and whether an event costs
    more among many than among a hundred. What opening and ending a stream costs is apart.

    What it showed: through one epoll descriptor an event costs the same among 10,000 as among 100
    (0.97 times). Memory is at its most at the end: six parts in seven are there once a stream is
    open, the rest is what 20 events leave in the message."""
    streams, events = setting.sizes.many
    streams = min(streams, raise_descriptor_limit() - 200)
    few = min(100, streams)
    program = compile_paced(setting.folder)
    cases = []
    for client in setting.clients:
        if client in (BARE, ENGINE, AIOHTTP):  # the others are busy all the time, or time out
            tick_ms = max(1, streams // (8 if client is AIOHTTP else 20))
            short_ms = max(1, tick_ms * few // streams)
            cases.append(_paced_case(client, program, streams, events, tick_ms))
            # As many events, in as much time.
            few_events = events * streams // few
            cases.append(_paced_case(client, program, few, few_events, short_ms))
    outcomes = take_turns(cases, min(2, setting.sizes.rounds), setting.note)
    pairs = list(zip(outcomes[::2], outcomes[1::2], strict=True))
    engine, engine_few = pairs[1]
    goals = [
        Goal("engine, KiB a stream", engine.kib_a_stream, 28),
        Goal("engine, among many to among few", engine.ratio(engine_few, steady=True), 1.3),
    ]
    around = "µs to open and end"
    head = ("client", "KiB a stream", around, "µs an event", f"among {few}", "ratio", "busy", "")
    title = f"Many open: {streams:,} streams × {events} events, all open at once"
    return Table(title, head, [_many_row(many, rest) for many, rest in pairs], goals)


def dialects(setting: Setting) -> Table:
    """The same pieces of text in each wire format, at full speed through this engine.

    What it showed: bytes an event do not decide, structure does. Gemini's chunk is as long as
    Chat's, but each repeats the counts of tokens, an event of its own; Ollama's line is flat."""
    streams, at_once, events = setting.sizes.full
    written = {name: wire_stream(name, pieces(events)) for name in FORMATS}
    with nginx(setting.folder, written) as url:
        cases = [
            _case(
                replace(ENGINE, label=name, includes=f"{len(stream.events[0])} bytes an event"),
                partial(nullcontext, url),
                stream,
                streams,
                at_once,
                dialect=name,
            )
            for name, stream in written.items()
        ]
        outcomes = take_turns(cases, setting.sizes.rounds, setting.note)
    chat, *others = outcomes
    rows = [
        (
            outcome.case.label,
            number(outcome.best()),
            times(outcome.ratio(chat)),
            outcome.failure or outcome.case.includes,
        )
        for outcome in outcomes
    ]
    goals = [Goal(f"{other.case.label} to chat", other.ratio(chat), 1.1) for other in others]
    title = f"Dialects: {streams} streams × {events} events from nginx, {at_once} at once"
    return Table(title, ("dialect", "µs an event", "to chat", ""), rows, goals)


def _from_nginx(
    setting: Setting,
    clients: Sequence[Client],
    stream: WireStream,
    streams: int,
    at_once: int,
    tls: Certificate | None = None,
) -> list[Outcome]:
    """What each of `clients` takes for so many times `stream`."""
    with nginx(setting.folder, {"chat": stream}, tls) as url:
        origin, ca_file = partial(nullcontext, url), tls and str(tls.ca)
        cases = [
            _case(client, origin, stream, streams, at_once, ca_file=ca_file) for client in clients
        ]
        return take_turns(cases, setting.sizes.rounds, setting.note)


def _paced_case(client: Client, program: Path, streams: int, events: int, tick_ms: int) -> Case:
    one = wire_stream("chat", pieces(1))
    sent = WireStream(one.content_type, one.head, one.events * events, one.tail, one.text * events)
    origin = partial(paced, program, one, streams, tick_ms, events)
    return _case(client, origin, sent, streams, streams)


def _case(
    client: Client,
    origin: Callable[[], AbstractContextManager[str]],
    stream: WireStream,
    streams: int,
    at_once: int,
    *,
    dialect: str = "chat",
    ca_file: str | None = None,
) -> Case:
    """What `client` is asked, and where."""
    return Case(
        label=client.label,
        client=client.module,
        origin=origin,
        dialect=dialect,
        stream=stream,
        streams=streams,
        at_once=at_once,
        includes=client.includes,
        decodes=client.decodes,
        ca_file=ca_file,
    )


def _many_row(many: Outcome, few: Outcome) -> tuple[str, ...]:
    return (
        many.case.label,
        number(many.kib_a_stream, 1),
        number(many.best_around(), 0),
        number(many.best(steady=True)),
        number(few.best(steady=True)),
        times(many.ratio(few, steady=True)),
        f"{many.busy:.0%}",
        many.failure or few.failure,
    )


def _comparison(
    title: str, outcomes: list[Outcome], goals: list[Goal], *, steady: bool = False
) -> Table:
    """By the event; `steady`: the ratios are of what one costs while all streams are open."""
    bare, engine = outcomes[:2]
    rows = [
        (
            outcome.case.label,
            number(outcome.best()),
            *((number(outcome.best(steady=True)),) if steady else ()),
            times(outcome.ratio(bare, steady=steady)),
            times(outcome.ratio(engine, steady=steady)),
            f"{outcome.busy:.0%}",
            outcome.failure or outcome.case.includes,
        )
        for outcome in outcomes
    ]
    figures = ("µs an event", "steady") if steady else ("µs an event",)
    head = ("client", *figures, "to bare", "to engine", "busy", "includes")
    return Table(title, head, rows, goals)


def _requests(title: str, outcomes: list[Outcome], goals: list[Goal]) -> Table:
    """By the request, and not by the event. Each pair of rows has a bare client first, or all have
    the one."""
    rows = []
    for outcome in outcomes:
        best = outcome.best()
        cost = None if best is None else best * len(outcome.case.stream.events)
        same = [o for o in outcomes if o.case.stream == outcome.case.stream]
        rows.append(
            (
                outcome.case.label,
                number(cost, 0),
                number(None if cost is None else 1e6 / cost, 0),
                times(outcome.ratio(same[0])),
                f"{outcome.busy:.0%}",
                outcome.failure or outcome.case.includes,
            )
        )
    head = ("client", "µs a request", "requests a CPU second", "to bare", "busy", "includes")
    return Table(title, head, rows, goals)
