"""Anthropic's Messages: strict about turns, tool results and what an empty text is."""

import json
from itertools import pairwise
from typing import Any

from grid.parts import Plan, Seen, Turn, dump, need, only, sse

STOP = {"end": "end_turn", "length": "max_tokens", "tool_use": "tool_use"}
MEMBERS = {
    "model", "messages", "max_tokens", "system", "stream", "stop_sequences", "tools", "tool_choice", "thinking",
    "output_config", "metadata", "service_tier", "temperature", "top_p", "top_k", "cache_control",
}  # fmt: skip
BLOCKS = {
    "text": {"type", "text", "cache_control", "citations"},
    "thinking": {"type", "thinking", "signature"},
    "tool_use": {"type", "id", "name", "input", "cache_control", "caller"},
    "tool_result": {"type", "tool_use_id", "content", "is_error", "cache_control"},
    "image": {"type", "source", "cache_control"},
}
KINDS = {"image/png", "image/jpeg", "image/gif", "image/webp"}


class Messages:
    """POST /v1/messages."""

    name = "anthropic"
    title = "Anthropic"
    stream_type = "text/event-stream"

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration."""
        return {"type": "anthropic", "base_url": url, "api_key": "sk-up"}

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """What is asked. Raises Wrong."""
        need(path == "/v1/messages", f"path {path}")
        need(headers.get("x-api-key") == "sk-up", "no key")
        need(headers.get("anthropic-version"), "no anthropic-version")
        request = json.loads(body)
        only(request, MEMBERS, "the request")
        need(isinstance(request.get("max_tokens"), int), "no max_tokens")
        seen = Seen(model=request["model"], stream=request.get("stream") is True, max_tokens=request["max_tokens"])
        system = request.get("system") or ""
        seen.system = system if isinstance(system, str) else "".join(block["text"] for block in system)
        seen.turns = [_turn(message) for message in request["messages"]]
        _alternating(seen.turns)
        for tool in request.get("tools") or ():
            need(tool["input_schema"]["type"] == "object", "input_schema is no object")
            seen.tools[tool["name"]] = tool["input_schema"]
        seen.stop = request.get("stop_sequences") or []
        seen.thinks = _thinks(request)
        form = (request.get("output_config") or {}).get("format")
        seen.schema = form["schema"] if form else None
        return seen

    def whole(self, plan: Plan, model: str) -> bytes:
        """One answer."""
        blocks: list[dict[str, Any]] = []
        if plan.thinking:
            blocks.append({"type": "thinking", "thinking": plan.thinking, "signature": plan.signature})
        if plan.text:
            blocks.append({"type": "text", "text": plan.text, "citations": None})
        blocks += [{"type": "tool_use", "id": call[0], "name": call[1], "input": json.loads(call[2])}
                   for call in plan.calls]  # fmt: skip
        return dump({**_head(model), "content": blocks, "stop_reason": STOP[plan.stop], "usage": _usage(plan)})

    def pieces(self, plan: Plan, model: str) -> list[bytes]:
        """One answer as a stream."""
        start = {**_head(model), "content": [], "stop_reason": None, "usage": {**_usage(plan), "output_tokens": 1}}
        made = [sse({"type": "message_start", "message": start}, "message_start"), sse({"type": "ping"}, "ping")]
        for index, (shell, deltas) in enumerate(_blocks(plan)):
            made.append(_event("content_block_start", index=index, content_block=shell))
            made += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
            made.append(_event("content_block_stop", index=index))
        delta = {"stop_reason": STOP[plan.stop], "stop_sequence": None}
        made.append(_event("message_delta", delta=delta, usage={"output_tokens": plan.tokens.output}))
        return [*made, _event("message_stop")]

    def error(self, status: int) -> bytes:
        """An error's body."""
        kinds = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}
        kinds |= {429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}
        return dump({"type": "error", "error": {"type": kinds[status], "message": f"anthropic says {status}"}})


def _event(kind: str, **members: Any) -> bytes:
    return sse({"type": kind, **members}, kind)


def _head(model: str) -> dict[str, Any]:
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_sequence": None}


def _usage(plan: Plan) -> dict[str, Any]:
    tokens, cached = plan.tokens, plan.tokens.cached or 0
    made: dict[str, Any] = {"input_tokens": tokens.input - cached, "output_tokens": tokens.output}
    if cached:
        made |= {"cache_read_input_tokens": cached, "cache_creation_input_tokens": 0}
    if tokens.reasoning is not None:
        made["output_tokens_details"] = {"thinking_tokens": tokens.reasoning}
    return made


def _blocks(plan: Plan) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    made: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if plan.thinking:
        parts: list[dict[str, Any]] = [{"type": "thinking_delta", "thinking": plan.thinking[:4]}]
        parts.append({"type": "thinking_delta", "thinking": plan.thinking[4:]})
        parts.append({"type": "signature_delta", "signature": plan.signature})
        made.append(({"type": "thinking", "thinking": "", "signature": ""}, parts))
    if plan.text:
        made.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in plan.words]))
    for call in plan.calls:
        parts = [{"type": "input_json_delta", "partial_json": part} for part in ("", call[2][:5], call[2][5:])]
        made.append(({"type": "tool_use", "id": call[0], "name": call[1], "input": {}}, parts))
    return made


def _thinks(request: dict[str, Any]) -> bool:
    thinking = request.get("thinking") or {"type": "disabled"}
    if thinking["type"] == "enabled":
        need(1024 <= thinking["budget_tokens"] < request["max_tokens"], "budget_tokens is out of range")
    effort = (request.get("output_config") or {}).get("effort")
    need(effort in (None, "low", "medium", "high", "xhigh", "max"), f"effort {effort}")
    return thinking["type"] != "disabled" or effort is not None


def _turn(message: dict[str, Any]) -> Turn:
    only(message, {"role", "content"}, "a message")
    need(message["role"] in ("user", "assistant"), f"role {message['role']}")
    turn = Turn(message["role"])
    if isinstance(message["content"], str):
        need(message["content"], "an empty message")
        turn.text = message["content"]
        return turn
    need(message["content"], "an empty message")
    for block in message["content"]:
        need(block["type"] in BLOCKS, f"block {block['type']}")
        only(block, BLOCKS[block["type"]], f"a block of {block['type']}")
        _take(turn, block)
    return turn


def _take(turn: Turn, block: dict[str, Any]) -> None:
    match block["type"]:
        case "text":
            need(block["text"], "an empty text block")
            turn.text += block["text"]
        case "thinking":
            need(not turn.calls, "thinking after a call")
            need(block["signature"], "thinking without a signature")
            turn.thinking, turn.signature = block["thinking"], block["signature"]
        case "tool_use":
            need(isinstance(block["input"], dict), "input is no object")
            turn.calls.append((block["id"], block["name"], json.dumps(block["input"])))
        case "tool_result":
            need(not turn.text, "results come first")
            content = block.get("content") or ""
            text = content if isinstance(content, str) else "".join(part["text"] for part in content)
            turn.results.append((block["tool_use_id"], text))
        case "image":
            source = block["source"]
            need(source["type"] == "base64" and source["media_type"] in KINDS, f"image {source['type']}")
            turn.images.append((source["media_type"], source["data"]))


def _alternating(turns: list[Turn]) -> None:
    need(turns and turns[0].role == "user", "the first message is not the user's")
    need(turns[-1].role == "user", "the last message is not the user's")
    for before, turn in pairwise(turns):
        need(before.role != turn.role, "two turns of one side")
        wanted = [call[0] for call in before.calls]
        need(wanted == [result[0] for result in turn.results], "results do not fit the calls before them")
