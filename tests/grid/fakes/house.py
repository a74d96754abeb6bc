"""OpenAI itself: chat, responses and legacy completions; and Azure, which has deployments in its paths."""

import json
from typing import Any

from grid.fakes import openai
from grid.parts import Plan, Seen, Turn, dump, need, only, sse

RESPONSES = {
    "model", "input", "instructions", "stream", "tools", "tool_choice", "text", "reasoning", "max_output_tokens",
    "temperature", "top_p", "parallel_tool_calls", "store", "include", "previous_response_id", "metadata", "truncation",
}  # fmt: skip
STATUS = {"length": "incomplete"}
COMPLETIONS = {"model", "prompt", "stream", "stream_options", "stop", "max_tokens", "temperature", "top_p", "n"}


class OpenAI:
    """A server of all three; what is asked for decides how it answers."""

    name = "openai"
    title = "OpenAI"
    stream_type = "text/event-stream"

    def __init__(self) -> None:
        self.path = ""
        self.chat = openai.Chat()

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration."""
        return {"type": "openai", "base_url": f"{url}/v1", "api_key": "sk-up"}

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """What is asked. Raises Wrong."""
        need(headers.get("authorization") == "Bearer sk-up", "no key")
        self.path, request = path, json.loads(body)
        if path == "/v1/chat/completions":
            return openai.read_chat(request, openai.MEMBERS)
        if path == "/v1/responses":
            return read_responses(request)
        need(path == "/v1/completions", f"path {path}")
        return read_text(request)

    def whole(self, plan: Plan, model: str) -> bytes:
        """One answer."""
        if self.path.endswith("/responses"):
            return dump(_response(plan, model, _items(plan), STATUS.get(plan.stop, "completed")))
        if self.path.endswith("/chat/completions"):
            return self.chat.whole(plan, model)
        return text_whole(plan, model)

    def pieces(self, plan: Plan, model: str) -> list[bytes]:
        """One answer as a stream."""
        if self.path.endswith("/responses"):
            return _events(plan, model)
        if self.path.endswith("/chat/completions"):
            return self.chat.pieces(plan, model)
        return text_pieces(plan, model)

    def error(self, status: int) -> bytes:
        """An error's body."""
        return self.chat.error(status)


