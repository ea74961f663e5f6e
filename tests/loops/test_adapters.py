"""What holds for the adapters together: they are small, share no line, and come only when asked."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

LOOPS = Path(__file__).parents[2] / "engine" / "loops"
ADAPTERS = ("asyncio", "gevent", "glib", "qt", "tk", "trio", "twisted")
# What every module of this kind says: imports, and the contract of `Host` word by word.
SAID_BY_ALL = (
    "from ",
    "import ",
    "__all__",
    "def ",
    "async def ",
    "class ",
    "return host.attach(",
    "self.loop = ",
)


def code(name: str) -> list[str]:
    """The lines of a module that are code: no docstring, comment, or blank."""
    text = (LOOPS / f"{name}.py").read_text()
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                docstrings.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return [
        line.strip()
        for number, line in enumerate(text.splitlines(), 1)
        if number not in docstrings and line.strip() and not line.strip().startswith("#")
    ]


def test_the_adapters_together_are_under_500_lines_of_code() -> None:
    assert sum(len(code(name)) for name in ADAPTERS) < 500


def test_no_line_of_weight_stands_in_two_adapters() -> None:
    where: dict[str, set[str]] = defaultdict(set)
    for name in ADAPTERS:
        for line in code(name):
            if len(line) > 25 and not line.startswith(SAID_BY_ALL):
                where[line].add(name)
    assert {line: names for line, names in where.items() if len(names) > 1} == {}


def test_to_import_the_engine_imports_no_loop() -> None:
    program = "import engine, sys; print([n for n in sys.modules if n.split('.')[0] in LOOPS])"
    loops = "LOOPS = ('asyncio', 'trio', 'gevent', 'twisted', 'tkinter', 'PySide6', 'gi')"
    done = subprocess.run(
        [sys.executable, "-c", f"{loops}\n{program}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
