"""What docstrings say of parameters, in the three styles people write."""

from __future__ import annotations

from engine.agents.tools.docstring import described
from tests.cases import each_case

GOOGLE = """Send a letter.

It takes a while.

Args:
    to (str): who gets it
    text: the words,
        on two lines: yes
    *rest: more
    n (int, optional): how often

Returns:
    nothing: at all
"""
NUMPY = """Send a letter.

It takes a while.

Parameters
----------
to : str
    who gets it
text : str, optional
    the words,
    on two lines: yes
*rest
    more
n, m : int
    how often

Returns
-------
x : int
    nothing
"""
SPHINX = """Send a letter.

It takes a while.

:param to: who gets it
:param str text: the words,
    on two lines: yes
:param rest: more
:type rest: str
:param n: how often
:returns: nothing
:raises ValueError: never
"""
NOTES = {
    "to": "who gets it",
    "text": "the words, on two lines: yes",
    "rest": "more",
    "n": "how often",
}


@each_case("doc", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_each_style_says_the_same(doc: str) -> None:
    text, notes = described(doc)
    assert text == "Send a letter.\n\nIt takes a while."
    assert {name: note for name, note in notes.items() if name != "m"} == NOTES


def test_two_names_in_one_entry_share_what_it_says() -> None:
    assert described(NUMPY)[1]["m"] == "how often"


@each_case("doc", ["", "One line.", "Note: this is no section\n\nof parameters: x", "a: b\nc: d"])
def test_what_has_no_section_is_all_text(doc: str) -> None:
    text, notes = described(doc)
    assert notes == {} and (text == doc.strip() or "Note" in doc)


def test_what_stands_in_other_sections_is_nothing_for_the_model() -> None:
    doc = "Do it.\n\nRaises:\n    ValueError: if a: b\n\nArgs:\n    a: first\nExample:\n    b: c\n"
    assert described(doc) == ("Do it.", {"a": "first"})
