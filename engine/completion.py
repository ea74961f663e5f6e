"""How a request ended: the one record each request gives, exactly once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal

import msgspec

from engine.errors import EngineError
from engine.messages import FinishReason, Message, Usage
from engine.response import RateLimit, Timing

if TYPE_CHECKING:  # a default is typing's from Python 3.13 on; type checkers know it before
    from typing_extensions import TypeVar

    Parsed = TypeVar("Parsed", covariant=True, default=Any)
else:
    from typing import TypeVar

    Parsed = TypeVar("Parsed", covariant=True)

__all__ = ["Completion", "LateCompletion", "Parsed", "Status"]

Status = Literal["complete", "truncated", "cancelled", "error"]


# What nearly every provider says beside an answer, and what is told above.
_NO_NEWS = frozenset({"created", "object", "role", "system_fingerprint", "type", "usage"})


class Completion(msgspec.Struct, Generic[Parsed], frozen=True):
    """The end of a request, and all that came before it.

    Attributes:
        status: ``complete`` only where the protocol's own end marker came; ``truncated`` where the
            bytes ended after the response had begun and before the marker; ``cancelled``;
            ``error`` for everything else. What was delivered is kept in every case.
        message: the answer, as far as it came.
        messages: all alternatives, where ``n`` > 1 was asked; else the one message.
        finish_reason: why the model stopped; None where the answer has no end.
        finish_reason_raw: the provider's own word.
        usage: tokens; ``partial`` where the last report is missing; None if none came.
        error: why it is not complete; None for complete.
        http_status: of the last attempt, or None where no response came.
        headers: of the last response, names in lower case.
        request_id: the provider's id of the request, for its support desk.
        rate_limit: what the headers say of the provider's limits.
        attempts: how often it was tried.
        timing: where the time went.
        delivered: events handed over.
        parsed: the answer as an instance of the type that was given as ``response_format``; None
            without one. Where the answer does not fit it, the status is ``error``.
        logprobs: log probabilities as the provider gave them, empty unless asked for.
        provider_metadata: what the provider says beside the answer, by its own names.
        possibly_billed: requests that the server may have read and that got no head of an answer,
            the last one too; see `Retry.unknown`.
    """

    status: Status
    message: Message
    messages: list[Message]
    finish_reason: FinishReason | None
    finish_reason_raw: str | None
    usage: Usage | None
    error: EngineError | None
    http_status: int | None
    headers: Mapping[str, str]
    request_id: str | None
    rate_limit: RateLimit | None
    attempts: int
    timing: Timing
    delivered: int
    parsed: Parsed | None = None
    logprobs: list[dict[str, Any]] = []
    provider_metadata: dict[str, Any] = {}
    possibly_billed: int = 0

    def __repr__(self) -> str:
        """The gist, in two lines of a terminal: for what is longer ask the attributes."""
        said = [self.status, _cut(repr(self.text), 60)]
        if self.message.tool_calls:
            said.append(f"calls {_cut(', '.join(c.name for c in self.message.tool_calls), 40)}")
        if self.finish_reason_raw is not None:
            said.append(f"finish {_cut(self.finish_reason_raw, 20)}")
        if self.usage is not None:
            said.append(f"{self.usage.input_tokens}+{self.usage.output_tokens} tokens")
        if self.attempts != 1:
            said.append(f"{self.attempts} attempts")
        if self.timing.total is not None:
            said.append(f"{self.timing.total:.3g} s")
        if self.error is not None:
            shown = f"{type(self.error).__name__}: {self.error.message}"
            said.append(_cut(" ".join(shown.split()), 90))
        elif told := {k: v for k, v in self.provider_metadata.items() if k not in _NO_NEWS}:
            said.append(_cut(" ".join(repr(told).split()), 125))
        return f"<Completion {' · '.join(said)}>"

    @property
    def text(self) -> str:
        """The answer's text, as far as it came."""
        return self.message.text

    def raise_for_status(self) -> Completion[Parsed]:
        """Itself if complete.

        Raises:
            EngineError: why it is not.
        """
        if self.error is not None:
            raise self.error
        return self


class LateCompletion(Completion[Parsed], frozen=True, kw_only=True):
    """A completion whose messages are put together when somebody looks at them: to join 300 MB of
    text takes 0.2 s, and a turn is shorter.

    Attributes:
        gather: gives the messages, the same ones each time.
    """

    gather: Callable[[], list[Message]]

    @property  # type: ignore[misc]  # in place of a field
    def messages(self) -> list[Message]:
        """See `Completion`."""
        return self.gather()

    @property  # type: ignore[misc]  # in place of a field
    def message(self) -> Message:
        """See `Completion`."""
        return self.gather()[0]

    def __reduce__(self) -> tuple[type[Completion[Any]], tuple[Any, ...]]:
        """A plain one, that can be stored."""
        return Completion, tuple(getattr(self, name) for name in Completion.__struct_fields__)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
