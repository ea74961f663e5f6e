"""Calls that a model writes as text, because the server in front of it does not parse them: found
while the text arrives. Pure: text in, calls out. The forms are those of `text_forms`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.agents.text_forms import Forms
from engine.agents.tools.tool import FunctionTool
from engine.messages import ToolCall

__all__ = ["TextCalls"]

_THINK: Final = "<think>"
_THOUGHT: Final = "</think>"


class TextCalls:
    """Fed the text of one answer; keeps back what may be a call.

    What is quoted (in a fence with words before it, in backticks) is spoken of, and what is thought
    (``<think>``) is tried out: neither is asked for. A thought that is never closed counts for what
    it ends with.

    Args:
        tools: by name; what has no tag is a call only of one of them.

    Attributes:
        broken: what began as a call and is none, for the model; None where nothing did.
        written: the text of the calls, once it is over.
    """

    def __init__(self, tools: Mapping[str, FunctionTool]) -> None:
        self.broken: str | None = None
        self.written: str = ""
        self._forms = Forms(tools)
        self._tags = self._forms.tags
        self._forms = Forms(tools)
        self._tags = self._forms.tags
        self._bare = [f"{name}\n{{" for name in tools]
        self._pieces: list[str] = []  # all of the text
        self._out = 0  # so many characters of it were said
        self._held = ""  # the rest, unless it waits
        self._looked = 0  # so far there is no call in it
        self._head = 0  # where the answer begins: after the thoughts
        self._begins = True  # nothing of the answer was said
        self._waits = False  # for the end, or for the end of a thought
        self._calling = False

    def feed(self, text: str) -> str:
        """What of the text so far is certain to be no call."""
        self._pieces.append(text)
        if self._waits:
            self._held = self._held[1 - len(_THOUGHT) :] + text
            if self._calling or _THOUGHT not in self._held:
                return ""
            self._waits, self._held = False, self._whole()[self._out :]
        elif self._begins and not self._held and text.isspace():
            return ""
        elif self._begins:
            self._held = self._whole()[self._out :]
        else:
            self._held += text
        said = []
        while (end := self._next()) > 0:
            said.append(self._held[:end])
            self._out += end
            self._held, self._looked = self._held[end:], 0
            if self._held == "" or self._waits:
                break
        return "".join(said)

    def _next(self) -> int:
        """How much of what is held can be said now."""
        held = self._held
        if self._begins:
            answer = held.lstrip()
            self._waits = answer.startswith(("{", "[", "`", *self._bare))
            if not answer:
                self._held = ""
            if self._waits or not answer or any(each.startswith(answer) for each in self._bare):
                return 0
            self._begins = False
        thought = held.find(_THOUGHT)
        while (place := self._tags.find(held, self._looked)) >= 0 and not 0 <= thought < place:
            text = self._whole()
            if self._is_in_thought(text, self._out + place):
                if thought >= 0:
                    break
            elif self._tags.is_quoted(text, self._head, self._out + place):
                self._looked = place + 1
                continue
            else:
                self._calling = True
            self._waits = True
            return place
        if thought >= 0:
            self._begins = True
            self._head = self._out + thought + len(_THOUGHT)
            return thought + len(_THOUGHT)
        return self._tags.certain(held)

    def finish(self) -> tuple[str, list[ToolCall]]:
        """The rest of the text, and the calls in it: all of them, or none where one is broken."""
        text = self._whole()
        rest = text[self._out :]
        # The thoughts' beginning may be in the prompt.
        head = text.rfind(_THOUGHT) + len(_THOUGHT) if _THOUGHT in text else 0
        place = self._tags.opening(text, head)
        if place < 0:
            calls = self._forms.bare(text[head:]) if not text[head : self._out].strip() else []
            self.written = text[head:] if calls else ""
            return (text[self._out : head] if calls else rest), calls
        runs = self._forms.read(text, place)
        found = [call for run in runs for call in run]
        if self._is_in_thought(text, place):
            found = runs[-1]
        calls = [call for call in found if call is not None]
        if len(calls) < len(found):
            self.broken = text[place:].strip()[:200]
            return text[self._out : place], []
        self.written = text[place:] if calls else ""
        return (text[self._out : place] if calls else rest), calls

    def _whole(self) -> str:
        """All of the text so far."""
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def _is_in_thought(self, text: str, place: int) -> bool:
        return text.rfind(_THINK, 0, place) > text.rfind(_THOUGHT, 0, place)
