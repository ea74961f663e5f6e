"""Imports only point down, pycurl stays in its place, and files stay small.

The order is written once, here. A module may import what has a lower rank, or what is in its own
place; two places of one rank do not know each other.
"""

from __future__ import annotations

import ast
import functools
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cases import each_case

ROOT = Path(__file__).parents[1]

# Place → rank. The longest name that fits a module decides; a place is one file or one folder.
RANKS = {
    "engine.errors": 0,
    "engine.callback": 0,
    "engine.messages": 0,
    "engine.events": 0,
    "engine.request": 0,
    "engine.response": 0,
    "engine.completion": 0,
    "engine.wire": 1,
    "engine.telemetry": 1,
    "engine.emulator": 1,  # a server: it knows no client
    "engine.transport": 2,
    "engine.providers": 2,
    "engine.asking": 3,
    "engine.answering": 4,
    "engine.stream": 5,
    "engine.client": 5,
    "engine.loops": 6,
    "engine.agents": 6,
    "engine.batch": 6,
    "engine.cli": 7,
    "engine.__main__": 8,
}
# One layer of several files, whose order among themselves is theirs.
LAYERS = {0: "data", 5: "faces"}
PYCURL = "engine.transport"
# Commands stand on what the package exports, as users do; nobody else takes the way round by it.
TAKES_THE_PACKAGE = "engine.cli"

MAX_FILE = 400
MAX_FUNCTION = 40


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


tree = functools.cache(ast.parse)


@pytest.fixture(scope="module", autouse=True)
def _trees_are_forgotten() -> Iterator[None]:
    """Half a million nodes, of which none is garbage until all are: to look for it while they are
    made takes twice the time of making them, and 0.3 s at each later `gc.collect()`."""
    gc.disable()
    yield
    tree.cache_clear()
    gc.enable()


@functools.cache
def imports(module: str, source: str) -> tuple[tuple[str, int], ...]:
    """What `source` imports, wherever it does: at the top, in a function, under TYPE_CHECKING."""
    return tuple(_imports(module, source))


def _imports(module: str, source: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree(source)):
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
        if there is None:
            if here not in (TAKES_THE_PACKAGE, "engine.__main__"):
                found.append(f"{module}:{line} imports the package itself")
            continue
        rank = RANKS[there]
        if rank > RANKS[here]:
            found.append(f"{module}:{line} imports {target}, which is above it")
        elif rank == RANKS[here] and rank not in LAYERS:
            found.append(f"{module}:{line} imports {target}, which is beside it")
    return found


def test_every_module_has_a_place_in_the_order() -> None:
    placeless = [module for module in SOURCES if module != "engine" and place_of(module) is None]
    assert not placeless, "give it a rank in RANKS"


def test_imports_point_down() -> None:
    texts = {module: path.read_text() for module, path in SOURCES.items()}
    assert [said for module in texts for said in violations(module, texts[module])] == []


