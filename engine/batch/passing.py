"""What goes through as it is: embeddings, moderations, rerankings, images, audio, whatever else.

The answer is the provider's body. Nothing is known of it but how errors look and, where it says so,
how many tokens it took.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec

from engine.answering.response_reader import ResponseReader
from engine.asking.rendered import Rendered
from engine.batch.outcome import Outcome, milliseconds, request_id
from engine.errors import EngineError, ProtocolError
from engine.messages import Usage
from engine.providers.refusal import is_error, stream_error
from engine.response import HttpResponse
from engine.wire.headers import Head, parse_rate_limit
from engine.wire.json import decode_json

__all__ = ["of_any"]


def of_any(response: HttpResponse, rendered: Rendered) -> Outcome:
    """The outcome of a request whose answer is taken as it is."""
    status, headers = response.http_status, response.headers
    error, body, usage = response.error, None, None
    if status is not None and not 200 <= status < 300:
        refused = ResponseReader(rendered.dialect, rendered.provider, rendered.key_variable, False)
        refused.head(Head(status, dict(headers), True))
        refused.feed(response.body)
        refused.end(response.error)
        error = refused.failure or error
    elif status is not None:
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        body, found, usage = _read(response.body, content_type, rendered.provider)
        error = error or found
    return Outcome(
        error=error,
        status=status,
        request_id=request_id(headers),
        body=body,
        usage=usage,
        timing=milliseconds(response.timing),
        rate_limit=parse_rate_limit(headers),
    )


def _read(
    body: bytes, content_type: str, provider: str
) -> tuple[bytes | None, EngineError | None, Usage | None]:
    """What is kept of a body with a good status, why it is no answer, and its tokens."""
    if not body:
        return None, ProtocolError(f"{provider} answered with nothing; ask again"), None
    if content_type.startswith(("audio/", "image/", "video/", "application/octet-stream")):
        kept = {"content_type": content_type, "base64": b64encode(body).decode()}
        return msgspec.json.encode(kept), None, None
    try:
        data = decode_json(body)
    except ProtocolError as error:
        if "json" in content_type or "html" in content_type:
            return body, error, None
        return body, None, None  # a transcript, subtitles: text is kept as text
    if isinstance(data, dict) and set(data) <= _ERROR_KEYS and is_error(data):
        return body, stream_error(data, provider), None
    return body, None, _usage(data)


# An object with more in it than these is an answer that also tells of an error of a part.
_ERROR_KEYS = frozenset({"error", "detail", "object", "message", "code", "type", "status", "param"})


def _usage(data: Any) -> Usage | None:
    found = data.get("usage") if isinstance(data, dict) else None
    if not isinstance(found, dict):
        return None

    def count(*names: str) -> int | None:
        return next((found[n] for n in names if isinstance(found.get(n), int)), None)

    return Usage(
        input_tokens=count("prompt_tokens", "input_tokens"),
        output_tokens=count("completion_tokens", "output_tokens"),
        total_tokens=count("total_tokens"),
    )
