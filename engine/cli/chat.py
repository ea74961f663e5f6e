"""`engine chat`: one question, or a conversation."""

from __future__ import annotations

import argparse
import os
import sys

from engine.cli.asking import key_of, question_of, usual_model
from engine.cli.console import add_color, complain, wants_color
from engine.cli.conversation import Conversation
from engine.client import Client
from engine.completion import Completion

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
    model = arguments.model or usual_model(arguments)
    question = question_of(arguments.prompt)
    with Client(
        provider=arguments.provider,
        dialect=arguments.dialect,
        base_url=arguments.base_url,
        api_key=key_of(arguments.api_key_env),
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
