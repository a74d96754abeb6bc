"""Responses requests, read from a caller: a plain dict in, the canonical request out.

What steers this server alone (``store``, ``background``, ``conversation``, ``previous_response_id``) and values that
ask for what every provider does unasked are set aside for this wire. What else has no place in the canonical form is
listed in ``extra``, nested members by their path ("text.verbosity"). Source: OpenAI surface contract, section 6.1.
"""

from collections.abc import Callable
from typing import Any

from msgspec import json

from parley.failure import ParleyError, at, invalid
from parley.ir import ChatRequest, Extra, Message, Opaque, OutputFormat, Reasoning, Text, Tool, ToolChoice
from parley.wire.fields import Scalar, check, each, missing, optional, required, wrong
from parley.wire.openai_responses.items import turns_of
from parley.wire.openai_responses.sealed import NAME

LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"
LEAST_OUTPUT = 16

_STR, _BOOL, _INT = Scalar((str,)), Scalar((bool,)), Scalar((int,))
_LIST, _DICT = Scalar((list,)), Scalar((dict,))
_LIMIT = Scalar((int,), LEAST_OUTPUT)
_DIRECT: dict[str, Scalar] = {
    "model": _STR,
    "stream": _BOOL,
    "temperature": Scalar((int, float), 0, 2),
    "top_p": Scalar((int, float), 0, 1),
    "parallel_tool_calls": _BOOL,
    "top_logprobs": Scalar((int,), 0, 20),
    "user": _STR,
}
_ASIDE: dict[str, Scalar] = {
    "background": _BOOL,
    "conversation": Scalar((str, dict)),
    "previous_response_id": _STR,
    "store": _BOOL,
}
_KEPT: dict[str, Scalar] = {
    "access_programs": _DICT,
    "context_management": _LIST,
    "image": _DICT,
    "max_tool_calls": _INT,
    "metadata": _DICT,
    "moderation": _DICT,
    "prompt_cache_key": _STR,
    "prompt_cache_options": _DICT,
    "prompt_cache_retention": _STR,
    "safety_identifier": _STR,
    "service_tier": _STR,
    "truncation": _STR,
}
_READ = frozenset(
    {
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "prompt",
        "reasoning",
        "stream_options",
        "text",
        "tool_choice",
        "tools",
    }
)
KNOWN = frozenset({*_DIRECT, *_ASIDE, *_KEPT, *_READ})
SCALARS = frozenset({*_DIRECT, *_KEPT, "store"})
_DECLARED = {**_DIRECT, **_ASIDE, **_KEPT}
# What happens anyway where nobody asks for anything else.
_UNASKED: dict[str, tuple[Any, ...]] = {"truncation": ("disabled",), "service_tier": ("auto", "default")}


def decode_request(body: dict[str, Any]) -> ChatRequest:
    """The request in ``body``, which is left as it is. Raises ``invalid_request`` with the field's path."""
    return _request(body.copy(), counting=False)


def count_tokens(body: dict[str, Any], measure: Callable[[ChatRequest], int]) -> bytes:
    """The answer of POST /responses/input_tokens; nothing is required there."""
    tokens = measure(_request(body.copy(), counting=True))
    return json.encode({"object": "response.input_tokens", "input_tokens": tokens})


def _request(body: dict[str, Any], *, counting: bool) -> ChatRequest:
    aside: Extra = {}
    direct = _scalars(body, aside)
    if "model" not in direct:
        if not counting:
            raise missing("model")
        direct["model"] = ""
    limit = body.pop("max_output_tokens", None)
    if limit is not None:
        check("max_output_tokens", limit, _LIMIT)
        direct["max_tokens"], direct["max_tokens_field"] = limit, "max_output_tokens"
    ahead = _ahead(body)
    messages = (*ahead, *_turns(body, aside, wanted=not (counting or (ahead and _is_prompt(ahead[0])))))
    _choose(body, aside, direct)
    _include(body, aside, direct)
    output = _text(body, aside)
    _stream_options(body, aside)
    return ChatRequest(
        wire=NAME,
        messages=messages,
        output=output,
        reasoning=_reasoning(body),
        # The last event of this dialect's streams carries usage.
        include_usage=direct.get("stream", False),
        ahead=len(ahead),
        extra=body,
        aside=aside,
        **direct,
    )


