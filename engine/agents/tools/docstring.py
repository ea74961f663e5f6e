"""What a docstring says of a function and of its parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["described"]

# Google's ("Args:") and NumPy's (underlined) names of sections; what stands in one that is not of
# parameters is nothing for the model.
_SECTIONS: Final = (
    "Args|Arguments|Parameters|Params|Keyword Args|Keyword Arguments|Other Parameters|Returns?|"
    "Yields?|Receives|Raises|Warns|Examples?|Notes?|References|See Also|Warnings?|Attributes|Todo"
)
_HEADING: Final = re.compile(rf"\s*({_SECTIONS}):\s*", re.IGNORECASE)
_UNDERLINED: Final = re.compile(rf"\s*({_SECTIONS})\s*", re.IGNORECASE)
_UNDERLINE: Final = re.compile(r"\s*-{3,}\s*")
_PARAMETERS: Final = frozenset(
    {"args", "arguments", "parameters", "params", "keyword args", "keyword arguments"}
    | {"other parameters"}
)
_FIELD: Final = re.compile(
    r"\s*[:@](?:param(?:\s+[^:]*?)?\s+\*{0,2}(\w+)|type\s+\w+|returns?|raises?\b[^:]*|rtype|"
    r"yields?)\s*:(.*)"
)
_GOOGLE: Final = re.compile(r"\s*\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*(?::|--|–)(?!:)\s?(.*)")
_NUMPY: Final = re.compile(r"\s*(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")


def described(doc: str) -> tuple[str, dict[str, str]]:
    """The text before the first section, and what is said of each parameter: Google's ``Args:``,
    NumPy's underlined ``Parameters``, or Sphinx's ``:param name:``."""
    summary: list[str] = []
    notes: dict[str, str] = {}
    style, names, entry_indent = "", [""][:0], 0
    for line, underlined in _lines(doc):
        heading = _UNDERLINED.fullmatch(line) if underlined else _HEADING.fullmatch(line)
        field = _FIELD.match(line)
        if heading:
            known = heading[1].lower() in _PARAMETERS
            style, names = ("numpy" if underlined else "google") if known else "other", []
        elif field:
            style, names = "sphinx", [field[1]] if field[1] else []
            notes.update({name: field[2].strip() for name in names})
        elif not style:
            summary.append(line)
        elif line.strip():
            entry = _entry(line, style, entry_indent if names else None)
            if entry is not None:
                names, entry_indent = entry[0], _indent(line)
            for name in names:
                text = line.strip() if entry is None else entry[1]
                notes[name] = f"{notes.get(name, '')} {text}".strip()
    return "\n".join(summary).strip(), {name: note for name, note in notes.items() if note}


def _lines(doc: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether the next one underlines it; underlines themselves are left out."""
    lines = doc.splitlines()
    for number, line in enumerate(lines):
        underlined = number + 1 < len(lines) and _UNDERLINE.fullmatch(lines[number + 1]) is not None
        if _UNDERLINE.fullmatch(line) is None:
            yield line, underlined and bool(line.strip())


def _entry(line: str, style: str, indent: int | None) -> tuple[list[str], str] | None:
    """The parameters a line begins to speak of, and what it says; None where it goes on with those
    of the entry at `indent` (None: there is none yet)."""
    deeper = indent is not None and _indent(line) > indent
    if style == "google" and not deeper and (match := _GOOGLE.match(line)):
        return [match[1]], match[2].strip()
    if style == "numpy" and not deeper and (match := _NUMPY.fullmatch(line)):
        return [name.strip(" *") for name in match[1].split(",")], ""
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
