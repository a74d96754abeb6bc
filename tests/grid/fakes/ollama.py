"""Ollama's /api/chat: one JSON object a line, arguments as objects, tools known by their names."""

import json
from typing import Any

from grid.parts import Plan, Seen, Turn, dump, need, only

MEMBERS = {"model", "messages", "tools", "stream", "format", "options", "keep_alive", "think", "logprobs",
           "top_logprobs", "truncate", "shift"}  # fmt: skip
GENERATE = {"model", "prompt", "suffix", "system", "template", "raw", "images", "think", "format", "options", "stream",
            "keep_alive", "truncate"}  # fmt: skip
OPTIONS = {"num_predict", "temperature", "top_k", "top_p", "seed", "stop", "presence_penalty", "frequency_penalty"}
MESSAGE = {"role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"}


class Chat:
    """POST /api/chat."""

    name = "ollama"
    title = "Ollama"
    stream_type = "application/x-ndjson"
    text = False

    def provider(self, url: str) -> dict[str, Any]:
        """Its entry of the configuration."""
        return {"type": "ollama", "base_url": url}

    def read(self, path: str, headers: dict[str, str], body: bytes) -> Seen:
        """What is asked. Raises Wrong."""
        request = json.loads(body)
        self.text = path == "/api/generate"
        if self.text:
            return _read_text(request)
        need(path == "/api/chat", f"path {path}")
        only(request, MEMBERS, "the request")
        options = request.get("options") or {}
        only(options, OPTIONS, "options")
        need("stream" not in request or isinstance(request["stream"], bool), "stream is no boolean")
        seen = Seen(model=request["model"], stream=request.get("stream", True))
        for message in request["messages"]:
            only(message, MESSAGE, "a message")
            if message["role"] == "system":
                seen.system += message["content"]
            else:
                seen.turns.append(_turn(message))
        for tool in request.get("tools") or ():
            seen.tools[tool["function"]["name"]] = tool["function"]["parameters"]
        names = [call[1] for call in seen.calls]
        need(names == [result[0] for result in seen.results], "results do not fit the calls")
        seen.stop, seen.max_tokens = options.get("stop") or [], options.get("num_predict")
        seen.schema = request.get("format")
        need(
            request.get("think") in (None, True, False, "low", "medium", "high", "max"), "think is not one of its words"
        )
        seen.thinks = bool(request.get("think"))
        return seen

    def whole(self, plan: Plan, model: str) -> bytes:
        """One answer."""
        if self.text:
            return dump({**_HEAD, "model": model, "response": plan.text, **_end(plan)})
        message: dict[str, Any] = {"role": "assistant", "content": plan.text}
        if plan.thinking:
            message["thinking"] = plan.thinking
        if plan.calls:
            message["tool_calls"] = _calls(plan)
        return dump({**_HEAD, "model": model, "message": message, **_end(plan)})

    def pieces(self, plan: Plan, model: str) -> list[bytes]:
        """One answer as lines."""
        if self.text:
            made = [{**_HEAD, "model": model, "response": word, "done": False} for word in plan.words]
            return [dump(line) + b"\n" for line in (*made, {**_HEAD, "model": model, "response": "", **_end(plan)})]
        messages: list[dict[str, Any]] = []
        if plan.thinking:
            messages += [{"content": "", "thinking": part} for part in (plan.thinking[:4], plan.thinking[4:])]
        messages += [{"content": word} for word in plan.words]
        if plan.calls:
            messages.append({"content": "", "tool_calls": _calls(plan)})
        head = {**_HEAD, "model": model}
        made = [{**head, "message": {"role": "assistant", **message}, "done": False} for message in messages]
        made.append({**head, "message": {"role": "assistant", "content": ""}, **_end(plan)})
        return [dump(line) + b"\n" for line in made]

    def error(self, status: int) -> bytes:
        """An error's body."""
        return dump({"error": f"ollama says {status}"})


_HEAD = {"created_at": "2026-01-01T00:00:00.123456789Z"}


def _read_text(request: dict[str, Any]) -> Seen:
    """What a request to /api/generate asks."""
    only(request, GENERATE, "the request")
    options = request.get("options") or {}
    only(options, OPTIONS, "options")
    seen = Seen(model=request["model"], stream=request.get("stream", True), system=request.get("system") or "")
    seen.turns, seen.stop = [Turn("user", request["prompt"])], options.get("stop") or []
    return seen


def _end(plan: Plan) -> dict[str, Any]:
    times = {"total_duration": 5, "load_duration": 1, "prompt_eval_duration": 1, "eval_duration": 3}
    counts = {"prompt_eval_count": plan.tokens.input, "eval_count": plan.tokens.output}
    return {"done": True, "done_reason": "length" if plan.stop == "length" else "stop", **times, **counts}


def _calls(plan: Plan) -> list[dict[str, Any]]:
    return [
        {"id": call[0], "function": {"index": index, "name": call[1], "arguments": json.loads(call[2])}}
        for index, call in enumerate(plan.calls)
    ]


def _turn(message: dict[str, Any]) -> Turn:
    need(message["role"] in ("user", "assistant", "tool"), f"role {message['role']}")
    need(isinstance(message.get("content", ""), str), "content is no text")
    turn = Turn(message["role"], message.get("content", ""), message.get("thinking") or "")
    if turn.role == "tool":
        need(message.get("tool_name"), "a result without tool_name")
        turn.results.append((message["tool_name"], turn.text))
        turn.text = ""
    for image in message.get("images") or ():
        need(not image.startswith("data:"), "an image is plain base64")
        turn.images.append(("", image))
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        need(isinstance(function["arguments"], dict), "arguments are no object")
        turn.calls.append((call.get("id") or f"#{index}", function["name"], json.dumps(function["arguments"])))
    return turn
