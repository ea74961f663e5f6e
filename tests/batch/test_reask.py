"""The second request says what was wrong, in each format."""

from __future__ import annotations

import json
from typing import Any

from engine.asking.rendered import Rendered
from engine.batch.reask import told_what_was_wrong
from engine.providers import dialect
from engine.request import HttpRequest
from tests.cases import each_case

ASKED = {"role": "user", "content": "q"}


@each_case(
    ("format", "body", "roles"),
    [
        ("chat", {"messages": [ASKED]}, ["user", "assistant", "user"]),
        ("messages", {"messages": [ASKED]}, ["user", "assistant", "user"]),
        ("responses", {"input": "q"}, ["user", "assistant", "user"]),
        ("responses", {"input": [ASKED]}, ["user", "assistant", "user"]),
        ("gemini", {"contents": [{"role": "user", "parts": []}]}, ["user", "model", "user"]),
    ],
)
def test_the_answer_and_a_word_on_it_follow_the_question(
    format: str, body: dict[str, Any], roles: list[str]
) -> None:
    http = HttpRequest("POST", "http://h/", {"Idempotency-Key": "old"}, json.dumps(body).encode())
    first = Rendered(http, dialect(format), "p", "m", None, False)
    again = told_what_was_wrong(first, "said this", "it is no JSON", "new")
    sent = json.loads(again.http.body or b"")
    (turns,) = (value for value in sent.values() if isinstance(value, list))
    assert [turn["role"] for turn in turns] == roles
    assert "said this" in json.dumps(turns[1]) and "it is no JSON" in json.dumps(turns[2])
    assert again.http.headers["Idempotency-Key"] == "new"
    assert json.loads(first.http.body or b"") == body
