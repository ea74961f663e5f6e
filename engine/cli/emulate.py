"""`engine emulate`: the provider emulator, until Ctrl-C."""

from engine.emulator.__main__ import add_arguments, run

__all__ = ["add_arguments", "run"]
