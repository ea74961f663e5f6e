"""`engine providers`: where each provider is, and whether its key is set."""

from __future__ import annotations

import argparse
import os

from engine.cli.console import add_color, print_table
from engine.cli.neutral import one_line
from engine.providers import Endpoint, endpoints
from engine.request import shown_url

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.epilog = "A model is named PROVIDER/MODEL; any other server is reached by --base-url."
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the table; keys themselves are never printed."""
    rows = [(row.name, _base_url(row), _key(row), ", ".join(row.dialects)) for row in endpoints()]
    print_table(("provider", "base URL", "key", "dialects"), rows, arguments.color)
    return 0


def _base_url(row: Endpoint) -> str:
    """The row's address, or the one its environment variable puts in its place."""
    for name in row.base_variables:
        if os.environ.get(name):
            return f"{one_line(shown_url(os.environ[name]))} ({name})"
    return row.base_url


def _key(row: Endpoint) -> str:
    """Which variable holds the key, or would."""
    for name in row.key_variables:
        if os.environ.get(name):
            return f"{name} set"
    if not row.key_variables:
        return "none needed"
    return f"{row.key_variables[0]} {'not set' if row.key_required else 'optional'}"
