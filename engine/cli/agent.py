"""`engine agent`: a task for a model with tools, every step shown as it happens."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from engine.agents import (
    AgentEvent,
    AgentResult,
    AgentRun,
    FunctionAgent,
    FunctionTool,
    Limits,
    ReActAgent,
    calculator,
    file_tools,
    http_tool,
)
from engine.cli.answer_view import AnswerView
from engine.cli.asking import (
    add_request_options,
    client_of,
    options_of,
    question_of,
    usual_model,
)
from engine.cli.console import add_color, complain, dim, exit_code, is_terminal, wants_color
from engine.cli.neutral import one_line
from engine.errors import ConfigError
from engine.events import TextDelta, ThinkingDelta
from engine.messages import ToolCall

__all__ = ["add_arguments", "run"]

_LIMITS: Final = Limits.__struct_fields__
_SHOWN: Final = 200  # characters of arguments and results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = (
        "Tools: calculator; http (GET, public addresses only); files:DIR (to read; with --write to "
        "write too). What reaches outside is asked for on the terminal, unless --yes."
    )
    add_request_options(parser, "the task")
    add = parser.add_argument
    add("--tools", metavar="LIST", default="calculator", help="default: %(default)s; '': none")
    add("--react", action="store_true", help="for models without tools: Thought, Action, Answer")
    add("--write", action="store_true", help="let files:DIR make and overwrite files")
    add("--yes", action="store_true", help="allow every call of a tool without asking")
    add("--max-steps", type=int, metavar="N", default=10, help="turns (default: %(default)s)")
    add("--max-seconds", type=float, metavar="S", help="time for all of it")
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    """Carry out one task. The answer goes to stdout, everything else to stderr."""
    model = arguments.model or usual_model(arguments)
    task = question_of(arguments.prompt)
    if task is None:
        raise ConfigError("there is no task; give one as an argument, or pipe one in")
    tools = _tools(arguments.tools, arguments.write)
    kind = ReActAgent if arguments.react else FunctionAgent
    with client_of(arguments) as client:
        agent = kind(
            client,
            model,
            tools,
            system=arguments.system,
            limits=Limits(iterations=arguments.max_steps, seconds=arguments.max_seconds),
            approve=None if arguments.yes else _approve,
            **options_of(arguments),
        )
        view = _View(wants_color(arguments.color, sys.stderr))
        return _exit_code(_show(agent.run_stream(task), view))


def _show(run: AgentRun, view: _View) -> AgentResult:
    try:
        for event in run:
            view.show(event)
    except KeyboardInterrupt:
        run.cancel()
    finally:
        view.end()
    return run.result()


def _exit_code(result: AgentResult) -> int:
    if result.error is not None and result.error.code in _LIMITS:
        complain(result.error)
        return 4
    return exit_code(result.error, any(step.message.parts for step in result.trace))


def _tools(text: str, write: bool) -> list[FunctionTool]:
    """The tools that ``--tools`` names."""
    tools: list[FunctionTool] = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        kind, _, folder = name.partition(":")
        if name == "calculator":
            tools.append(calculator)
        elif name == "http":
            tools.append(http_tool())
        elif kind == "files" and folder:
            tools += file_tools(folder, write=write)
        else:
            raise ConfigError(f"no tool {name!r}; there are calculator, http and files:DIR")
    return tools


def _approve(call: ToolCall, run: AgentRun) -> bool | str:
    """Ask on the terminal; there is nothing else in the loop that would have to wait."""
    if not is_terminal(sys.stdin) or not is_terminal(sys.stderr):
        return "nobody is there to allow it; the user would have to give --yes"
    print(f"Allow {_shown(call)}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


class _View:
    """Shows a run: what the model says, fainter what it thinks and does."""

    def __init__(self, color: bool) -> None:
        self._color = color
        self._answer = AnswerView(sys.stdout, sys.stderr, color)
        # Into a pipe goes the answer and nothing said on the way to it.
        self._live = is_terminal(sys.stdout)

    def show(self, event: AgentEvent) -> None:
        """Write what `event` brings, at once."""
        if event.type == "token" and event.data == "thought":
            self._answer.show(ThinkingDelta(event.content))
        elif event.type == "token" and self._live:
            self._answer.show(TextDelta(event.content))
        elif event.type == "thought":
            self._answer.end()
        elif event.type == "tool_start":
            self._note(f"→ {_shown(event.data)}")
        elif event.type == "tool_end":
            self._note(f"← {_cut(event.content)}")
        elif event.type == "answer" and not self._live:
            self._answer.show(TextDelta(event.content))

    def end(self) -> None:
        """The run is over."""
        self._answer.end()

    def _note(self, text: str) -> None:
        self._answer.end()
        print(dim(text, self._color), file=sys.stderr, flush=True)


def _shown(call: ToolCall) -> str:
    return f"{one_line(call.name)} {_cut(call.arguments)}"


def _cut(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
