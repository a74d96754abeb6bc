"""OpenAI chat completions requests, read from a caller: a plain dict in, the canonical request out.

Legacy forms become today's: ``functions`` are tools, ``function_call`` a tool call or choice, role
``function`` a tool result. ``thinking_blocks`` on an assistant message are this gateway's extension by which
signatures of another provider come back byte for byte; they win over ``reasoning_content``.
What has no place in the canonical form stays in ``extra`` under its own name, at its own level.
"""

from typing import Any

from parley.failure import ParleyError, at, invalid
from parley.ir import (
    Block,
    ChatRequest,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from parley.wire.data_url import split_data_url
from parley.wire.fields import Scalar, check, each, missing, nested, optional, required, wrong
from parley.wire.openai_chat.error import WIRE_NAME

_STR, _BOOL, _INT = Scalar((str,)), Scalar((bool,)), Scalar((int,))
_LIST, _DICT = Scalar((list,)), Scalar((dict,))
_PENALTY = Scalar((int, float), -2, 2)

_DIRECT: dict[str, Scalar] = {
    "model": _STR,
    "stream": _BOOL,
    "temperature": Scalar((int, float), 0, 2),
    "top_p": Scalar((int, float), 0, 1),
    "max_tokens": _INT,
    "n": Scalar((int,), 1, 128),
    "seed": _INT,
    "presence_penalty": _PENALTY,
    "frequency_penalty": _PENALTY,
    "logit_bias": _DICT,
    "logprobs": _BOOL,
    "top_logprobs": Scalar((int,), 0, 20),
    "parallel_tool_calls": _BOOL,
    "user": _STR,
}
_KEPT: dict[str, Scalar] = {
    "audio": _DICT,
    "metadata": _DICT,
    "modalities": _LIST,
    "moderation": _DICT,
    "prediction": _DICT,
    "prompt_cache_key": _STR,
    "prompt_cache_options": _DICT,
    "prompt_cache_retention": _STR,
    "safety_identifier": _STR,
    "service_tier": _STR,
    "store": _BOOL,
    "verbosity": _STR,
    "web_search_options": _DICT,
}
_READ = frozenset(
    {
        "messages",
        "max_completion_tokens",
        "stop",
        "tools",
        "functions",
        "tool_choice",
        "function_call",
        "response_format",
        "reasoning_effort",
        "stream_options",
    }
)
KNOWN = frozenset({*_DIRECT, *_KEPT, *_READ})
_DECLARED = {**_DIRECT, **_KEPT}
SCALARS = frozenset({*_DIRECT, *_KEPT, "max_completion_tokens", "stop", "reasoning_effort"})
_ROLES: dict[str, Role] = {
    "developer": "developer",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_PLAIN = ("user", "assistant", "system", "developer")
_SAID_TYPES = {"mp3": "audio/mpeg"}


def decode_request(body: dict[str, Any]) -> ChatRequest:
    """The request in ``body``, which is left as it is. ``top_k`` is no member of this API but has its place."""
    body = body.copy()
    direct = _scalars(body)
    if "model" not in direct:
        raise missing("model")
    if (limit := optional(body, "max_completion_tokens", int)) is not None:
        direct["max_tokens"], direct["max_tokens_field"] = limit, "max_completion_tokens"
    if type(body.get("top_k")) is int:
        direct["top_k"] = body.pop("top_k")
    effort = optional(body, "reasoning_effort", str)
    return ChatRequest(
        wire=WIRE_NAME,
        messages=_messages(body),
        **_choosing(body),
        stop=_stop(body),
        output=_output(body) if "response_format" in body else None,
        reasoning=None if effort is None else Reasoning(effort=effort),
        include_usage=_include_usage(body) if "stream_options" in body else False,
        extra=body,
        **direct,
    )


def _scalars(body: dict[str, Any]) -> dict[str, Any]:
    """The members that need no reading, checked; the declared ones without a place of their own stay in ``body``."""
    direct = {}
    for name in [name for name in body if name in _DECLARED]:
        value = body[name]
        if value is None:
            del body[name]
            continue
        check(name, value, _DECLARED[name])
        if name in _DIRECT:
            direct[name] = body.pop(name)
    return direct


def _messages(body: dict[str, Any]) -> tuple[Message, ...]:
    values = required(body, "messages", list)
    if not values:
        raise invalid("messages must hold at least one message", "messages")
    if any(map(_is_legacy, values)):
        values = _modern(values)
    return each(values, "messages", _message)


def _is_legacy(value: Any) -> bool:
    return type(value) is dict and ("function_call" in value or value.get("role") == "function")


def _modern(values: list[Any]) -> list[Any]:
    """The messages, with ids for the calls of the time before tools; a result belongs to the call before it."""
    made, count = [], 0
    for value in values:
        turn = value
        if _is_legacy(value):
            turn = {name: item for name, item in value.items() if name != "function_call"}
            call = value.get("function_call")
            if call is not None:
                count += 1
                turn["tool_calls"] = [{"id": f"call_{count}", "type": "function", "function": call}]
            if turn.get("role") == "function":
                turn.update(role="tool", tool_call_id=f"call_{count}", content=turn.get("content") or "")
        made.append(turn)
    return made


def _message(value: dict[str, Any]) -> Message:
    """One turn. Most have nothing but a role and a text."""
    content = value.get("content")
    if len(value) == 2 and type(content) is str and value.get("role") in _PLAIN:
        return Message(_ROLES[value["role"]], (Text(content),))
    return _turn(value.copy())


def _turn(value: dict[str, Any]) -> Message:
    said = required(value, "role", str)
    role = _ROLES.get(said)
    if role == "assistant":
        content = _assistant(value)
    elif role == "tool":
        call_id = required(value, "tool_call_id", str)
        content = (ToolResult(call_id, _content(value)),)
    elif role is not None:
        content = _content(value)
    else:
        raise invalid("role must be developer, system, user, assistant, tool or function", "role")
    return Message(role, content, optional(value, "name", str), value)


def _content(value: dict[str, Any]) -> tuple[Block, ...]:
    found = value.pop("content", None)
    if type(found) is str:
        return (Text(found),)
    if isinstance(found, list):
        return each(found, "content", _part)
    raise missing("content") if found is None else wrong("content", str, list)


def _assistant(value: dict[str, Any]) -> tuple[Block, ...]:
    content = _content(value) if value.get("content") is not None else ()
    value.pop("content", None)
    if not value:
        return content
    refusal = optional(value, "refusal", str)
    calls = optional(value, "tool_calls", list)
    return (
        *_thoughts(value),
        *content,
        *((Refusal(refusal),) if refusal is not None else ()),
        *(each(calls, "tool_calls", _tool_call) if calls else ()),
    )


def _thoughts(value: dict[str, Any]) -> tuple[Block, ...]:
    """Blocks with their signatures where the caller kept them, else the bare text."""
    blocks = optional(value, "thinking_blocks", list)
    said: list[Any] = [value.pop(name) for name in ("reasoning_content", "reasoning") if _is_text(value.get(name))]
    if blocks:
        return each(blocks, "thinking_blocks", _thinking)
    return (Thinking(said[0]),) if said and said[0] else ()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _thinking(value: dict[str, Any]) -> Block:
    value = value.copy()
    kind = required(value, "type", str)
    if kind == "thinking":
        return Thinking(required(value, "thinking", str), optional(value, "signature", str), None, value)
    if kind == "redacted_thinking":
        return Thinking("", None, required(value, "data", str), value)
    raise invalid("type must be thinking or redacted_thinking", "type")


def _tool_call(value: dict[str, Any]) -> Block:
    value = value.copy()
    kind = value.get("type", "function")
    if kind == "custom":
        return Opaque(WIRE_NAME, value)
    if kind != "function":
        raise invalid("type must be function or custom", "type")
    value.pop("type", None)
    call_id = required(value, "id", str)
    function = required(value, "function", dict).copy()
    try:
        name, arguments = required(function, "name", str), required(function, "arguments", str)
    except ParleyError as error:
        raise at(error, "function") from None
    if function:
        value["function"] = function
    return ToolCall(call_id, name, arguments, value)


def _part(value: dict[str, Any]) -> Block:
    """One content part; one of a type that is not known goes out again to this wire as it came."""
    value = value.copy()
    kind = value.get("type")
    if kind == "text":
        del value["type"]
        return Text(required(value, "text", str), value)
    if kind == "refusal":
        del value["type"]
        return Refusal(required(value, "refusal", str), value)
    if not isinstance(kind, str):
        raise missing("type") if kind is None else wrong("type", str)
    read = _MEDIA.get(kind)
    return read(value) if read is not None else Opaque(WIRE_NAME, value)


def _image(value: dict[str, Any]) -> Block:
    del value["type"]
    inner = required(value, "image_url", dict).copy()
    try:
        url, detail = required(inner, "url", str), optional(inner, "detail", str)
    except ParleyError as error:
        raise at(error, "image_url") from None
    extra = {**value, "image_url": inner} if inner else value
    media_type, data = split_data_url(url)
    if data is None:
        return Media(kind="image", url=url, detail=detail, extra=extra)
    return Media(kind="image", data=data, media_type=media_type, detail=detail, extra=extra)


def _audio(value: dict[str, Any]) -> Block:
    del value["type"]
    inner = required(value, "input_audio", dict).copy()
    try:
        data, form = required(inner, "data", str), required(inner, "format", str)
    except ParleyError as error:
        raise at(error, "input_audio") from None
    extra = {**value, "input_audio": inner} if inner else value
    return Media(kind="audio", data=data, media_type=_SAID_TYPES.get(form, f"audio/{form}"), extra=extra)


def _file(value: dict[str, Any]) -> Block:
    """A document; one that is given twice or by other means stays as it is."""
    inner = value.get("file")
    if not isinstance(inner, dict):
        raise missing("file") if inner is None else wrong("file", dict)
    rest = inner.copy()
    try:
        data, file_id, name = (optional(rest, key, str) for key in ("file_data", "file_id", "filename"))
    except ParleyError as error:
        raise at(error, "file") from None
    if (data is None) == (file_id is None):
        return Opaque(WIRE_NAME, value)
    del value["type"], value["file"]
    extra = {**value, "file": rest} if rest else value
    if data is None:
        return Media(kind="document", file_id=file_id, name=name, extra=extra)
    media_type, split = split_data_url(data)
    return Media(kind="document", data=data if split is None else split, media_type=media_type, name=name, extra=extra)


_MEDIA = {"image_url": _image, "input_audio": _audio, "file": _file}


def _choosing(body: dict[str, Any]) -> dict[str, Any]:
    """Tools, and which of them may be called. Where only some may, other wires get no more than those."""
    given = body.get("tools")
    tools, choice = _tools(body), _tool_choice(body)
    said = body.get("tool_choice")
    names = _allowed(said["allowed_tools"].get("tools")) if choice is not None and said is not None else ()
    some = tuple(tool for tool in tools if isinstance(tool, Tool) and tool.name in names)
    if not some:
        return {"tools": tools, "tool_choice": choice}
    return {"tools": some, "tool_choice": choice, "aside": {"tools": given, "tool_choice": body.pop("tool_choice")}}


def _allowed(tools: Any) -> tuple[str, ...]:
    """The functions of a list of allowed tools; none where it is not one of functions alone."""
    names = [
        one["function"].get("name")
        for one in (tools if isinstance(tools, list) else ())
        if isinstance(one, dict) and one.get("type") == "function" and isinstance(one.get("function"), dict)
    ]
    return tuple(names) if isinstance(tools, list) and len(names) == len(tools) else ()


def _tools(body: dict[str, Any]) -> tuple[Tool | Opaque, ...]:
    values = optional(body, "tools", list)
    tools: tuple[Tool | Opaque, ...] = each(values, "tools", _tool) if values else ()
    functions = optional(body, "functions", list)
    return tools + each(functions, "functions", _function) if functions else tools


def _tool(value: dict[str, Any]) -> Tool | Opaque:
    value = value.copy()
    kind = required(value, "type", str)
    if kind != "function":
        value["type"] = kind
        if kind == "custom":
            nested(dict(value), "custom", lambda custom: required(dict(custom), "name", str))
        return Opaque(WIRE_NAME, value)
    tool = nested(value, "function", _function)
    if not value and not tool.extra:
        return tool
    extra = {**value, "function": tool.extra} if tool.extra else value
    return Tool(tool.name, tool.description, tool.parameters, tool.strict, extra)


def _function(value: dict[str, Any]) -> Tool:
    rest = value.copy()
    return Tool(
        required(rest, "name", str),
        optional(rest, "description", str),
        optional(rest, "parameters", dict),
        optional(rest, "strict", bool),
        rest,
    )


def _tool_choice(body: dict[str, Any]) -> ToolChoice | None:
    """The choice; what only this wire can say (allowed tools, custom tools) stays in ``body`` as well."""
    value, old = body.pop("tool_choice", None), body.pop("function_call", None)
    legacy = value is None
    path = "function_call" if legacy else "tool_choice"
    value = old if legacy else value
    if value is None:
        return None
    if value in ("auto", "none", "required"):
        return ToolChoice(value)
    if not isinstance(value, dict):
        raise invalid(f"{path} must be auto, none, required or an object", path)
    try:
        return _object_choice(body, {"type": "function", "function": value} if legacy else value)
    except ParleyError as error:
        raise at(error, path) from None


def _object_choice(body: dict[str, Any], value: dict[str, Any]) -> ToolChoice | None:
    kind = value.get("type")
    if kind not in ("function", "custom", "allowed_tools"):
        raise invalid("type must be function, custom or allowed_tools", "type")
    inner = value.get(kind)
    if not isinstance(inner, dict):
        raise missing(kind) if inner is None else wrong(kind, dict)
    name = "mode" if kind == "allowed_tools" else "name"
    said = inner.get(name)
    if not isinstance(said, str):
        raise at(missing(name) if said is None else wrong(name, str), kind)
    if kind == "function":
        return ToolChoice("named", said)
    body["tool_choice"] = value
    return ToolChoice("required" if said == "required" else "auto") if kind == "allowed_tools" else None


def _stop(body: dict[str, Any]) -> tuple[str, ...] | None:
    value = body.pop("stop", None)
    if value is None:
        return None
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise wrong("stop", str, list)
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise wrong(f"stop[{index}]", str)
    return tuple(value)


def _output(body: dict[str, Any]) -> OutputFormat | None:
    """The form asked for; one with members that are not known stays in ``body`` as well."""
    value = optional(body, "response_format", dict)
    if value is None:
        return None
    try:
        found, whole = _schema(value) if value.get("type") == "json_schema" else _free_form(value)
    except ParleyError as error:
        raise at(error, "response_format") from None
    if not whole:
        body["response_format"] = value
    return found


def _free_form(value: dict[str, Any]) -> tuple[OutputFormat | None, bool]:
    """Text or any JSON; whether that is all that ``value`` says."""
    kind = value.get("type")
    if not isinstance(kind, str):
        raise missing("type") if kind is None else wrong("type", str)
    if kind == "text":
        return OutputFormat("text"), len(value) == 1
    return OutputFormat("json") if kind == "json_object" else None, kind == "json_object" and len(value) == 1


def _schema(value: dict[str, Any]) -> tuple[OutputFormat, bool]:
    rest = dict(required(dict(value), "json_schema", dict))
    try:
        found = OutputFormat(
            "schema",
            name=required(rest, "name", str),
            description=optional(rest, "description", str),
            schema=optional(rest, "schema", dict),
            strict=optional(rest, "strict", bool),
        )
    except ParleyError as error:
        raise at(error, "json_schema") from None
    return found, not rest and len(value) == 2


def _include_usage(body: dict[str, Any]) -> bool:
    """Whether usage is asked for in the stream; other options stay in ``body``."""
    given = optional(body, "stream_options", dict)
    if given is None:
        return False
    options = given.copy()
    try:
        asked = optional(options, "include_usage", bool)
        if options.get("include_obfuscation") is not None:
            check("include_obfuscation", options["include_obfuscation"], _BOOL)
    except ParleyError as error:
        raise at(error, "stream_options") from None
    if options:
        body["stream_options"] = options
    return bool(asked)
