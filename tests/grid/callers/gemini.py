"""google-genai: generateContent."""

import json
from typing import Any

import httpx
from google import genai
from google.genai import errors, types

from grid.callers import noted
from grid.parts import PNG, SCHEMA, TOOLS, Got, Tokens, Wish

STOPS = {"STOP": "end", "MAX_TOKENS": "length"}


class Content:
    """POST /v1/models/{m}:generateContent and its stream."""

    name = "gemini"
    title = "Gemini"
    lacks: dict[str, str] = {}
    faults = (errors.APIError,)

    def __init__(self, url: str) -> None:
        self.dropped: list[str] = []
        self.http = httpx.Client(event_hooks=noted(self), timeout=30)
        options = types.HttpOptions(base_url=url, httpx_client=self.http)
        self.client = genai.Client(api_key="sk-caller", http_options=options)

    def wanted(self, wish: Wish) -> dict[str, Any]:
        """The call's arguments."""
        parts = [types.Part(text=wish.text)]
        if wish.image:
            import base64

            parts.append(types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png"))
        contents: list[Any] = [types.Content(role="user", parts=parts)]
        if wish.before:
            results = [
                types.Part(
                    function_response=types.FunctionResponse(
                        id=call[0] or None, name=call[1], response={"output": text}
                    )
                )
                for call, text in zip(wish.before.calls, wish.results, strict=True)
            ]
            contents += [wish.before.said, types.Content(role="user", parts=results)]
        config: dict[str, Any] = {}
        if wish.system:
            config["system_instruction"] = wish.system
        if wish.tools:
            declared = [{"name": name, "description": f"Does {name}.", "parameters_json_schema": schema}
                        for name, schema in list(TOOLS.items())[: wish.tools]]  # fmt: skip
            config["tools"] = [{"function_declarations": declared}]
            config["automatic_function_calling"] = {"disable": True}
        if wish.schema:
            config |= {"response_mime_type": "application/json", "response_json_schema": SCHEMA}
        if wish.think:
            config["thinking_config"] = {"include_thoughts": True, "thinking_budget": 2000}
        if wish.stop:
            config["stop_sequences"] = [wish.stop]
        return {"model": wish.model, "contents": contents, "config": types.GenerateContentConfig(**config)}

    def ask(self, wish: Wish) -> Got:
        """One whole answer."""
        got = Got()
        answer = self.client.models.generate_content(**self.wanted(wish))
        self._take(got, answer)
        got.said = answer.candidates[0].content  # type: ignore[index]
        return got

    def stream(self, wish: Wish) -> Got:
        """One answer in pieces."""
        got = Got()
        for answer in self.client.models.generate_content_stream(**self.wanted(wish)):
            before = got.text
            self._take(got, answer)
            got.pieces += got.text != before
        assert got.stop, "the stream ended without saying why"
        return got

    def _take(self, got: Got, answer: Any) -> None:
        (candidate,) = answer.candidates
        for part in (candidate.content.parts if candidate.content else None) or ():
            if part.function_call:
                call = part.function_call
                got.calls.append((call.id or "", call.name, json.dumps(call.args)))
            elif part.thought:
                got.thinking += part.text or ""
            else:
                got.text += part.text or ""
        if candidate.finish_reason:
            got.stop = STOPS[candidate.finish_reason.value]
            if got.calls and got.stop == "end":
                got.stop = "tool_use"
        usage = answer.usage_metadata
        if usage is not None and candidate.finish_reason:
            written = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
            cached, thought = usage.cached_content_token_count, usage.thoughts_token_count
            got.tokens = Tokens(usage.prompt_token_count or 0, written, cached, thought)

    def status(self, error: Any) -> int:
        """The HTTP status of a failure."""
        return int(error.code)

    def close(self) -> None:
        """Close its connections."""
        self.client.close()
        self.http.close()
