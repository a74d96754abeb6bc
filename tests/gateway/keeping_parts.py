"""Forgetful clients of each dialect, and providers that seal what they think: what the tests of keeping are made of."""

from collections.abc import Callable
from typing import Any

import msgspec

from gateway.parts import CHAT, MESSAGES, provider
from parley.settings import Provider, Quirks

RESPONSES, OLLAMA = b"/v1/responses", b"/api/chat"
ARGS = '{"city":"Paris","days":1.50e1}'
SIGNATURE = "EqQB+/a=="
QUESTION = "How is the weather in Paris?"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
Json = dict[str, Any]


# What forgetful clients of each dialect say: a question, then the call as they kept it and its result.


def function(name: str) -> Json:
    return {"name": name, "description": "d", "parameters": SCHEMA}


def chat(answer: Json | None, result: str) -> Json:
    tools = [{"type": "function", "function": function("weather")}]
    messages: list[Json] = [{"role": "user", "content": QUESTION}]
    if answer is not None:
        said = answer["choices"][0]["message"]
        calls = [{name: call[name] for name in ("id", "type", "function")} for call in said["tool_calls"]]
        messages.append({"role": "assistant", "content": said["content"], "tool_calls": calls})
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": result} for call in calls]
    return {"messages": messages, "tools": tools}


def anthropic(answer: Json | None, result: str) -> Json:
    tools = [{"name": "weather", "input_schema": SCHEMA}]
    messages: list[Json] = [{"role": "user", "content": QUESTION}]
    if answer is not None:
        calls = [block for block in answer["content"] if block["type"] == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": call["id"], "content": result} for call in calls]
        messages += [{"role": "assistant", "content": calls}, {"role": "user", "content": results}]
    return {"messages": messages, "tools": tools, "max_tokens": 4000}


def responses(answer: Json | None, result: str) -> Json:
    items: list[Json] = [{"role": "user", "content": QUESTION}]
    if answer is not None:
        calls = [item for item in answer["output"] if item["type"] == "function_call"]
        items += calls
        items += [{"type": "function_call_output", "call_id": call["call_id"], "output": result} for call in calls]
    return {"input": items, "tools": [{"type": "function", **function("weather")}], "store": False}


def ollama(answer: Json | None, result: str) -> Json:
    tools = [{"type": "function", "function": function("weather")}]
    messages: list[Json] = [{"role": "user", "content": QUESTION}]
    if answer is not None:
        # The official client keeps neither ids nor members of ours, and writes numbers anew.
        called = [call["function"] for call in answer["message"]["tool_calls"]]
        calls = [{"function": {"name": call["name"], "arguments": call["arguments"]}} for call in called]
        messages.append({"role": "assistant", "content": "", "tool_calls": calls})
        messages += [{"role": "tool", "tool_name": call["name"], "content": result} for call in called]
    return {"messages": messages, "tools": tools, "stream": False}


def gemini(answer: Json | None, result: str) -> Json:
    tools = [{"functionDeclarations": [function("weather")]}]
    contents: list[Json] = [{"role": "user", "parts": [{"text": QUESTION}]}]
    if answer is not None:
        parts = answer["candidates"][0]["content"]["parts"]
        called = [part["functionCall"] for part in parts if "functionCall" in part]
        calls = [{"functionCall": {"name": call["name"], "args": call["args"]}} for call in called]
        results = [{"functionResponse": {"name": call["name"], "response": {"output": result}}} for call in called]
        contents += [{"role": "model", "parts": calls}, {"role": "user", "parts": results}]
    return {"contents": contents, "tools": tools}


CALLERS: dict[str, tuple[bytes | None, Callable[[Json | None, str], Json]]] = {
    "chat": (CHAT, chat),
    "anthropic": (MESSAGES, anthropic),
    "responses": (RESPONSES, responses),
    "ollama": (OLLAMA, ollama),
    "gemini": (None, gemini),
}


# What the providers answer, and what of the second request is what they had sealed.


def spoken(text: str) -> bytes:
    return (text.replace("ARGS", ARGS).replace("SIG", SIGNATURE)).encode()


ANTHROPIC_ANSWER = spoken(
    '{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"thinking","thinking":"Let me '
    'look.","signature":"SIG"},{"type":"redacted_thinking","data":"cmVk"},{"type":"tool_use","id":"toolu_0123456789",'
    '"name":"weather","input":ARGS}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":9,'
    '"output_tokens":5}}'
)
GEMINI_ANSWER = spoken(
    '{"candidates":[{"content":{"role":"model","parts":[{"text":"Let me look.","thought":true},{"functionCall":'
    '{"name":"weather","args":ARGS},"thoughtSignature":"SIG"},{"functionCall":{"name":"weather","args":{}}}]},'
    '"finishReason":"STOP","index":0}],"responseId":"r","modelVersion":"m"}'
)
BEDROCK_ANSWER = spoken(
    '{"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"Let me look.",'
    '"signature":"SIG"}}},{"toolUse":{"toolUseId":"tooluse_abcdefgh","name":"weather","input":ARGS}}]}},'
    '"stopReason":"tool_use","usage":{"inputTokens":9,"outputTokens":5,"totalTokens":14}}'
)
RESPONSES_ANSWER = msgspec.json.encode(
    {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "m",
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": SIGNATURE},
            {"type": "function_call", "id": "fc_1", "call_id": "call_Abc123xyz", "name": "weather", "arguments": ARGS},
        ],
        "usage": {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14},
    }
)


