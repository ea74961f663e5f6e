"""The terminal, if there is one: colour, tables, complaints."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, TextIO

from engine.cli.neutral import one_line
from engine.errors import Category, EngineError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "add_color",
    "complain",
    "dim",
    "exit_code",
    "is_terminal",
    "print_table",
    "rich_console",
    "wants_color",
]


def add_color(parser: argparse.ArgumentParser) -> None:
    """Give a command the option ``--color``."""
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="auto: on a terminal, unless NO_COLOR is set (default: %(default)s)",
    )


def is_terminal(stream: TextIO | None) -> bool:
    """Whether `stream` is a terminal; one that is closed, or None, is not."""
    return stream is not None and not stream.closed and stream.isatty()


def wants_color(choice: str, stream: TextIO) -> bool:
    """Whether to colour what goes to `stream`: `choice` is the option ``--color``; where it is
    ``auto``, NO_COLOR and FORCE_COLOR decide, and then whether it is a terminal."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def dim(text: str, color: bool) -> str:
    """`text`, fainter where there is colour."""
    return f"\x1b[2m{text}\x1b[0m" if color else text


def rich_console(choice: str, stream: TextIO) -> Console | None:
    """A rich console on `stream`; None where it is no terminal or rich is not installed."""
    if not is_terminal(stream) or os.environ.get("TERM") == "dumb":
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=stream, no_color=not wants_color(choice, stream), highlight=False)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], choice: str) -> None:
    """A table on stdout: rich's on a terminal, aligned columns elsewhere; on a terminal that is too
    narrow for it, each row as a paragraph."""
    lines = [headers, *rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    room = get_terminal_size().columns if is_terminal(sys.stdout) else None
    if room is not None and sum(widths) + 3 * len(widths) + 2 > room:
        for row in rows:
            print("\n".join(_paragraph(row, headers, room)))
        return
    console = rich_console(choice, sys.stdout)
    if console is None:
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            print("  ".join(cells).rstrip())
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(*headers, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _paragraph(row: Sequence[str], headers: Sequence[str], room: int) -> list[str]:
    """A row as lines of at most `room` columns: its first cell, and below it the others."""
    lines = [row[0]]
    for header, cell in zip(headers[1:], row[1:], strict=True):
        lines += wrap(
            f"{header}: {cell}", max(room, 20), initial_indent="  ", subsequent_indent="    "
        )
    return lines


def complain(problem: object) -> None:
    """One line on stderr that says what is wrong. It may quote a server: it is neutralised."""
    print(f"engine: error: {one_line(str(problem))}", file=sys.stderr, flush=True)


def exit_code(error: EngineError | None, answered: bool) -> int:
    """The exit code of a question that ended with `error`; `answered`: something of the answer had
    come."""
    if error is None:
        return 0
    if error.category is Category.CANCELLED:
        return 130
    complain(error)
    if answered:
        return 1
    return 2 if error.category is Category.CONFIG else 3
