"""The same for Gemini and Ollama, and the table of all dialects."""

from typing import Any

from grid.parts import PNG, SCHEMA
from grid.samples import (
    ANTHROPIC,
    ASK,
    CHAT,
    CITY,
    COMPLETIONS,
    NOTE,
    PAPER,
    RESPONSES,
    RESPONSES_OURS,
    SOUND,
    WEATHER,
    Members,
)

__all__ = ["DIALECTS", "GEMINI_OURS", "RESPONSES_OURS"]

_G_TOOL = {"functionDeclarations": [{"name": WEATHER, "parametersJsonSchema": CITY}]}


def _part(part: Members) -> Members:
    return {"contents": [{"role": "user", "parts": [{"text": ASK}, part]}]}


def _config(**members: Any) -> Members:
    return {"generationConfig": members}


def _mode(**config: Any) -> Members:
    return {"tools": [_G_TOOL], "toolConfig": {"functionCallingConfig": config}}


GEMINI: dict[str, Members] = {
    "systemInstruction": {"systemInstruction": {"parts": [{"text": NOTE}]}},
    "image, data": _part({"inlineData": {"mimeType": "image/png", "data": PNG}}),
    "audio, data": _part({"inlineData": {"mimeType": "audio/wav", "data": SOUND}}),
    "document, data": _part({"inlineData": {"mimeType": "application/pdf", "data": PAPER}}),
    "video, data": _part({"inlineData": {"mimeType": "video/mp4", "data": SOUND}}),
    "fileData": _part({"fileData": {"mimeType": "image/png", "fileUri": "https://files.example/a"}}),
    "executableCode": {
        "contents": [
            {"role": "user", "parts": [{"text": ASK}]},
            {"role": "model", "parts": [{"executableCode": {"language": "PYTHON", "code": "1"}}]},
            {"role": "user", "parts": [{"text": ASK}]},
        ]
    },
    "tools": {"tools": [_G_TOOL]},
    "tools, built in": {"tools": [{"googleSearch": {}}]},
    "mode NONE": _mode(mode="NONE"),
    "mode ANY": _mode(mode="ANY"),
    "mode ANY, one name": _mode(mode="ANY", allowedFunctionNames=[WEATHER]),
    "function responses": {
        "tools": [_G_TOOL],
        "contents": [
            {"role": "user", "parts": [{"text": ASK}]},
            {"role": "model", "parts": [{"functionCall": {"name": WEATHER, "args": {"city": "Paris"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": WEATHER, "response": {"output": "18"}}}]},
        ],
    },
    "responseMimeType": _config(responseMimeType="application/json"),
    "responseJsonSchema": _config(responseMimeType="application/json", responseJsonSchema=SCHEMA),
    "maxOutputTokens": _config(maxOutputTokens=77),
    "temperature": _config(temperature=0.5),
    "topP": _config(topP=0.5),
    "topK": _config(topK=7),
    "stopSequences": _config(stopSequences=["END"]),
    "candidateCount": _config(candidateCount=2),
    "seed": _config(seed=7),
    "presencePenalty": _config(presencePenalty=0.5),
    "frequencyPenalty": _config(frequencyPenalty=0.5),
    "responseLogprobs": _config(responseLogprobs=True, logprobs=3),
    "thinkingBudget": _config(thinkingConfig={"thinkingBudget": 1500}),
    "thinkingLevel": _config(thinkingConfig={"thinkingLevel": "LOW"}),
    "includeThoughts": _config(thinkingConfig={"includeThoughts": True}),
    "responseModalities": _config(responseModalities=["TEXT"]),
    "mediaResolution": _config(mediaResolution="MEDIA_RESOLUTION_LOW"),
    "speechConfig": _config(speechConfig={"languageCode": "de-DE"}),
    "safetySettings": {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]},
    "cachedContent": {"cachedContent": "cachedContents/1"},
    "labels": {"labels": {"a": "b"}},
    "serviceTier": {"serviceTier": "flex"},
    "continuationToken": {"continuationToken": "t"},
    "modelArmorConfig": {"modelArmorConfig": {"promptTemplateName": "p"}},
    "store": {"store": True},
    "a member nobody knows": {"frobnicate": 1},
}
# A count's wrapping of a whole request.
GEMINI_OURS = {"generateContentRequest"}

_O_TOOL = {"type": "function", "function": {"name": WEATHER, "parameters": CITY}}


def _options(**options: Any) -> Members:
    return {"options": options}


OLLAMA: dict[str, Members] = {
    "system": {"messages": [{"role": "system", "content": NOTE}, {"role": "user", "content": ASK}]},
    "images": {"messages": [{"role": "user", "content": ASK, "images": [PNG]}]},
    "thinking": {
        "messages": [
            {"role": "user", "content": ASK},
            {"role": "assistant", "content": "yes", "thinking": "hm"},
            {"role": "user", "content": ASK},
        ]
    },
    "tools": {"tools": [_O_TOOL]},
    "tool results": {
        "tools": [_O_TOOL],
        "messages": [
            {"role": "user", "content": ASK},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"function": {"name": WEATHER, "arguments": {"city": "Paris"}}}],
            },
            {"role": "tool", "tool_name": WEATHER, "content": "18"},
        ],
    },
    "format json": {"format": "json"},
    "format schema": {"format": SCHEMA},
    "think true": {"think": True},
    "think false": {"think": False},
    "think low": {"think": "low"},
    "options.num_predict": _options(num_predict=77),
    "options.temperature": _options(temperature=0.5),
    "options.top_p": _options(top_p=0.5),
    "options.top_k": _options(top_k=7),
    "options.stop": _options(stop=["END"]),
    "options.seed": _options(seed=7),
    "options.presence_penalty": _options(presence_penalty=0.5),
    "options.frequency_penalty": _options(frequency_penalty=0.5),
    "options.repeat_penalty": _options(repeat_penalty=1.1),
    "options.num_ctx": _options(num_ctx=2048),
    "logprobs": {"logprobs": True},
    "top_logprobs": {"logprobs": True, "top_logprobs": 3},
    "keep_alive": {"keep_alive": "5m"},
    "truncate": {"truncate": False},
    "shift": {"shift": False},
    "a member nobody knows": {"frobnicate": 1},
}

_HI = [{"role": "user", "content": ASK}]
# What every request of a dialect has, the wire, the operation asked for, and the samples.
DIALECTS: dict[str, tuple[str, str, Members, dict[str, Members]]] = {
    "OpenAI chat": ("openai_chat", "chat", {"model": "m", "messages": _HI}, CHAT),
    "OpenAI responses": ("openai_responses", "responses", {"model": "m", "input": ASK}, RESPONSES),
    "OpenAI completions (legacy)": ("openai_completions", "completions", {"model": "m", "prompt": ASK}, COMPLETIONS),
    "Anthropic": ("anthropic", "chat", {"model": "m", "max_tokens": 99, "messages": _HI}, ANTHROPIC),
    "Gemini": ("gemini", "chat", {"contents": [{"role": "user", "parts": [{"text": ASK}]}]}, GEMINI),
    "Ollama": ("ollama", "chat", {"model": "m", "messages": _HI, "stream": False}, OLLAMA),
}
