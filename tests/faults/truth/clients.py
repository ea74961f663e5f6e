"""One client, asked once for each fault: prints a line of JSON each.

python -m tests.faults.truth.clients NAME URL < faults-as-json
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

SECONDS = 6.0
"""What is not over by then hangs; where a client has a timeout it is told half of it."""

LIMIT = SECONDS / 2
Ended = tuple[str, str, str]
"""How it ended, the text, and in its words."""


def _engine(dialect: str) -> Callable[[str], Ended]:
    import engine

    def ask(url: str) -> Ended:
        limits = engine.Timeouts(connect=LIMIT, first_event=LIMIT, idle=LIMIT, content=LIMIT * 1.2)
        with engine.Client(
            base_url=url,
            dialect=dialect,
            api_key="sk-test",
            timeouts=limits,
            retry=engine.Retry(max_attempts=1),
        ) as client:
            completion = client.stream("claude-x" if dialect == "messages" else "m", "hi").result()
        if completion.status != "complete":
            return "raised", completion.text, f"{completion.status}: {completion.error}"
        return "ended", completion.text, str(completion.finish_reason_raw)

    return ask


def _openai(helper: bool) -> Callable[[str], Ended]:
    import openai

    def ask(url: str) -> Ended:
        client = openai.OpenAI(base_url=url, api_key="sk-test", max_retries=0, timeout=LIMIT)
        question: Any = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        text, reason = [], None
        try:
            if helper:
                with client.chat.completions.stream(**question) as stream:
                    for event in stream:
                        if event.type == "content.delta":
                            text.append(event.delta)
                    reason = stream.get_final_completion().choices[0].finish_reason
            else:
                for chunk in client.chat.completions.create(**question, stream=True):
                    for choice in chunk.choices or []:
                        text.append(choice.delta.content or "")
                        reason = choice.finish_reason or reason
        except Exception as error:
            return "raised", "".join(text), f"{type(error).__name__}: {error}"
        return "ended", "".join(text), str(reason)

    return ask


def _anthropic(url: str) -> Ended:
    import anthropic

    client = anthropic.Anthropic(base_url=url, api_key="sk-test", max_retries=0, timeout=LIMIT)
    text: list[str] = []
    try:
        with client.messages.stream(
            model="claude-x", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        ) as stream:
            text.extend(stream.text_stream)
            reason = stream.get_final_message().stop_reason
    except Exception as error:
        return "raised", "".join(text), f"{type(error).__name__}: {error}"
    return "ended", "".join(text), str(reason)


def _litellm(url: str) -> Ended:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    text: list[str] = []
    reason = None
    try:
        for chunk in litellm.completion(
            model="openai/m",
            messages=[{"role": "user", "content": "hi"}],
            api_base=url,
            api_key="sk-test",
            stream=True,
            num_retries=0,
            max_retries=0,
            timeout=LIMIT,
        ):
            for choice in chunk.choices:
                text.append(choice.delta.content or "")
                reason = choice.finish_reason or reason
    except Exception as error:
        return "raised", "".join(text), f"{type(error).__name__}: {error}"
    return "ended", "".join(text), str(reason)


def _pydantic_ai(url: str) -> Ended:
    import asyncio

    import openai
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    client = openai.AsyncOpenAI(base_url=url, api_key="sk-test", max_retries=0, timeout=LIMIT)
    model = OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client))
    text: list[str] = []

    async def run() -> None:
        async with Agent(model).run_stream("hi") as result:
            async for delta in result.stream_text(delta=True, debounce_by=None):
                text.append(delta)

    try:
        asyncio.run(run())
    except Exception as error:
        return "raised", "".join(text), f"{type(error).__name__}: {error}"
    return "ended", "".join(text), ""


CLIENTS: dict[str, tuple[str, str, Callable[[], Callable[[str], Ended]]]] = {
    "engine": ("chat", "engine", lambda: _engine("chat")),
    "engine-messages": ("messages", "engine", lambda: _engine("messages")),
    "openai": ("chat", "openai", lambda: _openai(False)),
    "openai-stream": ("chat", "openai", lambda: _openai(True)),
    "litellm": ("chat", "litellm", lambda: _litellm),
    "pydantic-ai": ("chat", "pydantic-ai-slim", lambda: _pydantic_ai),
    "anthropic": ("messages", "anthropic", lambda: _anthropic),
}
"""Name → wire format, distribution, and what makes the function that asks."""


def _base(url: str, number: int, wire: str) -> str:
    return f"{url}/{number}/{wire}" + ("/v1" if wire == "chat" else "")


def main(name: str, url: str, count: int) -> None:
    wire, _, make = CLIENTS[name]
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # clients print
    ask = make()
    ask(_base(url, count, wire))  # imports, and caches, take their time
    for number in range(count):
        box: list[Ended] = []

        def run(base: str = _base(url, number, wire), box: list[Ended] = box) -> None:
            try:
                box.append(ask(base))
            except BaseException as error:
                box.append(("raised", "", f"{type(error).__name__}: {error}"))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(SECONDS)
        told.write(json.dumps([number, *(box[0] if box else ("hung", "", ""))]) + "\n")
        told.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
