"""Cohere and Mistral as their contracts show them: answers to whatever an SDK or the gateway asks of a provider."""

from itertools import pairwise
from typing import Any

from real.scripted_provider import Answer, Asked

TEXT = "Cohere speaks."
PLAN, ARGUMENTS = "I will look it up.", '{"city": "Paris"}'
CALL = {"id": "get_weather_1", "type": "function", "function": {"name": "get_weather", "arguments": ARGUMENTS}}
CITATION = {"start": 0, "end": 6, "text": "Cohere", "sources": []}
USED = {"tokens": {"input_tokens": 12.0, "output_tokens": 5.0}, "billed_units": {"input_tokens": 3.0}}
VECTOR = [0.5, -0.25, 2.0]


def cohere(asked: Asked) -> Answer:
    """The answer to one request at api.cohere.com."""
    if asked.body["model"] == "refused":
        return Answer({"id": "x", "message": "invalid token"}, status=498)
    if asked.path.endswith("/embed"):
        made = {"float": [[*VECTOR] for _ in asked.body["texts"]]}
        return Answer({"id": "e-1", "embeddings": made, "texts": asked.body["texts"], "meta": _meta(input_tokens=4.0)})
    if asked.path.endswith("/rerank"):
        last = len(asked.body["documents"]) - 1
        results = [{"index": place, "relevance_score": 1 / (2 + last - place)} for place in range(last, -1, -1)]
        return Answer({"id": "r-1", "results": results[: asked.body.get("top_n")], "meta": _meta(search_units=1.0)})
    calls = "tools" in asked.body and asked.body["messages"][-1]["role"] == "user"
    if asked.body.get("stream"):
        return Answer(events=_calling() if calls else _speaking())
    message: dict[str, Any] = {
        "role": "assistant",
        "content": [{"type": "text", "text": TEXT}],
        "citations": [CITATION],
    }
    if calls:
        message = {"role": "assistant", "tool_plan": PLAN, "tool_calls": [CALL]}
    reason = "TOOL_CALL" if calls else "COMPLETE"
    return Answer({"id": "c-1", "finish_reason": reason, "message": message, "usage": USED})


def _meta(**billed: float) -> dict[str, Any]:
    return {"api_version": {"version": "2"}, "billed_units": billed}


def _event(kind: str, message: Any = None, **members: Any) -> dict[str, Any]:
    made = {"type": kind, **members}
    return made if message is None else {**made, "delta": {"message": message}}


_START = _event("message-start", {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}, id="c-1")


def _end(reason: str) -> dict[str, Any]:
    return {"type": "message-end", "delta": {"finish_reason": reason, "usage": USED}}


def _speaking() -> list[Any]:
    said = [_event("content-delta", {"content": {"text": word}}, index=0) for word in ("Cohere ", "speaks.")]
    cited = [_event("citation-start", {"citations": CITATION}, index=0), _event("citation-end", index=0)]
    begin = _event("content-start", {"content": {"type": "text", "text": ""}}, index=0)
    return [_START, begin, *said, *cited, _event("content-end", index=0), _end("COMPLETE")]


def _calling() -> list[Any]:
    plan = [_event("tool-plan-delta", {"tool_plan": piece}) for piece in ("I will ", "look it up.")]
    shell = {**CALL, "function": {"name": "get_weather", "arguments": ""}}
    pieces = [
        _event("tool-call-delta", {"tool_calls": {"function": {"arguments": piece}}}, index=0)
        for piece in (ARGUMENTS[:7], ARGUMENTS[7:])
    ]
    begin = _event("tool-call-start", {"tool_calls": shell}, index=0)
    return [_START, *plan, begin, *pieces, _event("tool-call-end", index=0), _end("TOOL_CALL")]


# Mistral

KNOWN = (
    "model messages temperature top_p max_tokens stream stop random_seed metadata response_format tools tool_choice "
    "presence_penalty frequency_penalty min_tokens repetition_penalty top_k logprobs top_logprobs prompt_logprobs "
    "top_prompt_logprobs n prediction parallel_tool_calls reasoning_effort prompt_mode guardrails prompt_cache_key "
    "service_tier safe_prompt"
)
HEAD = {"id": "m-1", "created": 7, "model": "mistral-x"}
TOKENS = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "closed": True}
WORDS = {"type": "text", "text": "Mistral speaks."}


def mistral(asked: Asked) -> Answer:
    """The answer to one request at api.mistral.ai, which is as strict as the real one."""
    if asked.path.endswith("/embeddings"):
        data = [{"object": "embedding", "embedding": VECTOR, "index": 0}]
        return Answer({"id": "e-1", "object": "list", "model": "embed", "data": data, "usage": TOKENS})
    refused = _refused(asked.body)
    if refused is not None:
        return refused
    call = {"id": "null", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}, "index": 0}
    calls = "tools" in asked.body and asked.body["messages"][-1]["role"] == "user"
    reason = "tool_calls" if calls else "stop"
    if not asked.body.get("stream"):
        message = {"content": "", "tool_calls": [call]} if calls else {"content": [THOUGHT, WORDS]}
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
        return Answer({**HEAD, "object": "chat.completion", "choices": [choice], "usage": TOKENS})
    deltas: list[Any] = [{"tool_calls": [call]}] if calls else [{"content": [THOUGHT]}, {"content": [WORDS]}]
    events = [_chunk({"role": "assistant", "content": ""}), *map(_chunk, deltas)]
    return Answer(events=[*events, {**_chunk({"content": ""}, reason), "usage": TOKENS}], end="data: [DONE]\n\n")


def _chunk(delta: Any, reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [choice]}


def _refused(body: dict[str, Any]) -> Answer | None:
    odd = sorted(set(body) - set(KNOWN.split()))
    if odd:
        return Answer({"detail": [{"loc": ["body", odd[0]], "msg": "Extra inputs are not permitted"}]}, status=422)
    turns = body["messages"]
    for before, after in pairwise(turns):
        if (before["role"], after["role"]) == ("tool", "user"):
            return _error("Unexpected role 'user' after role 'tool'")
    ids = [turn["tool_call_id"] for turn in turns if turn["role"] == "tool"]
    ids += [call["id"] for turn in turns for call in turn.get("tool_calls") or ()]
    if any(len(id_) != 9 or not id_.isalnum() for id_ in ids):
        return _error("Tool call id has to be a-z, A-Z, 0-9, with a length of 9.")
    return None


def _error(message: str) -> Answer:
    error = {"object": "error", "message": message, "type": "invalid_request_message_order", "code": "3230"}
    return Answer(error, status=400)
