"""Conversations read from a caller, in both shipped forms. Bodies have passed parley.wire.dapr.form.

All inputs, and all their messages, are one list of messages. Source: conversation contract sections 1.2, 4.2 to 4.5.
"""

import re
from typing import Any, Final

from parley.failure import Failure, ParleyError
from parley.ir import Block, ChatRequest, Message, OutputFormat, Role, Text, Tool, ToolCall, ToolChoice, ToolResult
from parley.wire.dapr.errors import METADATA, MISSING_INPUTS, bad_params

ALPHA1: Final = "dapr_alpha1"
ALPHA2: Final = "dapr_alpha2"
_ROLES: Final[dict[str, Role]] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
}
# A message of a developer is the user's to the runtime.
_SPEAKERS: Final[dict[str, Role]] = {"ofDeveloper": "user", "ofSystem": "system", "ofUser": "user"}
_MOST_TOKENS: Final = 2**31 - 1
_CHOICES: Final = "must be 'auto', 'none', 'required', or a specific tool name matching the tools available to be used"
_SCHEMA_WORDS: Final = frozenset({"name", "description", "strict"})


def decode_alpha1(body: dict[str, Any]) -> ChatRequest:
    """A conversation of plain texts."""
    _metadata(body.get("metadata") or {})
    inputs = _inputs(body)
    messages = tuple(
        Message(
            _ROLES.get(str(one.get("role", "")).lower(), "user"),
            (Text(_seen(one.get("content", ""), scrub=one.get("scrubPII") is True)),),
            place=f"inputs[{index}]",
        )
        for index, one in enumerate(inputs)
    )
    plain = tuple(_spoken(message) for message in messages)
    return ChatRequest(wire=ALPHA1, model=body["model"], messages=plain, temperature=_temperature(body))


def decode_alpha2(body: dict[str, Any]) -> ChatRequest:
    """A conversation of messages, with tools."""
    inputs = _inputs(body)
    messages = tuple(
        _message(item, f"inputs[{index}].messages[{place}]", one.get("scrubPii") is True)
        for index, one in enumerate(inputs)
        for place, item in enumerate(one.get("messages", ()))
    )
    tools = tuple(_tool(one) for one in body.get("tools", ()) if "function" in one)
    extra = {name: body[name] for name in ("metadata", "promptCacheRetention") if body.get(name)}
    output = _output(body.get("responseFormat"))
    if output is None and "responseFormat" in body:
        extra["responseFormat"] = body["responseFormat"]
    return ChatRequest(
        wire=ALPHA2,
        model=body["model"],
        messages=messages,
        tools=tools,
        tool_choice=_choice(body.get("toolChoice") or "", tools),
        max_tokens=_most(body),
        max_tokens_field="maxTokens",
        temperature=_temperature(body),
        output=output,
        extra=extra,
        labels=_labels(body),
    )


def _labels(body: dict[str, Any]) -> dict[str, str]:
    """What providers with a place for labels are told; a time as the runtime writes it."""
    labels = dict(body.get("metadata") or {})
    kept = body.get("promptCacheRetention")
    return labels | ({"prompt_cache_retention": _go_text(kept)} if kept else {})


