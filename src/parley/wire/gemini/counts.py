"""What whole answers and streams share: usage, stop reasons and log probabilities, both ways.

Source: provider contract 0.1, 0.2, 3.3.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from parley.failure import Failure, ParleyError
from parley.ir import Stop, Usage
from parley.wire.gemini.names import Json, rest

_STOPS: Final[Mapping[str, Stop]] = {
    "STOP": "end",
    "FINISH_REASON_UNSPECIFIED": "end",
    "MAX_TOKENS": "length",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
    "IMAGE_RECITATION": "refusal",
    "MODEL_ARMOR": "refusal",
    "ESCALATION": "refusal",
    "CONTINUATION": "pause",
}
_REASONS: Final[Mapping[Stop, str]] = {
    "end": "STOP",
    "stop_sequence": "STOP",
    "tool_use": "STOP",
    "length": "MAX_TOKENS",
    "refusal": "SAFETY",
    "pause": "STOP",
}
COUNTS: Final = (
    "promptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "cachedContentTokenCount",
    "totalTokenCount",
)
_USAGE: Final = frozenset(COUNTS)
_DETAILS: Final = ("promptTokensDetails", "candidatesTokensDetails", "cacheTokensDetails")
OTHERS: Final = re.compile(rb"AUDIO|IMAGE|VIDEO")


def stop_of(reason: str, *, called: bool, spoke: bool, message: str | None) -> Stop:
    """The canonical stop. Raises ``upstream_error`` where the provider gave up before it had said anything."""
    stop = _STOPS.get(reason)
    if stop is None and not spoke:
        words = f"the provider ended the answer with {reason}" + (f": {message}" if message else "")
        raise ParleyError(Failure("upstream_error", words[:2000], detail="stream_error", upstream_type=reason))
    if stop in (None, "end"):
        return "tool_use" if called else "end"
    return stop or "end"


def reason_of(stop: Stop, native: str | None, *, same: bool) -> str:
    """This wire's word. Raises ``upstream_error`` where the provider itself said that the answer failed."""
    if stop == "error":
        message = "the provider ended the answer with an error"
        raise ParleyError(Failure("upstream_error", message, detail="stream_error"))
    return native if same and native else _REASONS[stop]


# --- usage -------------------------------------------------------------------------------------


def usage_from(value: Json) -> Usage:
    """Canonical usage. Cached tokens are counted among those of the prompt, thoughts beside those of the answer."""
    thoughts = _count(value, "thoughtsTokenCount")
    tools = _count(value, "toolUsePromptTokenCount") or 0
    usage = Usage(
        input=(_count(value, "promptTokenCount") or 0) + tools,
        output=(_count(value, "candidatesTokenCount") or 0) + (thoughts or 0),
        cached=_count(value, "cachedContentTokenCount"),
        reasoning=thoughts,
        extra=rest(value, _USAGE),
        **modal(*(value.get(name) for name in _DETAILS)),
    )
    total = value.get("totalTokenCount")
    if total is not None and total != usage.input + usage.output:
        usage.extra["totalTokenCount"] = total
    return usage


def modal(asked: Any, made: Any, cached: Any) -> Json:
    """The parts of the usage that are no text, out of the lists of them."""
    if asked is None and made is None and cached is None:
        return {}
    heard, spoken, again = _by_modality(asked), _by_modality(made), _by_modality(cached)
    parts = {
        "audio_input": heard.get("AUDIO"),
        "audio_output": spoken.get("AUDIO"),
        "audio_cached": again.get("AUDIO"),
        "image_input": heard.get("IMAGE"),
        "image_output": spoken.get("IMAGE"),
        "image_cached": again.get("IMAGE"),
        "video_input": heard.get("VIDEO"),
    }
    return {name: count for name, count in parts.items() if count is not None}


def _by_modality(details: Any) -> dict[str, int]:
    made: dict[str, int] = {}
    for item in details if type(details) is list else ():
        kind, count = (item.get("modality"), _count(item, "tokenCount")) if type(item) is dict else (None, None)
        if type(kind) is str and count is not None:
            made[kind] = made.get(kind, 0) + count
    return made


def _count(value: Json, key: str) -> int | None:
    found = value.get(key)
    return int(found) if type(found) is int or type(found) is float else None


def usage_to(usage: Usage, *, same: bool) -> Json:
    """Usage in this wire's words; counts nobody reported are absent."""
    tools = _count(usage.extra, "toolUsePromptTokenCount") or 0 if same else 0
    value: Json = {
        "promptTokenCount": usage.input - tools,
        "candidatesTokenCount": max(0, usage.output - (usage.reasoning or 0)),
        "totalTokenCount": usage.input + usage.output,
    }
    if usage.reasoning is not None:
        value["thoughtsTokenCount"] = usage.reasoning
    if usage.cached is not None:
        value["cachedContentTokenCount"] = usage.cached
    return {**value, **usage.extra} if same else value


# --- log probabilities -------------------------------------------------------------------------


def logprobs_from(result: Any) -> Json | None:
    """OpenAI's form, which is the canonical one, of what this wire says of an answer's tokens."""
    chosen = result.get("chosenCandidates") if type(result) is dict else None
    if type(chosen) is not list:
        return None
    tops = result.get("topCandidates")
    others = [item.get("candidates") if type(item) is dict else None for item in tops] if type(tops) is list else []
    found = []
    for place, item in enumerate(chosen):
        near = others[place] if place < len(others) else None
        found.append({**_token(item), "top_logprobs": [_token(each) for each in near or ()]})
    return {"content": found, "refusal": None}


def _token(item: Any) -> Json:
    token = item.get("token") if type(item) is dict else None
    text = token if type(token) is str else ""
    value = item.get("logProbability", 0.0) if type(item) is dict else 0.0
    return {"token": text, "logprob": value, "bytes": list(text.encode("utf-8", "surrogatepass"))}


def logprobs_to(logprobs: Any) -> Json | None:
    """The same backwards, None where there is nothing of that form."""
    content = logprobs.get("content") if type(logprobs) is dict else None
    if type(content) is not list:
        return None
    return {
        "chosenCandidates": [_candidate(item) for item in content],
        "topCandidates": [
            {"candidates": [_candidate(each) for each in item.get("top_logprobs") or ()]} for item in content
        ],
    }


def _candidate(item: Any) -> Json:
    return {"token": item.get("token", ""), "logProbability": item.get("logprob", 0.0)}
