"""A conversation that goes on with another provider than the one it came from: what people have
reported that providers refuse. Each test names the reports."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import ConfigError
from engine.messages import Image, Message, Thinking, ToolCall, ToolResult
from engine.providers.refusal import http_error
from engine.providers.rejected import without_rejected_field
from tests.cases import each_case
from tests.providers.test_round_trip import body

HI = {"role": "user", "content": "hi"}


def lines(provider: str, *history: Any, model: str = "m") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = body([*history], provider, "chat", model)["messages"][1:]
    return sent


def refused(status: int, words: str) -> Any:
    return http_error(status, {}, words.encode(), "vendor")


THOUGHT = {"role": "assistant", "content": "so", "reasoning_content": "hm"}


@each_case("provider", ["groq", "mistral", "cerebras"])
def test_reasoning_of_another_stays_behind_where_it_is_refused(provider: str) -> None:
    # AstrBot#5946, freellmapi#1070, hermes-agent#11089, jan#8136: Groq; crush#1590, OpenMinis#87:
    # Mistral ("extra_forbidden").
    assert lines(provider, HI, THOUGHT, HI)[1] == {"role": "assistant", "content": "so"}
    own = {"role": "assistant", "content": "so", "reasoning": "hm"}
    assert (lines("groq", HI, own, HI)[1] == own) is True
    assert lines("deepseek", HI, THOUGHT, HI)[1] == THOUGHT


def test_reasoning_a_server_refuses_all_the_same_is_left_out_the_second_time() -> None:
    error = refused(
        400,
        '{"error":{"message":"\'messages.1\' : for \'role:assistant\' the following must be '
        "satisfied[('messages.1' : property 'reasoning_content' is unsupported)]\"}}",
    )
    again = without_rejected_field({"messages": [HI, THOUGHT]}, error)
    assert again == {"messages": [HI, {"role": "assistant", "content": "so"}]}


@pytest.mark.parametrize(
    "words",
    [
        "thinking is enabled but reasoning_content is missing in assistant tool call message at 3",
        "The `reasoning_content` in the thinking mode must be passed back to the API.",
        "Missing `reasoning_content` field in the assistant message at message index 1.",
    ],
)
def test_reasoning_that_no_one_has_is_left_blank_where_a_server_insists(words: str) -> None:
    # opencode#16318, vscode#306695, new-api#3121, oai-compatible-copilot#171.
    call = {"role": "assistant", "content": None, "tool_calls": []}
    error = refused(400, f'{{"error":{{"message":"{words}"}}}}')
    again = without_rejected_field({"messages": [HI, call, THOUGHT]}, error)
    assert again == {"messages": [HI, {**call, "reasoning_content": " "}, THOUGHT]}
    assert without_rejected_field({"messages": [HI, THOUGHT]}, error) is None


FOREIGN = Message("assistant", [ToolCall("t1", "f", "{}"), ToolCall("t2", "g", "{}")], "anthropic")
RESULTS = Message.tool(ToolResult("t1", "1"), ToolResult("t2", "2"))
UNSIGNED = "skip_thought_signature_validator"


@each_case("model", ["gemini-3-pro-preview", "gemini-3.5-flash", "gemini-pro-latest"])
def test_calls_of_another_go_to_gemini_3_by_either_of_its_formats(model: str) -> None:
    # pipecat#5809, opencode#4832, cc-switch#4457 and #5415, code_puppy#165.
    calls = lines("gemini-openai", HI, FOREIGN, RESULTS, model=model)[1]["tool_calls"]
    assert calls[0]["extra_content"] == {"google": {"thought_signature": UNSIGNED}}
    assert "extra_content" not in calls[1]
    native = body([HI, FOREIGN, RESULTS], "gemini", "gemini", model)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in native] == [UNSIGNED, None]
    earlier = lines("gemini-openai", HI, FOREIGN, RESULTS, model="gemini-2.5-flash")
    assert "extra_content" not in earlier[1]["tool_calls"][0]


@pytest.mark.parametrize(("name", "fit"), [("browser.tabs.open", "browser_tabs_open"), ("", "_")])
def test_a_tool_that_never_was_does_not_spoil_the_history(name: str, fit: str) -> None:
    # opencode#48750, mastra#13632, mcp-use#90: "string does not match pattern".
    call = Message("assistant", [ToolCall("t1", name, "{}")])
    history = [HI, call, Message.tool(ToolResult("t1", "no such tool"))]
    assert lines("openai", *history)[1]["tool_calls"][0]["function"]["name"] == fit
    assert lines("vllm", *history)[1]["tool_calls"][0]["function"]["name"] == name
    block = body(history, "anthropic", "messages", "m")["messages"][1]["content"][0]
    assert block["name"] == fit
    item = body(history, "openai", "responses", "m")["input"][1]
    assert item["name"] == fit


def test_a_picture_in_the_result_of_a_tool_is_refused_where_it_cannot_stand() -> None:
    # qwen-code#3616, web-to-app#750, opencode-copilot-chat#233: 400 or 422 of the server.
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    result = {
        "type": "tool_result",
        "tool_use_id": "t1",
        "content": [{"type": "image", "source": source}],
    }
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    history = [
        HI,
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    with pytest.raises(ConfigError, match=r"input\[2\]\.content\[0\]\.content means nothing in"):
        lines("openai", *history)
    own = Message.tool(ToolResult("t1", "", parts=[Image(data="iVBORw0KGgo=")]))
    with pytest.raises(ConfigError, match=r"input\[1\]\.parts\[0\]\.parts means nothing in"):
        lines("openai", Message("assistant", [ToolCall("t1", "f", "{}")]), own)
    shown = body(history, "openai", "responses", "m")["input"][2]["output"]
    assert shown[0]["type"] == "input_image"
    claude = body(history, "anthropic", "messages", "m")["messages"][2]["content"][0]
    assert claude["content"] == [{"type": "image", "source": source}]
    google = body(history, "gemini", "gemini", "m")["contents"][2]["parts"][0]["functionResponse"]
    assert google["parts"][0]["inlineData"]["data"] == "iVBORw0KGgo="


def test_what_an_sdk_writes_as_null_is_no_parameter() -> None:
    # jcode#1028: "Unknown parameter: 'input[3].status'."
    item = {"type": "reasoning", "id": "rs", "summary": [], "content": None, "status": None}
    said = {"type": "message", "role": "assistant", "content": [], "phase": None, "status": None}
    said["content"] = [{"type": "output_text", "text": "so", "logprobs": None}]
    sent = body([HI, item, said, HI], "openai", "responses", "m")["input"]
    assert sent[1] == {"type": "reasoning", "id": "rs", "summary": []}
    assert sent[2].keys() == {"type", "role", "content"}
    error = refused(
        400,
        '{"error":{"message":"Unknown parameter: \'input[3].status\'.","param":"input[3].status"}}',
    )
    again = without_rejected_field({"input": [{**item, "status": "completed"}]}, error)
    assert again is not None and "status" not in again["input"][0]


def test_reasoning_goes_back_with_a_summary_however_empty() -> None:
    # Agora#141: "missing required field `summary`"; pi#3369: no id of what was not stored.
    message = Message(
        "assistant", [Thinking("", "SEAL", "rs_1"), ToolCall("c", "f", "{}")], "openai"
    )
    sent = body([HI, message, Message.tool(ToolResult("c", "1"))], "openai", "responses", "m")
    assert sent["input"][1] == {"type": "reasoning", "summary": [], "encrypted_content": "SEAL"}


def test_lists_of_texts_go_to_ollama_as_the_string_it_takes() -> None:
    # litellm#6808 and #11273, ollama#6451: "cannot unmarshal array into … of type string".
    asked = {
        "role": "user",
        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
    }
    result = {"role": "tool", "tool_call_id": "t", "content": [{"type": "text", "text": "c"}]}
    sent = body([asked, result], "ollama", "ollama", "m")["messages"][1:]
    assert [line["content"] for line in sent] == ["ab", "c"]


def test_a_function_that_is_called_like_a_tool_of_the_vendor_stays_a_function() -> None:
    # vercel/ai#17402: replayed as `tool_search_call`, without its arguments.
    call = Message("assistant", [ToolCall("c", "tool_search", '{"q":1}')], "openai")
    sent = body([HI, call, Message.tool(ToolResult("c", "1"))], "openai", "responses", "m")
    assert [item.get("type") for item in sent["input"][1:]] == [
        "function_call",
        "function_call_output",
    ]
