"""openai: chat completions, responses and legacy completions."""

from typing import Any

import openai

from grid.callers import noted
from grid.parts import PNG, SCHEMA, TOOLS, Call, Got, Tokens, Wish

STOPS = {"stop": "end", "length": "length", "tool_calls": "tool_use"}
FORM = {"name": "answer", "schema": SCHEMA, "strict": True}


def tools(wish: Wish) -> list[dict[str, Any]]:
    """Functions in the form of chat."""
    return [
        {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": schema}}
        for name, schema in list(TOOLS.items())[: wish.tools]
    ]


def question(wish: Wish) -> Any:
    """The user's content."""
    if not wish.image:
        return wish.text
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    return [{"type": "text", "text": wish.text}, image]


def messages(wish: Wish) -> list[dict[str, Any]]:
    """The conversation in the form of chat."""
    made: list[dict[str, Any]] = [{"role": "system", "content": wish.system}] if wish.system else []
    made.append({"role": "user", "content": question(wish)})
    if wish.before:
        made.append(wish.before.said)
        made += [
            {"role": "tool", "tool_call_id": call[0], "content": text}
            for call, text in zip(wish.before.calls, wish.results, strict=True)
        ]
    return made


def tokens(usage: Any) -> Tokens | None:
    """Usage as chat reports it."""
    if usage is None:
        return None
    cached = getattr(usage.prompt_tokens_details, "cached_tokens", None)
    reasoning = getattr(usage.completion_tokens_details, "reasoning_tokens", None)
    return Tokens(usage.prompt_tokens, usage.completion_tokens, cached, reasoning)


class _Face:
    """What the three have in common."""

    faults = (openai.APIError,)

    def __init__(self, url: str) -> None:
        self.dropped: list[str] = []
        http: Any = openai.DefaultHttpxClient(verify=False, event_hooks=noted(self))  # type: ignore[arg-type]
        self.client = openai.OpenAI(
            base_url=f"{url}/v1", api_key="sk-caller", max_retries=0, timeout=30, http_client=http
        )

    def status(self, error: Any) -> int:
        """The HTTP status of a failure."""
        return int(error.status_code)

    def close(self) -> None:
        """Close its connections."""
        self.client.close()


class Chat(_Face):
    """POST /v1/chat/completions."""

    name = "chat"
    title = "OpenAI chat"
    lacks: dict[str, str] = {}

    def wanted(self, wish: Wish) -> dict[str, Any]:
        """The call's arguments."""
        made: dict[str, Any] = {"model": wish.model, "messages": messages(wish)}
        if wish.tools:
            made["tools"] = tools(wish)
        if wish.schema:
            made["response_format"] = {"type": "json_schema", "json_schema": FORM}
        if wish.think:
            made["reasoning_effort"] = "medium"
        if wish.stop:
            made["stop"] = [wish.stop]
        return made

    def ask(self, wish: Wish) -> Got:
        """One whole answer."""
        answer = self.client.chat.completions.create(**self.wanted(wish))
        (choice,) = answer.choices
        said: Any = choice.message
        calls = [(call.id, call.function.name, call.function.arguments) for call in said.tool_calls or ()]
        thinking = getattr(said, "reasoning_content", None) or ""
        return Got(
            said.content or "",
            thinking,
            calls,
            STOPS[choice.finish_reason],
            tokens(answer.usage),
            said=said.model_dump(exclude_none=True),
        )

    def stream(self, wish: Wish) -> Got:
        """One answer in pieces."""
        got, calls = Got(), {}
        options = {"include_usage": True}
        for chunk in self.client.chat.completions.create(**self.wanted(wish), stream=True, stream_options=options):
            got.tokens = tokens(chunk.usage) or got.tokens
            for choice in chunk.choices:
                got.text += choice.delta.content or ""
                got.pieces += bool(choice.delta.content)
                got.thinking += getattr(choice.delta, "reasoning_content", None) or ""
                got.stop = STOPS[choice.finish_reason] if choice.finish_reason else got.stop
                for part in choice.delta.tool_calls or ():
                    before = calls.get(part.index, ("", "", ""))
                    assert part.index in calls or (part.index == len(calls) and part.id), "a call without a beginning"
                    now = (part.id or "", part.function.name or "", part.function.arguments or "")
                    calls[part.index] = (before[0] + now[0], before[1] + now[1], before[2] + now[2])
        assert got.stop, "the stream ended without saying why"
        got.calls = list(calls.values())
        return got


class Responses(_Face):
    """POST /v1/responses."""

    name = "responses"
    title = "OpenAI responses"
    lacks = {"stop": "the Responses API has no stop sequences"}

    def wanted(self, wish: Wish) -> dict[str, Any]:
        """The call's arguments."""
        asked = question(wish)
        if wish.image:
            image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
            asked = [{"type": "input_text", "text": wish.text}, image]
        made: dict[str, Any] = {"model": wish.model, "input": [{"role": "user", "content": asked}], "store": False}
        if wish.before:
            made["input"] += wish.before.said
            for call, text in zip(wish.before.calls, wish.results, strict=True):
                made["input"].append({"type": "function_call_output", "call_id": call[0], "output": text})
        if wish.system:
            made["instructions"] = wish.system
        if wish.tools:
            made["tools"] = [{"type": "function", **tool["function"]} for tool in tools(wish)]
        if wish.schema:
            made["text"] = {"format": {"type": "json_schema", **FORM}}
        if wish.think:
            made["reasoning"] = {"effort": "medium", "summary": "auto"}
            made["include"] = ["reasoning.encrypted_content"]
        return made

    def ask(self, wish: Wish) -> Got:
        """One whole answer."""
        return self._got(self.client.responses.create(**self.wanted(wish)))

    def stream(self, wish: Wish) -> Got:
        """One answer in pieces; the last event must say what the pieces said."""
        last, text, calls, pieces = None, "", {}, 0
        for event in self.client.responses.create(**self.wanted(wish), stream=True):
            if event.type == "response.output_text.delta":
                text += event.delta
                pieces += 1
            elif event.type == "response.function_call_arguments.delta":
                calls[event.output_index] = calls.get(event.output_index, "") + event.delta
            elif event.type in ("response.completed", "response.incomplete"):
                last = event.response
            elif event.type in ("response.failed", "error"):
                raise openai.APIError(str(event), request=None, body=None)  # type: ignore[arg-type]
        assert last is not None, "the stream ended without its last event"
        got = self._got(last)
        assert (got.text, [call[2] for call in got.calls]) == (text, list(calls.values()))
        got.pieces = pieces
        return got

    def _got(self, answer: Any) -> Got:
        calls: list[Call] = [(item.call_id, item.name, item.arguments) for item in answer.output
                             if item.type == "function_call"]  # fmt: skip
        thoughts = [item for item in answer.output if item.type == "reasoning"]
        words = [part.text for item in thoughts for part in (*item.summary, *(item.content or ()))]
        usage = answer.usage
        counted = None
        if usage is not None:
            cached, reasoning = usage.input_tokens_details, usage.output_tokens_details
            counted = Tokens(usage.input_tokens, usage.output_tokens, cached.cached_tokens, reasoning.reasoning_tokens)
        cut = answer.incomplete_details is not None and answer.incomplete_details.reason == "max_output_tokens"
        stop = "length" if cut else "tool_use" if calls else "end"
        assert answer.status == ("incomplete" if cut else "completed")
        said = [item.model_dump(exclude_none=True) for item in answer.output]
        return Got(answer.output_text, "".join(words), calls, stop, counted, said=said)


ONE_TEXT = "legacy completions are one text in, one text out"


class Completions(_Face):
    """POST /v1/completions."""

    name = "completions"
    title = "OpenAI completions (legacy)"
    lacks = dict.fromkeys(
        (
            "system",
            "tools",
            "parallel-tools",
            "tool-round-trip",
            "image",
            "structured-output",
            "thinking",
            "signed-thinking",
        ),
        ONE_TEXT,
    )

    def wanted(self, wish: Wish) -> dict[str, Any]:
        """The call's arguments."""
        made: dict[str, Any] = {"model": wish.model, "prompt": wish.text}
        if wish.stop:
            made["stop"] = [wish.stop]
        return made

    def ask(self, wish: Wish) -> Got:
        """One whole answer."""
        answer = self.client.completions.create(**self.wanted(wish))
        (choice,) = answer.choices
        return Got(choice.text, stop=STOPS[choice.finish_reason], tokens=tokens(answer.usage))

    def stream(self, wish: Wish) -> Got:
        """One answer in pieces."""
        got = Got()
        options = {"include_usage": True}
        for chunk in self.client.completions.create(**self.wanted(wish), stream=True, stream_options=options):
            got.tokens = tokens(chunk.usage) or got.tokens
            for choice in chunk.choices:
                got.text += choice.text
                got.pieces += bool(choice.text)
                got.stop = STOPS[choice.finish_reason] if choice.finish_reason else got.stop
        assert got.stop, "the stream ended without saying why"
        return got
