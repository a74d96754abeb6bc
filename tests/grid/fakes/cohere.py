"""Cohere's /v2/chat: typed events, counts that are floats, one call an object."""

import json
from typing import Any

from grid.fakes.openai import answered, turn_of
from grid.parts import Plan, Seen, Turn, dump, need, only, sse

FINISH = {"end": "COMPLETE", "length": "MAX_TOKENS", "tool_use": "TOOL_CALL"}
MEMBERS = {
    "model", "messages", "tools", "strict_tools", "tool_choice", "documents", "citation_options", "response_format",
    "safety_mode", "max_tokens", "stop_sequences", "temperature", "seed", "frequency_penalty", "presence_penalty", "k",
    "p", "logprobs", "thinking", "priority", "stream",
}  # fmt: skip
MESSAGE = {"role", "content", "tool_calls", "tool_plan", "tool_call_id", "citations"}


class Chat:
    """POST /v2/chat."""

    name = "cohere"
    title = "Cohere"
    stream_type = "text/event-stream"

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration."""
        return {"type": "cohere", "wire": "cohere", "base_url": url, "api_key": "sk-up"}

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """What is asked. Raises Wrong."""
        need(path == "/v2/chat", f"path {path}")
        need(headers.get("authorization") == "Bearer sk-up", "no key")
        request = json.loads(body)
        only(request, MEMBERS, "the request")
        need(request.get("tool_choice") in (None, "REQUIRED", "NONE"), "a tool_choice of another wire")
        seen = Seen(model=request["model"], stream=request.get("stream") is True, max_tokens=request.get("max_tokens"))
        for message in request["messages"]:
            only(message, MESSAGE, "a message")
            turn = _turn(message)
            if turn.role == "system":
                seen.system += turn.text
            else:
                seen.turns.append(turn)
        answered(seen)
        for tool in request.get("tools") or ():
            seen.tools[tool["function"]["name"]] = tool["function"]["parameters"]
        form = request.get("response_format") or {"type": "text"}
        need(form["type"] in ("text", "json_object"), f"response_format {form['type']}")
        seen.schema, seen.stop = form.get("json_schema"), request.get("stop_sequences") or []
        seen.thinks = (request.get("thinking") or {}).get("type") == "enabled"
        return seen

    def whole(self, plan: Plan, model: str) -> bytes:
        """One answer."""
        blocks = [{"type": "thinking", "thinking": plan.thinking}] if plan.thinking else []
        blocks += [{"type": "text", "text": plan.text}] if plan.text else []
        message: dict[str, Any] = {"role": "assistant", "content": blocks}
        if plan.calls:
            message["tool_calls"] = [_call(call) for call in plan.calls]
        return dump({"id": "co-1", "finish_reason": FINISH[plan.stop], "message": message, "usage": _usage(plan)})

    def pieces(self, plan: Plan, model: str) -> list[bytes]:
        """One answer as a stream."""
        start = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        made = [_event("message-start", id="co-1", delta={"message": start})]
        index = 0
        halves = [plan.thinking[:4], plan.thinking[4:]] if plan.thinking else []
        for kind, parts in (("thinking", halves), ("text", plan.words)):
            if parts:
                shell = {"message": {"content": {"type": kind, kind: ""}}}
                made.append(_event("content-start", index=index, delta=shell))
                made += [_event("content-delta", index=index, delta={"message": {"content": {kind: part}}})
                         for part in parts]  # fmt: skip
                made.append(_event("content-end", index=index))
                index += 1
        for place, call in enumerate(plan.calls):
            begun = {"message": {"tool_calls": _call((call[0], call[1], ""))}}
            made.append(_event("tool-call-start", index=place, delta=begun))
            for part in (call[2][:5], call[2][5:]):
                grown = {"message": {"tool_calls": {"function": {"arguments": part}}}}
                made.append(_event("tool-call-delta", index=place, delta=grown))
            made.append(_event("tool-call-end", index=place))
        return [*made, _event("message-end", delta={"finish_reason": FINISH[plan.stop], "usage": _usage(plan)})]

    def error(self, status: int) -> bytes:
        """An error's body."""
        return dump({"id": "e-1", "message": f"cohere says {status}"})


def _event(kind: str, **members: Any) -> bytes:
    return sse({"type": kind, **members}, kind)


def _usage(plan: Plan) -> dict[str, Any]:
    tokens = {"input_tokens": float(plan.tokens.input), "output_tokens": float(plan.tokens.output)}
    made: dict[str, Any] = {"billed_units": {"input_tokens": 1.0, "output_tokens": 1.0}, "tokens": tokens}
    if plan.tokens.cached is not None:
        made["cached_tokens"] = float(plan.tokens.cached)
    return made


def _call(call: tuple[str, str, str]) -> dict[str, Any]:
    return {"id": call[0], "type": "function", "function": {"name": call[1], "arguments": call[2]}}


def _turn(message: dict[str, Any]) -> Turn:
    if message["role"] == "system":
        content = message["content"]
        return Turn("system", content if isinstance(content, str) else "".join(part["text"] for part in content))
    if message["role"] == "tool" and isinstance(message["content"], list):
        parts = [{"type": "text", "text": _words(part)} for part in message["content"]]
        return turn_of({**message, "content": parts})
    content, thinking = message.get("content"), message.get("tool_plan") or ""
    if isinstance(content, list):
        thinking += "".join(part["thinking"] for part in content if part["type"] == "thinking")
        content = [part for part in content if part["type"] != "thinking"]
    plain = {name: value for name, value in message.items() if name not in ("tool_plan", "citations")}
    turn = turn_of({**plain, "content": content})
    turn.thinking = thinking
    return turn


def _words(part: dict[str, Any]) -> str:
    if part["type"] == "text":
        return str(part["text"])
    need(part["type"] == "document", f"part {part['type']}")
    data = part["document"]["data"]
    return data if isinstance(data, str) else json.dumps(data)