class Azure(openai.Chat):
    """POST /openai/deployments/{m}/chat/completions?api-version=..., with filter results in its answers."""

    name = "azure"
    title = "Azure OpenAI (deployments)"
    text = False

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration."""
        return {"type": "azure", "base_url": url, "api_key": "sk-up"}

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """What is asked. Raises Wrong."""
        place, _, query = path.partition("?")
        need(query == "api-version=2024-10-21", f"query {query}")
        need(headers.get("api-key") == "sk-up", "no key")
        self.text, request = place == "/openai/deployments/m/completions", json.loads(body)
        if self.text:
            return read_text(request)
        need(place == "/openai/deployments/m/chat/completions", f"path {path}")
        need("max_tokens" not in request, "max_tokens is max_completion_tokens here")
        return openai.read_chat(request, openai.MEMBERS)

    def whole(self, plan: Plan, model: str) -> bytes:
        """One answer; this house shows no reasoning."""
        if self.text:
            return text_whole(plan, model)
        made = json.loads(super().whole(plan, model))
        made["choices"][0]["content_filter_results"] = {"hate": {"filtered": False, "severity": "safe"}}
        made["choices"][0]["message"].pop("reasoning_content", None)
        return dump(made)

    def pieces(self, plan: Plan, model: str) -> list[bytes]:
        """One answer as a stream; the first chunk has no choice."""
        if self.text:
            return text_pieces(plan, model)
        first = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": "", "choices": [],
                 "prompt_filter_results": [{"prompt_index": 0}]}  # fmt: skip
        return [sse(first), *(event for event in super().pieces(plan, model) if b"reasoning_content" not in event)]


def read_text(request: dict[str, Any]) -> Seen:
    """What a request of legacy completions asks."""
    only(request, COMPLETIONS, "the request")
    seen = Seen(model=request["model"], stream=request.get("stream") is True)
    seen.turns, seen.max_tokens = [Turn("user", request["prompt"])], request.get("max_tokens")
    stop = request.get("stop") or []
    seen.stop = [stop] if isinstance(stop, str) else stop
    return seen


def text_whole(plan: Plan, model: str) -> bytes:
    """One answer of legacy completions."""
    choice = {"index": 0, "text": plan.text, "finish_reason": openai.FINISH[plan.stop], "logprobs": None}
    return dump({**_text_head(model), "choices": [choice], "usage": openai.usage(plan)})


def text_pieces(plan: Plan, model: str) -> list[bytes]:
    """The same as a stream."""
    choices = [{"index": 0, "text": word, "finish_reason": None, "logprobs": None} for word in plan.words]
    choices.append({"index": 0, "text": "", "finish_reason": openai.FINISH[plan.stop], "logprobs": None})
    made = [sse({**_text_head(model), "choices": [choice]}) for choice in choices]
    return [*made, sse({**_text_head(model), "choices": [], "usage": openai.usage(plan)}), b"data: [DONE]\n\n"]


def _text_head(model: str) -> dict[str, Any]:
    return {"id": "cmpl-1", "object": "text_completion", "created": 1700000000, "model": model}


def read_responses(request: dict[str, Any]) -> Seen:
    """What a request of the Responses wire asks."""
    only(request, RESPONSES, "the request")
    seen = Seen(model=request["model"], stream=request.get("stream") is True, system=request.get("instructions") or "")
    items = request["input"]
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        _item(seen, item)
    openai.answered(seen)
    for tool in request.get("tools") or ():
        seen.tools[tool["name"]] = tool["parameters"]
    form = (request.get("text") or {}).get("format") or {"type": "text"}
    seen.schema = form["schema"] if form["type"] == "json_schema" else None
    seen.thinks = bool((request.get("reasoning") or {}).get("effort"))
    seen.max_tokens = request.get("max_output_tokens")
    return seen


def _item(seen: Seen, item: dict[str, Any]) -> None:
    match item.get("type", "message"):
        case "message" if item["role"] in ("system", "developer"):
            seen.system += _words(item["content"])
        case "message":
            turn = Turn(item["role"], _words(item["content"]))
            for part in item["content"] if isinstance(item["content"], list) else ():
                if part["type"] == "input_image":
                    kind, _, data = part["image_url"].removeprefix("data:").partition(";base64,")
                    turn.images.append((kind, data))
            seen.turns.append(turn)
        case "function_call":
            seen.turns.append(Turn("assistant", calls=[(item["call_id"], item["name"], item["arguments"])]))
        case "function_call_output":
            seen.turns.append(Turn("tool", results=[(item["call_id"], _words(item["output"]))]))
        case "reasoning":
            words = "".join(part["text"] for part in (*item["summary"], *(item.get("content") or ())))
            seen.turns.append(Turn("assistant", thinking=words, signature=item.get("encrypted_content") or ""))
        case kind:
            need(False, f"item {kind}")


def _words(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _items(plan: Plan) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    if plan.thinking:
        summary = [{"type": "summary_text", "text": plan.thinking}]
        made.append(
            {"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": plan.signature or None}
        )
    if plan.text:
        part = {"type": "output_text", "text": plan.text, "annotations": [], "logprobs": []}
        made.append({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]})
    made += [{"id": f"fc_{call[0]}", "type": "function_call", "status": "completed", "call_id": call[0],
              "name": call[1], "arguments": call[2]} for call in plan.calls]  # fmt: skip
    return made


def _response(plan: Plan, model: str, items: list[dict[str, Any]], status: str) -> dict[str, Any]:
    tokens = plan.tokens
    usage = {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cached or 0, "cache_write_tokens": 0},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning or 0},
        "total_tokens": tokens.input + tokens.output,
    }
    cut = {"reason": "max_output_tokens"} if status == "incomplete" else None
    return {
        "id": "resp_1", "object": "response", "created_at": 1700000000, "status": status, "model": model,
        "output": items, "error": None, "incomplete_details": cut, "instructions": None, "metadata": {},
        "parallel_tool_calls": True, "temperature": 1.0, "top_p": 1.0, "tool_choice": "auto", "tools": [],
        "usage": None if status == "in_progress" else usage,
    }  # fmt: skip


def _events(plan: Plan, model: str) -> list[bytes]:
    made: list[dict[str, Any]] = [{"type": "response.created", "response": _response(plan, model, [], "in_progress")}]
    for place, item in enumerate(_items(plan)):
        where = {"item_id": item["id"], "output_index": place}
        made.append({"type": "response.output_item.added", "output_index": place, "item": _empty(item)})
        made += [{**event, **where} for event in _grown(plan, item)]
        made.append({"type": "response.output_item.done", "output_index": place, "item": item})
    status = STATUS.get(plan.stop, "completed")
    made.append({"type": f"response.{status}", "response": _response(plan, model, _items(plan), status)})
    return [sse({**event, "sequence_number": number}, event["type"]) for number, event in enumerate(made)]


def _empty(item: dict[str, Any]) -> dict[str, Any]:
    empty = {"message": {"content": []}, "reasoning": {"summary": []}, "function_call": {"arguments": ""}}
    return {**item, **empty[item["type"]], "status": "in_progress"}


def _grown(plan: Plan, item: dict[str, Any]) -> list[dict[str, Any]]:
    if item["type"] == "function_call":
        text = item["arguments"]
        parts = [{"type": "response.function_call_arguments.delta", "delta": part} for part in (text[:5], text[5:])]
        return [*parts, {"type": "response.function_call_arguments.done", "arguments": text, "name": item["name"]}]
    if item["type"] == "reasoning":
        at = {"summary_index": 0}
        part = {"type": "summary_text", "text": ""}
        return [
            {"type": "response.reasoning_summary_part.added", **at, "part": part},
            {"type": "response.reasoning_summary_text.delta", **at, "delta": plan.thinking},
            {"type": "response.reasoning_summary_text.done", **at, "text": plan.thinking},
            {"type": "response.reasoning_summary_part.done", **at, "part": {**part, "text": plan.thinking}},
        ]
    at, part = {"content_index": 0}, {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    return [
        {"type": "response.content_part.added", **at, "part": part},
        *({"type": "response.output_text.delta", **at, "delta": word, "logprobs": []} for word in plan.words),
        {"type": "response.output_text.done", **at, "text": plan.text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": {**part, "text": plan.text}},
    ]
