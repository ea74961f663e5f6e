"""Tools: plain functions an agent may call."""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, overload, runtime_checkable

import msgspec

from engine.agents.tools.docstring import described
from engine.agents.tools.given_schema import GivenSchema
from engine.agents.tools.signature import Signature
from engine.errors import ConfigError
from engine.messages import Tool, ToolCall

if TYPE_CHECKING:
    from engine.client import Client
    from engine.transport.multi import Multi

__all__ = ["FunctionTool", "Place", "Running", "ToolContext", "as_function_tools", "tool"]

Place = Literal["loop", "thread", "process"]
_PLACES: Final = ("loop", "thread", "process")

# A tool that says more would fill the model's context: 50,000 characters are about 12,500 tokens.
_MAX_RESULT: Final = 50_000
_TIMEOUT: Final = 60.0


@runtime_checkable
class Running(Protocol):
    """What goes on by itself and ends: a `Stream`, or the `AgentRun` of an agent."""

    user_data: Any

    @property
    def completion(self) -> Any:
        """How it ended; None until then."""

    def on(self, name: str, listener: Callable[..., object]) -> Any:
        """Call `listener` at each `name`."""

    def cancel(self) -> None:
        """End it now."""


class ToolContext(msgspec.Struct, frozen=True):
    """What a tool may want to know. A parameter of this type is filled in and not shown to the
    model; not in a tool that runs in a process of its own.

    Attributes:
        multi: the loop's engine, to wait on it: `multi.add`.
        client: asks models on the same `multi`.
        run: the `AgentRun` that calls.
        call: the call.
    """

    multi: Multi
    client: Client
    run: Running
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
        signature: the function's parameters; given where a schema tells them, and the function
            takes them as one dict; None: read from the function.

    Args:
        name, description, strict: as in `tool`; None: what the function tells, and not strict.

    Raises:
        ConfigError: an argument is wrong.
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
        signature: GivenSchema | None = None,
    ) -> None:
        name = _check(function, name, run_in, timeout, max_result)
        self.function: Callable[..., Any] = function
        self.signature: Signature | GivenSchema = signature or Signature(
            function, ToolContext, name, bool(strict)
        )
        if run_in == "process" and self.signature.injected is not None:
            raise ConfigError("a tool in a process of its own cannot have a ToolContext")
        text = description if description is not None else described(self.signature.doc)[0]
        if not isinstance(text, str):
            raise ConfigError(f"the description of {name} must be a string, not {text!r:.80}")
        self.definition: Tool = Tool(name, text, self.signature.schema, strict)
        self.run_in = run_in
        self.timeout = timeout
        self.approve = approve
        self.max_result = max_result
        self.__name__: str = self.definition.name
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        self.__module__ = getattr(function, "__module__", "")
        self.__doc__ = self.signature.doc

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
    function: Callable[..., Any],
    name: str | None,
    run_in: Place,
    timeout: float | None,
    max_result: int,
) -> str:
    """The tool's name.

    Raises:
        ConfigError: something is wrong.
    """
    if not callable(function) or inspect.isclass(function):
        raise ConfigError(f"a tool is a function, not {function!r:.80}")
    inner = function.func if isinstance(function, partial) else function
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise ConfigError(
            f"tool {getattr(inner, '__name__', inner)} is a generator, which gives no result; "
            "return a list, or all of the text"
        )
    if run_in not in _PLACES:
        raise ConfigError(f"run_in must be one of {_PLACES}, not {run_in!r}")
    if timeout is not None and not timeout > 0:
        raise ConfigError("a tool's timeout must be more than 0 seconds, or None")
    if max_result < 1:
        raise ConfigError("a tool's max_result must be at least 1 character")
    return _name_of(function, name)


# OpenAI: "Must be a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length of 64";
# the others take no less.
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def _name_of(function: Any, name: str | None) -> str:
    if name is None:
        inner = function
        while isinstance(inner, partial):
            inner = inner.func
        name = getattr(inner, "__name__", None) or type(inner).__name__
        if name == "<lambda>":
            raise ConfigError("a lambda has no name to call it by; give tool(name=…)(function)")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"a tool cannot be called {name!r}: letters, digits, _ and - are allowed, 64 at most; "
            "give tool(name=…)"
        )
    return name


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

    The function may return at once (a string as it is, `Image`s and the bytes of pictures as
    images where the provider takes them, anything else as JSON), or what is waited for in the same
    loop: a `Pending`, a `Stream`, an `HttpRequest` or what `Multi.add` made of one, another agent's
    `AgentRun`. An ``async def`` runs in asyncio: in the loop that drives the `Multi`, where it is
    one, else in a thread with a loop of its own, one a client.

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
        strict: ask the provider to hold the model to the schema, which then obeys the rules of
            strict mode: all is required, null stands for a default. None: the provider's default.

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
