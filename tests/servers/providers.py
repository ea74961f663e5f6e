"""The providers that both aimock and the emulator speak for, and clients that ask them."""

from __future__ import annotations

from dataclasses import dataclass

import engine


@dataclass(frozen=True)
class Provider:
    """A row of the endpoint table, the dialect it is spoken in, and where its paths begin."""

    name: str
    dialect: str
    root: str

    def client(self, url: str, multi: engine.Multi, attempts: int = 1) -> engine.Client:
        """A client of this provider, played by the server at `url`."""
        return engine.Client(
            multi,
            provider=self.name,
            dialect=self.dialect,
            base_url=url + self.root,
            api_key="no-secret",
            retry=engine.Retry(max_attempts=attempts, base_delay=0.01),
        )


PROVIDERS = (
    Provider("groq", "chat", "/v1"),
    Provider("openai", "responses", "/v1"),
    Provider("anthropic", "messages", ""),
    Provider("gemini", "gemini", "/v1beta"),
    Provider("ollama", "ollama", ""),
)

TOOLS = [
    engine.Tool(
        name="get_weather",
        parameters={
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        },
    ),
    engine.Tool(name="get_time", parameters={"type": "object", "properties": {}}),
]
