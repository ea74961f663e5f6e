"""Type hints as JSON schemas, and back: what msgspec knows, and what it does not."""

from __future__ import annotations

import collections.abc
import datetime
import enum
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NamedTuple, Optional, TypedDict, Union

import msgspec
import pytest

from engine.agents.tools.shape import Shape, metadata_of
from tests.cases import each_case


@dataclass
class Circle:
    radius: float


@dataclass
class Square:
    side: float
    name: str = "square"


class Pair(NamedTuple):
    first: int
    second: str


class Options(TypedDict, total=False):
    level: int


class Color(enum.Enum):
    RED = "red"


@dataclass
class Job:
    """A class with fields that msgspec does not know."""

    where: Path
    shape: Circle | Square
    tags: list[str] = field(default_factory=list)


@each_case(
    ("hint", "text", "value"),
    [
        (int, "3", 3),
        (int, "3.0", 3),
        (list[int], "[1.0, 2]", [1, 2]),
        (dict[str, int], '{"a": 3.0}', {"a": 3}),
        (float, "3", 3.0),
        (Path, '"/tmp/x"', Path("/tmp/x")),
        (PurePosixPath, '"a/b"', PurePosixPath("a/b")),
        (Path | None, "null", None),
        (Path | str, '"x"', Path("x")),
        (list[Path], '["a"]', [Path("a")]),
        (dict[str, Path], '{"a": "b"}', {"a": Path("b")}),
        (Circle | Square, '{"side": 2}', Square(2)),
        (Circle | Square, '{"radius": 2}', Circle(2)),
        (Square | Circle, '{"radius": 2}', Circle(2)),
        (Circle | str | None, '"x"', "x"),
        (Optional[Circle | Square], "null", None),  # noqa: UP045
        (list[Circle | Square], '[{"side": 1}, {"radius": 1}]', [Square(1), Circle(1)]),
        (Pair, '[1, "a"]', Pair(1, "a")),
        (Options, "{}", {}),
        (Color, '"red"', Color.RED),
        (Job, '{"where": "/x", "shape": {"side": 1}}', Job(Path("/x"), Square(1))),
        (list[Job], '[{"where": "x", "shape": {"radius": 1}, "tags": ["a"]}]',
         [Job(Path("x"), Circle(1), ["a"])]),
        (collections.abc.Iterable[int], "[1]", [1]),
        (collections.abc.Sequence[str], '["a"]', ["a"]),
        (tuple[int, str], '[1, "a"]', (1, "a")),
        (tuple[int, ...], "[1, 2]", (1, 2)),
        (set[int], "[1, 1]", {1}),
        (object, '{"a": 1}', {"a": 1}),
        (Any, "null", None),
        (datetime.date, '"2025-01-02"', datetime.date(2025, 1, 2)),
        (Annotated[int, "how many"], "3", 3),
        (Annotated[Circle | Square, "a shape"], '{"side": 1}', Square(1)),
    ],
)  # fmt: skip
def test_a_value_comes_back(hint: Any, text: str, value: Any) -> None:
    found = Shape(hint).decode(text)
    assert found == value and type(found) is type(value)


@each_case(
    ("hint", "text", "said"),
    [
        (int, '"5"', "Expected `int`, got `str`"),
        (int, "3.5", "Expected `int`, got `float`"),
        (int, "true", "Expected `int`, got `bool`"),
        (list[int], "[1, 2.5]", r"got `float` - at `\$\[1\]`"),
        (Path, "3", "Expected `Path`"),
        (Circle | Square, '{"radius": 1, "side": 1}', "has no field"),
        (Circle | Square, '{"x": 1}', "no field `x`"),
        (Circle | Square, "3", "Expected"),
        (Job, '{"where": "/x"}', "missing required field `shape`"),
        (Job, '{"where": "/x", "shape": {"side": 1}, "more": 1}', "unknown field `more`"),
        (list[Path], '["a", 1]', r"at `\$\[1\]`"),
        (Annotated[int, msgspec.Meta(ge=1)], "0", ">= 1"),
        (Color, '"green"', "Invalid enum value"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(hint: Any, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Shape(hint).decode(text)


@each_case(
    ("hint", "schema"),
    [
        (Path, {"type": "string", "format": "path"}),
        (Color, {"title": "Color", "enum": ["red"], "type": "string"}),
        (datetime.datetime, {"type": "string", "format": "date-time"}),
        (Annotated[str, "a name"], {"type": "string", "description": "a name"}),
        (
            Annotated[int | None, msgspec.Meta(ge=1, description="d")],
            {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "description": "d"},
        ),
        (Annotated[list[int], msgspec.Meta(max_length=2)],
         {"type": "array", "items": {"type": "integer"}, "maxItems": 2}),
        (Union[int, Path], {"anyOf": [{"type": "integer"}, {"type": "string", "format": "path"}]}),  # noqa: UP007
        (object, {}),
    ],
)  # fmt: skip
def test_a_schema_says_it(hint: Any, schema: dict[str, Any]) -> None:
    assert Shape(hint).schema() == schema


def test_what_refers_to_itself_keeps_its_definition() -> None:
    class Node(msgspec.Struct):
        children: list[Node] = []

    globals()["Node"] = Node
    schema = Shape(Node).schema()
    assert schema["type"] == "object" and "Node" in schema["$defs"]
    assert "$defs" not in Shape(Circle).schema()


@each_case("hint", [complex, type, 3, collections.abc.Callable[[], int]])
def test_what_no_schema_can_say_is_refused(hint: Any) -> None:
    with pytest.raises(TypeError):
        Shape(hint)


class Field:
    """As pydantic's: bounds in `metadata`, words beside."""

    def __init__(self, description: str | None, *metadata: Any) -> None:
        self.description = description
        self.metadata = list(metadata)


def test_what_annotated_holds_is_read_in_the_forms_of_several_libraries() -> None:
    hint = Annotated[int, "words", Field(None, msgspec.Meta(ge=1)), msgspec.Meta(lt=9)]
    assert metadata_of(hint) == (int, {"description": "words", "ge": 1, "lt": 9})
    assert metadata_of(Annotated[str, Field("told")]) == (str, {"description": "told"})
    assert metadata_of(str) == (str, {})


class TestPydantic:
    def test_models_are_validated_as_json(self) -> None:
        pydantic = pytest.importorskip("pydantic")

        class User(pydantic.BaseModel):  # type: ignore[name-defined,misc]
            model_config = {"strict": True}  # noqa: RUF012
            name: str = pydantic.Field(description="full name")
            born: datetime.date

        text = '{"name": "Ada", "born": "1815-12-10"}'
        ada = User(name="Ada", born=datetime.date(1815, 12, 10))
        assert Shape(User).decode(text) == ada
        assert Shape(User | None).decode("null") is None
        assert Shape(User | Circle).decode('{"radius": 1}') == Circle(1)
        assert Shape(list[User]).decode(f"[{text}]") == [ada]
        schema = Shape(list[User]).schema()["items"]
        assert schema["properties"]["name"]["description"] == "full name"
        with pytest.raises(ValueError, match="born: "):
            Shape(User).decode('{"name": "Ada"}')

    def test_bounds_of_its_field_are_held(self) -> None:
        pydantic = pytest.importorskip("pydantic")
        hint = Annotated[int, pydantic.Field(ge=1, le=5, description="how many")]
        assert Shape(hint).schema() == {
            "type": "integer",
            "minimum": 1,
            "maximum": 5,
            "description": "how many",
        }
        with pytest.raises(ValueError, match="<= 5"):
            Shape(hint).decode("6")
