"""What the texts of many events at once are: those of each event alone, whatever is odd in one.

``ENGINE_READS`` (a number) sets how many streams are tried, as in `test_reads`.
"""

from __future__ import annotations

import json
import random
import re
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import TextDelta
from engine.providers import dialect, one_step
from engine.providers.template import Template, template_of
from tests.cases import each_case
from tests.corpus import CORPUS, DIALECTS, recordings
from tests.providers.test_reads import (
    _READS,
    DATA,
    OF_MANY_SEEDS,
    call,
    chat,
    check,
    framed,
)
from tests.test_corpus_mutated import mutated

BEFORE = re.compile(rb'"text":"')


class _Piece(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    id: int = 0
    role: str = ""
    pad: str = ""


def text_of(data: bytes) -> str | None:
    piece = msgspec.json.decode(data, type=_Piece)
    return piece.text if piece.id == 0 else None


@each_case(
    ("data", "template"),
    [
        (b'{"text":"a"}', (b'{"text":"', b"", b'"}')),
        (b'{"id":0,"text":"a\\"b","id":0}', (b'{"id":0,"text":"', b"", b'","id":0}')),
        (b'{"text":"","pad":"x"}', (b'{"text":"', b'","pad":"', b'"}')),
        (b'{"text":"a","role":"b","pad":""}', (b'{"text":"', b'","role":"b","pad":"', b'"}')),
        (b'{"text":"a","pad":"\\":\\""}', (b'{"text":"', b"", b'","pad":"\\":\\""}')),
        (b'{"text":"a","pad":"-"}', (b'{"text":"', b"", b'","pad":"-"}')),
        (b'{"pad":"x","text":"a"}', (b'{"pad":"x","text":"', b"", b'"}')),
        (b'{"pad":"\\"text\\":\\"","text":"a"}', (b'{"pad":"\\"text\\":\\"","text":"', b"", b'"}')),
        (b'{"text":"a" }', (b'{"text":"', b"", b'" }')),
    ],
)
def test_what_stands_before_a_text_and_behind_it_is_its_template(
    data: bytes, template: tuple[bytes, bytes, bytes]
) -> None:
    assert template_of(data, BEFORE, text_of) == template


@each_case(
    "data",
    [
        b"",
        b"{}",
        b'{"text":"a"',
        b'{"text":"a',
        b'{"text":3}',
        b'{"text": "a"}',
        b'{"text":"a","id":1}',  # says more than a text
        b'{"text":"a","x":1}',
        b'{"text":"a","text":"b"}',  # the last one counts
        b'{"text":"a","text":""}',
        b'{"pad":{"text":"a"},"text":"b"}',
        b'{"text":"\xff","pad":"\xff"}\xff',
        b'{"text":"' + b"a" * 4096 + b'"}',  # few of these are in a read
        b'{\t"text":"a"}',  # a tab tells one text from the next
    ],
)
def test_what_is_no_text_and_nothing_else_has_no_template(data: bytes) -> None:
    assert template_of(data, BEFORE, text_of) is None


PLAIN, PADDED = Template(b'{"text":"', b"", b'"}'), Template(b'{"text":"', b'","pad":"', b'"}')
M = PADDED.middle


@each_case(
    ("template", "cores", "texts"),
    [
        (PLAIN, [b"a"], ["a"]),
        (PLAIN, [b"a", b"", b'\\"', b"\\\\", b'\\",', b"\\n", b'\\\\\\"', b"null"],
         ["a", "", '"', "\\", '",', "\n", '\\"', "null"]),
        (PLAIN, [b"\xc3\xa9", b"\\ud83d\\ude00"], ["é", "😀"]),
        (PADDED, [b"a" + M + b"xx"], ["a"]),
        (PADDED, [b"a" + M, M + b"y", M, b'\\"' + M + b"z0"], ["a", "", "", '"']),
        (PADDED, [b"\\\\" + M + b"xx", b'\\",' + M], ["\\", '",']),
    ],
)  # fmt: skip
def test_texts_are_what_each_event_says(
    template: Template, cores: list[bytes], texts: list[str]
) -> None:
    assert template.texts(cores) == texts
    assert [text_of(template.beginning + core + template.end) for core in cores] == texts


@each_case(
    ("template", "cores"),
    [
        (PLAIN, []),
        (PLAIN, [b'a","x":"b']),
        (PLAIN, [b"a\\", b',"b']),  # the one is open, the other closes it
        (PLAIN, [b"a\\", b"b"]),
        (PLAIN, [b'a"', b"b"]),
        (PLAIN, [b'a"\t,"b']),
        (PLAIN, [b'a"\t', b'\t"b']),
        (PLAIN, [b'a",', b',"b']),
        (PLAIN, [b'a",', b",", b',"b']),
        (PLAIN, [b"\\ud83d"]),
        (PLAIN, [b"\xc3", b"\xa9"]),
        (PLAIN, [b"\x01"]),
        (PLAIN, [b"\t"]),
        (PLAIN, [b"\\u12", b"34"]),
        (PADDED, [b"a"]),
        (PADDED, [b"a" + M + b"\\\\"]),
        (PADDED, [b"a" + M + b"-", b"a" + M + b"x" + M]),
        (PADDED, [b"a", b"b" + M + b"c" + M + b"d"]),  # a middle too few, and one too many
        (PADDED, [b"b" + M + b"c" + M + b"d", b"a"]),
        (PADDED, [b"a" + M + b"b" + M, b"", M + M + M]),
        (PADDED, [b'a"\t,"b', b"c" + M + b"d"]),
        (PADDED, [b'a",' + M + b',"b', b"c"]),
        (PADDED, [b"a" + M + b"b\\", b'"' + M + b"d"]),
        (PADDED, [b"a" + M + b'b","x":"c']),
        (PADDED, [b"a\\" + M + b"b", b"c" + M + b"d"]),
    ],
)
def test_texts_of_which_one_is_none_are_none(template: Template, cores: list[bytes]) -> None:
    assert template.texts(cores) == []


_SCRAPS = [b'"', b"\\", b",", b"a", b"\t", b"null", M, b'"\t,"', b"\\u0041", b"{"]


@settings(max_examples=max(_READS, 500), deadline=None, derandomize=_READS <= 50, database=None)
@given(
    template=st.sampled_from([PLAIN, PADDED]),
    cores=st.lists(st.lists(st.sampled_from(_SCRAPS), max_size=5).map(b"".join), max_size=4),
)
def test_texts_are_never_other_than_those_of_each_alone(
    template: Template, cores: list[bytes]
) -> None:
    if texts := template.texts(cores):
        alone = [text_of(template.beginning + core + template.end) for core in cores]
        assert alone == texts


# -- as a parser reads them ------------------------------------------------------------------------

TOGETHER = ["chat", "messages"]  # whose pieces are looked at together
_TEXTS = [" a", "é", "", '"', "\\", '",', "a\\", "\n", "😀", "{", "null", "\t", '"}}]}', "data: "]


def piece(name: str, text: str, kind: int, rng: random.Random) -> bytes:
    """A piece of text in one of several templates."""
    more: dict[str, Any] = {"p": "x" * rng.randrange(9)} if kind % 2 else {}
    if name == "messages":
        delta = {"type": "text_delta", "text": text}
        event = {"type": "content_block_delta", "index": kind // 5, "delta": delta}
        return json.dumps(
            event | more, separators=(", ", ": ") if kind == 6 else (",", ":")
        ).encode()
    data = chat({"content": text} | ({"role": "assistant"} if kind in (4, 5) else {}), **more)
    return data.replace(b'":', b'": ') if kind == 6 else data


def many(name: str, rng: random.Random) -> bytes:
    """A stream with many pieces of text that are alike, and others between."""
    units: list[bytes] = []
    others, kind, odd = rng.choice((0, 0, 0.02, 0.2)), rng.randrange(7), rng.choice((0, 0, 0.05))
    some = rng.sample(DATA[name], 3)
    for _ in range(rng.randrange(40)):
        data = rng.choice(some) if rng.random() < others else b""
        if rng.random() < others:
            kind = rng.randrange(7)
        data = data or piece(name, rng.choice(_TEXTS), kind, rng)
        units.append(framed(name, data, rng.randrange(6) if rng.random() < odd else 9, rng))
    return b"".join([*(framed(name, some[0], 9, rng),) * rng.randrange(2), *units])


_ODD = (b'"', b"\\", b",", b"{", b"}", b"]", b"\n", b"\n\n", b"\r", b"\t", b" ", b"0", b"\xff")


def marred(body: bytes, rng: random.Random) -> bytes:
    """`body` with a few bytes lost, changed, or at another place."""
    for _ in range(rng.choice((0, 0, 1, 2, 5))):
        a, b, c = sorted(rng.randrange(len(body) + 1) for _ in range(3))
        match rng.randrange(4):
            case 0:
                body = body[:a] + rng.choice(_ODD) + body[a:]
            case 1:
                body = body[:a] + rng.choice(_ODD) + body[a + 1 :]
            case 2:
                body = body[:a] + body[a + rng.randrange(60) :]
            case 3:
                body = body[:a] + body[c : c + rng.randrange(60)] + body[a:b] + body[b:]
    return body


def in_large_reads(name: str, body: bytes, rng: random.Random) -> None:
    """Check `body`, read as if each read were long."""
    parts, most = [], rng.choice((300, 1000, 4000, 20_000))
    while body:
        size = rng.randrange(1, most)
        parts.append(body[:size])
        body = body[size:]
    with (
        patch.object(one_step, "_MANY", rng.choice((1, 500))),
        patch.object(one_step, "_MANY_AT_FIRST", rng.choice((1, 1000))),
        patch.object(one_step, "_FIRST", rng.choice((100, 400, 1024))),
    ):
        check(name, parts, rng.choice((700, 1 << 24, 1 << 24, 1 << 24)))


@pytest.mark.parametrize("name", TOGETHER)
@OF_MANY_SEEDS
@given(seed=st.integers(0, 2**48))
def test_a_long_read_gives_what_each_event_gives(name: str, seed: int) -> None:
    rng = random.Random(seed)
    in_large_reads(name, marred(many(name, rng), rng), rng)


_ALL = [r for r in recordings() if r.wire in DIALECTS and r.wire not in ("gemini-array", "ollama")]


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")
def test_recorded_streams_in_long_reads_give_what_each_event_gives() -> None:
    rng = random.Random(6)
    for recording in _ALL:
        bodies = [recording.body]
        if len(recording.body) < 20_000:
            bodies += [mutated(recording, rng) for _ in range(_READS // 50)]
        for body in bodies:
            in_large_reads(recording.dialect or "", body, rng)


@each_case("name", TOGETHER)
def test_long_reads_are_looked_at_together(name: str) -> None:
    decoder, parser = dialect(name).decoder(), dialect(name).parser()
    read = parser.read_from(decoder)  # type: ignore[attr-defined]
    rng = random.Random(7)
    events = [framed(name, piece(name, f" {n}", 1, rng), 9, rng) for n in range(300)]
    body = b"".join(events)
    seen = read(body[:20_000])
    with patch.object(type(parser), "feed", side_effect=AssertionError):
        seen += read(body[20_000:30_000]) + read(body[30_000:-9])
    seen += read(body[-9:])
    assert [e.text for e in seen if type(e) is TextDelta] == [f" {n}" for n in range(300)]


def test_what_begins_with_another_block_is_not_taken_for_the_last_one() -> None:
    rng = random.Random(8)
    words = [framed("chat", piece("chat", "a", 1, rng), 9, rng) for _ in range(40)]
    begins = call('{"a":', id="1")
    begins["tool_calls"][0]["function"]["name"] = "f"
    calls = [framed("chat", chat(delta), 9, rng) for delta in (begins, call("1}"))]
    check("chat", [b"".join(words), b"".join(calls), b"".join(words * 2)], 1 << 24)