def _scalars(body: dict[str, Any], aside: Extra) -> dict[str, Any]:
    """The members that need no reading, checked; the declared ones without a place of their own stay in ``body``."""
    direct: dict[str, Any] = {}
    for name, value in list(body.items()):
        scalar = _DECLARED.get(name)
        if scalar is not None and (value is None or _is_placed(name, value, scalar, direct, aside)):
            del body[name]
    if "conversation" in aside:
        _check_conversation(aside["conversation"])
    if "metadata" in body:
        for key, value in body["metadata"].items():
            if type(value) is not str:
                raise wrong(f"metadata.{key}", str)
    return direct


def _is_placed(name: str, value: Any, scalar: Scalar, direct: dict[str, Any], aside: Extra) -> bool:
    """Check the member, and put it where it belongs, if it has a place of its own."""
    check(name, value, scalar)
    if name in _DIRECT:
        direct[name] = value
    elif name in _ASIDE or value in _UNASKED.get(name, ()):
        aside[name] = value
    else:
        return False
    return True


def _check_conversation(value: Any) -> None:
    if type(value) is dict:
        try:
            required(value.copy(), "id", str)
        except ParleyError as error:
            raise at(error, "conversation") from None


def _ahead(body: dict[str, Any]) -> tuple[Message, ...]:
    """What precedes the input: the stored prompt, which only this wire's provider has, and the instructions."""
    found = []
    prompt, instructions = optional(body, "prompt", dict), optional(body, "instructions", str)
    if prompt is not None:
        try:
            required(prompt.copy(), "id", str)
        except ParleyError as error:
            raise at(error, "prompt") from None
        found.append(Message("developer", (Opaque(NAME, {"type": "prompt", "prompt": prompt}),), place="prompt"))
    if instructions is not None:
        found.append(Message("system", (Text(instructions),), place="instructions"))
    return tuple(found)


def _is_prompt(message: Message) -> bool:
    return message.place == "prompt"


def _turns(body: dict[str, Any], aside: Extra, *, wanted: bool) -> list[Message]:
    value = body.pop("input", None)
    turns = [] if value is None else turns_of(value)
    if wanted and not turns and "previous_response_id" not in aside and "conversation" not in aside:
        raise invalid("input must hold at least one item", "input") if value is not None else missing("input")
    return turns


# --- tools -------------------------------------------------------------------------------------


def _choose(body: dict[str, Any], aside: Extra, direct: dict[str, Any]) -> None:
    """Tools, and which of them may be called. Where there is no function to call, a choice says nothing elsewhere."""
    given = optional(body, "tools", list)
    tools = each(given, "tools", _tool) if given else ()
    choice = body.pop("tool_choice", None)
    said = _choice(choice) if choice is not None else None
    if type(choice) is dict and choice["type"] == "allowed_tools":
        aside["tools"], aside["tool_choice"] = given, choice
        tools = tuple(tool for tool in tools if _allowed(tool, choice["tools"]))
    elif choice is not None and said is None:
        body["tool_choice"] = choice
    if not any(isinstance(tool, Tool) for tool in tools):
        if said is not None:
            aside["tool_choice"] = choice
        if "parallel_tool_calls" in direct:
            aside["parallel_tool_calls"] = direct.pop("parallel_tool_calls")
        said = None
    direct["tools"], direct["tool_choice"] = tools, said


def _tool(given: dict[str, Any]) -> Tool | Opaque:
    value = given.copy()
    kind = required(value, "type", str)
    if kind != "function":
        if kind == "custom":
            required(value, "name", str)
        return Opaque(NAME, given)
    return Tool(
        required(value, "name", str),
        optional(value, "description", str),
        optional(value, "parameters", dict),
        optional(value, "strict", bool),
        {name: member for name, member in value.items() if member is not None},
    )