def _go_text(duration: str) -> str:
    """``86400s`` as ``24h0m0s``."""
    sign, (whole, _, part) = duration.startswith("-"), duration.lstrip("-").removesuffix("s").partition(".")
    minutes, seconds = divmod(int(whole), 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{part.rstrip('0')}".rstrip(".")
    large = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{'-' * sign}{large}{seconds}{fraction}s"


def _inputs(body: dict[str, Any]) -> list[dict[str, Any]]:
    inputs: list[dict[str, Any]] = body.get("inputs") or []
    if not inputs:
        raise ParleyError(
            Failure("invalid_request", "missing inputs in request", param="inputs", detail=MISSING_INPUTS)
        )
    return inputs


def _metadata(given: dict[str, str]) -> None:
    """The first form decodes its metadata, and only then throws it away."""
    seen: set[str] = set()
    for name, value in given.items():
        lower = name.lower()
        if lower in seen:
            raise _undecodable(f"key {name!r} is given twice but for its case")
        seen.add(lower)
        if lower == "temperature" and not _is_number(value):
            raise _undecodable(f"cannot parse 'Temperature' as float: {value[:100]!r}")


def _undecodable(message: str) -> ParleyError:
    return ParleyError(Failure("invalid_request", message, status=500, param="metadata", detail=METADATA))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _temperature(body: dict[str, Any]) -> float | None:
    """Unset and 0 are the same there."""
    given = body.get("temperature")
    return given if given is not None and given > 0 else None


def _most(body: dict[str, Any]) -> int | None:
    given: int | None = body.get("maxTokens")
    if given is not None and not 0 < given <= _MOST_TOKENS:
        raise bad_params(f"max tokens must be between 1 and {_MOST_TOKENS}", "maxTokens")
    return given


def _seen(text: str, *, scrub: bool) -> str:
    """A text as the model may see it."""
    if not scrub:
        return text
    from parley.pii import scrubbed

    return scrubbed(text)


def _spoken(message: Message) -> Message:
    """A plain text cannot name the call that it answers, so a tool's is the user's."""
    if message.role != "tool":
        return message
    return Message("user", message.content, place=message.place)


def _message(given: dict[str, Any], place: str, scrub: bool) -> Message:
    for name, role in _SPEAKERS.items():
        if name in given:
            return Message(role, _texts(given[name], scrub), place=place)
    if "ofAssistant" in given:
        said = given["ofAssistant"]
        calls = tuple(_call(one, place, index) for index, one in enumerate(said.get("toolCalls", ())))
        return Message("assistant", (*_texts(said, scrub), *calls), place=place)
    if "ofTool" in given:
        said = given["ofTool"]
        result = ToolResult(
            said.get("toolId", ""), _texts(said, scrub), extra={"name": said["name"]} if said.get("name") else {}
        )
        return Message("tool", (result,), place=place)
    raise bad_params("message type cannot be nil", place)


def _texts(given: dict[str, Any], scrub: bool) -> tuple[Text, ...]:
    return tuple(Text(_seen(one.get("text", ""), scrub=scrub)) for one in given.get("content", ()))


def _call(given: dict[str, Any], place: str, index: int) -> Block:
    called = given.get("function")
    if called is None:
        raise bad_params("tool types cannot be nil", f"{place}.ofAssistant.toolCalls[{index}]")
    return ToolCall(given.get("id", ""), called.get("name", ""), called.get("arguments", ""))


def _tool(given: dict[str, Any]) -> Tool:
    function = given["function"]
    return Tool(function.get("name", ""), function.get("description"), function.get("parameters"))


def _choice(given: str, tools: tuple[Tool, ...]) -> ToolChoice | None:
    if given == "required" and not tools:
        raise bad_params(f"tool choice {_CHOICES}", "toolChoice")
    if not tools or given in ("", "auto"):
        return None
    if given == "none":
        return ToolChoice("none")
    if given == "required":
        return ToolChoice("required")
    if all(tool.name != given for tool in tools):
        raise bad_params(f"tool choice selected was not found. M{_CHOICES[1:]}", "toolChoice")
    return ToolChoice("named", given)


def _output(given: dict[str, Any] | None) -> OutputFormat | None:
    """A bare JSON Schema with its own name in it; None where it is none."""
    if given is None or not isinstance(given.get("type"), str):
        return None
    name, strict = given.get("name"), given.get("strict")
    described = given.get("description")
    return OutputFormat(
        "schema",
        schema={word: value for word, value in given.items() if word not in _SCHEMA_WORDS},
        name=re.sub(r"[^A-Za-z0-9_-]", "_", name) if isinstance(name, str) and name else "response",
        description=described if isinstance(described, str) else None,
        strict=strict if isinstance(strict, bool) else False,
    )


KNOWN_ALPHA1: Final = frozenset({"name", "contextID", "inputs", "parameters", "metadata", "scrubPII", "temperature"})
KNOWN_ALPHA2: Final = frozenset(
    {
        "name", "contextId", "inputs", "parameters", "metadata", "scrubPii", "temperature", "tools", "toolChoice",
        "responseFormat", "promptCacheRetention", "maxTokens",
    }
)  # fmt: skip
