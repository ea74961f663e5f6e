"""Imports only point down, pycurl stays in its place, and files stay small.

The order is written once, here. A module may import what has a lower rank, or what is in its own
place; two places of one rank do not know each other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Place → rank. The longest name that fits a module decides; a place is one file or one folder.
RANKS = {
    "engine.errors": 0,
    "engine.messages": 0,
    "engine.events": 0,
    "engine.request": 0,
    "engine.response": 0,
    "engine.completion": 0,
    "engine.wire": 1,
    "engine.transport": 2,
    "engine.providers": 2,
    "engine.stream": 3,
    "engine.answering": 3,
    "engine.client": 3,
    "engine.asking": 3,
    "engine.loops": 4,
    "engine.agents": 4,
    "engine.batch": 4,
    "engine.emulator": 5,
    "engine.cli": 6,  # starts the emulator
    "engine.__main__": 7,
}
# One layer of several files, whose order among themselves is theirs.
LAYERS = {0: "data", 3: "client"}
PYCURL = "engine.transport"
# What the package itself exports is the top of rank 3.
PACKAGE_RANK = 3

MAX_FILE = 400
MAX_FUNCTION = 40
# Longer than the rule, each with the reason; the list may only shrink.
LONG_FILES: dict[str, str] = {}


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


SOURCES = {
    module_name(path): path for path in sorted((ROOT / "engine").rglob("*.py")) if path.is_file()
}


def place_of(module: str) -> str | None:
    """The entry of RANKS that `module` belongs to."""
    fits = [place for place in RANKS if module == place or module.startswith(place + ".")]
    return max(fits, key=len, default=None)


def imports(module: str, source: str) -> Iterator[tuple[str, int]]:
    """What `source` imports, wherever it does: at the top, in a function, under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: -node.level]
                base = ".".join([*parents, base]).rstrip(".")
            for alias in node.names:
                # "from engine import errors" names a module, "from engine.errors import X" a thing.
                whole = f"{base}.{alias.name}"
                yield (whole if whole in SOURCES else base), node.lineno


def violations(module: str, source: str) -> list[str]:
    """One sentence for each import of `module` that the order forbids."""
    here = place_of(module)
    found = []
    for target, line in imports(module, source):
        if target.split(".")[0] == "pycurl" and here != PYCURL:
            found.append(f"{module}:{line} imports pycurl, which only {PYCURL} may")
        if target.split(".")[0] != "engine" or here is None:
            continue
        there = place_of(target)
        if there == here:
            continue
        rank = PACKAGE_RANK if there is None else RANKS[there]
        if rank > RANKS[here]:
            found.append(f"{module}:{line} imports {target}, which is above it")
        elif rank == RANKS[here] and rank not in LAYERS:
            found.append(f"{module}:{line} imports {target}, which is beside it")
    return found


@pytest.mark.parametrize("module", [m for m in SOURCES if m != "engine"])
def test_every_module_has_a_place_in_the_order(module: str) -> None:
    assert place_of(module) is not None, f"{module}: give it a rank in RANKS"


@pytest.mark.parametrize("module", SOURCES)
def test_imports_point_down(module: str) -> None:
    assert violations(module, SOURCES[module].read_text()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("engine.wire.sse", "import pycurl"),
        ("engine.stream", "from pycurl import Curl"),
        ("engine.wire.sse", "from engine.transport.multi import Multi"),
        ("engine.wire.sse", "from engine import transport"),
        ("engine.wire.sse", "from ..transport import multi"),
        ("engine.wire.sse", "import engine"),
        ("engine.errors", "def f():\n    import engine.wire.sse"),
        ("engine.transport.multi", "from engine.providers import chat"),
        ("engine.providers.chat.dialect", "from engine.transport.retry import Retry"),
        ("engine.loops.tk", "from engine.batch import run"),
        ("engine.batch.run", "from engine.cli import main"),
        ("engine.request", "if TYPE_CHECKING:\n    from engine.client import Client"),
    ],
)
def test_a_made_up_violation_is_caught(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("engine.transport.multi", "import pycurl"),
        ("engine.transport.multi", "from engine.transport.timers import Timer"),
        ("engine.events", "from engine.errors import EngineError"),
        ("engine.stream", "from engine.answering.response_reader import Answer"),
        ("engine.cli.chat", "import engine"),
        ("engine.loops.tk", "from engine import Multi"),
    ],
)
def test_what_is_allowed_is_not_reported(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_no_import_is_circular() -> None:
    graph: dict[str, set[str]] = {}
    for module, path in SOURCES.items():
        tops = (ast.Import, ast.ImportFrom)
        tree = [node for node in ast.parse(path.read_text()).body if isinstance(node, tops)]
        wanted = {name for name, _ in imports(module, "\n".join(map(ast.unparse, tree)))}
        graph[module] = {name for name in SOURCES if name in wanted} - {module}
    while leaves := [name for name, wanted in graph.items() if not wanted & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert graph == {}


@pytest.mark.parametrize("module", SOURCES)
def test_a_file_holds_one_noun(module: str) -> None:
    path = SOURCES[module]
    lines = len(path.read_text().splitlines())
    if str(path.relative_to(ROOT)) in LONG_FILES:
        pytest.xfail(f"{lines} lines")
    assert lines <= MAX_FILE


def longest_functions(source: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            start = node.lineno
            body = node.body
            if ast.get_docstring(node) is not None:
                # A docstring is a contract, as long as it needs to be.
                body = body[1:]
                start = body[0].lineno if body else node.lineno
            yield node.name, (node.end_lineno or start) - start + 1


@pytest.mark.parametrize("module", SOURCES)
def test_a_function_fits_on_a_screen(module: str) -> None:
    long = [x for x in longest_functions(SOURCES[module].read_text()) if x[1] > MAX_FUNCTION]
    assert long == []
