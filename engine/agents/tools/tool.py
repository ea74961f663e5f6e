"""Tools: plain functions an agent may call."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, overload

import msgspec

from engine.agents.tools.signature import Signature, described
from engine.errors import ConfigError
from engine.messages import Tool, ToolCall

if TYPE_CHECKING:
    from engine.agents.run import AgentRun
    from engine.client import Client
    from engine.transport.multi import Multi

__all__ = ["FunctionTool", "Place", "ToolContext", "as_function_tools", "tool"]

Place = Literal["loop", "thread", "process"]
_PLACES: Final = ("loop", "thread", "process")

# A tool that says more would fill the model's context: 50,000 characters are about 12,500 tokens.
_MAX_RESULT: Final = 50_000
_TIMEOUT: Final = 60.0


class ToolContext(msgspec.Struct, frozen=True):
    """What a tool may want to know. A parameter of this type is filled in and not shown to the
    model; not in a tool that runs in a process of its own.

    Attributes:
        multi: the loop's engine, to wait on it: `multi.add`.
        client: asks models on the same `multi`.
        run: the run that calls.
        call: the call.
    """

    multi: Multi
    client: Client
    run: AgentRun
    call: ToolCall


class FunctionTool:
    """A function and what a model is told of it; made by `tool`. Called, it is the function.

    Attributes:
        definition: what the model is told.
        function: what is called, with the model's arguments by name.
        run_in: ``loop``, ``thread`` or ``process``.
        timeout: seconds a call may take, or None.
        approve: a call needs the approval of the agent's `approve`.
        max_result: the most characters the model is given.
        signature: the function's parameters.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        run_in: Place = "loop",
        timeout: float | None = _TIMEOUT,
        approve: bool = True,
        max_result: int = _MAX_RESULT,
        strict: bool | None = None,
    ) -> None:
        _check(function, run_in, timeout, max_result)
        self.function = function
        self.signature = Signature(function, ToolContext)
        if run_in == "process" and self.signature.injected is not None:
            raise ConfigError("a tool in a process of its own cannot have a ToolContext")
        text: str = description or described(inspect.getdoc(function) or "")[0]
        self.definition = Tool(
            name or str(getattr(function, "__name__", "tool")), text, self.signature.schema, strict
        )
        self.run_in = run_in
        self.timeout = timeout
        self.approve = approve
        self.max_result = max_result
        self.__name__ = self.definition.name
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        self.__module__ = getattr(function, "__module__", "")
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<tool {self.definition.name}({', '.join(self.signature.names)})>"

    @property
    def by_name(self) -> Callable[..., Any]:
        """What another process finds by its name: the function, or, where the decorator put this
        object in its place, this."""
        try:
            pickle.dumps(self.function)
        except (pickle.PicklingError, AttributeError, TypeError):
            return self
        return self.function

    def __reduce__(self) -> str:
        # By name, as functions are: the decorated name is this object, in every process.
        return self.__qualname__


def _check(
    function: Callable[..., Any], run_in: Place, timeout: float | None, max_result: int
) -> None:
    if not callable(function) or inspect.isclass(function):
        raise ConfigError(f"a tool is a function, not {function!r:.80}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise ConfigError(
            f"tool {getattr(function, '__name__', function)} is async or a generator; write a "
            "plain function that returns a Pending, a Stream or a request, or run_in='thread'"
        )
    if run_in not in _PLACES:
        raise ConfigError(f"run_in must be one of {_PLACES}, not {run_in!r}")
    if timeout is not None and not timeout > 0:
        raise ConfigError("a tool's timeout must be more than 0 seconds, or None")
    if max_result < 1:
        raise ConfigError("a tool's max_result must be at least 1 character")


@overload
def tool(function: Callable[..., Any], /) -> FunctionTool: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    run_in: Place = "loop",
    timeout: float | None = _TIMEOUT,
    approve: bool = True,
    max_result: int = _MAX_RESULT,
    strict: bool | None = None,
) -> Callable[[Callable[..., Any]], FunctionTool]: ...


def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a plain function a tool: ``@tool`` or ``@tool(timeout=5)``.

    The model sees its name, its docstring up to ``Args:``, and a JSON schema of its parameters
    from their type hints and ``Args:``. Arguments are checked strictly: ``"5"`` is no int. What
    does not fit, and what the function raises, is told to the model as the result.

    The function may return at once (a string as it is, anything else as JSON), or what is waited
    for in the same loop: a `Pending`, a `Stream`, an `HttpRequest` or what `Multi.add` made of one,
    another agent's `AgentRun`.

    Args:
        name: what the model calls it by; None: the function's name.
        description: None: from the docstring.
        run_in: ``loop``: in `perform`, so it must not block. ``thread``: in a thread of its own,
            which cannot be ended, so a call that timed out goes on unheard. ``process``: in a
            process of its own, which is killed; arguments and result are pickled, and the function
            must be at the top of a module that can be imported.
        timeout: seconds a call may take; None: any. Nothing in ``loop`` that blocks is interrupted.
        approve: whether the agent's `approve` is asked; False for what is harmless.
        max_result: the most characters the model is given; the rest is cut, and said to be.
        strict: ask the provider to hold the model to the schema; None: the provider's default.

    Raises:
        ConfigError: the function cannot be a tool; the message says why.
    """
    if function is not None:
        return FunctionTool(function, **options)
    return lambda function: FunctionTool(function, **options)


def as_function_tools(
    tools: Iterable[FunctionTool | Callable[..., Any]] | None,
) -> dict[str, FunctionTool]:
    """`tools` by name; plain functions become tools.

    Raises:
        ConfigError: one cannot, or two have the same name.
    """
    if tools is not None and (isinstance(tools, str) or not isinstance(tools, Iterable)):
        raise ConfigError(f"tools must be a list of functions, not {type(tools).__name__}")
    by_name: dict[str, FunctionTool] = {}
    for each in tools or ():
        made = each if isinstance(each, FunctionTool) else tool(each)
        if made.definition.name in by_name:
            raise ConfigError(f"two tools are called {made.definition.name!r}")
        by_name[made.definition.name] = made
    return by_name
