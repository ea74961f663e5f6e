"""ReAct text, read while it is written: thoughts, an action, or a final answer.

The format is of Yao et al., "ReAct" (https://arxiv.org/abs/2210.03629), and models write it as they
please: in bold, numbered, as a list, on one line, with text before it. A marker is recognised at
the beginning of a line, whatever decorates it, and after the end of a sentence where it is written
exactly. What could become one is held back, so that the same text gives the same result however
it is cut.
"""

from __future__ import annotations

import json

from engine.agents.react.markers import (
    AFTER_THOUGHT,
    ANSWER_END,
    ANSWER_SO_FAR,
    INLINE,
    INLINE_SO_FAR,
    LAST,
    MARKERS,
    NOTHING,
    SPEAKS,
    TAGS,
    THINK_END,
    THINK_END_SO_FAR,
    THINKS,
    Section,
    marker_at,
    may_be_marker,
    word_of,
)
from engine.agents.turn import Said

__all__ = ["ReActParser"]


class ReActParser:
    """Fed the text of one answer.

    Attributes:
        thoughts: whole thoughts, text before the first marker among them.
        action: text after ``Action:``; None where there was none.
        input: text after ``Action Input:``, "" where there was none.
        ended: a marker followed the action: it is whole.
        over: nothing that follows counts: the model goes on with what it cannot know.
        answer: the final answer; None where there was none. Text without any marker is one.
        text: what was read up to there.
    """

    def __init__(self) -> None:
        self.thoughts: list[str] = []
        self.action: str | None = None
        self.input: str = ""
        self.ended: bool = False
        self.over: bool = False
        self.answer: str | None = None
        self.text: str = ""
        self._section = Section.PREFACE
        self._marked = False
        self._pending = ""
        self._line_start = True
        self._said = ""  # of this section
        self._held = ""  # said, unless it is the section's end
        self._type = ""  # what the marker opened and did not close: "**" of bold type
        self._think_end = ""  # of the thought that is open
        self._closing = ""  # what is left of it where it is closed right after the marker

    def feed(self, text: str) -> list[Said]:
        """What is certain now."""
        if self.over:
            return []
        self._pending += text
        said: list[Said] = []
        while self._pending and not self.over and self._step(said, last=False):
            pass
        return said

    def finish(self) -> list[Said]:
        """The text is over: the rest."""
        said: list[Said] = []
        while self._pending and not self.over and self._step(said, last=True):
            pass
        if not self.over:
            unclosed = self._held_in_think() if self._section is Section.THINK else ""
            self._end_section(said, None)
            if unclosed:
                self._look_into(said, unclosed)
        return said

    def _held_in_think(self) -> str:
        return self._said + self._held

    def _look_into(self, said: list[Said], thought: str) -> None:
        """A thought that was never closed: some models forget to, and act or answer in it. Only
        what it ends with counts: before that, they try out what they might do."""
        place = max((match.start() for match in LAST.finditer(thought)), default=-1)
        if place < 0:
            return
        inner = ReActParser()
        inner.feed(thought[place:])
        inner.finish()
        if inner.answer:
            self.answer = inner.answer
            said.append(Said("token", inner.answer))
        elif inner.action is not None and not inner.input.strip().endswith("}"):
            return
        else:
            self.action, self.input = inner.action, inner.input

    # -- one step ------------------------------------------------------------------------------

    def _step(self, said: list[Said], last: bool) -> bool:
        """Take what can be told of the pending text; False: more of it is needed."""
        if self._closing:
            return self._eat_closing()
        if self._section is Section.ANSWER:
            return self._answer(said, last)
        if self._section is Section.THINK:
            return self._think(said, last)
        if self._line_start and self._pending[0] != "\n":
            return self._begin_line(said, last)
        return self._go_on_line(said, last)

    def _eat_closing(self) -> bool:
        """The second ``**`` of ``**Thought:**``."""
        if self._pending[0] == self._closing[0]:
            self._consume(1)
            self._closing = self._closing[1:]
            if not self._closing:
                self._type = ""
        else:
            self._closing = ""
        return True

    def _begin_line(self, said: list[Said], last: bool) -> bool:
        pending = self._pending
        tag = self._tag(last)
        if tag is None:
            return False
        if tag:
            self._consume(pending.index(tag) + len(tag))
            self._enter(said, TAGS[tag])
            self._think_end = THINKS.get(tag, "")
            return True
        marker = marker_at(pending)
        if marker is not None and self._expects(marker[0]):
            word, end, opened = marker
            until = self.text
            self._consume(end)
            self._enter(said, MARKERS[word])
            if self.over:
                self.text = until
            self._type = self._closing = opened
            return True
        if not last and may_be_marker(pending):
            return False
        self._line_start = False
        return True

    def _go_on_line(self, said: list[Said], last: bool) -> bool:
        pending = self._pending
        newline = pending.find("\n")
        end = len(pending) if newline < 0 else newline + 1
        if self._section in (Section.PREFACE, Section.THOUGHT):
            inline = INLINE.search(pending, 0, end)
            if self._ends_thought(said, end if inline is None else inline.start()):
                return True
            if inline is not None:
                self._take(said, inline.start())
                self._consume(inline.end() - inline.start())
                self._enter(said, MARKERS[word_of(inline[1])])
                return True
            if newline < 0 and not last:
                found = (INLINE_SO_FAR.search(pending), THINK_END_SO_FAR.search(pending))
                places = [each.start() for each in found if each is not None]
                if places:
                    self._take(said, min(places))
                    return False
        self._take(said, end)
        self._line_start = newline >= 0
        if self._section in (Section.ACTION, Section.INPUT):
            self._end_thought(said)
        return True

    def _ends_thought(self, said: list[Said], end: int) -> bool:
        """Take the end of a thought whose beginning is in the prompt, if there is one before `end`
        of the pending text: what was said was thought."""
        ending = THINK_END.search(self._pending, 0, end)
        if ending is None:
            return False
        self._take(said, ending.start())
        self._consume(ending.end() - ending.start())
        if self._section is Section.ANSWER:
            self._section = Section.PREFACE
        self._end_section(said, Section.PREFACE)
        self._marked, self._line_start = False, True
        return True

    def _end_thought(self, said: list[Said]) -> None:
        """Where a thought ends whose beginning is in the prompt: what was read as an action was
        tried out in it."""
        ending = THINK_END.search(self._held)
        if ending is None or _is_open(self._held[: ending.start()]):
            return
        before, rest = self._held[: ending.start()], self._held[ending.end() :]
        thought = f"{self.action or ''}\n{before}".strip()
        if thought:
            self.thoughts.append(thought)
            said.append(Said("thought", thought))
        self.text = self.text[: len(self.text) - len(rest)]
        self._pending = rest + self._pending
        self.action, self.input = None, ""
        self._section, self._marked, self._line_start = Section.PREFACE, False, True
        self._said = self._held = self._type = self._closing = ""

    def _answer(self, said: list[Said], last: bool) -> bool:
        """The answer, up to what the model goes on with after it."""
        pending = self._pending
        end = ANSWER_END.search(pending)
        if self._ends_thought(said, len(pending) if end is None else end.start()):
            return True
        if end is not None and (self._said or end.start()):
            self._take(said, end.start())
            self._end_section(said, None)
            self.over = True
            return False
        if last:
            self._take(said, len(pending))
            return bool(self._pending)
        found = (ANSWER_SO_FAR.search(pending), THINK_END_SO_FAR.search(pending))
        self._take(said, min(each.start() for each in found if each is not None))
        return False

    def _think(self, said: list[Said], last: bool) -> bool:
        ending = self._think_end
        place = self._pending.find(ending)
        if place >= 0:
            self._take(said, place)
            self._consume(len(ending))
            self._end_section(said, Section.PREFACE)
            self._line_start = True
            return True
        held = 0 if last else _overlap(self._pending, ending)
        self._take(said, len(self._pending) - held)
        return not held

    def _tag(self, last: bool) -> str | None:
        """The tag the line begins with, "" for none, None where that is not certain yet."""
        line = self._pending.lstrip(" \t")
        for tag in TAGS:
            if line.startswith(tag):
                return tag
            if not last and tag.startswith(line):
                return None
        return ""

    def _expects(self, word: str) -> bool:
        if MARKERS[word] is Section.INPUT:
            return self._section is Section.ACTION
        if word in AFTER_THOUGHT:
            return self._section is Section.THOUGHT
        return MARKERS[word] is not None or self._section is not Section.PREFACE

    # -- sections ------------------------------------------------------------------------------

    def _enter(self, said: list[Said], section: Section | None) -> None:
        """A marker: the section before it is over."""
        self._line_start = False
        acting = self._section in (Section.ACTION, Section.INPUT)
        if acting and section is not Section.INPUT:
            action = self._held if self._section is Section.ACTION else self.action or ""
            if section is Section.ANSWER and _is_none(action):
                self._said = self._held = ""
                self.action, self._section = None, Section.PREFACE
            else:
                # What follows an action is a result the model made up, or a plan.
                self._end_section(said, None)
                self.ended = self.over = True
                return
        elif section is None:
            self._end_section(said, None)
            self.over = True
            return
        self._end_section(said, section)
        self._marked = self._marked or section is not Section.THINK

    def _end_section(self, said: list[Said], next: Section | None) -> None:
        before, whole = self._section, self._said
        text = (whole + self._held).strip()
        if self._type:
            text = text.removesuffix(self._type).rstrip()
        if before is Section.ACTION:
            self.action = text
        elif before is Section.INPUT:
            self.action = self.action or ""
            self.input = text
        elif before is Section.ANSWER or (
            before is Section.PREFACE and next is None and not self._marked and text
        ):
            self._rest(said, text)
            self.answer = text
        elif any(map(str.isalnum, text)):
            self._rest(said, text)
            self.thoughts.append(text)
            said.append(Said("thought", text))
        self._section = next or before
        self._said = self._held = ""
        self._type = ""

    def _rest(self, said: list[Said], text: str) -> None:
        """Say what of `text` was held back."""
        rest = text[len(self._said) :]
        if rest:
            said.append(self._token(rest))

    # -- text ----------------------------------------------------------------------------------

    def _consume(self, count: int) -> None:
        self.text += self._pending[:count]
        self._pending = self._pending[count:]

    def _take(self, said: list[Said], count: int) -> None:
        """The next `count` characters belong to the section."""
        text = self._held + self._pending[:count]
        self._consume(count)
        if self._section not in SPEAKS:
            self._held = text
            return
        if not self._said:
            text = text.lstrip()
        # A fence or a rule before the first marker is no text yet.
        waits = self._section is not Section.ANSWER and not any(map(str.isalnum, text))
        end = _loose_end(text)
        if not self._said and waits:
            end = 0
        self._held = text[end:]
        if end:
            self._said += text[:end]
            said.append(self._token(text[:end]))

    def _token(self, text: str) -> Said:
        return Said("token", text, self._section in (Section.THOUGHT, Section.THINK))


def _loose_end(text: str) -> int:
    """Where what may still turn out to be the end of a section, or of its bold, italic or code
    type, begins."""
    length = -1
    while length != len(text):
        length = len(text)
        text = text.rstrip().rstrip("*_`")
    return length


def _overlap(text: str, ending: str) -> int:
    """How many characters at the end of `text` may be the beginning of `ending`."""
    most = min(len(text), len(ending) - 1)
    return next((n for n in range(most, 0, -1) if text.endswith(ending[:n])), 0)


def _is_open(text: str) -> bool:
    """Whether `text` is the beginning of JSON, in which a tag is a word like others."""
    text = text.strip()
    if not text.startswith("{"):
        return False
    try:
        json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return True
    return False


def _is_none(action: str) -> bool:
    return action.strip(" \t\n*`.'\"[]()").lower() in NOTHING
