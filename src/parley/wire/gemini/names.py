"""Gemini's member names: callers write them in camelCase, in snake_case, or one beside the other.

Source: provider contract 3.2 and 3.6 (1).
"""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from parley.failure import invalid

NAME: Final = "gemini"
# An event may hold a whole picture in base64.
MAX_ITEM: Final = 32 * 1024 * 1024
# Of what this wire itself means; values of the caller's own may be deeper.
MAX_DEPTH: Final = 256
BAD_JSON: Final = (msgspec.DecodeError, ValueError, RecursionError)

Json: TypeAlias = dict[str, Any]

encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder().decode

REQUEST: Final = (
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "labels",
    "serviceTier",
    "continuationToken",
    "store",
    "generateContentRequest",
    "modelArmorConfig",
)
# What other wires name as OpenAI does, as callers of this one say it.
CALLED: Final[Mapping[str, str]] = {
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "max_tokens": "generationConfig.maxOutputTokens",
    "stop": "generationConfig.stopSequences",
    "n": "generationConfig.candidateCount",
    "seed": "generationConfig.seed",
    "presence_penalty": "generationConfig.presencePenalty",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "logprobs": "generationConfig.responseLogprobs",
    "top_logprobs": "generationConfig.logprobs",
    "response_format": "generationConfig.responseMimeType",
    "reasoning_effort": "generationConfig.thinkingConfig.thinkingLevel",
    "thinking": "generationConfig.thinkingConfig",
    "tool_choice": "toolConfig.functionCallingConfig",
}
_CONFIG: Final = (
    "audioTimestamp",
    "audioTranscriptionConfig",
    "candidateCount",
    "enableAffectiveDialog",
    "enableEnhancedCivicAnswers",
    "frequencyPenalty",
    "imageConfig",
    "includeThoughts",
    "maxOutputTokens",
    "mediaResolution",
    "modelSelectionConfig",
    "presencePenalty",
    "responseFormat",
    "responseJsonSchema",
    "responseLogprobs",
    "responseMimeType",
    "responseModalities",
    "responseSchema",
    "routingConfig",
    "speechConfig",
    "stopSequences",
    "thinkingBudget",
    "thinkingConfig",
    "thinkingLevel",
    "topK",
    "topP",
    "translationConfig",
)
_PARTS: Final = (
    "audioTranscription",
    "codeExecutionResult",
    "displayName",
    "executableCode",
    "fileData",
    "fileUri",
    "functionCall",
    "functionResponse",
    "inlineData",
    "mediaProcessing",
    "mimeType",
    "partMetadata",
    "partialArgs",
    "speechMetadata",
    "thoughtSignature",
    "toolCall",
    "toolResponse",
    "videoMetadata",
    "willContinue",
)
_TOOLS: Final = (
    "allowedFunctionNames",
    "codeExecution",
    "computerUse",
    "enterpriseWebSearch",
    "exaAiSearch",
    "fileSearch",
    "functionCallingConfig",
    "functionDeclarations",
    "googleMaps",
    "googleSearch",
    "googleSearchRetrieval",
    "includeServerSideToolInvocations",
    "mcpServers",
    "parallelAiSearch",
    "parametersJsonSchema",
    "retrievalConfig",
    "streamFunctionCallArguments",
    "urlContext",
)
_EMBEDDING: Final = ("autoTruncate", "embedContentConfig", "outputDimensionality", "taskType")


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)


# Names that are not known here go as they came: the provider takes both spellings as well.
_CAMEL: Final[Mapping[str, str]] = {
    _snake(name): name for name in (*REQUEST, *_CONFIG, *_PARTS, *_TOOLS, *_EMBEDDING) if _snake(name) != name
}
# Members whose value is the caller's own: its keys mean nothing here.
_OPAQUE: Final = frozenset(
    {
        "args",
        "headers",
        "labels",
        "parameters",
        "parametersJsonSchema",
        "partMetadata",
        "response",
        "responseJsonSchema",
        "responseSchema",
        "schema",
    }
)
# Every spelling of the top-level members, for those that refuse unknown ones.
KNOWN: Final = frozenset({*REQUEST, *map(_snake, REQUEST)})
EMBED_KNOWN: Final = frozenset({"content", "requests", "title", *_EMBEDDING, *map(_snake, _EMBEDDING)})


def camel(body: Json) -> Json:
    """The same object with every known name in camelCase, at every depth. Raises ``invalid_request`` for a member that
    is given in both spellings, and for one nested more than MAX_DEPTH deep."""
    return _object(body, 0)


def _object(value: Json, depth: int) -> Json:
    if depth > MAX_DEPTH:
        raise invalid("the request is nested too deeply")
    made: Json = {}
    for key, item in value.items():
        name = _CAMEL.get(key, key)
        if name in made:
            raise invalid(f"{name} is given twice, in two spellings", name)
        made[name] = item if name in _OPAQUE else _any(item, depth + 1)
    return made


def _any(value: Any, depth: int) -> Any:
    if type(value) is dict:
        return _object(value, depth)
    if type(value) is list:
        if depth > MAX_DEPTH:
            raise invalid("the request is nested too deeply")
        return [_any(item, depth + 1) for item in value]
    return value


def rest(holder: Json, known: frozenset[str]) -> Json:
    """The members nobody knows, as they came."""
    if holder.keys() <= known:
        return {}
    return {key: value for key, value in holder.items() if key not in known}


def word(holder: Any, key: str) -> str | None:
    """The member where it is a string, else None: for what an answer may leave out."""
    value = holder.get(key) if type(holder) is dict else None
    return value if type(value) is str else None
