"""Which path is which dialect.

Paths are told by their end, so that one base URL serves every client: with ``/v1`` in it or
without, ``/v1/v1/messages``, ``/openai/deployments/NAME/chat/completions`` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from engine.emulator.chat import ChatCompletions
from engine.emulator.completions import Completions
from engine.emulator.contract import Dialect, Request
from engine.emulator.embeddings import Embeddings
from engine.emulator.gemini import Gemini
from engine.emulator.messages import Messages
from engine.emulator.ollama import OllamaChat, OllamaGenerate
from engine.emulator.responses import Responses
from engine.emulator.writing import CREATED, openai_error

__all__ = ["NotRouted", "find_route", "listing"]

_POST: Final[list[tuple[re.Pattern[str], Dialect]]] = [
    (re.compile(r"/chat/completions\Z"), ChatCompletions()),
    (re.compile(r"/responses\Z"), Responses()),
    (re.compile(r"/messages\Z"), Messages()),
    (
        # "emulator/NAME" is an id with a folder, which stands in place of "models/".
        re.compile(
            r"/(?:models|emulator)/(?P<model>[^/]+):(?P<method>(?:stream)?[gG]enerateContent)\Z"
        ),
        Gemini(),
    ),
    (re.compile(r"/api/chat\Z"), OllamaChat()),
    (re.compile(r"/api/generate\Z"), OllamaGenerate()),
    (re.compile(r"/completions\Z"), Completions()),
    (re.compile(r"/embeddings\Z"), Embeddings()),
]
_GET: Final = re.compile(r"/models(?:/[^/]+)?\Z|/api/tags\Z|\A\Z")

# What a client that shows a list of models is shown; any other name is answered as well.
_MODELS: Final = (
    "demo",
    "demo-tokens=100-tps=50",
    "error-429-times=2",
    "loop",
    "react",
    "refusal",
)


class NotRouted(Exception):
    """No dialect answers this."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = openai_error(status, message)


def find_route(request: Request) -> tuple[Dialect | None, Mapping[str, str]]:
    """The dialect of a request and what its path says; None for a list of models.

    Raises:
        NotRouted: nothing is at that path, or not with that method.
    """
    path = request.path.rstrip("/")
    for pattern, dialect in _POST:
        match = pattern.search(path)
        if match is not None:
            if request.method != "POST":
                raise NotRouted(405, f"{path} takes POST, not {request.method}")
            return dialect, {name: unquote(value) for name, value in match.groupdict("").items()}
    if request.method == "GET" and _GET.search(path):
        return None, {}
    raise NotRouted(
        404,
        f"nothing is at {request.method} {request.path}; there are "
        "POST /v1/chat/completions, /v1/responses, /v1/messages, /v1/completions, /v1/embeddings, "
        "/v1beta/models/MODEL:streamGenerateContent, /api/chat, /api/generate, and GET /v1/models",
    )


def listing(request: Request) -> dict[str, Any]:
    """The models, as the path asks for them."""
    path = request.path.rstrip("/")
    if path.endswith("/api/tags"):
        return {"models": [{"name": name, "model": name, "size": 0} for name in _MODELS]}
    name = unquote(path.rpartition("/models/")[2]) if "/models/" in path else ""
    if name:
        return _model(name)
    return {"object": "list", "data": [_model(name) for name in _MODELS]}


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "emulator"}
