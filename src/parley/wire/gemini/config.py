"""Gemini's settings of a request, read: generationConfig, tools and toolConfig.

What says the same as a canonical field but in words that only this wire has is kept beside it (``Kept``) and goes out
again to this wire as it came, as long as nobody has changed the field. Source: provider contract 0.3, 3.2.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from parley.failure import ParleyError, at, invalid
from parley.ir import Opaque, OutputFormat, Reasoning, Tool, ToolChoice
from parley.wire.gemini.names import NAME, Json, rest
from parley.wire.gemini.parts import optional, required
from parley.wire.gemini.schema import json_schema

CONFIG: Final = "generationConfig"
_NUMBERS: Final = {
    "temperature": "temperature",
    "topP": "top_p",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
_COUNTS: Final = {
    "topK": "top_k",
    "candidateCount": "n",
    "maxOutputTokens": "max_tokens",
    "seed": "seed",
    "logprobs": "top_logprobs",
}
_OUTPUT: Final = ("responseMimeType", "responseSchema", "responseJsonSchema")
_READ: Final = frozenset({*_NUMBERS, *_COUNTS, *_OUTPUT, "stopSequences", "responseLogprobs", "thinkingConfig"})
_DECLARATION: Final = frozenset({"name", "description", "parameters", "parametersJsonSchema"})
_MODES: Final[Mapping[str, Literal["auto", "none", "required"]]] = {
    "AUTO": "auto",
    "VALIDATED": "auto",
    "ANY": "required",
    "NONE": "none",
}
_JSON: Final = "application/json"


class Kept(Struct, frozen=True):
    """Members of this wire that say exactly what ``value`` says."""

    value: Any
    members: Json


def settings_of(body: Json, extra: Json, kept: Json) -> Json:
    """Canonical fields out of generationConfig; what nobody knows goes to ``extra`` under its full path."""
    config = optional(body, CONFIG, dict)
    if config is None:
        return {}
    try:
        made = _settings(config, kept)
    except ParleyError as error:
        raise at(error, CONFIG) from None
    for name, value in rest(config, _READ).items():
        extra[f"{CONFIG}.{name}"] = value
    return made


def _settings(config: Json, kept: Json) -> Json:
    made: Json = {}
    for name, field in _NUMBERS.items():
        if config.get(name) is not None:
            made[field] = _number(config[name], name)
    for name, field in _COUNTS.items():
        if config.get(name) is not None:
            made[field] = _whole(config[name], name)
    if config.get("responseLogprobs") is not None:
        made["logprobs"] = required(config, "responseLogprobs", bool)
    stops = optional(config, "stopSequences", list)
    if stops is not None:
        made["stop"] = tuple(_stop(item, index) for index, item in enumerate(stops))
    made["output"] = output = _output(config)
    kept["output"] = Kept(output, {name: config[name] for name in _OUTPUT if name in config})
    thinking = optional(config, "thinkingConfig", dict)
    if thinking is not None:
        made["reasoning"] = reasoning = _reasoning(thinking)
        kept["reasoning"] = Kept(reasoning, {"thinkingConfig": thinking})
    return made


def _number(value: Any, name: str) -> float:
    if type(value) is float or type(value) is int:
        return value
    raise invalid(f"{name} must be a number", name)


def _whole(value: Any, name: str) -> int:
    """A count; the official client writes some of them with a decimal point."""
    if type(value) is int or (type(value) is float and value.is_integer()):
        return int(value)
    raise invalid(f"{name} must be an integer", name)


def _stop(value: Any, index: int) -> str:
    if type(value) is str:
        return value
    raise invalid(f"stopSequences[{index}] must be a string", f"stopSequences[{index}]")


def _output(config: Json) -> OutputFormat | None:
    kind = optional(config, "responseMimeType", str)
    plain, own = config.get("responseJsonSchema"), config.get("responseSchema")
    if plain is None and own is not None:
        plain = json_schema(own)
    if type(plain) is dict:
        return OutputFormat("schema", plain, name="answer")
    if kind == _JSON:
        return OutputFormat("json")
    return OutputFormat("text") if kind == "text/plain" else None


def _reasoning(thinking: Json) -> Reasoning | None:
    budget, level = thinking.get("thinkingBudget"), optional(thinking, "thinkingLevel", str)
    effort = None if level is None or level.endswith("UNSPECIFIED") else level.lower()
    if budget is None:
        return None if effort is None else Reasoning(effort=effort)
    count = _whole(budget, "thinkingConfig.thinkingBudget")
    if count == 0:
        return Reasoning("disabled", effort)
    return Reasoning("adaptive", effort) if count < 0 else Reasoning("enabled", effort, count)


# --- tools -------------------------------------------------------------------------------------


def tools_of(body: Json, kept: Json) -> tuple[Tool | Opaque, ...]:
    """Every declared function; what else a tool can be is this wire's own."""
    values = optional(body, "tools", list)
    if values is None:
        return ()
    found: list[Tool | Opaque] = []
    for index, value in enumerate(values):
        try:
            if type(value) is not dict:
                raise invalid("a tool must be an object")
            _add_tools(value, found)
        except ParleyError as error:
            raise at(error, f"tools[{index}]") from None
    made = tuple(found)
    kept["tools"] = Kept(made, {"tools": values})
    return made


def _add_tools(value: Json, found: list[Tool | Opaque]) -> None:
    for place, item in enumerate(optional(value, "functionDeclarations", list) or ()):
        try:
            if type(item) is not dict:
                raise invalid("a declaration must be an object")
            found.append(_tool(item))
        except ParleyError as error:
            raise at(error, f"functionDeclarations[{place}]") from None
    found += [Opaque(NAME, {name: item}) for name, item in value.items() if name != "functionDeclarations"]


def _tool(value: Json) -> Tool:
    parameters = optional(value, "parametersJsonSchema", dict)
    if parameters is None:
        own = optional(value, "parameters", dict)
        parameters = None if own is None else json_schema(own)
    return Tool(
        required(value, "name", str),
        optional(value, "description", str),
        parameters,
        extra=rest(value, _DECLARATION),
    )


def choice_of(body: Json, extra: Json, kept: Json) -> ToolChoice | None:
    """Which tools must be called; what only this wire can say goes to ``extra`` under its full path."""
    config = optional(body, "toolConfig", dict)
    if config is None:
        return None
    for name, value in rest(config, frozenset({"functionCallingConfig"})).items():
        extra[f"toolConfig.{name}"] = value
    try:
        calling = optional(config, "functionCallingConfig", dict)
        choice = None if calling is None else _choice(calling, extra)
    except ParleyError as error:
        raise at(error, "toolConfig") from None
    kept["tool_choice"] = Kept(choice, {"toolConfig": config})
    return choice


def _choice(calling: Json, extra: Json) -> ToolChoice | None:
    path = "functionCallingConfig"
    try:
        mode = optional(calling, "mode", str)
        names = optional(calling, "allowedFunctionNames", list) or []
    except ParleyError as error:
        raise at(error, path) from None
    if mode is None or mode == "MODE_UNSPECIFIED":
        return None
    chosen = _MODES.get(mode)
    if chosen is None:
        raise invalid(f"{path}.mode must be AUTO, ANY, NONE or VALIDATED", f"{path}.mode")
    if chosen == "required" and len(names) == 1:
        return ToolChoice("named", str(names[0]))
    for name in ("allowedFunctionNames", "streamFunctionCallArguments"):
        if calling.get(name):
            extra[f"toolConfig.{path}.{name}"] = calling[name]
    return ToolChoice(chosen)
