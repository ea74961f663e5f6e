"""``python -m engine.emulator --port 8089``: the emulator on its own."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import Final

from engine.emulator.settings import NAMES, Settings
from engine.errors import ConfigError

__all__ = ["add_arguments", "main", "run"]

_HELP: Final = {
    "ttft": "seconds to the first token (default %(default)g)",
    "tps": "tokens a second after that; 0: as fast as the reader takes them (default %(default)g)",
    "tokens": "length of an answer (default %(default)s)",
    "thinking": "tokens of reasoning, for requests that ask for it (default %(default)s)",
    "error": "fail every request: error-NNN, cut, drop, empty, end, html, instream-error, "
    "malformed, reset or stall",
    "times": "only the first N requests of a conversation fail; 0: all (default %(default)s)",
    "after": "tokens before a failure in mid-stream (default %(default)s)",
    "retry_after": "seconds in the header of a 429 or 503; 0: none (default %(default)g)",
    "tool": "the tool that the models react and loop call",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags; `run` reads them."""
    parser.add_argument("--host", default="127.0.0.1", help="address (default %(default)s)")
    parser.add_argument("--port", type=int, default=8089, help="0: any free (default %(default)s)")
    for name in NAMES:
        default = getattr(Settings(), name)
        kind = str if default is None else type(default)
        flag = f"--{name.replace('_', '-')}"
        metavar = {str: "NAME", int: "N"}.get(kind, "X")
        parser.add_argument(flag, type=kind, default=default, help=_HELP[name], metavar=metavar)
    # `start` holds the other end of stdin: the emulator must not outlive it.
    parser.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT, SIGTERM, or, with ``--with-parent``, the end of stdin.

    Returns:
        The exit code: 0.

    Raises:
        ConfigError: h11 is missing, a setting is wrong, or the address is taken.
    """
    try:
        from engine.emulator.server import Server
    except ModuleNotFoundError as error:
        if error.name != "h11":
            raise
        raise ConfigError("the emulator needs h11: pip install 'streamengine[emulator]'") from None
    try:
        settings = Settings(**{name: getattr(arguments, name) for name in NAMES})
    except ValueError as error:
        raise ConfigError(str(error)) from None
    _raise_descriptor_limit()
    server = Server(arguments.host, arguments.port, settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())
    if arguments.with_parent:
        server.stop_at_eof(sys.stdin.fileno())
    print(f"{server.url}/v1", flush=True)
    if sys.stderr.isatty() and not arguments.with_parent:  # which may be a command of our own
        variable = f"ENGINE_EMULATOR_URL={server.url}/v1"
        print(f"try: {variable} engine chat -m emulator/demo Hello", file=sys.stderr)
    server.serve()
    return 0


def _raise_descriptor_limit() -> None:
    """Each stream is a descriptor here; the soft limit is 1,024 on most systems."""
    try:
        import resource
    except ImportError:
        return  # Windows has no such limit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):
            pass  # macOS refuses "unlimited"; what there is must do


def main() -> int:
    """The command by itself."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.emulator",
        allow_abbrev=False,
        description="An LLM provider on this machine: no key, no network, the same answers always.",
    )
    add_arguments(parser)
    arguments = parser.parse_args()
    try:
        return run(arguments)
    except BrokenPipeError:
        return 1  # who wanted to know the address has gone
    except ConfigError as error:
        if arguments.with_parent:
            print(error)  # `start` reads this line, and raises it
        else:
            print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
