"""`engine demo`: a thousand chats at once, on one thread, through one `select()`."""

from __future__ import annotations

import argparse
import select
import sys
from time import monotonic
from typing import Final

from engine.cli.console import add_color, rich_console
from engine.cli.demo_view import View, live_view, plain_view
from engine.cli.scoreboard import Scoreboard
from engine.client import Client
from engine.emulator import start
from engine.transport import Multi

__all__ = ["add_arguments", "run"]

# Descriptors beside one for each stream: the standard three, pollers, the emulator's pipes …
_SPARE_DESCRIPTORS: Final = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add = parser.add_argument
    parser.epilog = "Exit code 1 where a stream did not complete."
    add("-n", "--streams", type=_count, default=1000, help="chats at once (default: %(default)s)")
    add("--tokens", type=_count, default=150, help="length of each answer (default: %(default)s)")
    add("--tps", type=float, default=20, help="tokens a second of each (default: %(default)s)")
    add("--ttft", type=float, default=0.3, help="seconds to the first (default: %(default)s)")
    add("--base-url", metavar="URL", help="a running emulator, instead of one of our own")
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    """Stream them all and print what was measured."""
    board = Scoreboard(arguments.streams)
    console = rich_console(arguments.color, sys.stderr)
    view = plain_view(board, sys.stderr) if console is None else live_view(board, console)
    _allow_descriptors(arguments.streams + _SPARE_DESCRIPTORS)
    pace = {"ttft": arguments.ttft, "tps": arguments.tps, "tokens": arguments.tokens}
    interrupted = False
    try:
        if arguments.base_url is not None:
            _drive(arguments.base_url, pace, board, view)
        else:
            with start() as emulator:
                _drive(emulator.base_url, pace, board, view)
    except KeyboardInterrupt:
        interrupted = True  # closing the Multi has given every stream its completion
    print(board.report())
    if interrupted:
        return 130
    return 0 if board.complete == board.wanted else 1


def _drive(base_url: str, pace: dict[str, float], board: Scoreboard, view: View) -> None:
    """The whole of the demonstration: N streams and a loop that is not ours."""
    settings = "".join(f"-{name}={value:g}" for name, value in pace.items())
    with Multi() as multi, view:
        client = Client(multi, base_url=base_url, provider="emulator")
        board.begin()
        for number in range(board.wanted):
            stream = client.stream(
                f"demo{settings}",
                f"Tell me story number {number + 1}.",
                on_event=board.on_event,
                on_done=board.on_done,
                user_data=monotonic(),
            )
            board.streams.append(stream)
        while len(multi):
            select.select(*multi.fdset(), multi.timeout())
            multi.perform()
            multi.info_read()
            view.update()


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _allow_descriptors(wanted: int) -> None:
    """Raise the soft limit of open files, 1,024 on most systems, as far as we may. Where that is
    not enough, the `Multi` holds back the streams it has no descriptor for."""
    try:
        import resource
    except ImportError:
        return  # Windows has no such limit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        except (ValueError, OSError):
            pass  # macOS has a limit under the hard one; what there is must do
