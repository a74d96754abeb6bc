"""Mistral: OpenAI's shape with its own names; whatever it does not know is refused."""

import json
import re
from typing import Any

from grid.fakes import openai
from grid.parts import Plan, Seen, dump, need, only, sse

MEMBERS = {
    "model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed", "metadata",
    "response_format", "tools", "tool_choice", "presence_penalty", "frequency_penalty", "n", "prediction",
    "parallel_tool_calls", "reasoning_effort", "prompt_mode", "safe_prompt", "top_k", "prompt_cache_key",
}  # fmt: skip


class Chat:
    """POST /v1/chat/completions of this house."""

    name = "mistral"
    title = "Mistral"
    stream_type = "text/event-stream"

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration."""
        return {"type": "mistral", "wire": "mistral", "base_url": url, "api_key": "sk-up"}

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """What is asked. Raises Wrong."""
        need(path == "/v1/chat/completions", f"path {path}")
        need(headers.get("authorization") == "Bearer sk-up", "no key")
        request = json.loads(body)
        only(request, MEMBERS, "the request")
        need(request.get("tool_choice") in (None, "auto", "none", "any", "required"), "a tool_choice of another wire")
        thoughts = [_unchunked(message) for message in request["messages"]]
        for message in request["messages"]:
            need(message.pop("prefix", False) is False, "a prefix that is none")
            if message["role"] == "tool":
                need(message.pop("name", "get_weather") in ("get_weather", "get_time"), "a result of an unknown tool")
        seen = openai.read_chat(request, MEMBERS)
        for call in seen.calls:
            need(re.fullmatch("[a-zA-Z0-9]{9}", call[0]), f"an id such as {call[0]}")
        for before, turn in zip(seen.turns, seen.turns[1:], strict=False):
            need((before.role, turn.role) != ("tool", "user"), "a user right after a tool")
        for turn, thought in zip([turn for turn in seen.turns if turn.role == "assistant"],
                                 [text for role, text in thoughts if role == "assistant"], strict=True):  # fmt: skip
            turn.thinking = thought
        return seen

    def whole(self, plan: Plan, model: str) -> bytes:
        """One answer; thinking is a part of the content."""
        made = json.loads(openai.Chat().whole(plan, model))
        message = made["choices"][0]["message"]
        message.pop("reasoning_content", None)
        if plan.thinking:
            message["content"] = [_thinking(plan.thinking), {"type": "text", "text": plan.text}]
        return dump(made)

    def pieces(self, plan: Plan, model: str) -> list[bytes]:
        """One answer as a stream: calls whole, usage in the last chunk."""
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        if plan.thinking:
            deltas += [{"content": [_thinking(part)]} for part in (plan.thinking[:4], plan.thinking[4:])]
        deltas += [{"content": word} for word in plan.words]
        made = [openai.chunk(model, delta) for delta in deltas]
        choice: dict[str, Any] = {"index": 0, "delta": {"content": ""}, "finish_reason": openai.FINISH[plan.stop]}
        if plan.calls:
            # All of them bear the index 0.
            choice["delta"]["tool_calls"] = [
                {"id": call[0], "index": 0, "function": {"name": call[1], "arguments": call[2]}} for call in plan.calls
            ]
        last = {"id": "c-1", "object": "chat.completion.chunk", "created": 1700000000, "model": model}
        return [*made, sse({**last, "choices": [choice], "usage": openai.usage(plan)}), b"data: [DONE]\n\n"]

    def error(self, status: int) -> bytes:
        """An error's body."""
        return dump({"object": "error", "message": f"mistral says {status}", "type": "some_error", "code": None})


def _thinking(text: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def _unchunked(message: dict[str, Any]) -> tuple[str, str]:
    """Takes thinking out of a message's content; its role and that thinking."""
    content = message.get("content")
    if not isinstance(content, list):
        return message["role"], ""
    thoughts = [part for part in content if part["type"] == "thinking"]
    message["content"] = [part for part in content if part["type"] != "thinking"]
    for part in message["content"]:
        if part["type"] == "image_url" and isinstance(part["image_url"], str):
            part["image_url"] = {"url": part["image_url"]}
    return message["role"], "".join(inner["text"] for part in thoughts for inner in part["thinking"])
