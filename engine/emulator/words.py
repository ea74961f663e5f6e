"""Text out of nothing but a seed: the same seed gives the same words, on every machine."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

__all__ = ["count_tokens", "identifier", "sentences", "split_json", "split_tokens"]

# A token is a word with the space before it; a longer run without spaces is several.
_TOKEN: Final = re.compile(r"\s*\S{1,24}|\s+")
# JSON comes in smaller pieces: a token ends where a name, a number or a string does.
_JSON_TOKEN: Final = re.compile(r"\s*[\w.]{1,12}|\s*[^\w\s.]+|\s+")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Thirty-two each, so that five bits choose; some need more than ASCII, as real answers do.
_ADJECTIVES: Final = _words(
    "quiet bright small patient distant gentle curious steady silver narrow early golden simple "
    "hidden open northern careful lively humble naïve amber wooden friendly hollow swift winter "
    "plain royal tidy ancient mild coastal"
)
_NOUNS: Final = _words(
    "river lantern harbour garden signal window café letter mountain engine bridge market island "
    "library orchard train kettle compass meadow piano thread lighthouse village stone crane "
    "notebook señor anchor teacher valley clock 桜"
)
_SIGHTS: Final = _words(
    "forest ferry horizon window-sill bakery statue canal orchestra museum station fountain "
    "terrace balcony lagoon meridian cathedral shoreline archway vineyard windmill courtyard "
    "rooftop plaza glacier tunnel theatre greenhouse quay staircase mosaic prairie 東京"
)
_VERBS: Final = _words(
    "carries follows answers watches measures repeats gathers mends remembers crosses describes "
    "borrows paints counts welcomes guards explains lifts finds keeps greets shapes visits names "
    "studies warms returns opens balances imagines needs “knows”"
)
_PLACES: Final = _words(
    "beside under above near behind beyond before after around within across between towards "
    "against along past without over through opposite inside outside beneath amid upon below "
    "despite like during until off into"
)

_A, _N, _S, _V, _P = _ADJECTIVES, _NOUNS, _SIGHTS, _VERBS, _PLACES
_PATTERNS: Final = (
    ("The", _A, _N, _V, "a", _A, _S),
    ("Every", _N, _V, "the", _S, _P, "the", _A, _S),
    ("One", _A, _N, _V, "another", _S, "—", _P, "the", _A, _N),
    ("A", _N, _P, "the", _S, _V, "its", _A, _S),
)
_SENTENCES_A_PARAGRAPH: Final = 5


def split_tokens(text: str) -> list[str]:
    """`text` in pieces of one token; joined they are `text` again."""
    return _TOKEN.findall(text)


def split_json(text: str) -> list[str]:
    """The same for the JSON of a call's arguments."""
    return _JSON_TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """How many tokens `text` is: the number of words, about."""
    return len(_TOKEN.findall(text))


def identifier(seed: str) -> str:
    """24 hexadecimal digits that belong to `seed`."""
    return blake2b(seed.encode("utf-8", "replace"), digest_size=12).hexdigest()


def sentences(seed: str, tokens: int) -> list[str]:
    """Plain prose of exactly `tokens` tokens, cut where they end."""
    pieces: list[str] = []
    key = seed.encode("utf-8", "replace")
    number = 0
    while len(pieces) < tokens:
        # One digest decides one sentence: a byte for the pattern, a byte for each word.
        digest = blake2b(key, digest_size=16, salt=number.to_bytes(8, "big")).digest()
        pieces.extend(_sentence(digest, number))
        number += 1
    return pieces[:tokens]


def _sentence(digest: bytes, number: int) -> list[str]:
    pattern = _PATTERNS[digest[0] & 3]
    words = [
        " " + (slot if isinstance(slot, str) else slot[byte & 31])
        for slot, byte in zip(pattern, digest[1:], strict=False)
    ]
    words[-1] += "."
    if number == 0:
        words[0] = words[0].lstrip()
    elif number % _SENTENCES_A_PARAGRAPH == 0:
        words[0] = "\n\n" + words[0].lstrip()
    return words
