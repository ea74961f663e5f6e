"""What each vendor's documents say a request must be, as functions that list what breaks them.

Each module names its documents. They are written from those alone and know nothing of how the
engine renders: `RULES` has them by provider and dialect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tests.providers.rules import (
    anthropic,
    chat,
    cohere,
    gemini,
    interactions,
    ollama,
    responses,
)

Rule = Callable[[dict[str, Any]], list[str]]

# Provider, dialect, model → what its bodies must obey.
RULES: Final[dict[tuple[str, str, str], Rule]] = {
    ("openai", "chat", "gpt-4o"): chat.openai,
    ("mistral", "chat", "mistral-large"): chat.mistral,
    ("deepseek", "chat", "deepseek-chat"): chat.deepseek,
    ("moonshot", "chat", "kimi-k2"): chat.moonshot,
    ("openrouter", "chat", "anthropic/claude-opus-4.5"): chat.any_server,
    ("vllm", "chat", "qwen3"): chat.any_server,
    ("openai", "responses", "gpt-5"): responses.check,
    ("anthropic", "messages", "claude-opus-4-6"): anthropic.check,
    ("gemini", "gemini", "gemini-2.5-pro"): gemini.check,
    ("gemini", "gemini", "gemini-3-pro"): gemini.check_3,
    ("gemini", "interactions", "gemini-3-pro"): interactions.check,
    ("ollama", "ollama", "llama3"): ollama.check,
    ("cohere", "cohere", "command-a"): cohere.check,
}
