"""Why a model stopped: the words of the world, one table, and which of several words counts."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from engine.messages import FinishReason

__all__ = ["Finish", "reason_of"]

# Letters and digits only, in lower case: "MAX_TOKENS", "max-tokens" and "maxTokens" are one word.
# The words of one meaning together; whose they are stands behind those that not many share.
_WORDS: Final = {
    FinishReason.STOP: (
        *("stop", "stopped", "endturn", "eos", "eostoken", "eosfound", "stopsequence", "stoptoken"),
        *("stopstring", "stopstringfound", "complete", "completed", "done", "end", "finish"),
        *("finished", "endofsequence", "endoftext", "word", "success", "stopcriteria", "normal"),
        *("eostokenid", "stoptokenid", "imend", "s", "eot", "eotid", "matchedstop", "stopstr"),
    ),
    FinishReason.LENGTH: (
        *("length", "maxtokens", "maxoutputtokens", "modellength", "limit", "tokenlimit"),
        *("maxlength", "maxcompletiontokens", "maxtokensreached", "modelcontextwindowexceeded"),
        *("contextlength", "contextlengthexceeded", "contextlengthreached", "contextwindow"),
        *("maxpredictedtokensreached", "truncated", "maxnewtokens", "lengthcapped", "maxcontext"),
        *("maxcontextlength", "timelimit", "errorlimit"),  # watsonx; Cohere
        *("maxtokensexceeded", "outoftokens", "contextoverflow", "inputtoolong", "maxtoolcalls"),
        *("maxprompttokens",),
    ),
    FinishReason.TOOL_USE: (
        *("toolcalls", "toolcall", "tooluse", "functioncall", "functioncalls", "function"),
        *("toolscalls", "requiresaction"),  # Gemini's Interactions
    ),
    FinishReason.CONTENT_FILTER: (
        *("contentfilter", "contentfiltered", "filtered", "safety", "recitation", "blocklist"),
        *("prohibitedcontent", "spii", "modelarmor", "imagesafety", "imageprohibitedcontent"),
        *("imagerecitation", "language", "sensitive", "guardrailintervened", "guardrails"),
        *("contentpolicy", "contentpolicyviolation", "moderation", "blocked", "flagged"),
        *("promptblocked", "errortoxic", "guardrail", "violation", "safetycheck", "unsafe"),
        *("policyviolation", "promptfiltered", "moderated"),
    ),
    FinishReason.REFUSAL: ("refusal", "refused"),
    FinishReason.PAUSE: ("pauseturn", "pause", "compaction", "pausedturn"),
    FinishReason.ERROR: (
        *("error", "failed", "failure", "abort", "aborted", "cancelled", "canceled", "usercancel"),
        *("insufficientsystemresource", "networkerror", "timeout", "repetition", "usercancelled"),
        *("malformedfunctioncall", "malformedresponse", "malformedtooluse", "other", "exception"),
        *("malformedmodeloutput", "missingthoughtsignature", "unexpectedtoolcall", "servererror"),
        *("toomanytoolcalls", "imageother", "noimage", "modelunloaded", "userstopped"),
        *("modelerror", "internalerror", "interrupted", "overloaded", "repetitiondetected"),
        *("unload", "load", "budgetexceeded", "expired", "disconnect", "engineoverloaded"),
        *("repetitiontruncation",),
    ),
}  # fmt: skip
_REASONS: Final = {word: reason for reason, words in _WORDS.items() for word in words}

_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")

# The more telling of two words counts: one that says that something is missing is not undone by a
# later "stop", nor one that says that tools are called.
_TELLING: Final = {
    FinishReason.UNKNOWN: 0,
    FinishReason.STOP: 1,
    FinishReason.TOOL_USE: 2,
    FinishReason.PAUSE: 2,
    FinishReason.LENGTH: 3,
    FinishReason.CONTENT_FILTER: 4,
    FinishReason.REFUSAL: 4,
    FinishReason.ERROR: 5,
}


_NORMAL: Final = (FinishReason.STOP, FinishReason.TOOL_USE)


@lru_cache(maxsize=256)  # a server has a few words, and says one an answer
def reason_of(word: str | None) -> FinishReason:
    """What a provider's `word` means; UNKNOWN where nobody has said.

    Gateways put two words in one (``content_filter: PROHIBITED_CONTENT``): the second is the more
    exact one.
    """
    if not word:
        return FinishReason.UNKNOWN
    for part in (word, *reversed(re.split(r"[:/.]\s*", word))):
        reason = _REASONS.get(_SEPARATORS.sub("", part.lower()))
        if reason is not None:
            return reason
    return FinishReason.UNKNOWN


class Finish(msgspec.Struct, frozen=True, gc=False):
    """Why one choice ended, by all that was said of it.

    Attributes:
        word: the provider's word that counts, or None.
        reason: its meaning.
        stands: False where none was said, or content followed it: the bytes may not end here.
        refused: the model refused in words: whatever ended the turn, no call of it is meant.
    """

    word: str | None = None
    reason: FinishReason = FinishReason.UNKNOWN
    stands: bool = False
    refused: bool = False

    def said(self, word: str) -> Finish:
        """It, now that the provider says `word`."""
        reason = reason_of(word)
        if self.word is None or not self.stands or _TELLING[reason] >= _TELLING[self.reason]:
            return Finish(word, reason, True, self.refused)
        return self

    def withdrawn(self) -> Finish:
        """It, now that content came after it."""
        return Finish(self.word, self.reason, False, self.refused)

    def refusing(self) -> Finish:
        """It, now that the model refused in words."""
        return Finish(self.word, self.reason, self.stands, True)

    @property
    def normal(self) -> bool:
        """Whether nothing that was said speaks against a call being whole."""
        if self.refused:
            return False
        return self.word is None or self.reason in _NORMAL

    def told(self, *, called: bool, partial: bool) -> FinishReason:
        """The reason to tell.

        Args:
            called: calls were handed over: some servers say "stop" after one, or nothing.
            partial: a call stayed in pieces: then the turn is not whole, whatever was said.
        """
        if self.refused and (self.word is None or self.reason in _NORMAL):
            return FinishReason.REFUSAL
        if not self.normal:
            return self.reason
        if partial:
            return FinishReason.ERROR
        return FinishReason.TOOL_USE if called else self.reason
