"""One request for each thing that a caller can say, by dialect: what it is called, and the members that say it."""

from typing import Any

from grid.parts import PNG, SCHEMA, TOOLS

Members = dict[str, Any]
WEATHER, CITY = "get_weather", TOOLS["get_weather"]
ASK = "What is it like?"
DATA_URL = f"data:image/png;base64,{PNG}"
LINK = "https://pictures.example/a.png"
SOUND = "UklGRg=="
PAPER = "JVBERi0xLjQK"
NOTE = "a note"

_CHAT_TOOL = {"type": "function", "function": {"name": WEATHER, "parameters": CITY}}
_CALL = {"id": "call_a1", "type": "function", "function": {"name": WEATHER, "arguments": '{"city":"Paris"}'}}
_HISTORY = [
    {"role": "user", "content": ASK},
    {"role": "assistant", "content": None, "tool_calls": [_CALL]},
    {"role": "tool", "tool_call_id": "call_a1", "content": "18"},
]


def _said(part: Members) -> Members:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": ASK}, part]}]}


def _turn(**members: Any) -> Members:
    return {"messages": [{"role": "user", "content": ASK}, {"role": "assistant", "content": "yes", **members},
                         {"role": "user", "content": ASK}]}  # fmt: skip


CHAT: dict[str, Members] = {
    "system": {"messages": [{"role": "system", "content": NOTE}, {"role": "user", "content": ASK}]},
    "developer": {"messages": [{"role": "developer", "content": NOTE}, {"role": "user", "content": ASK}]},
    "system, later": {
        "messages": [
            {"role": "user", "content": ASK},
            {"role": "system", "content": NOTE},
            {"role": "user", "content": ASK},
        ]
    },
    "messages[].name": {"messages": [{"role": "user", "content": ASK, "name": "ann"}]},
    "image, data": _said({"type": "image_url", "image_url": {"url": DATA_URL}}),
    "image, URL": _said({"type": "image_url", "image_url": {"url": LINK}}),
    "image, detail": _said({"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}}),
    "audio": _said({"type": "input_audio", "input_audio": {"data": SOUND, "format": "wav"}}),
    "file, data": _said(
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PAPER}"}}
    ),
    "file, id": _said({"type": "file", "file": {"file_id": "file-1"}}),
    "refusal": _turn(refusal="no", content=None),
    "reasoning_content": _turn(reasoning_content="hm"),
    "tools": {"tools": [_CHAT_TOOL]},
    "tools[].strict": {"tools": [{**_CHAT_TOOL, "function": {**_CHAT_TOOL["function"], "strict": True}}]},
    "tools, custom": {"tools": [{"type": "custom", "custom": {"name": "shell"}}]},
    "tool_choice none": {"tools": [_CHAT_TOOL], "tool_choice": "none"},
    "tool_choice required": {"tools": [_CHAT_TOOL], "tool_choice": "required"},
    "tool_choice named": {
        "tools": [_CHAT_TOOL],
        "tool_choice": {"type": "function", "function": {"name": WEATHER}},
    },
    "parallel_tool_calls": {"tools": [_CHAT_TOOL], "parallel_tool_calls": False},
    "tool results": {"tools": [_CHAT_TOOL], "messages": _HISTORY},
    "response_format json_object": {"response_format": {"type": "json_object"}},
    "response_format json_schema": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}
    },
    "max_tokens": {"max_tokens": 77},
    "max_completion_tokens": {"max_completion_tokens": 77},
    "temperature": {"temperature": 0.5},
    "top_p": {"top_p": 0.5},
    "top_k": {"top_k": 7},
    "stop": {"stop": ["END"]},
    "n": {"n": 2},
    "seed": {"seed": 7},
    "presence_penalty": {"presence_penalty": 0.5},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "logit_bias": {"logit_bias": {"50": 1}},
    "logprobs": {"logprobs": True},
    "top_logprobs": {"logprobs": True, "top_logprobs": 3},
    "reasoning_effort": {"reasoning_effort": "low"},
    "user": {"user": "ann"},
    "metadata": {"metadata": {"a": "b"}},
    "store": {"store": True},
    "service_tier": {"service_tier": "flex"},
    "verbosity": {"verbosity": "low"},
    "modalities": {"modalities": ["text"]},
    "audio, asked": {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
    "prediction": {"prediction": {"type": "content", "content": "x"}},
    "web_search_options": {"web_search_options": {}},
    "moderation": {"moderation": {"mode": "x"}},
    "prompt_cache_key": {"prompt_cache_key": "k"},
    "prompt_cache_options": {"prompt_cache_options": {"mode": "auto"}},
    "prompt_cache_retention": {"prompt_cache_retention": "24h"},
    "safety_identifier": {"safety_identifier": "s"},
    "functions": {"functions": [_CHAT_TOOL["function"]]},
    "function_call": {"functions": [_CHAT_TOOL["function"]], "function_call": "none"},
    "a member nobody knows": {"frobnicate": 1},
}

