"""A calculator for agents: arithmetic, and nothing of Python beyond it."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any, Final

from engine.agents.tools.tool import tool

__all__ = ["calculator", "evaluate"]

# What may be written, so that nothing takes long: 10**10**10 would fill the memory.
_MAX_CHARACTERS: Final = 1_000
_MAX_BITS: Final = 10_000
_MAX_FACTORIAL: Final = 1_000

Number = int | float

_BINARY: Final[dict[type, Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: Final[dict[type, Callable[[Any], Any]]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_MATH: Final = (
    *("sqrt", "exp", "log", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "atan2"),
    *("sinh", "cosh", "tanh", "floor", "ceil", "gcd", "degrees", "radians", "hypot", "isqrt"),
)
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "abs": abs,
    "min": min,
    "max": max,
    **{name: getattr(math, name) for name in _MATH},
}
_CONSTANTS: Final = {"pi": math.pi, "e": math.e, "tau": math.tau}
# What everybody but Python means by ^ binds as ** does.
_SIGNS: Final = str.maketrans({"^": "**", "×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"})


@tool(approve=False)
def calculator(expression: str) -> str:
    """Compute an arithmetic expression, exactly where it is of integers.

    Args:
        expression: such as "(3 + 4) * 2 ** 10 / sqrt(2)". There are + - * / // % ** and ^ for
            powers, parentheses, pi, e, tau, and sqrt, exp, log, log2, log10, sin, cos, tan, asin,
            acos, atan, atan2, floor, ceil, round, abs, min, max, gcd, hypot, factorial.
    """
    return str(evaluate(expression))


def evaluate(expression: str) -> Number:
    """The value of `expression`.

    Raises:
        ValueError: it is none, or too large to compute; the message says what.
        ArithmeticError: division by zero, or a float that overflows.
    """
    if len(expression) > _MAX_CHARACTERS:
        raise ValueError(f"the expression is longer than {_MAX_CHARACTERS} characters")
    try:
        tree = ast.parse(expression.strip().translate(_SIGNS), mode="eval")
        value = _value(tree.body)
    except SyntaxError as error:
        raise ValueError(f"{expression!r} is no arithmetic expression: {error.msg}") from None
    except (RecursionError, MemoryError):
        raise ValueError("the expression is nested too deeply") from None
    return _checked(value)


def _value(node: ast.expr) -> Number:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return _checked(node.value)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return _checked(_UNARY[type(node.op)](_value(node.operand)))
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        operate = _BINARY[type(node.op)]
        left, right = _value(node.left), _value(node.right)
        if operate is operator.pow:
            _check_power(left, right)
        return _checked(operate(left, right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return _checked(_called(node.func.id, [_value(each) for each in node.args]))
    if isinstance(node, ast.Name) and node.id in _CONSTANTS:
        return _CONSTANTS[node.id]
    raise ValueError(f"{ast.unparse(node)!r:.80} is not arithmetic")


def _called(name: str, arguments: list[Number]) -> Any:
    if name == "factorial":
        if len(arguments) != 1 or arguments[0] > _MAX_FACTORIAL:
            raise ValueError(f"factorial takes one number, of at most {_MAX_FACTORIAL}")
        return math.factorial(arguments[0])  # type: ignore[arg-type] # a float is a TypeError
    if name == "round":
        # round(5, -10**9) would compute 10**10**9.
        return round(arguments[0], max(int(arguments[1]), -400) if arguments[1:] else None)
    if name not in _FUNCTIONS:
        raise ValueError(f"there is no function {name}")
    return _FUNCTIONS[name](*arguments)


def _check_power(base: Number, exponent: Number) -> None:
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and abs(base) > 1 and exponent * int(base).bit_length() > _MAX_BITS:
        raise ValueError(f"{base}**{exponent} is too large to compute")


def _checked(value: Any) -> Number:
    if type(value) not in (int, float):
        raise ValueError(f"the result {value!r:.80} is no real number")
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise ValueError("a number is too large to compute with")
    return value  # type: ignore[no-any-return]