def _choice(value: Any) -> ToolChoice | None:
    """The choice, None for what only this wire can say."""
    if value in ("auto", "none", "required"):
        return ToolChoice(value)
    if type(value) is not dict:
        raise invalid("tool_choice must be auto, none, required or an object", "tool_choice")
    try:
        kind = required(value.copy(), "type", str)
        if kind == "allowed_tools":
            return _allowance(value.copy())
        name = required(value.copy(), "name", str) if kind in ("function", "custom") else None
    except ParleyError as error:
        raise at(error, "tool_choice") from None
    return ToolChoice("named", name) if kind == "function" else None


def _allowance(value: dict[str, Any]) -> ToolChoice:
    """A choice among some of the tools; the others are left out where it cannot be said."""
    mode = required(value, "mode", str)
    if mode not in ("auto", "required"):
        raise invalid("mode must be auto or required", "mode")
    each(required(value, "tools", list), "tools", lambda tool: required(tool.copy(), "type", str))
    return ToolChoice("required" if mode == "required" else "auto")


def _allowed(tool: Tool | Opaque, allowed: list[dict[str, Any]]) -> bool:
    for one in allowed:
        if isinstance(tool, Tool):
            if one["type"] == "function" and one.get("name") == tool.name:
                return True
        elif all(tool.value.get(name) == value for name, value in one.items()):
            return True
    return False


# --- what is asked of the answer ---------------------------------------------------------------


def _include(body: dict[str, Any], aside: Extra, direct: dict[str, Any]) -> None:
    """What more the answer should hold. Probabilities and sealed reasoning cross wires, everything else does not."""
    given = optional(body, "include", list)
    if direct.get("top_logprobs"):
        direct["logprobs"] = True
    if given is None:
        return
    for index, name in enumerate(given):
        if type(name) is not str:
            raise wrong(f"include[{index}]", str)
    if LOGPROBS in given:
        direct["logprobs"] = True
    if all(name in (LOGPROBS, ENCRYPTED) for name in given):
        aside["include"] = given
    else:
        body["include"] = given


def _text(body: dict[str, Any], aside: Extra) -> OutputFormat | None:
    """The form asked for; other members of ``text`` are listed one by one."""
    given = optional(body, "text", dict)
    if given is None:
        return None
    rest = {name: value for name, value in given.items() if value is not None}
    try:
        form = optional(rest, "format", dict)
        if "verbosity" in rest:
            check("verbosity", rest["verbosity"], _STR)
        found = None if form is None else _format(form)
    except ParleyError as error:
        raise at(error, "text") from None
    body.update({f"text.{name}": value for name, value in rest.items()})
    aside["text"] = given
    return found


def _format(form: dict[str, Any]) -> OutputFormat | None:
    value = form.copy()
    try:
        kind = required(value, "type", str)
        if kind == "text":
            return OutputFormat("text")
        if kind == "json_object":
            return OutputFormat("json")
        if kind != "json_schema":
            raise invalid("type must be text, json_object or json_schema", "type")
        return OutputFormat(
            "schema",
            name=required(value, "name", str),
            schema=required(value, "schema", dict),
            description=optional(value, "description", str),
            strict=optional(value, "strict", bool),
        )
    except ParleyError as error:
        raise at(error, "format") from None


def _stream_options(body: dict[str, Any], aside: Extra) -> None:
    given = optional(body, "stream_options", dict)
    if given is None:
        return
    aside["stream_options"] = given
    hidden = given.get("include_obfuscation")
    if hidden is not None:
        try:
            check("include_obfuscation", hidden, _BOOL)
        except ParleyError as error:
            raise at(error, "stream_options") from None
    body.update({f"stream_options.{name}": value for name, value in given.items() if value not in (None, False)})


def _reasoning(body: dict[str, Any]) -> Reasoning | None:
    given = optional(body, "reasoning", dict)
    if given is None:
        return None
    rest = given.copy()
    try:
        effort = optional(rest, "effort", str)
        for name in ("summary", "generate_summary", "context", "mode"):
            if rest.get(name) is not None:
                check(name, rest[name], _STR)
    except ParleyError as error:
        raise at(error, "reasoning") from None
    extra = {name: value for name, value in rest.items() if value is not None}
    return Reasoning(effort=effort, extra=extra) if extra or effort is not None else None
