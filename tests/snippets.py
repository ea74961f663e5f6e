"""The pages that are written for people, and the Python in them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent

_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """README and every page of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def python_snippets(page: Path) -> list[str]:
    """Each block of Python in `page`, but for those that say ``no-test`` behind the language."""
    blocks = _FENCE.findall(page.read_text())
    return [code for language, words, code in blocks if language == "python" and not words.strip()]
