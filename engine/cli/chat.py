"""`engine chat`: one question, or a conversation."""

from __future__ import annotations

import argparse
import os
import sys

from engine.cli.console import add_color, complain, is_terminal, wants_color
from engine.cli.conversation import Conversation
from engine.client import Client
from engine.completion import Completion
from engine.errors import ConfigError
from engine.providers import endpoint, endpoints

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    parser.epilog = (
        "Without PROMPT on a terminal: a conversation. What is piped in is appended to PROMPT. "
        "Keys come from the environment: see `engine providers`."
    )
    add("prompt", nargs="?", metavar="PROMPT", help="what to ask; -: read it from stdin")
    add(
        "-m",
        "--model",
        default=os.environ.get("ENGINE_MODEL"),
        help="as PROVIDER/MODEL (default: $ENGINE_MODEL, else by the first key that is set)",
    )
    add(
        "-s",
        "--stream",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="show the answer as it is written, or whole at the end (default: --stream)",
    )
    add("--system", metavar="TEXT", help="instructions for the model")
    add("--base-url", metavar="URL", help="another server, e.g. http://localhost:8000/v1")
    add("--provider", metavar="NAME", help="a provider of `engine providers`")
    add("--dialect", metavar="NAME", help="a wire format of the provider other than its first")
    add("--api-key-env", metavar="NAME", help="environment variable that holds the key")
    add("--thinking", choices=("none", "low", "medium", "high"), help="how much to reason")
    add("--max-tokens", type=int, metavar="N", help="the most tokens to write")
    add("--temperature", type=float, metavar="T")
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask once, or converse until the end of the input."""
    model = arguments.model or _usual_model(arguments)
    question = _question(arguments.prompt)
    with Client(
        provider=arguments.provider,
        dialect=arguments.dialect,
        base_url=arguments.base_url,
        api_key=_key(arguments.api_key_env),
    ) as client:
        conversation = Conversation(
            client,
            model,
            streaming=arguments.stream,
            system=arguments.system,
            thinking=arguments.thinking,
            max_tokens=arguments.max_tokens,
            temperature=arguments.temperature,
            color=wants_color(arguments.color, sys.stderr),
        )
        if question is None:
            conversation.converse()
            return 0
        return _exit_code(conversation.ask(question))


def _exit_code(completion: Completion) -> int:
    if completion.status == "complete":
        return 0
    if completion.status == "cancelled":
        return 130
    complain(completion.error)
    return 1 if completion.message.parts else 3


def _question(prompt: str | None) -> str | None:
    """PROMPT with stdin after it where that is piped; None: converse."""
    piped = sys.stdin is not None and not is_terminal(sys.stdin)
    if prompt is not None and prompt != "-" and not piped:
        return prompt
    if prompt is None and is_terminal(sys.stdin) and is_terminal(sys.stdout):
        return None
    if is_terminal(sys.stdin):
        print("Write the prompt; Ctrl-D ends it.", file=sys.stderr)
    texts = [prompt if prompt not in (None, "-") else "", _read_stdin()]
    question = "\n\n".join(text for text in texts if text)
    if not question:
        raise ConfigError("there is no prompt; give one as an argument, or pipe one in")
    return question


def _read_stdin() -> str:
    if sys.stdin is None:
        return ""
    try:
        return sys.stdin.read().strip("\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"stdin is not text: {error}; pipe in text as UTF-8") from error


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise ConfigError(f"--api-key-env: {variable} is not set; put the key into it")
    return key


def _usual_model(arguments: argparse.Namespace) -> str:
    """The default model of the provider asked for, or of the first whose key is set."""
    if arguments.base_url is not None:
        raise ConfigError(f"which model of {arguments.base_url}? name it with -m MODEL")
    if arguments.provider is not None:
        rows = [endpoint(arguments.provider)]
    else:
        rows = [row for row in endpoints() if any(map(os.environ.get, row.key_variables))]
    for row in rows:
        if row.default_model is not None:
            return f"{row.name}/{row.default_model}"
    if rows:
        raise ConfigError(f"which model of {rows[0].name}? name it with -m {rows[0].name}/MODEL")
    raise ConfigError(
        "no model was named and no key is set; give -m PROVIDER/MODEL, or set OPENAI_API_KEY or "
        "another of `engine providers`, or try without a key: `engine emulate` in a second "
        "terminal, then `engine chat -m emulator/demo`"
    )
