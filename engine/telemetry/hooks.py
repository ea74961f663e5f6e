"""The hooks: what the engine calls where there is something to tell. Each is safe to call, whatever
a handler or an exporter raises, and each gives nothing to do where nobody listens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec

from engine.completion import Completion
from engine.errors import EngineError
from engine.messages import ToolCall, Usage
from engine.telemetry.attributes import usage_attributes
from engine.telemetry.spans import ABANDONED, Spans
from engine.telemetry.told import Asked, Attempt
from engine.telemetry.unfinished import Unfinished, tell_dropped, told_at_exit

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

log: Final = logging.getLogger("engine.requests")
log.addHandler(logging.NullHandler())  # or `logging` would print warnings by itself

_NOTHING: Final = nullcontext()

P = ParamSpec("P")

_spans: Spans | None = None
_bodies = False


def instrument(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    content: bool = False,
) -> None:
    """Tell OpenTelemetry of every request, run and tool of this process, until `uninstrument`.

    Spans: ``chat {model}`` for each question, with an event for each attempt, the usage and how it
    ended, when it was cancelled too, and for each time a batch's row is asked; ``invoke_agent`` and
    ``execute_tool``. What nobody holds any more before its end, and what is open when the process
    ends, has the ``error.type`` ``abandoned``. Metrics:
    ``gen_ai.client.operation.duration``, ``….time_to_first_chunk``, ``….time_per_output_chunk``,
    ``gen_ai.client.token.usage``.

    Args:
        tracer_provider, meter_provider: None: OpenTelemetry's global ones.
        content: put what is asked and answered, and tools' arguments and results, into the spans.

    Raises:
        ConfigError: the package is not installed.
    """
    global _spans
    _spans = Spans(tracer_provider, meter_provider, content)
    told_at_exit()


def uninstrument() -> None:
    """Undo `instrument`: what is under way is not told any more. Nothing where it is off."""
    global _spans
    _spans = None


def log_bodies(wanted: bool = True) -> None:
    """Have the bodies of requests, which hold prompts, written at DEBUG too; `wanted` False: no
    more."""
    global _bodies
    _bodies = wanted


# -- what tells: each of these is safe to call, whatever a handler or an exporter raises -----------


def listens() -> bool:
    """Whether anybody wants to know of each request."""
    tell_dropped()
    return _spans is not None or log.isEnabledFor(logging.INFO)


def wants_bodies() -> bool:
    """Whether bodies are to be written."""
    return _bodies and wants_heads()


def wants_heads() -> bool:
    """Whether heads are to be written."""
    return log.isEnabledFor(logging.DEBUG)


def wants_spans() -> bool:
    """Whether OpenTelemetry is told."""
    return _spans is not None


def current() -> Spans | None:
    """Who tells OpenTelemetry; None: nobody."""
    return _spans


def context() -> Any:
    """OpenTelemetry's context here, or None."""
    return _spans.context.get_current() if _spans is not None else None


def _safe(tell: Callable[P, None]) -> Callable[P, None]:
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            tell(*args, **kwargs)
        except Exception:
            if logging.raiseExceptions:  # as `logging.Handler.handleError` does
                logging.getLogger("engine.telemetry").exception("a request could not be told of")

    return told


@_safe
def retried(host: str, attempt: int, delay: float, error: EngineError) -> None:
    """Attempt number `attempt` begins in `delay` seconds because of `error`."""
    said = _plain(f"{error.category.value}: {error.message}")
    log.warning("%s: attempt %d in %.3g s, because of %s", host, attempt, delay, said)


@_safe
def head(line: str, headers: Mapping[str, str]) -> None:
    """A head, with no key in it."""
    if wants_heads():
        said = ", ".join(f"{name}: {value}" for name, value in headers.items())
        log.debug("%s {%s}", _plain(line), _plain(said))


@_safe
def body(line: str, data: bytes) -> None:
    """A body, with no key in it."""
    log.debug("%s %s", _plain(line), _plain(data.decode("utf-8", "replace")))


@_safe
def answered(
    what: str, status: str, http_status: int | None, seconds: float | None, error: str | None
) -> None:
    """The line of a request that is none to a model."""
    parts = [status, f"HTTP {http_status}" if http_status is not None else "no response"]
    parts += [f"{seconds:.3g} s"] if seconds is not None else []
    log.info("%s: %s", _plain(what), _plain(", ".join(parts + ([error] if error else []))))


@_safe
def ended(
    asked: Asked, completion: Completion, attempts: Sequence[Attempt], chunks: Sequence[float]
) -> None:
    """A question is over; `chunks` are when something came (seconds of time.monotonic)."""
    tell_dropped()
    if log.isEnabledFor(logging.INFO):
        log.info("%s", _plain(_line(asked, completion)))
    if _spans is not None:
        _spans.question(asked, completion, attempts, chunks)


