"""What `engine chat` and `engine agent` are asked, of which model, with which key."""

from __future__ import annotations

import argparse
import os
import sys

from engine.asking.question import ModelOptions
from engine.cli.console import is_terminal
from engine.client import Client
from engine.errors import ConfigError
from engine.providers import endpoint, endpoints
from engine.request import shown_url

__all__ = ["add_request_options", "client_of", "key_of", "options_of", "question_of", "usual_model"]


def add_request_options(parser: argparse.ArgumentParser, task: str) -> None:
    """Give a command PROMPT, which is called `task`, and the options of who is asked, and how."""
    add = parser.add_argument
    add("prompt", nargs="?", metavar="PROMPT", help=f"{task}; -: read it from stdin")
    add(
        "-m",
        "--model",
        default=os.environ.get("ENGINE_MODEL"),
        help="as PROVIDER/MODEL (default: $ENGINE_MODEL, else by the first key that is set)",
    )
    add("--system", metavar="TEXT", help="instructions for the model")
    add("--base-url", metavar="URL", help="another server, e.g. http://localhost:8000/v1")
    add("--unix-socket", metavar="PATH", help="the Unix socket the server listens on")
    add("--provider", metavar="NAME", help="a provider of `engine providers`")
    add("--dialect", metavar="NAME", help="a wire format of the provider other than its first")
    add("--api-key-env", metavar="NAME", help="environment variable that holds the key")
    add("--thinking", choices=("none", "low", "medium", "high"), help="how much to reason")
    add("--max-tokens", type=int, metavar="N", help="the most tokens to write in an answer")
    add("--temperature", type=float, metavar="T", help="0: the likeliest words")


def client_of(arguments: argparse.Namespace) -> Client:
    """The client that the options ask for."""
    return Client(
        provider=arguments.provider,
        dialect=arguments.dialect,
        base_url=arguments.base_url,
        unix_socket=arguments.unix_socket,
        api_key=key_of(arguments.api_key_env),
    )


def options_of(arguments: argparse.Namespace) -> ModelOptions:
    """How the model is asked."""
    options: ModelOptions = {}
    if arguments.thinking is not None:
        options["thinking"] = arguments.thinking
    if arguments.max_tokens is not None:
        options["max_tokens"] = arguments.max_tokens
    if arguments.temperature is not None:
        options["temperature"] = arguments.temperature
    return options


def question_of(prompt: str | None) -> str | None:
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
        text = sys.stdin.read().strip("\n")
        text.encode()  # in the C locale Python lets bytes that are no UTF-8 through, as surrogates
    except UnicodeError as error:
        raise ConfigError(f"stdin is not text: {error}; pipe in text as UTF-8") from error
    return text


def key_of(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise ConfigError(f"--api-key-env: {variable} is not set; put the key into it")
    return key


def usual_model(arguments: argparse.Namespace) -> str:
    """The default model of the provider asked for, or of the first whose key is set."""
    if arguments.base_url is not None or arguments.unix_socket is not None:
        where = shown_url(arguments.base_url) if arguments.base_url else arguments.unix_socket
        raise ConfigError(f"which model of {where}? name it with -m MODEL")
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
