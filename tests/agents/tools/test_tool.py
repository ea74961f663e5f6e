"""Tools: the schema from a signature, strict arguments, the three places a tool runs in."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import pytest

import engine
from engine.agents import FunctionAgent, FunctionTool, Pending, ToolContext, tool
from engine.agents.tools.docstring import described
from engine.errors import ConfigError, EngineError
from tests.agents.support import call, script
from tests.agents.tools.apart import (
    dies_there,
    hangs_there,
    of_another_process,
    raises_there,
    sleeps,
)
from tests.cases import each_case

if TYPE_CHECKING:
    from tests.nowhere import OnlyForTypeCheckers


def properties(function: Any) -> dict[str, Any]:
    return tool(function).definition.parameters["properties"]


# -- the schema ------------------------------------------------------------------------------


def test_name_description_and_schema_come_from_the_function() -> None:
    @tool
    def weather(city: str, days: int = 3, unit: Literal["C", "F"] = "C") -> str:
        """The forecast for a city.

        As good as any.

        Args:
            city: where, as in
                "Paris".
            days (int): how far ahead
        Returns:
            text
        """
        return f"{city} {days} {unit}"

    assert weather("Paris") == "Paris 3 C"
    assert weather.definition.name == "weather"
    assert weather.definition.description == "The forecast for a city.\n\nAs good as any."
    assert weather.definition.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": 'where, as in "Paris".'},
            "days": {"type": "integer", "description": "how far ahead", "default": 3},
            "unit": {"enum": ["C", "F"], "type": "string", "default": "C"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


@each_case(
    ("doc", "notes"),
    [
        ("", {}),
        ("Text only.", {}),
        ("X.\n\nArgs:\n    a: one\n    b: two\n", {"a": "one", "b": "two"}),
        ("X.\n\n:param a: one\n:param int b: two\n:returns: x", {"a": "one", "b": "two"}),
        (
            "X.\n\nParameters:\n  *a: one\n    more: of it\n\nReturns:\n  b: no",
            {"a": "one more: of it"},
        ),
    ],
)
def test_descriptions_of_parameters_are_found(doc: str, notes: dict[str, str]) -> None:
    assert described(doc)[1] == notes


def test_options_of_the_decorator_win() -> None:
    @tool(name="find", description="Finds.", timeout=None, strict=True)
    def search(query: Annotated[str, msgspec.Meta(min_length=2)]) -> str:
        """Not this."""
        return query

    assert (search.definition.name, search.definition.description) == ("find", "Finds.")
    assert search.definition.strict is True
    assert search.definition.parameters["properties"]["query"]["minLength"] == 2


def test_what_the_context_is_and_the_result_is_called_stay_out_of_the_schema() -> None:
    def search(query: str, context: ToolContext) -> OnlyForTypeCheckers:
        raise NotImplementedError

    assert list(properties(search)) == ["query"]


@dataclass
class Place:
    city: str
    country: str | None = None


def test_nested_types_are_checked_and_built() -> None:
    def go(to: list[Place], when: dict[str, int]) -> str:
        return ""

    made = tool(go)
    assert made.definition.parameters["$defs"]["Place"]["required"] == ["city"]
    decoded = made.signature.decode('{"to": [{"city": "Rome"}], "when": {"a": 1}}')
    assert decoded == {"to": [Place("Rome")], "when": {"a": 1}}
    with pytest.raises(EngineError, match=r"missing required field `city`"):
        made.signature.decode('{"to": [{}], "when": {}}')


@each_case("arguments", ["", "{", "[]", "null", '"x"', '{"a": 1'])
def test_what_is_no_object_is_refused(arguments: str) -> None:
    def one(a: int = 1) -> int:
        return a

    with pytest.raises(EngineError, match="the arguments do not fit"):
        tool(one).signature.decode(arguments)


async def asynchronous() -> None: ...
def give_nothing() -> None: ...


def generates() -> Any:
    yield 1


def opaque(a: threading.Lock) -> None: ...
def unresolved(a: OnlyForTypeCheckers) -> None: ...


@each_case("function", [generates, unresolved, opaque, 3, Place, lambda: 1])
def test_what_cannot_be_a_tool_is_refused_at_once(function: Any) -> None:
    with pytest.raises(ConfigError):
        tool(function)


@each_case("options", [{"run_in": "cloud"}, {"timeout": 0}, {"timeout": -1.0}, {"max_result": 0}])
def test_options_that_make_no_sense_are_refused(options: Any) -> None:
    with pytest.raises(ConfigError):
        tool(**options)(give_nothing)


def test_a_process_cannot_be_given_the_context() -> None:
    def wants(context: ToolContext) -> None: ...

    with pytest.raises(ConfigError, match="process"):
        FunctionTool(wants, run_in="process")


# -- what comes back -----------------------------------------------------------------------------


def outcome(client: engine.Client, made: FunctionTool, **arguments: Any) -> tuple[str, bool]:
    """What the model is given for one call of `made`, and whether it is an error."""
    question = script(call(made.definition.name, **arguments), "Done.")
    result = FunctionAgent(client, "demo", [made]).run(question)
    assert result.answer == "Done."
    [step] = result.trace[0].tools
    return step.content, step.is_error


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("text", "text"),
        (b"by\xfftes", "6 bytes, in base64: Ynn/dGVz"),
        (None, "null"),
        (1.5, "1.5"),
        ([1, {"a": None}], '[1,{"a":null}]'),
        (Place("Rome"), '{"city":"Rome","country":null}'),
        (complex(1, 2), '"(1+2j)"'),
    ],
)
def test_values_become_text(client: engine.Client, value: Any, content: str) -> None:
    @tool
    def give() -> Any:
        return value

    assert outcome(client, give) == (content, False)


def test_an_awaitable_is_awaited(client: engine.Client) -> None:
    @tool
    def give() -> Any:
        return asynchronous()

    assert outcome(client, give) == ("null", False)


def test_pydantic_models_are_written_as_json(client: engine.Client) -> None:
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Sum", total=(int, ...))

    @tool
    def give() -> Any:
        return model(total=3)

    assert outcome(client, give) == ('{"total":3}', False)


# -- places --------------------------------------------------------------------------------------


def test_a_thread_waits_while_the_loop_goes_on(client: engine.Client) -> None:
    release = threading.Event()
    threads: list[int] = []

    @tool(run_in="thread")
    def waits(context: ToolContext) -> str:
        threads.append(threading.get_ident())
        assert release.wait(10)
        return context.call.name

    agent = FunctionAgent(client, "demo", [waits])
    run = agent.run_stream(script(call("waits"), "Done."))
    other = agent.run_stream(script("I was not held up."))
    assert other.result().answer == "I was not held up."
    assert run.completion is None
    release.set()
    assert run.result().trace[0].tools[0].content == "waits"
    assert threads != [threading.get_ident()]


def test_an_exception_of_a_thread_is_the_result_even_sys_exit(client: engine.Client) -> None:
    @tool(run_in="thread")
    def leaves() -> None:
        raise SystemExit(3)

    assert outcome(client, leaves) == ("Error: SystemExit: 3", True)


def test_a_process_works_apart(client: engine.Client) -> None:
    content, is_error = outcome(client, of_another_process, a=4)
    value = msgspec.json.decode(content)
    assert not is_error
    assert value["twice"] == 8 and value["pid"] != os.getpid()


def test_what_goes_wrong_in_a_process_is_told(client: engine.Client) -> None:
    assert outcome(client, raises_there) == ("Error: ValueError: not today", True)
    content, is_error = outcome(client, dies_there)
    assert is_error and "code 7" in content


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks at /proc")
def test_a_process_that_hangs_is_killed_with_its_run(client: engine.Client, tmp_path: Any) -> None:
    path = tmp_path / "pid"
    agent = FunctionAgent(client, "demo", [hangs_there])
    run = agent.run_stream(script(call("hangs_there", path=str(path))))
    while not (path.exists() and path.read_text()):
        client.multi.poll(0.01)
    run.cancel()
    assert run.result().status == "cancelled"
    while os.path.exists(f"/proc/{path.read_text()}"):
        os.sched_yield()  # until it has been waited for; the test's own time limit is the other end


def test_a_process_too_slow_is_given_up(client: engine.Client) -> None:
    content, is_error = outcome(client, tool(run_in="process", timeout=0.01)(sleeps))
    assert is_error and "took longer than 0.01 s" in content


# -- pending ---------------------------------------------------------------------------------------


def test_a_pending_takes_its_first_outcome_only() -> None:
    seen: list[Any] = []
    pending = Pending()
    pending.then(lambda value, error: seen.append((value, error)))
    pending.resolve(1)
    pending.resolve(2)
    pending.fail(ValueError())
    pending.cancel()
    assert seen == [(1, None)] and pending.done


def test_a_pending_that_is_done_already_tells_at_once(client: engine.Client) -> None:
    @tool
    def done() -> Pending:
        pending = Pending()
        pending.fail(ValueError("no"))
        return pending

    assert outcome(client, done) == ("Error: ValueError: no", True)


def test_a_pending_may_be_resolved_from_another_thread(client: engine.Client) -> None:
    @tool
    def later(context: ToolContext) -> Pending:
        pending = Pending()
        resolve = lambda: context.multi.call_soon(lambda: pending.resolve("there"))  # noqa: E731
        threading.Thread(target=resolve).start()
        return pending

    assert outcome(client, later) == ("there", False)


def test_what_a_pendings_cancel_raises_disturbs_nobody(client: engine.Client) -> None:
    def broken() -> None:
        raise ValueError("broken")

    @tool(timeout=0.02)
    def waits() -> Pending:
        return Pending(cancel=broken)

    assert "took longer" in outcome(client, waits)[0]
