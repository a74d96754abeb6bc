"""Anthropic Messages as a dialect: request bodies to the canonical form.

Nothing of the body is changed; members nobody knows, also those inside ``metadata``, ``output_config``
and ``tool_choice``, end up in ``extra`` at the same place. Source: provider contract 2.2.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from msgspec.structs import replace

from parley.failure import ParleyError, at, invalid
from parley.ir import (
    ChatRequest,
    Extra,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Tool,
    ToolChoice,
)
from parley.wire.anthropic.blocks import NAME, Json, content_of, encode, optional, required, rest

_READ = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "system",
        "stream",
        "stop_sequences",
        "temperature",
        "top_p",
        "top_k",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "metadata",
    }
)
KNOWN = _READ | {"service_tier", "speed", "cache_control", "container", "inference_geo", "diagnostics"}
_MESSAGE = frozenset({"role", "content"})
_ROLES: dict[str, Literal["user", "assistant", "system"]] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
}
_TOOL = frozenset({"name", "description", "input_schema", "strict"})
_CHOICE = frozenset({"type", "name", "disable_parallel_tool_use"})
_CHOICES: dict[str, Literal["auto", "none", "required", "named"]] = {
    "auto": "auto",
    "any": "required",
    "none": "none",
    "tool": "named",
}
_THINKING = frozenset({"type", "budget_tokens"})
T = TypeVar("T")
_MODES: dict[str, Literal["enabled", "adaptive", "disabled"]] = {
    "enabled": "enabled",
    "adaptive": "adaptive",
    "disabled": "disabled",
    "between_tools": "adaptive",
}


def decode_request(body: dict[str, Any]) -> ChatRequest:
    """The request of POST /v1/messages. Raises ``invalid_request`` with the field's path."""
    return _named(body, counting=False)


def decode_count(body: dict[str, Any]) -> ChatRequest:
    """The request of POST /v1/messages/count_tokens: as a message, but ``max_tokens`` is not needed."""
    return _named(body, counting=True)


def _named(body: Json, counting: bool) -> ChatRequest:
    try:
        return _request(body, counting)
    except ParleyError as error:
        failure = error.failure
        raise ParleyError(replace(failure, message=f"{failure.param}: {failure.message}")) from None


def _request(body: Json, counting: bool) -> ChatRequest:
    extra = rest(body, _READ)
    choice, parallel = _tool_choice(body, extra)
    output, effort = _output_config(body, extra)
    stream = optional(body, "stream", bool) or False
    system = _system(body)
    return ChatRequest(
        wire=NAME,
        model=_model(body),
        messages=(*system, *_messages(body)),
        tools=_tools(body),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_tokens=_max_tokens(body, counting),
        temperature=_number(body, "temperature"),
        top_p=_number(body, "top_p"),
        top_k=optional(body, "top_k", int),
        stop=_stop_sequences(body),
        output=output,
        reasoning=_reasoning(body, effort),
        stream=stream,
        # This dialect's streams always carry usage.
        include_usage=stream,
        user=_user(body, extra),
        ahead=len(system),
        extra=extra,
    )


def _model(body: Json) -> str:
    model = required(body, "model", str)
    if not model:
        raise invalid("must not be empty", "model")
    return model


def _max_tokens(body: Json, counting: bool) -> int | None:
    found = optional(body, "max_tokens", int) if counting else required(body, "max_tokens", int)
    if found is not None and found < 0:
        raise invalid("must be 0 or more", "max_tokens")
    return found


def _number(body: Json, key: str) -> float | None:
    value = body.get(key)
    if value is None or type(value) is float or type(value) is int:
        return value
    raise invalid("must be a number", key)


def _stop_sequences(body: Json) -> tuple[str, ...] | None:
    found = optional(body, "stop_sequences", list)
    if found is None:
        return None
    for index, item in enumerate(found):
        if type(item) is not str:
            raise invalid("must be a string", f"stop_sequences[{index}]")
    return tuple(found)


def _user(body: Json, extra: Extra) -> str | None:
    metadata = optional(body, "metadata", dict)
    if metadata is None:
        return None
    _keep(extra, "metadata", metadata, frozenset({"user_id"}))
    return _below("metadata", metadata, "user_id", str)


def _keep(extra: Extra, key: str, holder: Json, known: frozenset[str]) -> None:
    unknown = rest(holder, known)
    if unknown:
        extra[key] = unknown