@each_case(
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
        ("engine.asking.rendered", "from engine.answering.attempts import Attempts"),
        ("engine.answering.attempts", "from engine.stream import Stream"),
        ("engine.emulator.server", "from engine.wire.sse import SSEDecoder"),
        ("engine.emulator.server", "from engine.transport.multi import Multi"),
        ("engine.loops.tk", "from engine import Multi"),
        ("engine.agents.run", "import engine"),
    ],
)
def test_a_made_up_violation_is_caught(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@each_case(
    ("module", "source"),
    [
        ("engine.transport.multi", "import pycurl"),
        ("engine.transport.multi", "from engine.transport.timers import Timer"),
        ("engine.events", "from engine.errors import EngineError"),
        ("engine.stream", "from engine.answering.response_reader import ResponseReader"),
        ("engine.cli.chat", "import engine"),
        ("engine.client", "from engine.stream import Stream"),
        ("engine.answering.attempts", "from engine.asking.rendered import Rendered"),
        ("engine.loops.tk", "from engine.transport import Multi"),
        ("engine.cli.demo", "from engine.emulator.process import Emulator"),
    ],
)
def test_what_is_allowed_is_not_reported(module: str, source: str) -> None:
    assert violations(module, source) == []


def graphs(sources: dict[str, str]) -> dict[str, dict[str, set[str]]]:
    """Folder → what stands in it, each with those beside it that it imports, or anything inside
    of it does. A folder's own ``__init__`` stands in the folder."""
    folders: dict[str, dict[str, set[str]]] = {}

    def seat(module: str, folder: str) -> str:
        """What of `folder` the module is, or is in."""
        if module == folder:
            return f"{folder}.__init__"
        return ".".join(module.split(".")[: folder.count(".") + 2])

    above = [name.split(".") for name in sources]
    packages = {".".join(chain[:n]) for chain in above for n in range(1, len(chain))}
    for module, source in sources.items():
        targets = {target for target, _ in imports(module, source) if target in sources}
        for folder in packages:
            if module != folder and not module.startswith(folder + "."):
                continue
            here = seat(module, folder)
            beside = folders.setdefault(folder, {}).setdefault(here, set())
            inside = (t for t in targets if t == folder or t.startswith(folder + "."))
            beside.update(there for t in inside if (there := seat(t, folder)) != here)
    return folders


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Groups of which each imports each, by way of the others."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for name in graph.get(waiting.pop(), set()) - seen:
                seen.add(name)
                waiting.append(name)
        return seen

    reached = {name: reach(name) for name in graph}
    found: list[set[str]] = []
    for name in graph:
        if name in reached[name] and not any(name in group for group in found):
            found.append({other for other in reached[name] if name in reached.get(other, ())})
    return found


def test_what_stands_in_one_folder_imports_in_one_direction() -> None:
    """In functions and under TYPE_CHECKING too: a circle of types is one of ideas."""
    folders = graphs({module: path.read_text() for module, path in SOURCES.items()})
    assert [group for graph in folders.values() for group in circles(graph)] == []


@each_case(
    ("sources", "group"),
    [
        (
            {
                "engine.a.x": "from engine.a.y import Y",
                "engine.a.y": "if TYPE_CHECKING:\n    from engine.a.x import X",
            },
            {"engine.a.x", "engine.a.y"},
        ),
        (  # no file of the two imports one that imports it
            {
                "engine.a.one.x": "from engine.a.two.y import Y",
                "engine.a.two.y": "",
                "engine.a.two.z": "def f():\n    import engine.a.one.w",
                "engine.a.one.w": "",
            },
            {"engine.a.one", "engine.a.two"},
        ),
        (  # a folder and a file beside it
            {"engine.a.one.x": "from engine.a.y import Y", "engine.a.y": "import engine.a.one.z"}
            | {"engine.a.one.z": ""},
            {"engine.a.one", "engine.a.y"},
        ),
        (  # a file takes from its own folder's exports
            {"engine.a": "from engine.a.x import X", "engine.a.x": "from engine.a import Y"},
            {"engine.a.__init__", "engine.a.x"},
        ),
        (  # the long way round
            {
                "engine.x": "import engine.y",
                "engine.y": "import engine.z",
                "engine.z": "import engine.x",
            },
            {"engine.x", "engine.y", "engine.z"},
        ),
    ],
)
def test_a_made_up_circle_is_caught(sources: dict[str, str], group: set[str]) -> None:
    known = SOURCES | dict.fromkeys(sources, ROOT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.test_layers.SOURCES", known)
        found = [g for graph in graphs(sources).values() for g in circles(graph)]
    assert found == [group]


def test_a_file_holds_one_noun() -> None:
    lines = {module: len(path.read_text().splitlines()) for module, path in SOURCES.items()}
    assert {module: n for module, n in lines.items() if n > MAX_FILE} == {}


def longest_functions(source: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            start = node.lineno
            body = node.body
            if ast.get_docstring(node) is not None:
                # A docstring is a contract, as long as it needs to be.
                body = body[1:]
                start = body[0].lineno if body else node.lineno
            yield node.name, (node.end_lineno or start) - start + 1


def test_a_function_fits_on_a_screen() -> None:
    long = [
        (module, name, lines)
        for module, path in SOURCES.items()
        for name, lines in longest_functions(path.read_text())
        if lines > MAX_FUNCTION
    ]
    assert long == []
