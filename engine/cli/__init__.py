"""The command `engine`: one file a command, imported when it is called for.

Exit codes: 0 all well; 1 something did not complete; 2 the command line or the configuration is
wrong; 3 it could not be carried out (refused, unreachable); 4 a budget stopped it; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from engine import __version__
from engine.cli.console import complain
from engine.cli.standard_streams import open_standard_streams, settle_stdout
from engine.errors import ConfigError, EngineError

__all__ = ["main"]

_COMMANDS: Final = {
    "demo": "stream a thousand chats at once from an emulator on this machine",
    "chat": "ask a model, once or in a conversation",
    "agent": "have a model carry out a task with tools, every step shown",
    "batch": "ask a file of prompts, keep every answer, go on after any interruption",
    "merge": "make the outputs of batch shards into one",
    "emulate": "run the provider emulator: no key, no network",
    "providers": "list the known providers and whose key is set",
    "doctor": "look at versions, certificates, proxies, limits and keys, and try a stream",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (None: the process's own) and return its exit code.

    Raises:
        SystemExit: for ``--help``, ``--version`` and a command line argparse refuses.
    """
    open_standard_streams()
    try:
        code = _run(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
    except BrokenPipeError:
        return 1  # the reader has gone (`| head`)
    except ConfigError as error:
        complain(error)
        return 2
    except (EngineError, OSError) as error:
        complain(error)
        return 3
    except KeyboardInterrupt:
        return 130
    finally:
        settle_stdout()
    return code


def _run(argv: Sequence[str]) -> int:
    parser = _parser(argv)
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return 2
    code: int = import_module(f"engine.cli.{arguments.command}").run(arguments)
    return code


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="engine",
        allow_abbrev=False,  # an abbreviation that works today is another option's name tomorrow
        description="Thousands of LLM streams on one thread.",
        epilog="`engine COMMAND --help` tells more of a command.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"engine {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in _COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=f"{summary.capitalize()}.", allow_abbrev=False
        )
        if name in argv:
            import_module(f"engine.cli.{name}").add_arguments(command)
    return parser
