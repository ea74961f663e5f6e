"""What the parts of the emulator hand to each other, and how to add a protocol.

    bytes of a request ──Dialect.question──▶ Question ──compose──▶ Answer ──Dialect.stream──▶ bytes

A dialect here is the server's side of the wire format of the same name in `engine.providers`. It
is pure: it reads a body, and writes bodies. To add one, write one file with a class that has the
members of `Dialect`, and name its path in `routes.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Literal, Protocol

import msgspec

__all__ = [
    "Answer",
    "BadRequest",
    "Block",
    "Dialect",
    "Finish",
    "Kind",
    "Question",
    "Request",
    "ToolOffer",
    "Turn",
]


class BadRequest(Exception):
    """The request cannot be answered: HTTP 400 in the dialect's own shape."""


class Request(msgspec.Struct, frozen=True):
    """One HTTP request; header names in lower case, the path without query.

    Attributes:
        captured: what the route took from the path, such as Gemini's model and method.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    captured: Mapping[str, str] = {}


class Turn(msgspec.Struct, frozen=True):
    """One message of the conversation, as text; of role ``tool``, one tool's result.

    Attributes:
        calls: ids of the tool calls an assistant's message made.
        result_of: id of the call that a result belongs to.
    """

    role: Literal["system", "user", "assistant", "tool"]
    text: str
    calls: tuple[str, ...] = ()
    result_of: str = ""


class ToolOffer(msgspec.Struct, frozen=True):
    """A tool the client can run."""

    name: str
    parameters: Mapping[str, Any]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A request as every dialect says it.

    Attributes:
        tool_choice: ``auto``, ``none``, ``required``, or the name of one tool.
        max_tokens: None: no limit but the settings'.
        thinking: whether the client asked for the model's reasoning.
        schema: the JSON schema the answer must match; empty: any JSON object; None: plain text.
        n: how many alternatives.
        include_usage: whether a stream ends with usage, where that is a choice.
        variant: anything more the dialect's own writer needs to know.
    """

    model: str
    turns: list[Turn]
    stream: bool = False
    tools: list[ToolOffer] = []
    tool_choice: str = "auto"
    max_tokens: int | None = None
    stop: list[str] = []
    thinking: bool = False
    schema: Mapping[str, Any] | None = None
    n: int = 1
    include_usage: bool = True
    variant: str = ""


class Kind(StrEnum):
    """What a block of an answer is."""

    TEXT = "text"
    THINKING = "thinking"
    REFUSAL = "refusal"
    CALL = "call"


class Finish(StrEnum):
    """Why an answer ended; each dialect has its own word for it."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_USE = "tool_use"
    REFUSAL = "refusal"


class Block(msgspec.Struct, frozen=True):
    """A part of an answer, in pieces of one token; a call's pieces are its arguments' JSON.

    Attributes:
        id: of the call, or of the block where the dialect names blocks.
        name: the tool a call is for.
    """

    kind: Kind
    pieces: list[str]
    id: str = ""
    name: str = ""

    @property
    def text(self) -> str:
        """The pieces in one."""
        return "".join(self.pieces)


class Answer(msgspec.Struct, frozen=True):
    """What the emulated model says.

    Attributes:
        id: 24 letters and digits that belong to this question; the dialect puts its prefix to it.
        stop: the stop string that ended it, or None.
    """

    id: str
    blocks: list[Block]
    finish: Finish
    input_tokens: int
    stop: str | None = None

    @property
    def thinking_tokens(self) -> int:
        """Tokens of its reasoning."""
        return sum(len(block.pieces) for block in self.blocks if block.kind is Kind.THINKING)

    @property
    def output_tokens(self) -> int:
        """All tokens of it, reasoning too."""
        return sum(len(block.pieces) for block in self.blocks)

    def of_kind(self, kind: Kind) -> list[Block]:
        """Its blocks of one kind."""
        return [block for block in self.blocks if block.kind is kind]


class Dialect(Protocol):
    """The server's side of one wire format."""

    def question(self, request: Request) -> Question:
        """Read a request.

        Raises:
            BadRequest, msgspec.MsgspecError: it is not what the vendor's documentation asks for.
        """

    def content_type(self, question: Question) -> str:
        """Media type of a streamed answer."""

    def stream(self, question: Question, answers: list[Answer]) -> Iterator[bytes]:
        """The steps of a stream: one for each token, with whatever events belong to it, and a last
        one that ends the answer. One `Answer` an alternative."""

    def whole(self, question: Question, answers: list[Answer]) -> dict[str, Any]:
        """The answer in one JSON object."""

    def error(self, status: int, message: str, retry_after: float = 0.0) -> Any:
        """The JSON of an HTTP error with `status`; `retry_after` in seconds, 0: not said."""

    def stream_error(self, question: Question, first: bool) -> bytes:
        """An error in a stream that began with 200; `first`: before any step."""

    def malformed(self, question: Question, first: bool) -> bytes:
        """A record of a stream that is framed well and is not JSON; `first`: before any step."""
