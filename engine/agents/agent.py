"""What all agents are: a model, tools, limits, a memory, and runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, Unpack

import msgspec

from engine.agents.answer import AnswerType
from engine.agents.callbacks import OnAgentDone, OnAgentEvent
from engine.agents.conversation import Conversation
from engine.agents.limits import Limits, Pricing, Spent
from engine.agents.memory import Memory
from engine.agents.plan import Approve, Idiom, Plan
from engine.agents.result import AgentResult, Step
from engine.agents.run import AgentRun
from engine.agents.saved import SavedRun, restored
from engine.agents.tools.tool import FunctionTool, as_function_tools
from engine.asking.input import Input, as_messages
from engine.asking.question import ModelOptions, check_options
from engine.client import Client
from engine.errors import ConfigError, MisuseError
from engine.messages import Message

__all__ = ["Agent", "AgentOptions", "Approve"]


class AgentOptions(ModelOptions, total=False):
    """The keyword arguments of `Agent`, for kinds of agents that hand them on."""

    system: str | None
    limits: Limits | None
    approve: Approve | None
    result_type: Any
    result_retries: int
    price: Pricing | None
    memory: Memory | None


class Agent:
    """The base of `FunctionAgent`, `ReActAgent` and `ConversationalAgent`: it holds what does not
    change, a run holds the rest, so that one agent may have any number of runs at once.

    Args:
        client: asks the model; its `Multi` drives the runs.
        model: as in `Client.stream`.
        tools: plain functions, or what `tool` made of them; None: none.
        system: instructions for the model; None: none of yours.
        limits: where a run is ended; None: 10 turns of the model.
        approve: called with (call, run) before each call, on the thread of the `Multi`, and must
            not block. True allows it; other arguments, as a dict or a `ToolCall`, are taken in the
            place of the model's, which is told so; False, or a string that says why, tells the
            model no; None leaves it open until `AgentRun.approve`. What it raises ends the run.
            Not asked for tools with ``approve=False``.
        result_type: a msgspec Struct, dataclass, TypedDict or pydantic model, or a plain type such
            as ``int``, ``bool``, ``list[str]``, ``Optional[int]`` or a union: the answer is JSON of
            that type, and ``AgentResult.value`` is one. None: text.
        result_retries: how often the model is asked again for an answer that does not fit.
        price: what tokens cost, for ``Limits.cost`` and ``AgentResult.cost``; None: unknown.
        memory: None: each run begins afresh; else runs follow each other in one conversation, of
            which the model is shown what the memory recalls.
        options: more arguments of `Client.stream`: ``temperature=``, ``max_tokens=``,
            ``thinking=``, … A ``tool_choice`` of ``"required"``, or of one tool, holds until the
            model has called one.

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
        result_type: Any = None,
        result_retries: int = 2,
        price: Pricing | None = None,
        memory: Memory | None = None,
        **options: Unpack[ModelOptions],
    ) -> None:
        _check(options)
        self.client = client
        self.model = model
        self.tools: Mapping[str, FunctionTool] = as_function_tools(tools)
        self.system = system
        self.limits: Limits = limits or Limits()
        self.approve = approve
        self.result_type = result_type
        self.result_retries = result_retries
        self.price = price
        self.options = options
        self._answer_type = None if result_type is None else AnswerType(result_type)
        self._conversation = Conversation(memory)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.model} {', '.join(self.tools) or 'no tools'}>"

    # -- runs ----------------------------------------------------------------------------------

    def run_stream(
        self,
        input: Input,
        *,
        on_event: OnAgentEvent | None = None,
        on_detail: OnAgentEvent | None = None,
        on_done: OnAgentDone | None = None,
        user_data: Any = None,
    ) -> AgentRun:
        """Begin a run. Returns at once, having done no I/O; from any callback, and from a tool.

        Args:
            input: the task: a string, or messages; the last is the question. Calls in it that have
                no result are told to be not carried out.
            on_event: called with (event, run) for each `AgentEvent`, in `perform`; `STOP` cancels.
                None: nobody is, as for the next two.
            on_detail: the same for what a user interface wants beside, None: nobody wants it; see
                `engine.agents.event`.
            on_done: called with (result, run) once, in `info_read`; None: nobody is.
            user_data: whatever you like, None too; kept as ``run.user_data``.

        Raises:
            ConfigError: `input` is no message.
            MisuseError: the `Multi` is closed or another thread's, or the agent has a memory and
                a run that is not over.
        """
        messages = as_messages(input, None)
        if self._conversation.busy:
            raise MisuseError(
                "this agent remembers one conversation and its last question is not answered yet; "
                "wait for it, cancel it, or make another agent"
            )
        saved = SavedRun(messages=messages, spent=self._nothing_spent())
        return AgentRun(
            self,
            self._plan(),
            self._conversation,
            saved,
            on_event=on_event,
            on_detail=on_detail,
            on_done=on_done,
            user_data=user_data,
        )

    def resume(
        self,
        exported: Mapping[str, Any],
        *,
        on_event: OnAgentEvent | None = None,
        on_detail: OnAgentEvent | None = None,
        on_done: OnAgentDone | None = None,
        user_data: Any = None,
    ) -> AgentRun:
        """Go on with a run that `AgentRun.export` gave, here or in another process, with an agent
        that has the same tools. What was carried out is not carried out again; an approval that
        was open is asked for again. Where the agent remembers, `restore` the conversation first.

        Args: as in `run_stream`.

        Raises:
            ConfigError: it is no such export.
            MisuseError: as in `run_stream`.
        """
        saved = restored(exported)
        if self._conversation.busy:
            raise MisuseError("this agent's last question is not answered yet; wait for it")
        return AgentRun(
            self,
            self._plan(),
            self._conversation,
            saved,
            on_event=on_event,
            on_detail=on_detail,
            on_done=on_done,
            user_data=user_data,
        )

    def run(self, input: Input) -> AgentResult:
        """`run_stream`, driven to its end. Not from a callback."""
        return self.run_stream(input).result()

    def as_tool(self, name: str, description: str, **options: Any) -> FunctionTool:
        """This agent as a tool of another: a run with the task it is given, in the same loop. One
        that remembers answers one task after the other, also where they are given at once.

        Args:
            name, description: what the other agent's model is told of it.
            options: as in `tool`.
        """

        def delegate(task: Annotated[str, _TASK]) -> AgentRun:
            saved = SavedRun(messages=[Message.user(task)], spent=self._nothing_spent())
            return AgentRun(self, self._plan(), self._conversation, saved)

        return FunctionTool(delegate, name=name, description=description, **options)

    # -- what was ------------------------------------------------------------------------------

    @property
    def messages(self) -> list[Message]:
        """The conversation: of all runs, where the agent remembers; else of the one that ended
        last."""
        return list(self._conversation.messages)

    @property
    def trace(self) -> list[Step]:
        """The turns of the run that ended last."""
        return list(self._conversation.trace)

    @property
    def summary(self) -> str | None:
        """What stands for the older part of the conversation (`Summarise`), or None."""
        return self._conversation.summary

    def export(self) -> dict[str, Any]:
        """The conversation and the last trace as dicts, lists, strings and numbers, ready for
        JSON; `restore` takes it back."""
        return {"model": self.model, **self._conversation.export()}

    def restore(self, exported: Mapping[str, Any]) -> None:
        """Go on with the conversation another agent exported.

        Raises:
            ConfigError: it is no such export, or this agent has no memory.
        """
        self._conversation.restore(exported)

    def reset(self) -> None:
        """Forget what was; a run that is not over stays out of the memory."""
        self._conversation.reset()

    # -- for a run -----------------------------------------------------------------------------

    def idiom(self) -> Idiom:
        """How this kind of agent speaks with its model."""
        raise NotImplementedError

    def _plan(self) -> Plan:
        return Plan(
            client=self.client,
            model=self.model,
            idiom=self.idiom(),
            tools=dict(self.tools),
            system=self.system,
            limits=self.limits,
            approve=self.approve,
            answer_type=self._answer_type,
            result_retries=self.result_retries,
            price=self.price,
            options=self.options,
        )

    def _nothing_spent(self) -> Spent:
        return Spent(cost=None if self.price is None else 0.0)


def _check(options: Mapping[str, Any]) -> None:
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