@_safe
def abandoned(
    spans: Spans | None,
    asked: Asked,
    completion: Callable[[], Completion],
    attempts: Sequence[Attempt],
    chunks: Sequence[float],
    when: float,
    *,
    quietly: bool = False,
) -> None:
    """A question whose end nobody took was dropped, then (seconds of time.monotonic); `spans` are
    the `current` ones of when it was asked, `completion` is how far it had come; where that is no
    end, it has no error. `quietly`: it has no line."""
    loud = log.isEnabledFor(logging.INFO) and not quietly
    told = spans is not None and spans is _spans
    if not loud and not told:
        return
    done = completion()
    kind = ABANDONED if done.status == "cancelled" and done.error is None else None
    if loud:
        log.info("%s", _plain(_line(asked, done, kind)))
    if told and spans is not None:
        spans.question(asked, done, attempts, chunks, kind=kind, when=when)


@_safe
def ended_quietly(
    asked: Asked, completion: Callable[[], Completion], attempts: Sequence[Attempt]
) -> None:
    """A question is over whose line its plain request has; `completion` is asked for where
    somebody listens."""
    if _spans is not None:
        _spans.question(asked, completion(), attempts, ())


def _line(asked: Asked, done: Completion, kind: str | None = None) -> str:
    said: list[str] = [kind or done.status]
    said.append(f"HTTP {done.http_status}" if done.http_status is not None else "no response")
    if done.timing.total is not None:
        said.append(f"{done.timing.total:.3g} s")
    if done.usage is not None:
        said.append(f"{done.usage.input_tokens}+{done.usage.output_tokens} tokens")
    if done.attempts != 1:
        said.append(f"{done.attempts} attempts")
    if done.request_id is not None:
        said.append(f"id {done.request_id}")
    if done.error is not None and done.status != "cancelled":
        said.append(f"{done.error.category.value}: {done.error.message}")
    return f"{asked.host} {asked.model}: {', '.join(said)}"


def _plain(text: str) -> str:
    """One line, of what can be shown: a server's words must not write lines of their own."""
    return "".join(c if c.isprintable() else " " for c in text)


# -- runs and tools --------------------------------------------------------------------------------


class Span:
    """A span that others stand in: of a run, or of a tool."""

    __slots__ = ("_begun", "_spans", "span")

    def __init__(self, spans: Spans, name: str, attributes: Mapping[str, Any]) -> None:
        self._spans = spans
        self.span: Any = spans.tracer.start_span(name, attributes=dict(attributes))
        self._begun = Unfinished(partial(_end_abandoned, spans, self.span))

    def current(self) -> AbstractContextManager[Any]:
        """What is begun inside belongs to it."""
        if _spans is None:
            return nullcontext()
        manager: AbstractContextManager[Any] = self._spans.trace.use_span(
            self.span, end_on_exit=False, record_exception=False, set_status_on_exception=False
        )
        return manager

    def end(
        self, error: EngineError | None, usage: Usage | None, result: str | None = None
    ) -> None:
        """It is over; `result` is what a tool gave."""
        if self._begun.over():
            _end_span(self, error, usage, result)


@_safe
def _end_span(
    span: Span, error: EngineError | None, usage: Usage | None, result: str | None
) -> None:
    spans, otel = span._spans, span.span
    if usage is not None:
        otel.set_attributes(usage_attributes(usage))
    if spans.content and result is not None:
        otel.set_attribute("gen_ai.tool.call.result", result)
    spans.fail(otel, error, say=spans.content)  # a tool's own words are content
    otel.end()


@_safe
def _end_abandoned(spans: Spans, otel: Any, when: float) -> None:
    if spans is _spans:
        spans.abandon(otel)
        otel.end(spans.nanoseconds(when))


def agent_span(model: str, name: str) -> Span | None:
    """The span of a run; None where nobody listens."""
    if _spans is None:
        return None
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
    return _span(f"invoke_agent {name}", attributes | {"gen_ai.request.model": model})


def tool_span(call: ToolCall, description: str | None) -> Span | None:
    """The span of a call; None where nobody listens."""
    if _spans is None:
        return None
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call.name,
        "gen_ai.tool.call.id": call.id,
        "gen_ai.tool.type": "function",
    }
    if description:
        attributes["gen_ai.tool.description"] = description
    if _spans.content:
        attributes["gen_ai.tool.call.arguments"] = call.arguments
    return _span(f"execute_tool {call.name}", attributes)


def _span(name: str, attributes: Mapping[str, Any]) -> Span | None:
    made: list[Span] = []

    @_safe
    def make() -> None:
        tell_dropped()
        if _spans is not None:
            made.append(Span(_spans, name, attributes))

    make()
    return made[0] if made else None


def inside(span: Span | None) -> AbstractContextManager[Any]:
    """What is begun in the block belongs to `span`."""
    return _NOTHING if span is None else span.current()
