"""One call of a tool: from the model's arguments to what the model is given."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from engine.agents.tools.content import as_content, mended
from engine.agents.tools.pending import Pending
from engine.agents.tools.tool import FunctionTool, Running, ToolContext
from engine.agents.tools.worker import worker_of
from engine.agents.tools.workers import ProcessCall, run_in_thread
from engine.errors import CallbackError, CancelledError, DeadlineError, EngineError, describe
from engine.messages import Document, Image, Text, ToolCall, ToolResult, Usage
from engine.request import HttpRequest
from engine.response import HttpResponse
from engine.telemetry.hooks import Span, inside, tool_span, wants_spans
from engine.transport.exchange import Exchange
from engine.transport.multi import driver_of
from engine.transport.timers import Timer

if TYPE_CHECKING:
    from engine.client import Client

__all__ = ["Caller", "Execution"]

_USUAL: Final = (str, int, float, dict, list, bytes)
_WAITED_FOR: Final = (Pending, HttpRequest, Exchange, Running)


class Caller(Protocol):
    """Who has calls carried out.

    Attributes:
        tools: those there are, by name.
        client: asks models for them, in the loop of its `Multi`.
        run: for tools that want to know.
        hears_agents: somebody wants the events of agents that are called.
    """

    tools: Mapping[str, FunctionTool]
    client: Client
    run: Any
    hears_agents: bool

    def take_up(self, execution: Execution) -> None:
        """Start it, or ask whether it may be."""

    def ended(self, execution: Execution) -> None:
        """It has its result; called once, and never after `Execution.cancel`."""

    def hear(self, name: str, event: Any) -> None:
        """An event of an agent that is called as the tool `name`."""


class Execution:
    """Carries out one call, without blocking; belongs to the thread of the `Multi`.

    Args:
        call: what the model asked for.
        caller: who has it carried out.

    Attributes:
        call: what is carried out: what the model asked for, or what was approved instead.
        tool: the tool of that name, or None where there is none.
        begun: the function was called.
        result: what the model is given; None until then.
        error: why the call failed, or None.
        usage: tokens a model used for it: a `Stream`, or another agent.
        seconds: how long it took.
    """

    __slots__ = ("_asked", "_began", "_caller", "_client", "_note", "_over", "_span", "_stop",
                 "_timer", "begun", "call", "error", "result", "seconds", "tool",
                 "usage")  # fmt: skip

    def __init__(self, call: ToolCall, caller: Caller) -> None:
        self.call: ToolCall = call
        self.tool: FunctionTool | None = caller.tools.get(call.name)
        self.begun: bool = False
        self.result: ToolResult | None = None
        self.error: EngineError | None = None
        self.usage: Usage | None = None
        self.seconds: float = 0.0
        self._asked = call
        self._client = caller.client
        self._caller: Caller | None = caller  # nobody is told any more once it is over
        self._note = ""
        self._over = False
        self._began = monotonic()
        self._stop: Callable[[], object] | None = None
        self._timer: Timer | None = None
        self._span: Span | None = None

    def take_up(self) -> None:
        """As a step: `Caller.take_up`, unless it is over by then."""
        if self._caller is not None:
            self._caller.take_up(self)

    def start(self, arguments: str | None = None) -> None:
        """Check the arguments and call the function. The tool's own errors become the result.

        Args:
            arguments: JSON that takes the place of the model's own; the model is told.
        """
        self._began = monotonic()
        tool, caller = self.tool, self._caller
        if caller is None:
            return
        if arguments is not None and arguments != self.call.arguments:
            self.call = msgspec.structs.replace(self.call, arguments=arguments)
            self._note = f"[carried out with the arguments {arguments}]\n"
        if not wants_spans():
            self._check_and_call(caller, tool)
            return
        self._span = tool_span(self.call, tool.definition.description if tool is not None else None)
        with inside(self._span):
            self._check_and_call(caller, tool)

    def _check_and_call(self, caller: Caller, tool: FunctionTool | None) -> None:
        if tool is None:
            names = ", ".join(caller.tools) or "none"
            self._fail(EngineError(f"there is no tool {self.call.name!r}; the tools are: {names}"))
            return
        signature = tool.signature
        try:
            arguments = signature.decode(self.call.arguments)
        except EngineError as error:
            self._fail(error)
            return
        if signature.injected is not None:
            client, run = self._client, caller.run
            arguments[signature.injected] = ToolContext(client.multi, client, run, self._asked)
        self.begun = True
        positional, keywords = signature.bind(arguments)
        if tool.run_in != "loop":
            self._limit_time()
            self._call_elsewhere(tool, positional, keywords)
            return
        try:
            value = tool.function(*positional, **keywords)
            if not self._over:
                self._take(value)
        except Exception as error:
            self._raised(error)

    def settle(self, result: ToolResult) -> None:
        """It has its result already, from an earlier process."""
        self._over, self._caller = True, None
        self.result = result

    def refuse(self, reason: str) -> None:
        """Do not call the function: the model is told `reason`."""
        self._fail(EngineError(f"the call was not allowed: {reason}"))

    def cancel(self) -> None:
        """The result is no longer wanted; what runs is ended, where that can be."""
        if not self._over:
            self._over = True
            if self._span is not None:
                self._span.end(CancelledError("the call was cancelled"), self.usage)
            self._clean_up()
            self._caller = None

    # -- the three places ----------------------------------------------------------------------

    def _call_elsewhere(
        self, tool: FunctionTool, positional: list[Any], keywords: dict[str, Any]
    ) -> None:
        call: Callable[[], Any]
        if tool.run_in == "thread":
            call = partial(tool.function, *positional, **keywords)
        else:
            try:
                process = ProcessCall(tool.by_name, positional, keywords)
            except OSError as error:  # no descriptor is left for the pipe
                self._raised(error)
                return
            self._stop, call = process.kill, process.run

        run_in_thread(call, self._then)

    def _limit_time(self) -> None:
        """Only what is waited for can be ended: what returns at once needs no timer."""
        tool = self.tool
        if tool is not None and tool.timeout is not None and self._timer is None:
            left = self._began + tool.timeout - monotonic()
            self._timer = driver_of(self._client.multi).call_later(max(left, 0.0), self._expired)

    def _await(self, awaitable: Awaitable[Any]) -> Callable[[], None]:
        """In the loop that drives the `Multi`, where it can; else in the client's worker."""
        run = getattr(driver_of(self._client.multi).attached, "run", None)
        cancel: Callable[[], None] | None = run(awaitable, self._then) if run is not None else None
        if cancel is None:
            cancel = worker_of(self._client).run(awaitable, self._then)
        return cancel

    def _then(self, value: Any, error: BaseException | None) -> None:
        """From another thread."""
        self._client.multi.call_soon(lambda: self._returned(value, error))

    # -- what it returned ------------------------------------------------------------------------

    def _returned(self, value: Any, error: BaseException | None) -> None:
        """Here, whichever place it was called in."""
        if self._over:
            return
        if error is not None:
            self._raised(error)
            return
        try:
            self._take(value)
        except Exception as problem:
            self._raised(problem)

    def _take(self, value: Any) -> None:
        """The result, or what it is waited for on."""
        # The usual ones first: a look at a Protocol costs more than the call of a small tool.
        if isinstance(value, _USUAL) or not self._wait_for(value):
            self._end(*as_content(value), None)

    def _wait_for(self, value: Any) -> bool:
        """Whether `value` is something to wait for."""
        if not (isinstance(value, _WAITED_FOR) or inspect.isawaitable(value)):
            return False
        self._limit_time()
        if isinstance(value, Pending):
            self._stop = value.cancel
            value.then(self._returned)
        elif isinstance(value, HttpRequest):
            self._stop = self._client.multi.add(value, on_done=self._responded).cancel
        elif isinstance(value, Exchange):
            self._stop = value.cancel
            if value.response is not None:
                self._responded(value.response, value)
            else:
                value.add_done(self._responded)
        elif isinstance(value, Running):
            self._stop = value.cancel
            if value.completion is not None:
                self._completed(value)
            else:
                self._listen(value)
                value.on("end", self._completed)
        else:
            self._stop = self._await(value)
        return True

    def _listen(self, running: Running) -> None:
        """Hear an agent that is called, for who wants to know what it does."""
        caller, name = self._caller, self.call.name
        if caller is not None and caller.hears_agents and hasattr(running, "trace"):
            for kind in ("event", "detail"):
                running.on(kind, lambda event: caller.hear(name, event))

    def _responded(self, response: HttpResponse, _: Exchange) -> None:
        text = response.body.decode(errors="replace")
        self._returned(f"HTTP {response.http_status}\n\n{text}", response.error)

    def _completed(self, running: Running) -> None:
        completion = running.completion
        self.usage = completion.usage
        self._returned(completion.text, completion.error)

    # -- the end ---------------------------------------------------------------------------------

    def _raised(self, error: BaseException) -> None:
        if isinstance(error, EngineError):
            self._fail(error)
            return
        failure = CallbackError(describe(error))
        failure.__cause__ = error
        self._fail(failure)

    def _fail(self, error: EngineError) -> None:
        self._end(mended(f"Error: {error.message}"), [], error)

    def _end(
        self, content: str, parts: Sequence[Text | Image | Document], error: EngineError | None
    ) -> None:
        if self._over:
            return
        self._over = True
        self.error = error
        self.seconds = monotonic() - self._began
        most = self.tool.max_result if self.tool is not None else len(content)
        if len(content) > most:
            content = f"{content[:most]}\n[cut: {most} of {len(content)} characters]"
        content = self._note + content
        self.result = ToolResult(
            self.call.id, content, self.call.name, error is not None, parts=[*parts]
        )
        if self._span is not None:
            self._span.end(error, self.usage, content)
        if error is None:
            self._stop = None
        if self._timer is not None or self._stop is not None:
            self._clean_up()
        caller, self._caller = self._caller, None
        if caller is not None:
            caller.ended(self)

    def _expired(self) -> None:
        # A timer runs with signals held: what may call the user's code waits until after it.
        self._client.multi.call_soon(self._timed_out)

    def _timed_out(self) -> None:
        limit = self.tool.timeout if self.tool is not None else None
        sentence = f"the tool {self.call.name} took longer than {limit:g} s"
        self._fail(DeadlineError(sentence, phase="total"))

    def _clean_up(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        stop, self._stop = self._stop, None
        if stop is not None:
            try:
                stop()
            except Exception:
                pass  # the user's `cancel` of a Pending; the result does not depend on it
