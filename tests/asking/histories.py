"""Histories and tools as their vendors write them, as strategies: every object may hold members
that no version of ours knows."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import strategies as st

FORMATS = ("chat", "responses", "messages", "gemini", "ollama", "cohere")


words = st.text("abc é\n", min_size=1, max_size=6).map(lambda text: f"w{text}w")
scalars = words | st.booleans() | st.integers(0, 99)
values = scalars | st.dictionaries(words, scalars, min_size=1, max_size=2)
extras = st.dictionaries(
    st.sampled_from(["cache_control", "x_new", "x_other", "metadata"]), values, max_size=2
)
arguments = st.dictionaries(words, scalars, min_size=1, max_size=2)
blobs = st.binary(min_size=1, max_size=4).map(lambda data: base64.b64encode(data).decode())
ids = st.uuids().map(lambda uuid: uuid.hex[:9])
urls = words.map(lambda word: f"https://x/{word.encode().hex()}")


@st.composite
def objects(draw: st.DrawFn, **members: Any) -> dict[str, Any]:
    """A dict of these members, and perhaps of others that no version of ours knows."""
    fixed = {
        name: draw(value) if isinstance(value, st.SearchStrategy) else value
        for name, value in members.items()
    }
    return {**draw(extras), **{name: value for name, value in fixed.items() if value is not None}}


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def many(*strategies: Any, least: int = 1) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(*strategies), min_size=least, max_size=3)


text = objects(type="text", text=words)
unheard = objects(type=st.just("hologram"), hologram=values)
data_urls = blobs.map(lambda data: f"data:image/png;base64,{data}")

chat_parts = many(
    text,
    unheard,
    objects(type="image_url", image_url=objects(url=urls | data_urls, detail=some(words))),
    objects(type="input_audio", input_audio=objects(data=blobs, format="wav")),
    objects(type="file", file=objects(file_data=data_urls, filename=words)),
    objects(type="file", file=objects(file_id=words)),
    objects(type="video_url", video_url=objects(url=urls)),
    objects(type="document_url", document_url=urls),
)
chat_calls = many(
    objects(
        id=ids, type="function", function=objects(name=words, arguments=arguments.map(json.dumps))
    ),
    objects(id=ids, type="custom", custom=objects(name=words, input=words)),
)
chat_answers = objects(
    role="assistant",
    content=words | many(text, objects(type="thinking", thinking=st.tuples(text).map(list))),
    refusal=some(words),
    tool_calls=some(chat_calls),
    reasoning_content=some(words),
    reasoning=some(words),
    reasoning_details=some(many(objects(type="reasoning.text", text=words, signature=words))),
    name=some(words),
    prefix=some(st.just(True)),
    audio=some(objects(id=words)),
    function_call=some(objects(name=words, arguments="{}")),
)
chat = many(
    objects(role=st.sampled_from(["system", "developer"]), content=words | many(text)),
    objects(role="user", content=words | chat_parts, name=some(words)),
    chat_answers,
    objects(
        role="assistant", content=st.tuples(text, objects(type="refusal", refusal=words)).map(list)
    ),
    objects(role="tool", tool_call_id=ids, content=words | many(text), name=some(words)),
    objects(role="function", name=words, content=words),
)

responses_parts = many(
    objects(type="input_text", text=words),
    objects(type="input_image", image_url=urls | data_urls, detail=some(words)),
    objects(type="input_image", file_id=words),
    objects(type="input_file", file_data=data_urls, filename=words),
    objects(type="input_file", file_url=urls, filename=some(words)),
    objects(type="input_file", file_id=words),
    objects(type="input_hologram", hologram=values),
)
output_parts = many(
    objects(type="output_text", text=words, annotations=many(objects(url=urls), least=0)),
    objects(type="refusal", refusal=words),
)
phases = some(st.sampled_from(["commentary", "final_answer"]))
responses = many(
    objects(role="user", content=words | responses_parts, type=some(st.just("message"))),
    objects(role=st.sampled_from(["system", "developer"]), content=words),
    objects(type="message", role="assistant", id=words, phase=phases, content=output_parts),
    objects(
        type="function_call",
        call_id=ids,
        name=words,
        arguments=arguments.map(json.dumps),
        id=some(words),
        status=some(words),
        caller=some(objects(type="program")),
    ),
    objects(type="custom_tool_call", call_id=ids.map("custom_".__add__), name=words, input=words),
    objects(type="function_call_output", call_id=ids, output=words | responses_parts),
    objects(type="custom_tool_call_output", call_id=ids, output=words),
    objects(type="shell_call_output", call_id=ids, output=values),
    objects(type="mcp_approval_response", approval_request_id=words, approve=st.booleans()),
    objects(type="item_reference", id=words),
    objects(type="compaction", encrypted_content=words),
)

sources = st.one_of(
    objects(type="url", url=urls),
    objects(type="base64", media_type="image/png", data=blobs),
    objects(type="file", file_id=words),
)
images = objects(type="image", source=sources)
documents = objects(
    type="document",
    source=sources | objects(type="text", media_type="text/plain", data=words),
    title=some(words),
    context=some(words),
    citations=some(objects(enabled=st.booleans())),
)
results = objects(
    type="tool_result",
    tool_use_id=ids,
    content=words | many(text, images, documents, objects(type="tool_reference", tool_name=words)),
    is_error=some(st.booleans()),
)
claude_blocks = many(
    text,
    objects(type="thinking", thinking=words, signature=words),
    objects(type="redacted_thinking", data=words),
    objects(type="server_tool_use", id=words, name=words, input=arguments),
    objects(type="web_search_tool_result", tool_use_id=words, content=many(objects(url=urls))),
    objects(type="text", text=words, citations=many(objects(url=urls))),
)
messages = many(
    objects(role="user", content=words | many(text, images, documents, results, unheard)),
    objects(
        role="assistant",
        content=st.tuples(claude_blocks, text).map(lambda both: [*both[0], both[1]]),
    ),
)

seals = some(words)
gemini_parts = many(
    objects(text=words, thoughtSignature=seals),
    objects(text=words, thought=st.just(True), thoughtSignature=seals),
    objects(
        inlineData=objects(
            mimeType=st.sampled_from(["image/png", "audio/wav", "video/mp4"]),
            data=blobs,
            displayName=some(words),
        ),
        thoughtSignature=seals,
    ),
    objects(
        fileData=objects(fileUri=urls, mimeType="video/mp4"),
        videoMetadata=some(objects(fps=st.integers(1, 9))),
    ),
    objects(executableCode=objects(code=words, language=words), thoughtSignature=seals),
    objects(toolCall=objects(toolType=words, id=words)),
)
gemini_answered = gemini_parts | many(
    objects(
        functionCall=objects(id=some(words), name=words, args=arguments), thoughtSignature=seals
    ),
)
gemini = many(
    objects(role="user", parts=gemini_parts),
    objects(role="model", parts=gemini_answered),
    objects(
        role="user",
        parts=many(
            objects(
                functionResponse=objects(
                    id=some(words),
                    name=words,
                    response=arguments,
                    parts=some(many(objects(inlineData=values))),
                )
            )
        ),
    ),
    objects(
        role="function",
        parts=many(objects(functionResponse=objects(name=words, response=arguments))),
    ),
)

ollama = many(
    objects(role=st.sampled_from(["system", "user"]), content=words, images=some(many(blobs))),
    objects(
        role="assistant",
        content=words,
        thinking=some(words),
        tool_calls=some(
            many(objects(id=some(words), function=objects(name=words, arguments=arguments)))
        ),
    ),
    objects(role="tool", content=words, tool_name=some(words), tool_call_id=some(words)),
)

cohere = many(
    objects(role="system", content=words | many(text)),
    objects(
        role="user",
        content=words
        | many(text, objects(type="image_url", image_url=objects(url=urls, detail=some(words)))),
    ),
    objects(
        role="assistant",
        content=some(words | many(text, objects(type="thinking", thinking=words))),
        tool_plan=some(words),
        tool_calls=many(
            objects(
                id=ids,
                type="function",
                function=objects(name=words, arguments=arguments.map(json.dumps)),
            )
        ),
    ),
    objects(
        role="tool",
        tool_call_id=ids,
        content=words | many(text, objects(type="document", document=objects(data=words))),
    ),
)

HISTORIES: dict[str, Any] = dict(
    zip(FORMATS, (chat, responses, messages, gemini, ollama, cohere), strict=True)
)


# -- tools -------------------------------------------------------------------------------------

schemas = st.fixed_dictionaries({"type": st.just("object"), "properties": arguments})
functions = {"name": st.uuids().map(lambda uuid: f"f{uuid.hex}"), "description": words}
TOOLS: dict[str, Any] = {
    "chat": st.one_of(
        objects(
            type="function",
            function=objects(**functions, parameters=schemas, strict=some(st.booleans())),
        ),
        objects(type="custom", custom=objects(name=words, format=values)),
        objects(type="builtin_function", function=objects(name=words)),
        objects(type="web_search_20250305", name=words),
    ),
    "responses": st.one_of(
        objects(
            type="function",
            **functions,
            parameters=schemas,
            strict=some(st.booleans()),
            defer_loading=some(st.booleans()),
        ),
        objects(type="custom", **functions, format=values),
        objects(type="mcp", server_label=words, server_url=urls, allowed_tools=many(words)),
        objects(type="web_search"),
    ),
    "messages": st.one_of(
        objects(
            **functions,
            input_schema=schemas,
            type=some(st.just("custom")),
            defer_loading=some(st.booleans()),
            allowed_callers=some(many(words)),
        ),
        objects(type="web_search_20250305", name=words, max_uses=st.integers(1, 5)),
        objects(type="mcp_toolset", mcp_server_name=words),
    ),
    "gemini": st.one_of(
        objects(
            functionDeclarations=many(
                objects(
                    **functions, parameters=schemas, behavior=some(words), response=some(schemas)
                )
            )
        ),
        objects(**functions, parametersJsonSchema=schemas),
        st.fixed_dictionaries({"googleSearch": extras}),
        st.fixed_dictionaries({"fileSearch": objects(fileSearchStoreNames=many(words))}),
    ),
    "ollama": objects(type="function", function=objects(**functions, parameters=schemas)),
    "cohere": objects(type="function", function=objects(**functions, parameters=schemas)),
}
