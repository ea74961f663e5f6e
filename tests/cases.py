"""A table of cases in one test: a case takes microseconds, a test of its own four milliseconds, of
pytest and of what hands tests out to several processes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

import pytest

__all__ = ["each_case"]

_Test = Callable[..., None]
_Ids = Iterable[str] | Callable[[Any], object] | None
_Case = tuple[Callable[[], str], dict[str, Any]]
"""What gives its name, which is asked for when it fails, and the arguments of the test."""

_NAME = 200
"""Characters of a name: whole recordings are arguments too."""


def each_case(names: str | Sequence[str], cases: Iterable[Any], ids: _Ids = None) -> Any:
    """Let a test try each case, with arguments as under `pytest.mark.parametrize`.

    All are tried, and those that fail are told together, each by its name. Over another `each_case`
    every case of the one goes with every case of the other. Fixtures are made once for all cases:
    where each needs its own, or a mark, or may be skipped, it is `parametrize` that serves.
    """
    keys = [name.strip() for name in names.split(",")] if isinstance(names, str) else [*names]
    single = isinstance(names, str) and len(keys) == 1
    own = ids if callable(ids) or ids is None else [*ids]
    table = [_case(keys, single, number, case, own) for number, case in enumerate(cases)]

    def decorate(test: _Test) -> _Test:
        within: list[_Case] | None = getattr(test, "cases", None)
        each: _Test = getattr(test, "each", test)
        every = table if within is None else [_both(*pair) for pair in product(within, table)]

        @functools.wraps(test)
        def try_all(*args: Any, **fixtures: Any) -> None:
            _try(functools.partial(each, *args, **fixtures), every)

        signature = inspect.signature(test)
        left = [it for name, it in signature.parameters.items() if name not in keys]
        asked = signature.replace(parameters=left)
        vars(try_all).update(cases=every, each=each, __signature__=asked)
        return try_all

    return decorate


def _case(keys: Sequence[str], single: bool, number: int, case: Any, ids: Any) -> _Case:
    name: str | None = None
    if isinstance(case, type(pytest.param())):
        assert not case.marks, "a case has no mark"
        name, values = case.id, tuple(case.values)
    else:
        values = (case,) if single else tuple(case)
    assert len(values) == len(keys), f"{values!r} are not {keys}"
    if name is None and ids is not None and not callable(ids):
        name = ids[number]

    def told() -> str:
        tell = ids if callable(ids) else repr
        return "-".join(str(tell(value)) for value in values) if name is None else name

    return told, dict(zip(keys, values, strict=True))


def _both(inner: _Case, outer: _Case) -> _Case:
    return lambda: f"{inner[0]()}, {outer[0]()}", inner[1] | outer[1]


def _try(test: _Test, cases: Sequence[_Case]) -> None:
    if not cases:
        pytest.skip("got an empty table of cases")
    failures: list[BaseException] = []
    names: list[str] = []
    for told, values in cases:
        try:
            test(**values)
        except (Exception, pytest.fail.Exception) as failure:
            names.append(told()[:_NAME])
            failure.add_note(f"case: {names[-1]}")
            failures.append(failure)
    if failures:
        listed = "\n  ".join(names)
        raise BaseExceptionGroup(f"{len(names)} of {len(cases)} cases:\n  {listed}\n", failures)
