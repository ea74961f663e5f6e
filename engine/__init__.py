"""Thousands of LLM streams on one thread, in the event loop you already have.

    import engine

    client = engine.Client()
    for delta in client.stream("openai/gpt-4o-mini", "Why is the sky blue?").text_deltas():
        print(delta, end="", flush=True)

`Multi` is the engine and never blocks; `Client` starts streams on it; a `Stream` is one request
with its callbacks and its state; a `Completion` is how it ended. Errors are in `engine.errors`,
events in `engine.events`.
"""

from typing import TYPE_CHECKING

from engine import errors, events
from engine.client import Client
from engine.completion import Completion
from engine.errors import Category, EngineError
from engine.events import Event
from engine.messages import FinishReason, Message, Tool, ToolCall, ToolResult, Usage
from engine.request import HttpRequest
from engine.response import HttpResponse, RateLimit, Timing
from engine.stream import STOP, Stream
from engine.transport import Multi, Retry, Statistics, Timeouts

if TYPE_CHECKING:
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
    "Timeouts",
    "Timing",
    "Tool",
    "ToolCall",
    "ToolResult",
    "Usage",
    "errors",
    "events",
    "tool",
]


def __getattr__(name: str) -> object:
    if name == "tool":  # imported with the first tool: most programs have none
        from engine.agents.tools.tool import tool

        return tool
    raise AttributeError(f"module 'engine' has no attribute {name!r}")
