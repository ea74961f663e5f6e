"""What the pages say is so: their snippets run, their links lead somewhere, every public name has
an entry, and the picture of the layers is that of the folders."""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import importlib.metadata
import inspect
import io
import os
import re
import subprocess
import sys
import tomllib
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine
import engine.emulator
from tests.cases import each_case
from tests.snippets import DOCS, ROOT, blocks, pages, script
from tests.test_layers import RANKS

# The module: the package has a function of its name.
endpoints = importlib.import_module("engine.providers.endpoints")
WITH_CODE = [page for page in pages() if script(page)]
# Modules whose `__all__` is what users are promised.
PUBLIC = (
    *("engine", "engine.errors", "engine.events", "engine.messages", "engine.agents"),
    *("engine.batch", "engine.emulator", "engine.providers", "engine.telemetry", "engine.wire"),
    *("engine.loops.asyncio", "engine.loops.trio", "engine.loops.host"),
)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def emulator() -> Iterator[engine.emulator.Emulator]:
    with engine.emulator.start(tokens=20) as emulator:
        yield emulator


@pytest.fixture
def _as_it_was_found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Providers that a page registers, and connections that other libraries' snippets leave open,
    are gone before the next test."""
    monkeypatch.setattr(endpoints, "_table", dict(endpoints._table))
    yield
    endpoints.row_for_url.cache_clear()
    endpoints.note_registration()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def run(
    code: str,
    page: Path,
    folder: Path,
    emulator: engine.emulator.Emulator,
    patch: pytest.MonkeyPatch,
) -> str:
    patch.chdir(folder)
    patch.setenv("ENGINE_EMULATOR_URL", emulator.base_url)
    for variable in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        patch.delenv(variable, raising=False)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, str(page), "exec"), {"__name__": "__main__"})
    return said.getvalue()


@pytest.mark.slow
@pytest.mark.usefixtures("_as_it_was_found")
@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_a_pages_snippets_run_one_after_another(
    page: Path, tmp_path: Path, emulator: engine.emulator.Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = run(script(page), page, tmp_path, emulator, monkeypatch)
    if "print(" in script(page):
        assert told.strip()
    # What is said behind a print is what it prints.
    for code in blocks(page):
        for said in re.findall(r"print\(.*\)  # (\w+)$", code, re.MULTILINE):
            assert said in told, (said, told)


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in pages() if blocks(p, "old")], ids=name_of)
def test_the_old_way_runs_too(
    page: Path, tmp_path: Path, emulator: engine.emulator.Emulator
) -> None:
    """In a process of its own: what other libraries do to this one is not ours to bear."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith("OPENAI_")}
    told = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks(page, "old"))],
        env={
            **plain,
            "ENGINE_EMULATOR_URL": emulator.base_url,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks the network for prices
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip()


def needed(page: Path) -> set[str]:
    """What the Python of a page imports from elsewhere."""
    trees = [ast.parse("\n".join(blocks(page, words))) for words in ("", "old")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names} - {"engine", *sys.stdlib_module_names}


@each_case("page", [p for p in pages() if needed(p)], ids=name_of)
def test_a_page_says_how_to_install_what_it_needs(page: Path) -> None:
    said = " ".join(re.findall(r"pip install ([^`\n]+)", page.read_text())).lower()
    assert [name for name in needed(page) if name.lower() not in said] == []


@each_case("page", pages(), ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("https://github.com/streamengine/engine/blob/main/"):
            assert (ROOT / link.partition("/main/")[2]).exists(), link
        elif not link.startswith("http"):
            target = link.partition("#")[0]
            made = "generated/" in target  # by docs/generated.py, tested below
            assert made or (page.parent / target).exists(), link


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (DOCS / "index.md").read_text()
    for page in pages():
        if page.name != "index.md":
            assert str(page.relative_to(DOCS).with_suffix("")) in index
    for link in re.findall(r"\]\(([\w/-]+)\.html\)", (DOCS / "llms.txt").read_text()):
        assert (DOCS / f"{link}.md").exists()


def test_the_picture_of_the_layers_is_that_of_the_folders() -> None:
    picture = (DOCS / "explanation" / "bytes-to-tokens.md").read_text()
    drawn = {}
    for rank, places in re.findall(r"^rank (\d)   (.*)$", picture, re.MULTILINE):
        for place in re.findall(r"[a-z]+", re.split(r"\s{5,}", places)[0]):
            drawn[f"engine.{place}"] = int(rank)
    expected = {place: rank for place, rank in RANKS.items() if place != "engine.__main__"}
    assert drawn == expected


def test_every_category_says_what_to_do() -> None:
    page = (DOCS / "reference" / "errors.md").read_text()
    rows = re.findall(r"^\| `([A-Z_]+)` \|(?:[^|]+\|){2} ([^|]+) \|$", page, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(engine.Category)
    assert all(advice.strip() for _, advice in rows)


@each_case("page", pages(), ids=name_of)
def test_public_names_are_spelt_as_they_are(page: Path) -> None:
    """Each ``engine.a.b`` of a page is there."""
    for name in set(re.findall(r"\bengine(?:\.[A-Za-z_]\w*)+", page.read_text())):
        if name.endswith((".md", ".html", ".css")):
            continue
        found: object = engine
        for step in name.split(".")[1:]:
            if not hasattr(found, step) and inspect.ismodule(found):
                try:
                    importlib.import_module(f"{found.__name__}.{step}")
                except ModuleNotFoundError as error:
                    if (error.name or "").startswith("engine"):
                        raise
                    break  # a host's own library is not installed; the module is there
            assert hasattr(found, step), name
            found = getattr(found, step)


def public_objects() -> Iterator[tuple[str, object]]:
    for module in PUBLIC:
        found = importlib.import_module(module)
        for name in found.__all__:
            yield f"{module}.{name}", getattr(found, name)


def test_every_public_name_says_what_it_is() -> None:
    silent = []
    for name, found in public_objects():
        if not (inspect.isclass(found) or inspect.isfunction(found)):
            continue
        if not inspect.getdoc(found):
            silent.append(name)
        if inspect.isclass(found) and found.__module__.startswith("engine"):
            for member, value in vars(found).items():
                told = inspect.isfunction(value) or isinstance(value, property | classmethod)
                if (
                    told
                    and not member.startswith("_")
                    and not inspect.getdoc(getattr(found, member))
                ):
                    silent.append(f"{name}.{member}")
    assert silent == []


# What `make docs` installs must do: nothing else can be imported.
_WITH_NOTHING_ELSE = """
import sys

end = sys.argv.index("--")
sys.modules.update(dict.fromkeys(sys.argv[1:end]))

from sphinx.cmd.build import main

sys.exit(main(sys.argv[end + 1 :]))
"""


def _foreign_modules() -> set[str]:
    """The modules that are installed here and not by `make docs` in a fresh clone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["docs"]]
    wanted += [*extras["cli"], *extras["emulator"], "pip", "setuptools"]
    known: set[str] = {"streamengine"}
    while wanted:
        requirement = wanted.pop()
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")
        if name in known or "extra ==" in requirement:
            continue
        known.add(name)
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            wanted += importlib.metadata.requires(name) or []
    installed = importlib.metadata.packages_distributions()
    return {
        module
        for module, owners in installed.items()
        if not {owner.lower().replace("_", "-") for owner in owners} & known
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_site_is_built_without_a_warning_and_has_every_public_name(tmp_path: Path) -> None:
    site = tmp_path / "html"
    command = [sys.executable, "-c", _WITH_NOTHING_ELSE, *sorted(_foreign_modules())]
    command += ["--", "-q", "-W", "--keep-going", str(DOCS), str(site)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "LANG": "C.UTF-8"}
    )
    assert (done.returncode, done.stderr) == (0, "")
    entries = _inventory(site / "objects.inv")
    missing = [
        name
        for name, found in public_objects()
        if not inspect.ismodule(found) and name.rpartition(".")[2] not in entries
    ]
    assert missing == []
    assert (site / "llms.txt").exists()
    pages_ = [path.read_text() for path in site.rglob("*.html")]
    assert not [
        src for page in pages_ for src in re.findall(r'<script[^>]*src="(https?:[^"]+)"', page)
    ]


def _inventory(path: Path) -> set[str]:
    """The last parts of the names that have an entry."""
    header, _, packed = path.read_bytes().partition(b"zlib.\n")
    assert header
    lines = zlib.decompress(packed).decode().splitlines()
    return {line.split(" ", 1)[0].rpartition(".")[2] for line in lines}
