"""OpenAI's chat completions: a strict server, which has no member beyond the specification."""

import json
from typing import Any

from grid.parts import Plan, Seen, Turn, dump, need, only, sse

FINISH = {"end": "stop", "length": "length", "tool_use": "tool_calls"}
MEMBERS = {
    "model", "messages", "stream", "stream_options", "tools", "tool_choice", "response_format", "reasoning_effort",
    "stop", "max_tokens", "max_completion_tokens", "temperature", "top_p", "parallel_tool_calls", "n", "store", "seed",
    "user", "metadata",
}  # fmt: skip
PARTS = {"text", "image_url"}


class Chat:
    """POST /chat/completions."""

    name = "openai_chat"
    title = "OpenAI-compatible (chat only)"
    stream_type = "text/event-stream"

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration: any compatible server that offers chat alone."""
        return {"type": "hyperbolic", "base_url": f"{url}/v1", "api_key": "sk-up"}

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """What is asked. Raises Wrong."""
        need(path == "/v1/chat/completions", f"path {path}")
        need(headers.get("authorization") == "Bearer sk-up", "no key")
        return read_chat(json.loads(body), MEMBERS)

    def whole(self, plan: Plan, model: str) -> bytes:
        """One answer."""
        message: dict[str, Any] = {"role": "assistant", "content": plan.text or None}
        if plan.thinking:
            message["reasoning_content"] = plan.thinking
        if plan.calls:
            message["tool_calls"] = [_call(call) for call in plan.calls]
        choice = {"index": 0, "message": message, "finish_reason": FINISH[plan.stop], "logprobs": None}
        return dump({"id": "chatcmpl-1", "object": "chat.completion", "created": 1700000000, "model": model,
                     "choices": [choice], "usage": usage(plan)})  # fmt: skip

    def pieces(self, plan: Plan, model: str) -> list[bytes]:
        """One answer as a stream."""
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        if plan.thinking:
            deltas += [{"reasoning_content": plan.thinking[:4]}, {"reasoning_content": plan.thinking[4:]}]
        deltas += [{"content": word} for word in plan.words]
        for index, call in enumerate(plan.calls):
            function = {"name": call[1], "arguments": ""}
            deltas.append({"tool_calls": [{"index": index, "id": call[0], "type": "function", "function": function}]})
            deltas += [
                {"tool_calls": [{"index": index, "function": {"arguments": part}}]}
                for part in (call[2][:5], call[2][5:])
            ]
        made = [chunk(model, delta) for delta in deltas]
        return [*made, chunk(model, {}, FINISH[plan.stop]), self.last(plan, model), b"data: [DONE]\n\n"]

    def last(self, plan: Plan, model: str) -> bytes:
        """The chunk that holds the usage."""
        return sse({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": model,
                    "choices": [], "usage": usage(plan)})  # fmt: skip

    def error(self, status: int) -> bytes:
        """An error's body."""
        return dump({"error": {"message": f"openai says {status}", "type": "some_error", "param": None, "code": None}})


def _call(call: tuple[str, str, str]) -> dict[str, Any]:
    return {"id": call[0], "type": "function", "function": {"name": call[1], "arguments": call[2]}}


def usage(plan: Plan) -> dict[str, Any]:
    """Tokens as this wire counts them."""
    tokens = plan.tokens
    made: dict[str, Any] = {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
    }
    if tokens.cached is not None:
        made["prompt_tokens_details"] = {"cached_tokens": tokens.cached}
    if tokens.reasoning is not None:
        made["completion_tokens_details"] = {"reasoning_tokens": tokens.reasoning}
    return made


def chunk(model: str, delta: dict[str, Any], finish: str | None = None) -> bytes:
    """One chunk of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return sse({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": model,
                "choices": [choice]})  # fmt: skip


def read_chat(body: dict[str, Any], members: set[str]) -> Seen:
    """What a request of this wire asks."""
    only(body, members, "the request")
    need(body["messages"], "no messages")
    seen = Seen(model=body["model"], stream=body.get("stream") is True)
    for message in body["messages"]:
        if message["role"] in ("system", "developer"):
            seen.system += text_of(message["content"])
        else:
            seen.turns.append(turn_of(message))
    for tool in body.get("tools") or ():
        only(tool, {"type", "function"}, "a tool")
        only(tool["function"], {"name", "description", "parameters", "strict"}, "a function")
        seen.tools[tool["function"]["name"]] = tool["function"]["parameters"]
    answered(seen)
    form = body.get("response_format") or {"type": "text"}
    if form["type"] == "json_schema":
        need(form["json_schema"]["name"], "the schema has no name")
        seen.schema = form["json_schema"]["schema"]
    stop = body.get("stop") or []
    seen.stop = [stop] if isinstance(stop, str) else list(stop)
    seen.thinks = body.get("reasoning_effort") not in (None, "none")
    seen.max_tokens = body.get("max_completion_tokens") or body.get("max_tokens")
    return seen


def answered(seen: Seen) -> None:
    """Every call of the history has its result, and each result a call."""
    ids = [call[0] for call in seen.calls]
    need(len(set(ids)) == len(ids), "two calls have one id")
    need(sorted(ids) == sorted(result[0] for result in seen.results), "calls and results do not fit")


def text_of(content: Any) -> str:
    """The words of a content."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part["text"] for part in content if part["type"] == "text")


def turn_of(message: dict[str, Any]) -> Turn:
    """One message."""
    role = message["role"]
    need(role in ("user", "assistant", "tool"), f"role {role}")
    if role == "tool":
        only(message, {"role", "content", "tool_call_id"}, "a result")
        return Turn("tool", results=[(message["tool_call_id"], text_of(message["content"]))])
    only(message, {"role", "content", "name", "tool_calls", "refusal", "reasoning_content"}, "a message")
    turn = Turn(role, text_of(message.get("content")))
    turn.thinking = message.get("reasoning_content") or ""
    need(role == "user" or turn.text or message.get("tool_calls"), "an assistant who says nothing")
    for part in message["content"] if isinstance(message.get("content"), list) else ():
        need(part["type"] in PARTS, f"part {part['type']}")
        if part["type"] == "image_url":
            kind, _, data = part["image_url"]["url"].removeprefix("data:").partition(";base64,")
            turn.images.append((kind, data))
    for call in message.get("tool_calls") or ():
        need(isinstance(call["function"]["arguments"], str), "arguments are no text")
        turn.calls.append((call["id"], call["function"]["name"], call["function"]["arguments"]))
    return turn
