"""anthropic: Messages."""

import json
from typing import Any

import anthropic

from grid.callers import noted
from grid.parts import PNG, SCHEMA, TOOLS, Got, Tokens, Wish

STOPS = {"end_turn": "end", "stop_sequence": "end", "max_tokens": "length", "tool_use": "tool_use"}


class Messages:
    """POST /v1/messages."""

    name = "anthropic"
    title = "Anthropic"
    lacks: dict[str, str] = {}
    faults = (anthropic.APIError,)

    def __init__(self, url: str) -> None:
        self.dropped: list[str] = []
        http: Any = anthropic.DefaultHttpxClient(verify=False, event_hooks=noted(self))
        self.client = anthropic.Anthropic(
            base_url=url, api_key="sk-caller", max_retries=0, timeout=30, http_client=http
        )

    def wanted(self, wish: Wish) -> dict[str, Any]:
        """The call's arguments."""
        asked: Any = wish.text
        if wish.image:
            source = {"type": "base64", "media_type": "image/png", "data": PNG}
            asked = [{"type": "text", "text": wish.text}, {"type": "image", "source": source}]
        turns: list[dict[str, Any]] = [{"role": "user", "content": asked}]
        if wish.before:
            results = [{"type": "tool_result", "tool_use_id": call[0], "content": text}
                       for call, text in zip(wish.before.calls, wish.results, strict=True)]  # fmt: skip
            turns += [{"role": "assistant", "content": wish.before.said}, {"role": "user", "content": results}]
        made: dict[str, Any] = {"model": wish.model, "max_tokens": 4000, "messages": turns}
        if wish.system:
            made["system"] = wish.system
        if wish.tools:
            made["tools"] = [{"name": name, "description": f"Does {name}.", "input_schema": schema}
                             for name, schema in list(TOOLS.items())[: wish.tools]]  # fmt: skip
        if wish.schema:
            made["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if wish.think:
            made["thinking"] = {"type": "enabled", "budget_tokens": 2000}
        if wish.stop:
            made["stop_sequences"] = [wish.stop]
        return made

    def ask(self, wish: Wish) -> Got:
        """One whole answer."""
        return self._got(self.client.messages.create(**self.wanted(wish)))

    def stream(self, wish: Wish) -> Got:
        """One answer in pieces, put together by the client itself."""
        with self.client.messages.stream(**self.wanted(wish)) as events:
            pieces = sum(1 for event in events if event.type == "text")
            got = self._got(events.get_final_message())
        got.pieces = pieces
        return got

    def _got(self, answer: Any) -> Got:
        got = Got(stop=STOPS[answer.stop_reason])
        for block in answer.content:
            match block.type:
                case "text":
                    got.text += block.text
                case "thinking":
                    got.thinking += block.thinking
                case "tool_use":
                    got.calls.append((block.id, block.name, json.dumps(block.input)))
        usage = answer.usage
        cached = usage.cache_read_input_tokens
        whole = usage.input_tokens + (cached or 0) + (usage.cache_creation_input_tokens or 0)
        details = getattr(usage, "output_tokens_details", None)
        got.tokens = Tokens(whole, usage.output_tokens, cached, getattr(details, "thinking_tokens", None))
        got.said = [block.model_dump(exclude_none=True) for block in answer.content]
        return got

    def status(self, error: Any) -> int:
        """The HTTP status of a failure."""
        return int(error.status_code)

    def close(self) -> None:
        """Close its connections."""
        self.client.close()
