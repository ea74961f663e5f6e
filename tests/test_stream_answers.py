"""An answer in the type that was asked for: what the type's own code raises is how it ended."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

import engine
from engine.errors import ProtocolError
from tests.server import chat, serve


class Struct(msgspec.Struct):
    x: int

    def __post_init__(self) -> None:
        raise KeyError("nothing of mine")


@dataclasses.dataclass
class Data:
    x: int

    def __post_init__(self) -> None:
        raise ZeroDivisionError("nothing of mine")


class Model:
    """A pydantic model, as far as the engine looks at one."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return {"type": "object", "properties": {"x": {"type": "integer"}}}

    @classmethod
    def model_validate_json(cls, text: str) -> Model:
        raise AttributeError("nothing of mine")


@pytest.mark.parametrize("kind", [Struct, Data, Model])
def test_what_a_validator_raises_is_a_completion(multi: engine.Multi, kind: type) -> None:
    done: list[engine.Completion] = []
    with serve(lambda peer: peer.stream(chat('{"x":', "1}"))) as server:
        client = engine.Client(multi, base_url=server.url)
        client.stream("m", "hi", response_format=kind, on_done=done.append)
        multi.run()
    [completion] = done
    assert (completion.status, completion.text, completion.parsed) == ("error", '{"x":1}', None)
    assert isinstance(completion.error, ProtocolError)
    assert kind.__name__ in str(completion.error) and "nothing of mine" in str(completion.error)
    assert len(multi) == 0