def chat_answer(**members: Any) -> bytes:
    call = {"id": "call_00_Xyz123abc", "type": "function", "function": {"name": "weather", "arguments": ARGS}}
    call |= members.pop("call", {})
    message = {"role": "assistant", "content": "", **members, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return msgspec.json.encode({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]})


DEEPSEEK_ANSWER = chat_answer(reasoning_content="Let me look.")
GOOGLE_ANSWER = chat_answer(call={"extra_content": {"google": {"thought_signature": SIGNATURE}}})
MISTRAL_ANSWER = chat_answer(
    content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Let me look."}], "signature": SIGNATURE}]
)


def from_anthropic(body: Json) -> Any:
    return [block for block in body["messages"][1]["content"] if block["type"] != "tool_use"]


def from_gemini(body: Json) -> Any:
    return [part.get("thoughtSignature") for part in body["contents"][1]["parts"]]


def from_bedrock(body: Json) -> Any:
    return [block for block in body["messages"][1]["content"] if "toolUse" not in block]


def from_responses(body: Json) -> Any:
    return [item for item in body["input"] if item.get("type") == "reasoning"]


def from_deepseek(body: Json) -> Any:
    return body["messages"][1].get("reasoning_content")


def from_google(body: Json) -> Any:
    return body["messages"][1]["tool_calls"][0].get("extra_content")


def from_mistral(body: Json) -> Any:
    content = body["messages"][1]["content"]
    return [part for part in content if part["type"] == "thinking"] if isinstance(content, list) else []


PROVIDERS: dict[str, tuple[Provider, bytes, Callable[[Json], Any], Any]] = {
    "claude": (
        provider("claude", "anthropic"),
        ANTHROPIC_ANSWER,
        from_anthropic,
        [
            {"type": "thinking", "thinking": "Let me look.", "signature": SIGNATURE},
            {"type": "redacted_thinking", "data": "cmVk"},
        ],
    ),
    "gem": (
        provider("gem", "gemini", paths={"chat": "/models/{model}:generateContent"}),
        GEMINI_ANSWER,
        from_gemini,
        [SIGNATURE, None],
    ),
    "rock": (
        provider("rock", "bedrock", paths={"chat": "/model/{model}/converse"}),
        BEDROCK_ANSWER,
        from_bedrock,
        [{"reasoningContent": {"reasoningText": {"text": "Let me look.", "signature": SIGNATURE}}}],
    ),
    "oai": (
        provider("oai", paths={"responses": "/responses"}),
        RESPONSES_ANSWER,
        from_responses,
        [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": SIGNATURE}],
    ),
    "deep": (
        provider("deep", quirks=Quirks(options={"reasoning_field": "reasoning_content", "returns": "reasoning"})),
        DEEPSEEK_ANSWER,
        from_deepseek,
        "Let me look.",
    ),
    "goog": (
        provider("goog", quirks=Quirks(options={"reasoning_field": None, "returns": "calls"})),
        GOOGLE_ANSWER,
        from_google,
        {"google": {"thought_signature": SIGNATURE}},
    ),
    "mist": (
        provider("mist", "mistral"),
        MISTRAL_ANSWER,
        from_mistral,
        [
            {
                "type": "thinking",
                "thinking": [{"type": "text", "text": "Let me look."}],
                "closed": True,
                "signature": SIGNATURE,
            }
        ],
    ),
}
# Where a caller speaks the provider's own wire its client is the provider's own, and brings everything back.
OWN = {("anthropic", "claude"), ("gemini", "gem"), ("responses", "oai")}
PAIRS = [(caller, name) for caller in CALLERS for name in PROVIDERS if (caller, name) not in OWN]
