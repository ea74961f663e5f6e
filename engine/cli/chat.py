"""`engine chat`: one question, or a conversation."""

from __future__ import annotations

import argparse
import sys

from engine.cli.asking import (
    add_request_options,
    client_of,
    options_of,
    question_of,
    usual_model,
)
from engine.cli.console import add_color, exit_code, wants_color
from engine.cli.conversation import Conversation
from engine.cli.line_editor import LineEditor, history_path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = (
        "Without PROMPT on a terminal: a conversation. What is piped in is appended to PROMPT. "
        "Keys come from the environment: see `engine providers`."
    )
    add_request_options(parser, "what to ask")
    parser.add_argument(
        "-s",
        "--stream",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="show the answer as it is written, or whole at the end (default: --stream)",
    )
    parser.add_argument(
        "--history",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep questions for the next conversation (default: --history)",
    )
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask once, or converse until the end of the input."""
    model = arguments.model or usual_model(arguments)
    question = question_of(arguments.prompt)
    with client_of(arguments) as client:
        conversation = Conversation(
            client,
            model,
            streaming=arguments.stream,
            system=arguments.system,
            color=wants_color(arguments.color, sys.stderr),
            **options_of(arguments),
        )
        if question is None:
            conversation.converse(LineEditor(history_path() if arguments.history else None))
            return 0
        done = conversation.ask(question)
        return exit_code(done.error, bool(done.message.parts))