def _below(prefix: str, holder: Json, key: str, kind: type[T]) -> T | None:
    try:
        return optional(holder, key, kind)
    except ParleyError as error:
        raise at(error, prefix) from None


# --- messages ----------------------------------------------------------------------------------


def _system(body: Json) -> tuple[Message, ...]:
    content = content_of(body, "system")
    return (Message("system", content),) if content else ()


def _messages(body: Json) -> list[Message]:
    values = required(body, "messages", list)
    if not values:
        raise invalid("must hold at least one message", "messages")
    found = []
    for index, value in enumerate(values):
        try:
            found.append(_message(value))
        except ParleyError as error:
            raise at(error, f"messages[{index}]") from None
    return found


def _message(value: Any) -> Message:
    if type(value) is not dict:
        raise invalid("must be an object")
    role = _ROLES.get(required(value, "role", str))
    if role is None:
        raise invalid("must be user, assistant or system", "role")
    content = content_of(value, "content")
    if content is None:
        raise invalid("is required", "content")
    return Message(role, content, None, rest(value, _MESSAGE))


# --- tools -------------------------------------------------------------------------------------


def _tools(body: Json) -> tuple[Tool | Opaque, ...]:
    found: list[Tool | Opaque] = []
    for index, value in enumerate(optional(body, "tools", list) or ()):
        try:
            found.append(_tool(value))
        except ParleyError as error:
            raise at(error, f"tools[{index}]") from None
    return tuple(found)


def _tool(value: Any) -> Tool | Opaque:
    if type(value) is not dict:
        raise invalid("must be an object")
    if (optional(value, "type", str) or "custom") != "custom":
        return Opaque(NAME, value)
    return Tool(
        required(value, "name", str),
        optional(value, "description", str),
        required(value, "input_schema", dict),
        optional(value, "strict", bool),
        rest(value, _TOOL),
    )


def _tool_choice(body: Json, extra: Extra) -> tuple[ToolChoice | None, bool | None]:
    value = optional(body, "tool_choice", dict)
    if value is None:
        return None, None
    _keep(extra, "tool_choice", value, _CHOICE)
    try:
        mode = _CHOICES.get(required(value, "type", str))
        if mode is None:
            raise invalid("must be auto, any, none or tool", "type")
        name = required(value, "name", str) if mode == "named" else None
        single = optional(value, "disable_parallel_tool_use", bool)
    except ParleyError as error:
        raise at(error, "tool_choice") from None
    return ToolChoice(mode, name), None if single is None else not single


# --- thinking and output -----------------------------------------------------------------------


def _output_config(body: Json, extra: Extra) -> tuple[OutputFormat | None, str | None]:
    config = optional(body, "output_config", dict)
    if config is None:
        return None, None
    _keep(extra, "output_config", config, frozenset({"effort", "format"}))
    effort = _below("output_config", config, "effort", str)
    form = _below("output_config", config, "format", dict)
    if form is None:
        return None, effort
    try:
        if required(form, "type", str) != "json_schema":
            raise invalid("must be json_schema", "type")
        output = OutputFormat("schema", required(form, "schema", dict))
    except ParleyError as error:
        raise at(error, "output_config.format") from None
    unknown = rest(form, frozenset({"type", "schema"}))
    if unknown:
        extra.setdefault("output_config", {})["format"] = unknown
    return output, effort


def _reasoning(body: Json, effort: str | None) -> Reasoning | None:
    value = optional(body, "thinking", dict)
    if value is None:
        return None if effort is None else Reasoning(effort=effort)
    try:
        kind = required(value, "type", str)
        budget = required(value, "budget_tokens", int) if kind == "enabled" else optional(value, "budget_tokens", int)
    except ParleyError as error:
        raise at(error, "thinking") from None
    unknown = rest(value, _THINKING)
    if kind not in ("enabled", "adaptive", "disabled"):
        # A word the canonical form lacks goes back to this wire as it came.
        unknown = {"type": kind, **unknown}
    return Reasoning(_MODES.get(kind), effort, budget, unknown)


def count_tokens(body: Json, measure: Callable[[ChatRequest], int]) -> bytes:
    """The answer of POST /v1/messages/count_tokens, for a provider that cannot be asked."""
    return encode({"input_tokens": measure(decode_count(body))})
