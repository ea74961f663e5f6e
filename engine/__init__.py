"""Thousands of LLM streams on one thread, in the event loop you already have.

    import engine

    client = engine.Client()
    for delta in client.stream("openai/gpt-4o-mini", "Why is the sky blue?").text_deltas():
        print(delta, end="", flush=True)

`Multi` is the engine and never blocks; `Client` starts streams on it; a `Stream` is one request
with its callbacks and its state; a `Completion` is how it ended. Errors are in `engine.errors`,
events in `engine.events`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from engine import errors, events, messages, telemetry, wire
from engine.answering.merged import merged
from engine.client import Client, StreamOptions
from engine.completion import Completion
from engine.errors import Category, EngineError
from engine.events import Event
from engine.messages import FinishReason, Message, Tool, ToolCall, ToolResult, Usage
from engine.request import HttpRequest
from engine.response import HttpResponse, RateLimit, Timing
from engine.stream import STOP, Stream
from engine.transport import Multi, Retry, Statistics, Timeouts

if TYPE_CHECKING:
    from engine import agents, batch, emulator, loops
    from engine.agents.tools.tool import tool

__version__ = "0.1.0"

__all__ = [
    "STOP",
    "Category",
    "Client",
    "Completion",
    "EngineError",
    "Event",
    "FinishReason",
    "HttpRequest",
    "HttpResponse",
    "Message",
    "Multi",
    "RateLimit",
    "Retry",
    "Statistics",
    "Stream",
    "StreamOptions",
    "Timeouts",
    "Timing",
    "Tool",
    "ToolCall",
    "ToolResult",
    "Usage",
    "agents",
    "batch",
    "emulator",
    "errors",
    "events",
    "loops",
    "merged",
    "messages",
    "telemetry",
    "tool",
    "wire",
]


# Imported when they are named: most programs have neither agents nor batches.
_FOLDERS = frozenset({"agents", "batch", "emulator", "loops"})


def __getattr__(name: str) -> object:
    if name in _FOLDERS:
        return import_module(f"engine.{name}")
    if name == "tool":
        from engine.agents.tools.tool import tool

        return tool
    raise AttributeError(f"module 'engine' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