_R_TOOL = {"type": "function", "name": WEATHER, "parameters": CITY}


def _input(part: Members) -> Members:
    return {"input": [{"role": "user", "content": [{"type": "input_text", "text": ASK}, part]}]}


RESPONSES: dict[str, Members] = {
    "instructions": {"instructions": NOTE},
    "system": {"input": [{"role": "system", "content": NOTE}, {"role": "user", "content": ASK}]},
    "image, data": _input({"type": "input_image", "image_url": DATA_URL}),
    "image, URL": _input({"type": "input_image", "image_url": LINK}),
    "image, id": _input({"type": "input_image", "file_id": "file-1"}),
    "file, data": _input(
        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PAPER}"}
    ),
    "reasoning item": {
        "input": [
            {"role": "user", "content": ASK},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": "b3BhcXVl",
            },
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": ASK},
        ]
    },
    "tools": {"tools": [_R_TOOL]},
    "tools, built in": {"tools": [{"type": "web_search"}]},
    "tool_choice none": {"tools": [_R_TOOL], "tool_choice": "none"},
    "tool_choice required": {"tools": [_R_TOOL], "tool_choice": "required"},
    "tool_choice named": {"tools": [_R_TOOL], "tool_choice": {"type": "function", "name": WEATHER}},
    "parallel_tool_calls": {"tools": [_R_TOOL], "parallel_tool_calls": False},
    "tool results": {
        "tools": [_R_TOOL],
        "input": [
            {"role": "user", "content": ASK},
            {"type": "function_call", "call_id": "call_a1", "name": WEATHER, "arguments": '{"city":"Paris"}'},
            {"type": "function_call_output", "call_id": "call_a1", "output": "18"},
        ],
    },
    "text.format json_schema": {
        "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True}}
    },
    "text.verbosity": {"text": {"verbosity": "low"}},
    "max_output_tokens": {"max_output_tokens": 77},
    "temperature": {"temperature": 0.5},
    "top_p": {"top_p": 0.5},
    "top_logprobs": {"include": ["message.output_text.logprobs"], "top_logprobs": 3},
    "reasoning.effort": {"reasoning": {"effort": "low"}},
    "reasoning.summary": {"reasoning": {"summary": "auto"}},
    "include": {"include": ["reasoning.encrypted_content"]},
    "max_tool_calls": {"tools": [_R_TOOL], "max_tool_calls": 3},
    "metadata": {"metadata": {"a": "b"}},
    "user": {"user": "ann"},
    "service_tier": {"service_tier": "flex"},
    "truncation": {"truncation": "auto"},
    "prompt": {"prompt": {"id": "pmpt_1"}},
    "moderation": {"moderation": {"mode": "x"}},
    "prompt_cache_key": {"prompt_cache_key": "k"},
    "prompt_cache_options": {"prompt_cache_options": {"mode": "auto"}},
    "prompt_cache_retention": {"prompt_cache_retention": "24h"},
    "safety_identifier": {"safety_identifier": "s"},
    "context_management": {"context_management": [{"type": "compaction"}]},
    "access_programs": {"access_programs": ["x"]},
    "image": {"image": {"size": "auto"}},
    "a member nobody knows": {"frobnicate": 1},
}
# The gateway's own, whoever the provider is: conversations and their keeping.
RESPONSES_OURS = {"background", "conversation", "previous_response_id", "store", "stream", "stream_options"}

