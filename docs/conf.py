"""Sphinx: pages in Markdown, the reference from docstrings, and what the code itself knows.

Sphinx and not MkDocs because its search works from files, without a server or a foreign script, and
because one inventory of objects tells whether every public name has an entry. Furo because it is
readable at 390 px and loads nothing from elsewhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import generated  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402

import engine  # noqa: E402
import engine.agents.tools.tool  # noqa: E402

# Names in annotations that only type checkers import.
vars(engine.agents.tools.tool).update(Multi=engine.Multi, Client=engine.Client)

project = "engine"
author = "The engine authors"
copyright = "The engine authors"
version = release = engine.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "**/__pycache__"]
default_role = "py:obj"  # `Stream` in a docstring leads to its entry

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"engine {version}"
html_extra_path = ["llms.txt"]
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["engine.css"]

# Attributes of structs are told in their class's "Attributes:", and msgspec's members again.
suppress_warnings = ["myst.xref_missing"]


def setup(app: Sphinx) -> None:
    """Write the pages that the code knows best."""
    generated.write(HERE / "reference" / "generated")
    app.connect("autodoc-process-docstring", _with_literal_blocks, priority=100)


def _with_literal_blocks(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Code stands indented in docstrings, as people read them; to Sphinx it needs a ``::``."""
    written: list[str] = []
    for line in lines:
        before = next((each for each in reversed(written) if each.strip()), "")
        begins = line.startswith("    ") and written and not written[-1].strip()
        if begins and before and not before.startswith((" ", "- ", "..")):
            title = before.endswith(":") and " " not in before  # "Args:" and its like
            if not title and not before.endswith("::"):
                written += ["::", ""]
        written.append(line)
    lines[:] = written
