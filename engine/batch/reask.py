"""A row asked once more as another request: one that says what was wrong with the answer, or one
without what the server does not know."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.asking.rendered import Rendered, mended_request
from engine.errors import EngineError
from engine.request import merged_headers

__all__ = ["mended", "told_what_was_wrong"]


def mended(rendered: Rendered, refusal: EngineError | None) -> Rendered | None:
    """`rendered` without the field, or the stream, that the server said in `refusal` it does not
    know, as streams are mended; None where it said no such thing."""
    http = mended_request(rendered.http, refusal) if refusal is not None else None
    if http is None or http.body is None:
        return None
    # Another request: under the old key a server may give the old answer again.
    keys = {n: f"{v}-m" for n, v in http.headers.items() if n.lower() == "idempotency-key"}
    streaming = rendered.streaming and bool(msgspec.json.decode(http.body).get("stream"))
    http = http.with_body(http.body, keys)
    return msgspec.structs.replace(rendered, http=http, streaming=streaming)


def told_what_was_wrong(rendered: Rendered, text: str, why: str, key: str) -> Rendered:
    """`rendered` with the answer `text` and a word on it behind what was asked.

    Args:
        rendered: the request as it was asked first.
        text: the answer.
        why: what is wrong with it.
        key: a new idempotency key: under the old one a server may give the old answer again.
    """
    body = msgspec.json.decode(rendered.http.body or b"{}")
    words = f"{why}. Answer again, with JSON that fits the schema and nothing else."
    add = _ADDED.get(rendered.dialect.name)
    if add is not None and text:
        add(body, text, words)
    http = msgspec.structs.replace(
        rendered.http,
        headers=merged_headers(rendered.http.headers, {"Idempotency-Key": key}),
        body=msgspec.json.encode(body),
    )
    return msgspec.structs.replace(rendered, http=http)


def _messages(body: dict[str, Any], text: str, words: str) -> None:
    said = [{"role": "assistant", "content": text}, {"role": "user", "content": words}]
    body["messages"] = [*body.get("messages", ()), *said]


def _responses(body: dict[str, Any], text: str, words: str) -> None:
    asked = body.get("input", [])
    if isinstance(asked, str):
        asked = [{"role": "user", "content": asked}]
    said = [{"role": "assistant", "content": text}, {"role": "user", "content": words}]
    body["input"] = [*asked, *said]


def _gemini(body: dict[str, Any], text: str, words: str) -> None:
    said = [
        {"role": "model", "parts": [{"text": text}]},
        {"role": "user", "parts": [{"text": words}]},
    ]
    body["contents"] = [*body.get("contents", ()), *said]


def _completions(body: dict[str, Any], text: str, words: str) -> None:
    if isinstance(body.get("prompt"), str):
        body["prompt"] = f"{body['prompt']}{text}\n\n{words}\n"


_ADDED = {
    "chat": _messages,
    "messages": _messages,
    "ollama": _messages,
    "cohere": _messages,
    "responses": _responses,
    "gemini": _gemini,
    "completions": _completions,
}
