"""ollama: chat."""

import json
from typing import Any

import ollama

from grid.callers import noted
from grid.parts import PNG, SCHEMA, TOOLS, Got, Tokens, Wish

STOPS = {"stop": "end", "length": "length"}


class Chat:
    """POST /api/chat."""

    name = "ollama"
    title = "Ollama"
    lacks: dict[str, str] = {}
    faults = (ollama.ResponseError,)

    def __init__(self, url: str) -> None:
        self.dropped: list[str] = []
        self.client = ollama.Client(host=url, timeout=30, event_hooks=noted(self))

    def wanted(self, wish: Wish) -> dict[str, Any]:
        """The call's arguments."""
        turns: list[Any] = [{"role": "system", "content": wish.system}] if wish.system else []
        asked: dict[str, Any] = {"role": "user", "content": wish.text}
        if wish.image:
            asked["images"] = [PNG]
        turns.append(asked)
        if wish.before:
            turns.append(wish.before.said)
            turns += [{"role": "tool", "tool_name": call[1], "content": text}
                      for call, text in zip(wish.before.calls, wish.results, strict=True)]  # fmt: skip
        made: dict[str, Any] = {"model": wish.model, "messages": turns}
        if wish.tools:
            made["tools"] = [
                {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": schema}}
                for name, schema in list(TOOLS.items())[: wish.tools]
            ]
        if wish.schema:
            made["format"] = SCHEMA
        if wish.think:
            made["think"] = True
        if wish.stop:
            made["options"] = {"stop": [wish.stop]}
        return made

    def ask(self, wish: Wish) -> Got:
        """One whole answer."""
        got = Got()
        answer = self.client.chat(**self.wanted(wish))
        self._take(got, answer)
        got.said = answer.message
        return got

    def stream(self, wish: Wish) -> Got:
        """One answer in pieces."""
        got = Got()
        for answer in self.client.chat(**self.wanted(wish), stream=True):
            got.pieces += bool(answer.message.content)
            self._take(got, answer)
        assert got.stop, "the stream ended without saying why"
        return got

    def _take(self, got: Got, answer: Any) -> None:
        got.text += answer.message.content or ""
        got.thinking += answer.message.thinking or ""
        for call in answer.message.tool_calls or ():
            got.calls.append(("", call.function.name, json.dumps(dict(call.function.arguments))))
        if answer.done:
            got.stop = "tool_use" if got.calls else STOPS[answer.done_reason]
            got.tokens = Tokens(answer.prompt_eval_count or 0, answer.eval_count or 0)

    def status(self, error: Any) -> int:
        """The HTTP status of a failure."""
        return int(error.status_code)

    def close(self) -> None:
        """Close its connections."""
        self.client.close()
