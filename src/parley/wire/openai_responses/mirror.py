"""The response object around an answer: which members repeat the request, and what the others are at the start."""

import re
from typing import Any

from msgspec import DecodeError, json

from parley.ir import Start
from parley.wire import Reply
from parley.wire.openai_responses.sealed import NAME

Json = dict[str, Any]
_ODD = re.compile(r"[^A-Za-z0-9_-]")
# Members that change until the end: a whole answer's are not told at the start of a stream made of it.
LATE = frozenset({"output", "status", "usage", "error", "incomplete_details", "completed_at", "object", "output_text"})
_GIVEN = ("prompt", "prompt_cache_key", "prompt_cache_retention", "safety_identifier")


def opened(reply: Reply, start: Start) -> Json:
    """The response as it begins. What the caller did not say and nobody knows is null."""
    same = reply.wire == NAME
    asked = _asked(reply.asked)
    made: Json = {
        "id": start.id if same and start.id else "resp_" + _ODD.sub("_", reply.id.removeprefix("req_")),
        "object": "response",
        "created_at": start.created or reply.created,
        "status": "in_progress",
        "background": asked.get("background") or False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "max_tool_calls": asked.get("max_tool_calls"),
        "model": start.model or reply.model,
        "output": [],
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "previous_response_id": asked.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None, **_object(asked, "reasoning")},
        "service_tier": None,
        "store": asked.get("store", True),
        "temperature": asked.get("temperature"),
        "text": {"format": {"type": "text"}, **_object(asked, "text")},
        "tool_choice": asked.get("tool_choice", "auto"),
        "tools": asked.get("tools", []),
        "top_logprobs": asked.get("top_logprobs", 0),
        "top_p": asked.get("top_p"),
        "truncation": asked.get("truncation", "disabled"),
        "usage": None,
        "user": asked.get("user"),
        "metadata": asked.get("metadata", {}),
    }
    made.update({name: asked[name] for name in _GIVEN if name in asked})
    if "conversation" in asked:
        given = asked["conversation"]
        made["conversation"] = {"id": given} if type(given) is str else given
    if same:
        made.update({name: value for name, value in start.extra.items() if name not in LATE})
    return made


def _object(asked: Json, name: str) -> Json:
    """What a member says, as far as it says anything."""
    found = asked.get(name)
    return {key: value for key, value in found.items() if value is not None} if type(found) is dict else {}


def _asked(body: bytes) -> Json:
    """The caller's own members, as far as there are any; null is absent."""
    if not body:
        return {}
    try:
        asked = json.decode(body)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return {name: value for name, value in asked.items() if value is not None} if type(asked) is dict else {}
