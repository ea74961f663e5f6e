"""What all agents are: a model, tools, limits, a memory, and runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Unpack

import msgspec

from engine.agents.delivery import OnAgentDone, OnAgentEvent
from engine.agents.limits import Limits, Pricing
from engine.agents.memory import Memory, Summarise, transcript
from engine.agents.result import AgentResult, Step
from engine.agents.run import AgentRun
from engine.agents.tools.tool import FunctionTool, as_function_tools
from engine.agents.turn import Turn
from engine.asking.input import Input, as_messages
from engine.asking.question import ModelOptions, check_options
from engine.asking.schema import as_response_format, is_answer_type
from engine.client import Client
from engine.errors import ConfigError, MisuseError
from engine.messages import Message, ToolCall, ToolResult

__all__ = ["Agent", "Approve"]

Approve = Callable[[ToolCall, AgentRun], bool | str | None]


class Agent:
    """The base of `FunctionAgent`, `ReActAgent` and `ConversationalAgent`: it holds what does not
    change, a run holds the rest, so that one agent may have any number of runs at once.

    Args:
        client: asks the model; its `Multi` drives the runs.
        model: as in `Client.stream`.
        tools: plain functions, or what `tool` made of them.
        system: instructions for the model.
        limits: where a run is ended; None: 10 turns of the model.
        approve: called with (call, run) before each call, on the thread of the `Multi`, and must
            not block. True allows it; False, or a string that says why, tells the model no; None
            leaves it open until `AgentRun.approve`. Not asked for tools with ``approve=False``.
        result_type: a msgspec Struct, dataclass, TypedDict or pydantic model: the answer is JSON
            of that type, and ``AgentResult.value`` is one.
        result_retries: how often the model is asked again for an answer that does not fit.
        price: what tokens cost, for ``Limits.cost`` and ``AgentResult.cost``.
        memory: None: each run begins afresh; else runs follow each other in one conversation, of
            which the model is shown what the memory recalls.
        options: more arguments of `Client.stream`: ``temperature=``, ``max_tokens=``,
            ``thinking=``, …

    Raises:
        ConfigError: an argument is wrong.
    """

    def __init__(
        self,
        client: Client,
        model: str,
        tools: Iterable[FunctionTool | Callable[..., Any]] | None = None,
        *,
        system: str | None = None,
        limits: Limits | None = None,
        approve: Approve | None = None,
        result_type: type | None = None,
        result_retries: int = 2,
        price: Pricing | None = None,
        memory: Memory | None = None,
        **options: Unpack[ModelOptions],
    ) -> None:
        _check(result_type, options)
        self.client = client
        self.model = model
        self.tools: Mapping[str, FunctionTool] = as_function_tools(tools)
        self.system = system
        self.limits = limits or Limits()
        self.approve = approve
        self.result_type = result_type
        self.result_retries = result_retries
        self.price = price
        self.options = options
        self._memory = memory
        self._messages: list[Message] = []
        self._trace: list[Step] = []
        self._summary: str | None = None
        self._summarised = 0  # messages the summary stands for
        self._running: AgentRun | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.model} {', '.join(self.tools) or 'no tools'}>"

    # -- runs ----------------------------------------------------------------------------------

    def run_stream(
        self,
        input: Input,
        *,
        on_event: OnAgentEvent | None = None,
        on_done: OnAgentDone | None = None,
        user_data: Any = None,
    ) -> AgentRun:
        """Begin a run. Returns at once, having done no I/O; from any callback, and from a tool.

        Args:
            input: the task: a string, or messages; the last is the question.
            on_event: called with (event, run) for each `AgentEvent`, in `perform`; `STOP` cancels.
            on_done: called with (result, run) once, in `info_read`.
            user_data: kept as ``run.user_data``.

        Raises:
            ConfigError: `input` is no message.
            MisuseError: the `Multi` is closed or another thread's, or the agent has a memory and
                a run that is not over.
        """
        messages = as_messages(input, None)
        if self._memory is not None and self._running is not None:
            raise MisuseError(
                "this agent remembers one conversation and its last question is not answered yet; "
                "wait for it, cancel it, or make another agent"
            )
        run = AgentRun(self, messages, on_event=on_event, on_done=on_done, user_data=user_data)
        if self._memory is not None:
            self._running = run
        return run

    def run(self, input: Input) -> AgentResult:
        """`run_stream`, driven to its end. Not from a callback."""
        return self.run_stream(input).result()

    def as_tool(self, name: str, description: str, **options: Any) -> FunctionTool:
        """This agent as a tool of another: a run with the task it is given, in the same loop.

        Args:
            options: as in `tool`.
        """

        def delegate(task: Annotated[str, _TASK]) -> AgentRun:
            return self.run_stream(task)

        return FunctionTool(delegate, name=name, description=description, **options)

    # -- what was ------------------------------------------------------------------------------

    @property
    def messages(self) -> list[Message]:
        """The conversation: of all runs, where the agent remembers; else of the one that ended
        last."""
        return list(self._messages)

    @property
    def trace(self) -> list[Step]:
        """The turns of the run that ended last."""
        return list(self._trace)

    @property
    def summary(self) -> str | None:
        """What stands for the older part of the conversation (`Summarise`), or None."""
        return self._summary

    def export(self) -> dict[str, Any]:
        """The conversation and the last trace as dicts, lists, strings and numbers, ready for
        JSON; `restore` takes it back."""
        return {
            "model": self.model,
            "summary": self._summary,
            "summarised": self._summarised,
            "messages": msgspec.to_builtins(self._messages),
            "trace": msgspec.to_builtins(self._trace),
        }

    def restore(self, exported: Mapping[str, Any]) -> None:
        """Go on with the conversation another agent exported.

        Raises:
            ConfigError: it is no such export.
        """
        try:
            messages = msgspec.convert(exported["messages"], list[Message])
            trace = msgspec.convert(exported["trace"], list[Step])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"this is no export of an agent: {error!r}") from error
        self.reset()
        self._messages, self._trace = messages, trace
        self._summary = exported.get("summary")
        self._summarised = exported.get("summarised", 0)

    def reset(self) -> None:
        """Forget what was; a run that is not over stays out of the memory."""
        self._messages, self._trace = [], []
        self._summary, self._summarised = None, 0
        self._running = None

    # -- for a run: what kinds of agents differ in ---------------------------------------------

    def turn(self) -> Turn:
        """What reads the model's next answer."""
        raise NotImplementedError

    def results(self, results: Sequence[ToolResult]) -> Message:
        """How the model is told the results of one turn, in the order of its calls."""
        raise NotImplementedError

    def instructions(self) -> str | None:
        """The system prompt of the next turn."""
        texts = [self.system, self._summary and f"Summary of what was said before: {self._summary}"]
        if self.result_type is not None and self.tools:
            # With tools the schema is told in words: providers differ in whether a forced format
            # leaves the model free to call any.
            wanted = as_response_format(self.result_type)
            schema = wanted["schema"] if isinstance(wanted, Mapping) else {}
            texts.append(
                "Your final answer must be JSON that fits this schema, and nothing else: "
                f"{msgspec.json.encode(schema).decode()}"
            )
        return "\n\n".join(text for text in texts if text) or None

    def request_options(self) -> dict[str, Any]:
        """More arguments of `Client.stream`."""
        if self.result_type is not None and not self.tools:
            # The schema and not the type: an answer that does not fit is not an error yet.
            return {**self.options, "response_format": as_response_format(self.result_type)}
        return {**self.options}

    # -- for a run: memory ---------------------------------------------------------------------

    def recall(self) -> list[Message]:
        """What the model is shown before the new question."""
        if self._memory is None:
            return []
        return self._memory.recall(self._messages[self._summarised :])

    def summary_request(self) -> tuple[str, str, str] | None:
        """Model, text and instructions to have the older part of the conversation summed up, or
        None."""
        memory = self._memory
        if not isinstance(memory, Summarise):
            return None
        old = memory.to_summarise(self._messages[self._summarised :])
        if not old:
            return None
        return memory.model or self.model, transcript(old, self._summary), memory.instructions

    def summarised(self, summary: str) -> None:
        """The summary that was asked for is there."""
        if self._memory is not None:
            self._summarised += len(self._memory.to_summarise(self._messages[self._summarised :]))
            self._summary = summary

    def ended(self, run: AgentRun, result: AgentResult) -> None:
        """A run is over. Only a complete one becomes part of the conversation: half a round would
        be refused, or repeated."""
        if self._memory is None:
            self._messages, self._trace = list(result.messages), list(result.trace)
        elif self._running is run:
            self._running = None
            self._trace = list(result.trace)
            if result.status == "complete":
                self._messages += result.messages


def _check(result_type: type | None, options: Mapping[str, Any]) -> None:
    if result_type is not None and not is_answer_type(result_type):
        raise ConfigError(
            "result_type must be a Struct, dataclass, TypedDict or pydantic model, not "
            f"{result_type!r:.80}"
        )
    if reserved := _RUNS_OWN & options.keys():
        raise ConfigError(
            f"an agent sets {sorted(reserved)} itself; give tools, system and result_type to "
            "the agent, and callbacks to run_stream"
        )
    check_options(options, ModelOptions)


_TASK: Final = msgspec.Meta(description="what to do, with all that must be known for it")
_RUNS_OWN: Final = {
    "on_event",
    "on_text",
    "on_done",
    "user_data",
    "tools",
    "system",
    "response_format",
}
