"""The tags behind which models write calls as text, told by a pattern: templates call them
differently, and most say "tool" or "function", and "call". Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["DRESSING", "Tags", "is_closing"]

# A tag that is about calls; "/" and "end" tell the closing ones.
_CALL_TAG: Final = (
    r"(?i:<[|｜]?/?(?:[\w]+:|[|｜]?DSML[|｜])?(?:\w*_)??(?:tool|function)[_▁]?calls?(?:[_▁][a-z_▁]*)?"
    r"[|｜]?>)"
)
_FUNCTION_TAG: Final = r"<(?:\w+:|[|｜]?DSML[|｜])?(?:function|invoke)(?:=|\s+name=)"
_OPENING: Final = (
    rf"{_CALL_TAG}|{_FUNCTION_TAG}|<tools>|\[TOOL_CALLS\]|<\|python_(?:tag|start)\|>|<\|START_ACTION\|>"
    r"|<\|action_start\|>|<\|tools_prefix\|>|<\|recipient\|>|functools\[|Action: ?```json"
    r"|(?:<\|(?:start|channel)\|>\w{0,40}){0,2} ?to=functions\."
)
_LITERALS: Final = (
    "[TOOL_CALLS]",
    "functools[",
    "Action: ```json",
    "Action:```json",
    "to=functions.",
)
# What one may begin with, beside `_LITERALS`.
_TAG_SO_FAR: Final = (
    r"(?:<\|(?:start|channel)\|>\w{0,40}){1,2}(?: [a-z=.]{0,13}|<[^<>\n]{0,80})?| [a-z=.]{0,13}"
    r"|<[^<>\n]{0,80}"
)

# Around and between calls, and of no meaning by itself.
DRESSING: Final = re.compile(
    rf"{_CALL_TAG}|</?tools>|\[/?TOOL_CALLS\]|<\|python_(?:tag|start|end)\|>|[,;]|functools(?=\[)"
    r"|<\|(?:START|END)_ACTION\|>|<\|action_(?:start|end)\|>|<\|(?:plugin|interpreter)\|>"
    r"|<\|tools_(?:prefix|suffix)\|>|<\|recipient\|>|>>>|</s>|<\|(?:eom_id|eot_id|im_end|end|call|eot"
    r"|endoftext)\|>|<end_of_turn>|<｜end▁of▁sentence｜>|```|Action: ?```json"
    r"|(?:<\|(?:start|channel)\|>\w{0,40}){0,2} ?to=(?=functions\.)",
    re.IGNORECASE,
)
_CLOSING: Final = re.compile(
    r"</|<[|｜]/|<end_|\[/|.*(?:_end|▁end|END_ACTION|suffix)[|｜]>"
    r"|<\|(?:eo|im_end|end|call)|<｜end",
    re.IGNORECASE,
)


def is_closing(tag: str) -> bool:
    """Whether `tag` ends calls, or the answer."""
    return _CLOSING.match(tag) is not None


class Tags:
    """Finds where calls may begin.

    Args:
        names: of the tools: some write nothing but the name before the arguments.
    """

    def __init__(self, names: Iterable[str]) -> None:
        marks = [f">>>{name}\n" for name in names]
        self._opening = re.compile("|".join((_OPENING, *map(re.escape, marks))))
        beginnings = map(_beginning, (*_LITERALS, *marks))
        self._so_far = re.compile(rf"(?:{'|'.join((_TAG_SO_FAR, *beginnings))})\Z")

    def find(self, text: str, place: int) -> int:
        """Where the next call may begin, quoted or not; -1 where none does."""
        for match in self._opening.finditer(text, place):
            if not is_closing(match[0]):
                return match.start()
        return -1

    def is_quoted(self, text: str, since: int, place: int) -> bool:
        """Whether what stands at `place` is in a fence or in backticks, of those from `since` on:
        spoken of, not asked for."""
        fenced = text.count("```", since, place) % 2 == 1
        return fenced or (place > since and text[place - 1] == "`")

    def opening(self, text: str, since: int, place: int = 0) -> int:
        """`find`, of those that are not quoted, from `place` or `since` on."""
        fences, counted, place = 0, since, max(place, since)
        while (place := self.find(text, place)) >= 0:
            fences += text.count("```", counted, place)
            counted = place
            if fences % 2 == 0 and not (place > since and text[place - 1] == "`"):
                return place
            place += 1
        return -1

    def certain(self, text: str) -> int:
        """Up to where nothing of `text` can be the beginning of a call."""
        so_far = self._so_far.search(text, max(0, len(text) - 250))
        return so_far.start() if so_far is not None else len(text)


def _beginning(literal: str) -> str:
    """A pattern of what `literal` may begin with."""
    pattern = ""
    for character in reversed(literal):
        pattern = re.escape(character) + (f"(?:{pattern})?" if pattern else "")
    return pattern
