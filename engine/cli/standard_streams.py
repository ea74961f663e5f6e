"""stdin, stdout and stderr, whatever the shell made of them.

A descriptor may be closed (``2>&-``): the next file opened would then take its number, and words
meant for the terminal would land in an output file. A reader may be gone (``2>&1 | true``): Python
flushes what is left at exit, fails, and makes the exit code 120 of any other.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["open_standard_streams", "settle_stdout"]


class _Heedless(io.FileIO):
    """A file that takes everything, whether or not anybody reads it."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            written = super().write(data)
        except OSError:
            written = None
        # None also where the terminal was left non-blocking and is full: no loop waits for it.
        return memoryview(data).nbytes if written is None else written


def open_standard_streams() -> None:
    """Have the three descriptors open, and nothing fail because nobody reads stderr.

    `sys.stdin` stays None where it was closed: who reads it says so.

    What is said on stderr is said to whoever listens; the exit code tells how the command ended.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        descriptor = os.open(os.devnull, os.O_RDWR)
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the rest of the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    elif (before := sys.__stderr__) is not None and sys.stderr is before:
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_Heedless(before.fileno(), "w", closefd=False)),
            encoding=before.encoding,
            errors=before.errors,
            line_buffering=True,
        )
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A model may write what the terminal's encoding cannot say; that is no reason to stop.
        sys.stdout.reconfigure(errors="replace")


def settle_stdout() -> None:
    """Write what is buffered; where nobody takes it, it goes nowhere, and nothing fails at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
