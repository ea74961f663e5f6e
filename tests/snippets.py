"""The pages that are written for people, and the Python in them.

What stands behind the language of a block says what becomes of it: nothing, it is run and typed;
``no-run``, neither; ``old``, it is another library's, and is run where that is installed.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Every page of docs/ that people wrote."""
    found = DOCS.rglob("*.md")
    return sorted(page for page in found if not {"generated", "_build"} & set(page.parts))


def blocks(page: Path, words: str = "") -> list[str]:
    """The blocks of Python in `page` that have `words` behind the language."""
    found = _FENCE.findall(page.read_text())
    return [
        code for language, behind, code in found if (language, behind.strip()) == ("python", words)
    ]


def script(page: Path) -> str:
    """The Python of a page: its blocks follow each other."""
    return "\n".join(blocks(page))
