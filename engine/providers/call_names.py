"""Names of tools in calls of the history, made to fit who receives them.

A model may have called a tool that does not exist, under a name that its next provider refuses
with the whole conversation ("string does not match pattern"). The call stays what it was in the
messages of the user.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["fitting_name"]

_ODD: Final = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST: Final = 64


def fitting_name(name: str) -> str:
    """`name` in letters, digits, ``_`` and ``-``, at least one and at most 64 of them."""
    return _ODD.sub("_", name)[:_LONGEST] or "_"