COMPLETIONS: dict[str, Members] = {
    "max_tokens": {"max_tokens": 77},
    "temperature": {"temperature": 0.5},
    "top_p": {"top_p": 0.5},
    "stop": {"stop": ["END"]},
    "n": {"n": 2},
    "seed": {"seed": 7},
    "presence_penalty": {"presence_penalty": 0.5},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "logit_bias": {"logit_bias": {"50": 1}},
    "logprobs": {"logprobs": 2},
    "best_of": {"best_of": 2},
    "echo": {"echo": True},
    "suffix": {"suffix": "x"},
    "user": {"user": "ann"},
    "a member nobody knows": {"frobnicate": 1},
}

_A_TOOL = {"name": WEATHER, "input_schema": CITY}


def _block(block: Members) -> Members:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": ASK}, block]}]}


def _assistant(*blocks: Members) -> Members:
    return {"messages": [{"role": "user", "content": ASK}, {"role": "assistant", "content": [*blocks]},
                         {"role": "user", "content": ASK}]}  # fmt: skip


_YES = {"type": "text", "text": "yes"}
_USE = {"type": "tool_use", "id": "toolu_1", "name": WEATHER, "input": {"city": "Paris"}}


def _result(**members: Any) -> Members:
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "18", **members}
    turns = [{"role": "user", "content": ASK}, {"role": "assistant", "content": [_USE]},
             {"role": "user", "content": [result]}]  # fmt: skip
    return {"tools": [_A_TOOL], "messages": turns}


_PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
ANTHROPIC: dict[str, Members] = {
    "system": {"system": NOTE},
    "image, data": _block(_PICTURE),
    "image, URL": _block({"type": "image", "source": {"type": "url", "url": LINK}}),
    "image, id": _block({"type": "image", "source": {"type": "file", "file_id": "file-1"}}),
    "document, data": _block(
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PAPER}}
    ),
    "document, text": _block(
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}}
    ),
    "cache_control on a block": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": ASK, "cache_control": {"type": "ephemeral"}}]}
        ]
    },
    "thinking of another": _assistant({"type": "thinking", "thinking": "hm", "signature": "b3BhcXVl"}, _YES),
    "redacted thinking": _assistant({"type": "redacted_thinking", "data": "b3BhcXVl"}, _YES),
    "tools": {"tools": [_A_TOOL]},
    "tools, built in": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    "tool_choice none": {"tools": [_A_TOOL], "tool_choice": {"type": "none"}},
    "tool_choice any": {"tools": [_A_TOOL], "tool_choice": {"type": "any"}},
    "tool_choice named": {"tools": [_A_TOOL], "tool_choice": {"type": "tool", "name": WEATHER}},
    "disable_parallel_tool_use": {
        "tools": [_A_TOOL],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    },
    "tool results": _result(),
    "tool results, is_error": _result(is_error=True),
    "tool results, image": _result(content=[_PICTURE]),
    "output_config.format": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "output_config.effort": {"output_config": {"effort": "low"}},
    "thinking enabled": {"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 1500}},
    "thinking adaptive": {"thinking": {"type": "adaptive"}},
    "thinking disabled": {"thinking": {"type": "disabled"}},
    "max_tokens": {"max_tokens": 77},
    "temperature": {"temperature": 0.5},
    "top_p": {"top_p": 0.5},
    "top_k": {"top_k": 7},
    "stop_sequences": {"stop_sequences": ["END"]},
    "metadata.user_id": {"metadata": {"user_id": "ann"}},
    "service_tier": {"service_tier": "auto"},
    "speed": {"speed": "fast"},
    "cache_control": {"cache_control": {"type": "ephemeral"}},
    "container": {"container": "c"},
    "diagnostics": {"diagnostics": {"a": 1}},
    "inference_geo": {"inference_geo": "eu"},
    "a member nobody knows": {"frobnicate": 1},
}
