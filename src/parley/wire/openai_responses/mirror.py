"""The response object around an answer: which members repeat the request, and what the others are at the start."""

import re
from typing import Any

from msgspec import DecodeError, Struct, json

from parley.ir import Start
from parley.wire import Reply
from parley.wire.openai_responses.sealed import NAME

Json = dict[str, Any]
_ODD = re.compile(r"[^A-Za-z0-9_-]")
# Members that change until the end: a whole answer's are not told at the start of a stream made of it.
LATE = frozenset({"output", "status", "usage", "error", "incomplete_details", "completed_at", "object", "output_text"})
_GIVEN = ("prompt", "prompt_cache_key", "prompt_cache_retention", "safety_identifier")


class Asked(Struct, frozen=True, kw_only=True):
    """The members of a request that its answer repeats; null is absent."""

    background: Any = None
    conversation: Any = None
    instructions: Any = None
    max_output_tokens: Any = None
    max_tool_calls: Any = None
    metadata: Any = None
    parallel_tool_calls: Any = None
    previous_response_id: Any = None
    prompt: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    reasoning: Any = None
    safety_identifier: Any = None
    store: Any = None
    temperature: Any = None
    text: Any = None
    tool_choice: Any = None
    tools: Any = None
    top_logprobs: Any = None
    top_p: Any = None
    truncation: Any = None
    user: Any = None


_decode = json.Decoder(Asked).decode


def opened(reply: Reply, start: Start) -> Json:
    """The response as it begins. What the caller did not say and nobody knows is null."""
    same = reply.wire == NAME
    asked = _asked(reply.asked)
    made: Json = {
        "id": start.id if same and start.id else "resp_" + _plain(reply.id.removeprefix("req_")),
        "object": "response",
        "created_at": start.created or reply.created,
        "status": "in_progress",
        "background": asked.background or False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "max_tool_calls": asked.max_tool_calls,
        "model": start.model or reply.model,
        "output": [],
        "parallel_tool_calls": _or(asked.parallel_tool_calls, True),
        "previous_response_id": asked.previous_response_id,
        "reasoning": {"effort": None, "summary": None, **_object(asked.reasoning)},
        "service_tier": None,
        "store": _or(asked.store, True),
        "temperature": asked.temperature,
        "text": {"format": {"type": "text"}, **_object(asked.text)},
        "tool_choice": _or(asked.tool_choice, "auto"),
        "tools": _or(asked.tools, []),
        "top_logprobs": _or(asked.top_logprobs, 0),
        "top_p": asked.top_p,
        "truncation": _or(asked.truncation, "disabled"),
        "usage": None,
        "user": asked.user,
        "metadata": _or(asked.metadata, {}),
    }
    for name in _GIVEN:
        given = getattr(asked, name)
        if given is not None:
            made[name] = given
    if asked.conversation is not None:
        named = asked.conversation
        made["conversation"] = {"id": named} if type(named) is str else named
    if same:
        made.update({name: value for name, value in start.extra.items() if name not in LATE})
    return made


def _or(said: Any, unsaid: Any) -> Any:
    """What was said, else what holds where nothing is."""
    return unsaid if said is None else said


def _plain(name: str) -> str:
    """The name in characters that ids have here."""
    return name if name.isalnum() and name.isascii() else _ODD.sub("_", name)


def _object(found: Any) -> Json:
    """What a member says, as far as it says anything."""
    return {key: value for key, value in found.items() if value is not None} if type(found) is dict else {}


def _asked(body: bytes) -> Asked:
    """The caller's own members, as far as there are any."""
    if not body:
        return Asked()
    try:
        return _decode(body)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return Asked()
