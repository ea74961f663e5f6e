"""Ids of tool calls: made up where a provider gives none, and made to fit who receives them.

Receivers differ in what they take for an id, and a conversation may go to another than it came
from. An id that does not fit is exchanged in one request for one that does, at the call and at its
result alike. It is made from the id itself, so that it is the same the next time (a prompt cache
depends on that), and the messages of the user keep theirs.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from operator import is_
from typing import Final

from engine.messages import Message, ToolCall, ToolResult

__all__ = ["FITS_ANTHROPIC", "FITS_MISTRAL", "FITS_OPENAI", "FITS_RESPONSES", "FittingIds"]
__all__ += ["IdRule", "fitting_ids", "is_made_up", "made_up_id"]

_PREFIX: Final = "made_"
_LENGTH: Final = 22


def made_up_id(seed: str, index: int) -> str:
    """An id of 22 characters, the same each time for the same call.

    Args:
        seed: what tells this answer from all others of the conversation: the provider's id of the
            answer, or its time.
        index: the content block of the call.
    """
    digest = blake2b(f"{seed}/{index}".encode("utf-8", "replace"), digest_size=16).digest()
    return (_PREFIX + urlsafe_b64encode(digest).decode())[:_LENGTH]


def is_made_up(id: str) -> bool:
    """Whether `id` is one of ours, which the provider does not know and is not sent."""
    return id.startswith(_PREFIX) and len(id) == _LENGTH


# -- ids that fit -----------------------------------------------------------------------------


class IdRule:
    """What a receiver takes for the id of a call.

    Args:
        pattern: all of it must match.
        length: of the ids made for it.
        alphabet: those may be made of.
        unique: whether no two calls of a conversation may have the same id.
    """

    __slots__ = ("_alphabet", "_length", "_pattern", "unique")

    def __init__(self, pattern: str, length: int, alphabet: str, *, unique: bool = False) -> None:
        self._pattern = re.compile(pattern)
        self._length = length
        self._alphabet = alphabet
        self.unique: bool = unique

    def fits(self, id: str) -> bool:
        """Whether it takes `id` as it is."""
        return self._pattern.fullmatch(id) is not None

    def made_from(self, seed: str) -> str:
        """An id that fits, the same each time for the same `seed`."""
        digest = blake2b(seed.encode("utf-8", "replace"), digest_size=32).digest()
        number = int.from_bytes(digest, "big")
        letters = []
        for _ in range(self._length):
            number, rest = divmod(number, len(self._alphabet))
            letters.append(self._alphabet[rest])
        return "".join(letters)


_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

# "Tool call id was … but must be a-z, A-Z, 0-9, with a length of 9."
FITS_MISTRAL: Final = IdRule("[a-zA-Z0-9]{9}", 9, _LETTERS)
# "string too long. Expected a string with maximum length 40" (messages[…].tool_calls[…].id)
FITS_OPENAI: Final = IdRule(r"(?s).{1,40}", 24, _LETTERS)
# "string too long. Expected a string with maximum length 64" (input[…].call_id)
FITS_RESPONSES: Final = IdRule(r"(?s).{1,64}", 24, _LETTERS)
# "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"; "`tool_use` ids must be unique"
FITS_ANTHROPIC: Final = IdRule("[a-zA-Z0-9_-]{1,64}", 24, _LETTERS, unique=True)
# Others take any, and want one.
_FITS_ALL: Final = IdRule(r"(?s).+", 24, _LETTERS)


def fitting_ids(messages: Iterable[Message], rule: IdRule | None) -> FittingIds:
    """The id to send for each call and each result of `messages`, given the part itself.

    A result without an id belongs to the first call of its name that has none yet, and else to the
    first that has none; so does the second of two results of one id, where two calls have it.

    Args:
        messages: the conversation.
        rule: of who receives it; None: whatever is an id.
    """
    return FittingIds(rule or _FITS_ALL, messages)


class FittingIds:
    """Called with a part: see `fitting_ids`.

    Attributes:
        own: each has its own id.
    """

    def __init__(self, rule: IdRule, messages: Iterable[Message]) -> None:
        self.own: bool = True
        self._rule = rule
        self._sent: dict[int, str] = {}  # by the identity of the part
        self._used: set[str] = set()
        self._open: list[ToolCall] = []  # calls without a result so far
        self._messages: list[Message] = []  # an identity is one only as long as its object lives
        self.add_rest(list(messages))

    def goes_on(self, messages: Sequence[Message]) -> bool:
        """Whether `messages` begin with those it was given, the very same; see `add_rest`."""
        known = self._messages
        return len(known) <= len(messages) and all(map(is_, known, messages))

    def add_rest(self, messages: Sequence[Message]) -> None:
        """Go on with those of `messages` that it was not given yet."""
        for message in messages[len(self._messages) :]:
            self._messages.append(message)
            turn: set[str] = set()  # no two calls of one turn have the same id anywhere
            for part in message.parts:
                if isinstance(part, ToolCall):
                    sent = self._call(part, turn)
                    self._open.append(part)
                elif isinstance(part, ToolResult):
                    sent = self._result(part)
                else:
                    continue
                self._sent[id(part)] = sent
                self.own = self.own and sent == part.id

    def __call__(self, part: object) -> str:
        return self._sent[id(part)]

    def _call(self, call: ToolCall, turn: set[str]) -> str:
        fit = call.id if self._rule.fits(call.id) else self._rule.made_from(call.id)
        count = 0
        while fit in turn or (fit in self._used and (self._rule.unique or not call.id)):
            count += 1
            fit = self._rule.made_from(f"{call.id}/{count}")
        self._used.add(fit)
        turn.add(fit)
        return fit

    def _result(self, result: ToolResult) -> str:
        call = self._called(result)
        if call is not None:
            self._open.remove(call)
            return self._sent[id(call)]
        return result.id if self._rule.fits(result.id) else self._rule.made_from(result.id)

    def _called(self, result: ToolResult) -> ToolCall | None:
        for call in self._open:
            if call.id == result.id and (result.id or result.name in (None, call.name)):
                return call
        if result.id:
            return None
        named = (call for call in self._open if result.name in (None, call.name))
        return next(named, None)
