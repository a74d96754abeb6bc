"""Amazon Bedrock Converse: names, ids, stop reasons and usage, as requests, answers and streams share them.

Source: provider contract 0.1, 0.2, 10.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NoReturn, TypeAlias

import msgspec
from msgspec import Raw

from parley.failure import Failure, ParleyError
from parley.ir import Extra, Stop, Usage

NAME = "bedrock"
BAD_JSON = (msgspec.DecodeError, ValueError, RecursionError)

Json: TypeAlias = dict[str, Any]

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode
_object = msgspec.json.Decoder(dict[str, Any])

# A model's id begins with its maker, an inference profile's with a part of the world before it.
_MAKER = re.compile(r"(?:^|/)(?:[a-z-]+\.)?([a-z0-9]+)\.[a-z]")
_PLAIN_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_STOPS: Mapping[str, Stop] = {
    "end_turn": "end",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_use",
    "guardrail_intervened": "refusal",
    "content_filtered": "refusal",
}
_BROKEN = ("malformed_model_output", "malformed_tool_use")
_COUNTED = frozenset({"inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens"})


def is_claude(model: str) -> bool:
    """Whether a model is of Claude's maker, as far as its id tells; one that names no maker may well be."""
    named = _MAKER.search(model)
    return named is None or named[1] == "anthropic"


def call_id(id: str) -> str:
    """A tool call's id in the characters and the length that this wire takes; equal ids stay equal, different ones
    different."""
    return id if _PLAIN_ID.fullmatch(id) else "id_" + sha256(id.encode("utf-8", "surrogatepass")).hexdigest()[:48]


def input_of(arguments: str) -> Any:
    """Arguments as the ``input`` object, the text itself where it is one; other text is wrapped as ``_raw``."""
    if arguments in ("", "{}") or arguments.isspace():
        return {}
    try:
        _object.decode(arguments)
    except BAD_JSON:
        return {"_raw": arguments}
    return Raw(arguments.encode())


def stop_of(reason: str, called: bool) -> Stop:
    """The canonical stop. A word nobody knows is an ordinary end, and one with tool calls asks for their results: some
    models forget to say so. Raises ``upstream_error`` where the model's output was no answer."""
    if reason in _BROKEN:
        message = f"the provider could not read what its model wrote ({reason})"
        raise ParleyError(Failure("upstream_error", message, detail="stream_error"))
    stop = _STOPS.get(reason, "end")
    return "tool_use" if stop == "end" and called else stop


def matched(fields: Any) -> str | None:
    """The stop sequence that was found, out of ``additionalModelResponseFields``."""
    found = fields.get("stop_sequence") if type(fields) is dict else None
    return found if type(found) is str else None


def usage_of(value: Any) -> Usage | None:
    """Canonical usage, None where none was reported.

    Whether the input includes what was read from and written to a cache, the total tells; without one it does not.
    """
    if type(value) is not dict or not value:
        return None
    fresh, made = _count(value, "inputTokens") or 0, _count(value, "outputTokens") or 0
    read, written = _count(value, "cacheReadInputTokens"), _count(value, "cacheWriteInputTokens")
    aside = (read or 0) + (written or 0)
    included = aside <= fresh and _count(value, "totalTokens") == fresh + made
    return Usage(
        input=fresh if included else fresh + aside,
        output=made,
        cached=read,
        cache_write=written,
        extra=rest(value, _COUNTED),
    )


def _count(value: Json, key: str) -> int | None:
    found = value.get(key)
    return int(found) if type(found) is int or type(found) is float else None


def rest(holder: Json, known: frozenset[str]) -> Extra:
    """The members nobody knows, as they came."""
    return {key: value for key, value in holder.items() if key not in known}


def bad(detail: str, message: str) -> NoReturn:
    """Raises ``upstream_bad_response`` with that word for the logs."""
    raise ParleyError(Failure("upstream_bad_response", message, detail=detail))
