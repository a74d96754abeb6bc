"""Gemini's settings of a request, written: generationConfig, tools and toolConfig.

Source: provider contract 0.3, 3.2, 3.6 (6).
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from parley.ir import ChatRequest, Opaque, OutputFormat, Reasoning, Tool, ToolChoice
from parley.wire.gemini.config import Kept
from parley.wire.gemini.names import NAME, Json
from parley.wire.gemini.schema import openapi

_DIRECT: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "n": "candidateCount",
    "max_tokens": "maxOutputTokens",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "seed": "seed",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
_UNSUPPORTED: Final = ("logit_bias", "user")
_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
_LEVELS: Final = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "XHIGH"}
# Models before the third generation count tokens in place of levels; more than this they refuse.
_BUDGETS: Final = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576}
_MOST: Final = 24576
_COUNTING: Final = re.compile(r"gemini-(?:1|2)(?:\D|$)|gemini-robotics")


def put_settings(request: ChatRequest, options: Mapping[str, Any], body: Json, dropped: list[str]) -> None:
    """Everything but the conversation into ``body``; the caller's names of what could not go into ``dropped``."""
    config: Json = {name: value for field, name in _DIRECT.items() if (value := getattr(request, field)) is not None}
    if request.stop is not None:
        config["stopSequences"] = list(request.stop)
    dropped += [name for name in _UNSUPPORTED if getattr(request, name) is not None]
    if request.parallel_tool_calls is False:
        dropped.append("parallel_tool_calls")
    _put(config, request, "output", lambda: _output(request.output, options, dropped))
    _put(config, request, "reasoning", lambda: _reasoning(request, options, dropped))
    _put(body, request, "tools", lambda: _tools(request, options, dropped))
    _put(body, request, "tool_choice", lambda: _choice(request.tool_choice, body, dropped))
    if config:
        body["generationConfig"] = config
    if request.wire == NAME:
        _restore(body, request.extra)
    else:
        dropped += request.extra


def _put(target: Json, request: ChatRequest, field: str, write: Any) -> None:
    """The members of a field: the caller's own where they still say the same, else written anew."""
    same = request.wire == NAME
    if not same and not getattr(request, field):
        return
    kept = request.aside.get(field) if same else None
    if isinstance(kept, Kept) and kept.value is getattr(request, field):
        target.update(kept.members)
    else:
        target.update(write())


def _restore(body: Json, extra: Json) -> None:
    """Members that were kept under their full paths, back in their places; what is there already wins."""
    for path, value in extra.items():
        *steps, name = path.split(".") if path.startswith(("generationConfig.", "toolConfig.")) else [path]
        holder = body
        for step in steps:
            holder[step] = holder = dict(holder.get(step) or {})
        holder.setdefault(name, value)


def _output(output: OutputFormat | None, options: Mapping[str, Any], dropped: list[str]) -> Json:
    if output is None or output.kind == "text":
        return {}
    made: Json = {"responseMimeType": "application/json"}
    if output.kind == "schema" and output.schema is not None:
        if options.get("schemas") == "openapi":
            made["responseSchema"] = openapi(output.schema)
        else:
            made["responseJsonSchema"] = output.schema
    if output.description is not None:
        dropped.append("response_format.json_schema.description")
    if output.strict is False:
        dropped.append("response_format.json_schema.strict")
    return made


def _reasoning(request: ChatRequest, options: Mapping[str, Any], dropped: list[str]) -> Json:
    reasoning = request.reasoning
    if reasoning is None:
        return {}
    dropped += [f"reasoning.{key}" for key in reasoning.extra]
    if reasoning.mode == "disabled" or reasoning.effort == "none" or reasoning.budget == 0:
        return {"thinkingConfig": {"thinkingBudget": 0}}
    told = options.get("thinking") or ("budget" if _COUNTING.search(request.model) else "level")
    return {"thinkingConfig": {"includeThoughts": True, **_amount(reasoning, told == "budget")}}


def _amount(reasoning: Reasoning, counting: bool) -> Json:
    """How much to think; both ways at once would be refused."""
    effort = reasoning.effort
    if reasoning.budget is not None and (counting or effort is None):
        return {"thinkingBudget": reasoning.budget}
    if effort is None:
        return {"thinkingBudget": -1}
    if counting:
        return {"thinkingBudget": _BUDGETS.get(effort, _MOST)}
    return {"thinkingLevel": _LEVELS.get(effort, "XHIGH" if effort == "max" else effort.upper())}


def _tools(request: ChatRequest, options: Mapping[str, Any], dropped: list[str]) -> Json:
    declared: list[Json] = []
    others: list[Json] = []
    for index, tool in enumerate(request.tools):
        if isinstance(tool, Tool):
            declared.append(_declaration(tool, request.wire == NAME, options, dropped, index))
        elif isinstance(tool, Opaque) and tool.wire == NAME:
            others.append(tool.value)
        else:
            dropped.append(f"tools[{index}]")
    tools = ([{"functionDeclarations": declared}] if declared else []) + others
    return {"tools": tools} if tools else {}


def _declaration(tool: Tool, same: bool, options: Mapping[str, Any], dropped: list[str], index: int) -> Json:
    made: Json = {"name": tool.name}
    if tool.description is not None:
        made["description"] = tool.description
    if tool.parameters:
        if options.get("schemas") == "openapi":
            made["parameters"] = openapi(tool.parameters)
        else:
            made["parametersJsonSchema"] = tool.parameters
    if tool.strict is False:
        dropped.append(f"tools[{index}].strict")
    if same:
        made.update(tool.extra)
    else:
        dropped += [f"tools[{index}].{key}" for key in tool.extra]
    return made


def _choice(choice: ToolChoice | None, body: Json, dropped: list[str]) -> Json:
    if choice is None:
        return {}
    if not any("functionDeclarations" in tool for tool in body.get("tools", ())):
        dropped.append("tool_choice")
        return {}
    calling: Json = {"mode": _MODES[choice.mode]}
    if choice.name is not None:
        calling["allowedFunctionNames"] = [choice.name]
    return {"toolConfig": {"functionCallingConfig": calling}}
