"""The words by which ReAct text is divided, as models write them."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

__all__ = [
    "AFTER_THOUGHT",
    "ANSWER_END",
    "ANSWER_SO_FAR",
    "INLINE",
    "INLINE_SO_FAR",
    "LAST",
    "MARKERS",
    "NOTHING",
    "SPEAKS",
    "TAGS",
    "THINKS",
    "THINK_END",
    "THINK_END_SO_FAR",
    "TYPE",
    "Section",
    "marker_at",
    "may_be_marker",
    "word_of",
]


class Section(StrEnum):
    """What the text at hand is."""

    PREFACE = "preface"
    THOUGHT = "thought"
    THINK = "think"
    ACTION = "action"
    INPUT = "input"
    ANSWER = "answer"


# Marker, in small letters and with single spaces → the section it begins; None: it only ends one.
MARKERS: Final[dict[str, Section | None]] = {
    **dict.fromkeys(("thought", "thoughts", "thinking", "reasoning"), Section.THOUGHT),
    **dict.fromkeys(("action", "action name", "tool", "tool name"), Section.ACTION),
    **dict.fromkeys(
        ("action input", "actioninput", "action arguments", "action args"), Section.INPUT
    ),
    **dict.fromkeys(("tool input", "input", "arguments", "args", "parameters"), Section.INPUT),
    **dict.fromkeys(("final answer", "finalanswer", "answer", "final response"), Section.ANSWER),
    **dict.fromkeys(("observation", "observations"), None),
    **dict.fromkeys(("思考", "想法", "思路"), Section.THOUGHT),
    **dict.fromkeys(("行动", "动作", "行動", "動作", "工具"), Section.ACTION),
    **dict.fromkeys(("行动输入", "动作输入", "工具输入", "输入", "参数"), Section.INPUT),
    **dict.fromkeys(("行動輸入", "動作輸入", "工具輸入", "輸入", "參數"), Section.INPUT),
    **dict.fromkeys(("最终答案", "最终回答", "最終答案", "最終回答", "答案"), Section.ANSWER),
    **dict.fromkeys(("观察", "观察结果", "觀察", "觀察結果"), None),
}
_CHINESE: Final = sorted((word for word in MARKERS if not word.isascii()), key=len, reverse=True)
# Words of ordinary prose that are markers only where the format leads one to expect them.
AFTER_THOUGHT: Final = frozenset({"tool", "tool name", "工具"})

_DECORATION: Final = r"[ \t>*#_`~\-+.()\[\]\d]{0,24}"
_AFTER: Final = r"[ \t]*\d{0,3}[ \t]*[*_`\]]{0,3}[ \t]*"
_LETTERS: Final = rf"(?:[A-Za-z]+(?:[ \t_]+[A-Za-z]+)?|{'|'.join(_CHINESE)})"
_MARKER: Final = re.compile(rf"({_DECORATION})({_LETTERS})({_AFTER})[:：]")
# A heading has no colon: "## Final Answer".
_HEADING: Final = re.compile(
    rf"([ \t]*(?:#+[ \t]*|\*\*)\**)(Thought|Action|Action Input|Final Answer|"
    rf"思考|行[动動]|行动输入|行動輸入|最[终終]答案)({_AFTER})(?=\n)",
    re.IGNORECASE,
)
_DECORATED: Final = re.compile(_DECORATION)
_WORD_SO_FAR: Final = re.compile(r"[\u4e00-\u9fff]+|[A-Za-z]*(?:[ \t_]+[A-Za-z]*)?")
_AFTER_SO_FAR: Final = re.compile(_AFTER)

_INLINE_WORDS: Final = ("Action", "Final Answer")
_INLINE_CHINESE: Final = ("行动", "动作", "最终答案", "行動", "動作", "最終答案")
INLINE: Final = re.compile(
    rf"(?:(?<=[.!?])[*_\"')”]*[ \t]+|(?<=[。！？])[ \t]*(?=[\u4e00-\u9fff*]))"
    rf"\**({'|'.join((*_INLINE_WORDS, *_INLINE_CHINESE))})\**[ \t]*[:：]"
)


def _beginnings(words: tuple[str, ...]) -> str:
    """A pattern of everything that `words` may begin with, the longest first."""
    return "|".join(word[:end] for word in words for end in range(len(word), 0, -1))


INLINE_SO_FAR: Final = re.compile(
    rf"(?:[.!?][*_\"')”]*(?:[ \t]+\**(?:{_beginnings(_INLINE_WORDS)})?\**[ \t]*)?"
    rf"|[。！？][ \t]*\**(?:{_beginnings(_INLINE_CHINESE)})?\**[ \t]*)\Z"
)
# A model that goes on after its answer makes up a result, or the next question; other markers may
# be in an answer, unless a blank line is before them.
_ENDED: Final = ("Observation", "观察", "觀察")
_ENDED_AFTER_BLANK: Final = ("Thought", "Question", "思考", "问题", "問題")
_STOPS: Final = ("<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end|>", "</s>")
_PARTS_OF_STOPS: Final = [stop[:n] for stop in _STOPS for n in range(1, len(stop))]
ANSWER_END: Final = re.compile(
    rf"\n[ \t]*\**(?:{'|'.join(_ENDED)})\**[ \t]*[:：]"
    rf"|\n[ \t]*\n[ \t]*\**(?:{'|'.join(_ENDED_AFTER_BLANK)})\**[ \t]*[:：]"
    rf"|(?:{'|'.join(map(re.escape, _STOPS))})"
)
ANSWER_SO_FAR: Final = re.compile(
    rf"(?:\n[ \t]*(?:\n[ \t]*)?\**(?:{_beginnings((*_ENDED, *_ENDED_AFTER_BLANK))})?\**[ \t]*"
    rf"|(?:{'|'.join(map(re.escape, _PARTS_OF_STOPS))}))?\Z"
)
# Where the last of what a thought holds begins.
LAST: Final = re.compile(
    r"^[ \t]*\**(?:Action|Final Answer|行[动動]|[动動]作|最[终終]答案)\**[ \t]*[:：]", re.MULTILINE
)
# Tags between which models think, where their server does not take that out of the text.
THINKS: Final = {
    **{f"<{name}>": f"</{name}>" for name in ("think", "thinking", "thought", "reasoning")},
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|begin_of_thought|>": "<|end_of_thought|>",
}
THINK_END: Final = re.compile("|".join(map(re.escape, THINKS.values())))
_PARTS_OF_ENDS: Final = [end[:n] for end in THINKS.values() for n in range(len(end) - 1, 0, -1)]
THINK_END_SO_FAR: Final = re.compile(rf"(?:{'|'.join(map(re.escape, _PARTS_OF_ENDS))})\Z")
TAGS: Final = {**dict.fromkeys(THINKS, Section.THINK), "<tool_call>": Section.INPUT}
TYPE: Final = re.compile(r"[*_`]+\Z")
NOTHING: Final = frozenset({"", "none", "n/a", "no action", "null", "nothing"})
SPEAKS: Final = (Section.PREFACE, Section.THOUGHT, Section.THINK, Section.ANSWER)


def word_of(text: str) -> str:
    return " ".join(text.replace("_", " ").lower().split())


def marker_at(text: str) -> tuple[str, int, str] | None:
    """The marker `text` begins with: its word, where it ends, and the bold, italic or code type it
    opens and does not close."""
    match = _MARKER.match(text) or _HEADING.match(text)
    if match is None or word_of(match[2]) not in MARKERS:
        return None
    opened = TYPE.search(match[1])
    closed = TYPE.search(match[3].rstrip())
    return word_of(match[2]), match.end(), opened[0] if opened and not closed else ""


def may_be_marker(text: str) -> bool:
    """Whether text could be added to `text`, the beginning of a line, that makes it a marker."""
    place = 0
    match = _DECORATED.match(text)
    if match is not None:
        place = match.end()
    word = _WORD_SO_FAR.match(text, place)
    end = word.end() if word is not None else place
    so_far = word_of(text[place:end])
    if end == len(text):
        return any(marker.startswith(so_far) for marker in MARKERS)
    after = _AFTER_SO_FAR.match(text, end)
    return so_far in MARKERS and after is not None and after.end() == len(text)
