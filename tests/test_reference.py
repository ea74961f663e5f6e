"""What a public name's entry in the reference tells: every argument and every field, what None
means, each error it raises. An entry may point to another one by its name in backticks, as
`Client.request` does to `Client.stream`, and tells what that one tells."""

from __future__ import annotations

import ast
import enum
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from tests.test_docs import public_objects

# Made by other names, which say what they take: nobody calls them.
MADE_BY_OTHERS = {"Stream", "AgentRun", "AsyncStream", "Attachment", "AsyncioLoop"}
_ENTRY = r"^[ ]*(?:[\w*]+, )*{name}(?:, [\w*]+)*:(.*?)(?=^(?![ ]*None)[ ]*[\w*, ]+:|\Z)"


def told_of(found: Any, owner: Any = None, seen: frozenset[str] = frozenset()) -> str:
    """The docstring of `found`, of the classes it comes from, and of what it points to."""
    if inspect.isclass(found):
        kin = [each for each in found.__mro__ if each.__module__.startswith("engine")]
        said = "\n".join(inspect.getdoc(each) or "" for each in kin)
        owner = found
    else:
        said = inspect.getdoc(found) or ""
        if owner is not None and (owner.__doc__ or "") and getattr(owner, "_is_protocol", False):
            said += "\n" + owner.__doc__
    spaces = [owner, sys.modules.get(getattr(found, "__module__", "") or "")]
    for name in set(re.findall(r"`([A-Za-z_][\w.]*)`", said)) - seen:
        for space in filter(None, spaces):
            target: Any = space
            for step in name.split("."):
                target = getattr(target, step, None)
            if callable(target) and target is not found:
                said += "\n" + told_of(target, space if inspect.isclass(space) else None,
                                       seen | {name})  # fmt: skip
                break
    return said


def callables() -> Iterator[tuple[str, Callable[..., Any], str]]:
    """Name, function and entry of each public function, method and constructor."""
    for name, found in public_objects():
        if inspect.isfunction(found):
            yield name, found, told_of(found)
        if not inspect.isclass(found) or not found.__module__.startswith("engine"):
            continue
        plain = not issubclass(found, BaseException | enum.Enum | msgspec.Struct)
        if plain and found.__name__ not in MADE_BY_OTHERS and "__init__" in vars(found):
            yield name, found.__init__, told_of(found)
        for member, value in vars(found).items():
            function = getattr(value, "__func__", value)
            if not member.startswith("_") and inspect.isfunction(function):
                yield f"{name}.{member}", function, told_of(function, found)


def arguments(function: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    for parameter in inspect.signature(function).parameters.values():
        named = parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        if named and parameter.name not in ("self", "cls") and parameter.name[0] != "_":
            yield parameter


def unsaid_arguments() -> list[str]:
    return sorted(
        f"{name}({each.name})"
        for name, function, entry in callables()
        for each in arguments(function)
        if not re.search(rf"\b{each.name}\b", entry)
    )


def unsaid_fields() -> list[str]:
    return sorted(
        f"{name}.{field}"
        for name, found in public_objects()
        if inspect.isclass(found)
        and issubclass(found, msgspec.Struct)
        and found.__module__.startswith("engine")
        for field in found.__struct_fields__
        if field[0] != "_" and not re.search(rf"\b{field}\b", told_of(found))
    )


def unsaid_none() -> list[str]:
    """Arguments that are None unless given, and whose line does not say what that means."""
    unsaid = []
    for name, function, entry in callables():
        for each in arguments(function):
            line = re.search(_ENTRY.format(name=each.name), entry, re.MULTILINE | re.DOTALL)
            said = line[1] if line else entry
            if each.default is None and "None" not in said:
                unsaid.append(f"{name}({each.name})")
    return sorted(unsaid)


def unsaid_errors() -> list[str]:
    unsaid = []
    for name, function, entry in callables():
        if not function.__module__.startswith("engine"):
            continue  # what typing and msgspec gave a class
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                error = ast.unparse(node.exc.func).rpartition(".")[2]
                if error.endswith("Error") and error not in entry:
                    unsaid.append(f"{name}: {error}")
    return sorted(unsaid)


CHECKS = [unsaid_arguments, unsaid_fields, unsaid_none, unsaid_errors]


@pytest.mark.parametrize("unsaid", CHECKS, ids=lambda check: check.__name__)
def test_every_entry_is_whole(unsaid: Callable[[], list[str]]) -> None:
    assert unsaid() == []
