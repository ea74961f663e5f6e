"""What `engine chat` and `engine agent` are asked, of which model, with which key."""

from __future__ import annotations

import argparse
import os
import sys

from engine.cli.console import is_terminal
from engine.errors import ConfigError
from engine.providers import endpoint, endpoints

__all__ = ["key_of", "question_of", "usual_model"]


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
