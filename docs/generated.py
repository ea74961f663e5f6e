"""The pages that the code knows best: commands, states, providers, faults."""

from __future__ import annotations

import argparse
import os
from datetime import date
from importlib import import_module
from pathlib import Path

import pycurl

import engine.cli
from engine.agents.state import LEGAL_MOVES as RUN_MOVES
from engine.answering.attempts import LEGAL_MOVES as STREAM_MOVES
from engine.providers import endpoints
from engine.transport.state import LEGAL_MOVES as TRANSFER_MOVES
from tests.faults.rows import CHAPTERS, ROWS

__all__ = ["commands", "pages", "write"]


def write(folder: Path) -> None:
    """Write each page where it is new, so that Sphinx builds again only what changed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def pages() -> dict[str, str]:
    """Name and Markdown of each page."""
    return {
        "cli.md": commands(),
        "states.md": states(),
        "providers.md": providers(),
        "faults.md": faults(),
    }


def commands() -> str:
    """`engine --help` and that of each command."""
    os.environ["COLUMNS"] = "88"
    blocks = ["# Commands\n\nWhat `engine COMMAND --help` says; `python -m engine` is the same.\n"]
    for name in ("", *engine.cli._COMMANDS):
        parser = argparse.ArgumentParser(prog=f"engine {name}".strip())
        if name:
            parser.description = f"{engine.cli._COMMANDS[name].capitalize()}."
            import_module(f"engine.cli.{name}").add_arguments(parser)
        else:
            parser = engine.cli._parser([])
        blocks.append(f"## engine {name}".rstrip() + f"\n\n```text\n{parser.format_help()}```\n")
    return "\n".join(blocks)


def states() -> str:
    """The state machines, from their own tables."""
    machines = (
        ("A transfer", "one attempt at a request, in `engine.transport`", TRANSFER_MOVES),
        ("A stream", "one question, over as many attempts as it takes", STREAM_MOVES),
        ("An agent's run", "one task, over as many turns as it takes", RUN_MOVES),
    )
    blocks = [
        "# States\n\nEach table is the one the code obeys: any other move is a bug of the engine, "
        "and raises.\n"
    ]
    for title, what, moves in machines:
        rows = [
            f"| {state} | {', '.join(sorted(to)) or 'the end'} |" for state, to in moves.items()
        ]
        blocks.append(
            f"## {title}\n\n{what}.\n\n| from | to |\n|---|---|\n" + "\n".join(rows) + "\n"
        )
    return "\n".join(blocks)


def providers() -> str:
    """The table of endpoints."""
    rows = [
        f"| `{row.name}` | `{row.base_url}` | {', '.join(row.dialects)} | "
        f"{', '.join(f'`{v}`' for v in row.key_variables) or 'none'} | "
        f"{', '.join(f'`{v}`' for v in row.base_variables) or '–'} |"
        for row in endpoints()
    ]
    return (
        "# Providers\n\nThe table of `engine.providers.endpoints`. The first dialect is the one "
        "that is spoken where `dialect=` says nothing (OpenAI's reasoning families: responses).\n\n"
        "| prefix | base URL | dialects | key from | address from |\n|---|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def faults() -> str:
    """The fault matrix, from the rows the tests run."""
    versions = f"engine {engine.__version__}, {pycurl.version.partition(' zlib')[0]}"
    blocks = [
        "# The fault table\n\nEach row is a test, run on every change; where a row has siblings, "
        f"their bytes are compared too. Built {date.today()} with {versions}.\n"
    ]
    for letter, title in CHAPTERS.items():
        rows = [
            f"| {name} | {row.fault} | {row.outcome or row.elsewhere} |"
            for name, row in ROWS.items()
            if name[0] == letter
        ]
        blocks.append(
            f"## {title}\n\n| | what goes wrong | what comes of it |\n|---|---|---|\n"
            + "\n".join(rows)
            + "\n"
        )
    return "\n".join(blocks)
