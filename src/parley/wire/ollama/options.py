"""What chat and generate have in common beside the conversation: options, thinking, the form of the answer.

Sampling parameters stand in ``options``. Those that the canonical form lacks are kept under their dotted name
("options.num_ctx"), by which they are also listed where they cannot go. Source: provider contract 4.1.
"""

from collections.abc import Mapping
from typing import Any, Final

from parley.failure import invalid
from parley.ir import ChatRequest, Extra, OutputFormat, Reasoning
from parley.wire.effort import effort_of
from parley.wire.fields import Scalar, check, optional, wrong

GENERATE: Final = "ollama_generate"
# Chat and generate are one API: what is kept for one of them means the same to the other.
KIN: Final = frozenset({"ollama", GENERATE})
SHARED: Final = frozenset(
    {"model", "stream", "format", "options", "keep_alive", "think", "logprobs", "top_logprobs", "truncate", "shift"}
)
_NUMBER: Final = Scalar((int, float))
_WHOLE: Final = Scalar((int,))
_SAMPLING: Final = {
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "top_k": _WHOLE,
    "seed": _WHOLE,
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
}
_PREFIX: Final = "options."
_EFFORTS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
_LEVELS: Final = {"minimal": "low", "xhigh": "max"}
_TOP: Final = ("logprobs", "top_logprobs")
_UNSUPPORTED: Final = ("logit_bias", "user")


# --- reading -----------------------------------------------------------------------------------


def shared_fields(rest: Extra, aside: Extra) -> dict[str, Any]:
    """Canonical fields out of a copy of the body, which is used up but for what nobody knows. Raises
    ``invalid_request`` naming the field. What asks for nothing goes ``aside``."""
    model = optional(rest, "model", str)
    if not model:
        raise invalid("model is required and must be a string", "model")
    streams = optional(rest, "stream", bool)
    for name in ("keep_alive", "truncate", "shift"):
        if name in rest and rest[name] is None:
            del rest[name]
    return {
        "model": model,
        # A request that does not say gets a stream, and every answer carries its usage.
        "stream": streams is not False,
        "include_usage": True,
        "reasoning": _think(rest),
        "output": _format(rest),
        "logprobs": optional(rest, "logprobs", bool),
        "top_logprobs": optional(rest, "top_logprobs", int),
        **options_of(rest, aside),
    }


def options_of(rest: Extra, aside: Extra) -> dict[str, Any]:
    """Canonical fields out of ``options``; unknown options stay in ``rest`` under their dotted name."""
    found: dict[str, Any] = {}
    for name, value in (optional(rest, "options", dict) or {}).items():
        if value is None:
            continue
        if name in _SAMPLING:
            number = _integral(value)
            check(_PREFIX + name, number, _SAMPLING[name])
            found[name] = number
        elif name == "stop":
            found["stop"] = _stop(value)
        elif name == "num_predict":
            _limit(value, found, aside)
        else:
            rest[_PREFIX + name] = value
    return found


def _integral(value: Any) -> Any:
    """40.0 is 40 in this API."""
    return int(value) if type(value) is float and value.is_integer() else value


def _limit(value: Any, found: dict[str, Any], aside: Extra) -> None:
    """-1 is no limit and -2 the rest of the context: what happens anyway where nothing is said."""
    limit = _integral(value)
    check(_PREFIX + "num_predict", limit, _WHOLE)
    if limit > 0:
        found["max_tokens"] = limit
    else:
        aside[_PREFIX + "num_predict"] = limit


def _stop(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise wrong("options.stop", str, list)
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise wrong(f"options.stop[{index}]", str)
    return tuple(value)


def _think(rest: Extra) -> Reasoning | None:
    value = rest.pop("think", None)
    if value is None or value == "":
        return None
    if value is True or value is False:
        return Reasoning(mode="enabled" if value else "disabled")
    if isinstance(value, str) and value in _EFFORTS:
        return Reasoning(effort=value)
    raise invalid("think must be true, false or one of low, medium, high, max", "think")


def _format(rest: Extra) -> OutputFormat | None:
    value = rest.pop("format", None)
    if value is None or value == "":
        return None
    if value == "json":
        return OutputFormat("json")
    if isinstance(value, dict):
        return OutputFormat("schema", schema=value)
    raise invalid('format must be "json" or a JSON schema', "format")


# --- writing -----------------------------------------------------------------------------------


def put_settings(body: Extra, request: ChatRequest, habits: Mapping[str, Any], dropped: list[str]) -> None:
    """Everything of a request but its conversation. Raises ``invalid_request`` for more than one answer."""
    if request.n is not None and request.n != 1:
        raise invalid("n: this provider gives one answer per request", "n")
    if request.output is not None:
        _put_format(body, request.output, dropped)
    options = _options(request)
    if request.reasoning is not None:
        _put_think(body, request.reasoning, dropped)
    body.update({name: value for name in _TOP if (value := getattr(request, name)) is not None})
    dropped += [name for name in _UNSUPPORTED if getattr(request, name) is not None]
    if request.wire in KIN:
        put_kept(body, options, {**request.aside, **request.extra})
    else:
        dropped += request.extra
        body.update({name: habits[name] for name in ("truncate",) if name in habits})
    if options:
        body["options"] = options
    body["stream"] = request.stream


def put_kept(body: Extra, options: Extra, kept: Extra) -> None:
    """What was kept of a request of this wire, back at its place."""
    for name, value in kept.items():
        if name.startswith(_PREFIX):
            options[name.removeprefix(_PREFIX)] = value
        else:
            body[name] = value


def _options(request: ChatRequest) -> Extra:
    options: Extra = {}
    for name in _SAMPLING:
        if (value := getattr(request, name)) is not None:
            options[name] = value
    if request.max_tokens is not None:
        options["num_predict"] = request.max_tokens
    if request.stop is not None:
        options["stop"] = list(request.stop)
    return options


def _put_format(body: Extra, output: OutputFormat, dropped: list[str]) -> None:
    if output.kind == "text":
        return
    body["format"] = "json" if output.schema is None else output.schema
    if output.description is not None:
        dropped.append("response_format.json_schema.description")


def _put_think(body: Extra, reasoning: Reasoning, dropped: list[str]) -> None:
    """The switch, or how much where the caller said; a budget is told as the nearest word."""
    dropped += [f"reasoning.{name}" for name in reasoning.extra]
    effort = reasoning.effort
    if reasoning.mode == "disabled" or effort == "none" or reasoning.budget == 0:
        body["think"] = False
    elif effort is None and reasoning.budget is None:
        if reasoning.mode == "enabled":
            body["think"] = True
    else:
        word = effort_of(reasoning)
        body["think"] = _LEVELS.get(word or "", word)
