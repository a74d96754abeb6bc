"""The official SDKs behind one face, so that one test can be asked of every combination.

An asker turns a ``Wish`` into its SDK's call and what the SDK returns into a ``Got``; nothing is checked here.
Synchronous clients run in a thread, so that both kinds can be awaited.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai

from real import tiny

Calls = list[tuple[str, Any]]


@dataclass(frozen=True)
class Wish:
    """What is wanted, in nobody's words. ``turns`` are (role, text); ``tools`` 0, 1 or 2."""

    text: str = "hi"
    system: str = ""
    turns: tuple[tuple[str, str], ...] = ()
    max_tokens: int = 100
    stop: str = ""
    tools: int = 0
    choice: str = ""
    form: str = ""


@dataclass
class Got:
    """What came. ``stop`` in one vocabulary; ``pieces`` counts the fragments of text and arguments of a stream."""

    text: str = ""
    thinking: str = ""
    calls: Calls = field(default_factory=list)
    stop: str = ""
    tokens: tuple[int, int] | None = None
    pieces: int = 0
    raw: Any = None


STOPS = {
    "stop": "end",
    "end_turn": "end",
    "stop_sequence": "end",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_use",
    "tool_use": "tool_use",
}


class OpenAIAsker:
    """openai, chat completions."""

    dialect = "openai"

    def __init__(self, client: openai.OpenAI | openai.AsyncOpenAI, model: str) -> None:
        self.client, self.model = client, model

    def wanted(self, wish: Wish) -> dict[str, Any]:
        """The call's arguments."""
        head = [{"role": "system", "content": wish.system}] if wish.system else []
        turns = [{"role": role, "content": text} for role, text in wish.turns]
        made: dict[str, Any] = {"model": self.model, "messages": [*head, *turns, *tiny.user(wish.text)]}
        made["max_tokens"] = wish.max_tokens
        if wish.stop:
            made["stop"] = [wish.stop]
        if wish.tools:
            made["tools"] = tiny.OPENAI_TWO[: wish.tools]
        if wish.choice == "named":
            made["tool_choice"] = {"type": "function", "function": {"name": "get_weather"}}
        elif wish.choice:
            made["tool_choice"] = wish.choice
        if wish.form == "object":
            made["response_format"] = {"type": "json_object"}
        elif wish.form == "schema":
            schema = {"name": "a", "schema": tiny.ANSWER, "strict": True}
            made["response_format"] = {"type": "json_schema", "json_schema": schema}
        return made

    async def ask(self, wish: Wish, **more: Any) -> Got:
        """One whole answer."""
        answer = await settle(self.client.chat.completions.create, **self.wanted(wish) | more)
        (choice,) = answer.choices
        found = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or ()]
        thinking = getattr(choice.message, "reasoning_content", None) or ""
        tokens = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
        stop = STOPS[choice.finish_reason]
        return Got(choice.message.content or "", thinking, found, stop, tokens, raw=answer)

    async def stream(self, wish: Wish, **more: Any) -> Got:
        """One answer in chunks, put together by hand."""
        got, calls = Got(raw=[]), {}
        async for chunk in flow(self.client.chat.completions.create, **self.wanted(wish) | more, stream=True):
            got.raw.append(chunk)
            if chunk.usage:
                got.tokens = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
            for choice in chunk.choices:
                got.text += choice.delta.content or ""
                got.thinking += getattr(choice.delta, "reasoning_content", None) or ""
                got.pieces += bool(choice.delta.content)
                got.stop = STOPS[choice.finish_reason] if choice.finish_reason else got.stop
                for part in choice.delta.tool_calls or ():
                    name, text = calls.get(part.index, ("", ""))
                    calls[part.index] = (name + (part.function.name or ""), text + (part.function.arguments or ""))
                    got.pieces += bool(part.function.arguments)
        got.calls = [(name, json.loads(text)) for name, text in calls.values()]
        return got

    async def round_trip(self) -> Got:
        """Ask for a tool call, answer it, and get the words after it."""
        first = await self.ask(Wish(tools=1))
        message = first.raw.choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}
        turns = [*tiny.user("hi"), message.model_dump(exclude_none=True), result]
        return await self.ask(Wish(tools=1), messages=turns)


class AnthropicAsker:
    """anthropic, messages."""

    dialect = "anthropic"

    def __init__(self, client: anthropic.Anthropic | anthropic.AsyncAnthropic, model: str) -> None:
        self.client, self.model = client, model

    def wanted(self, wish: Wish) -> dict[str, Any]:
        """The call's arguments."""
        turns = [{"role": role, "content": text} for role, text in wish.turns]
        made: dict[str, Any] = {"model": self.model, "messages": [*turns, *tiny.user(wish.text)]}
        made["max_tokens"] = wish.max_tokens
        if wish.system:
            made["system"] = wish.system
        if wish.stop:
            made["stop_sequences"] = [wish.stop]
        if wish.tools:
            made["tools"] = tiny.ANTHROPIC_TWO[: wish.tools]
        if wish.choice:
            kind = {"required": "any", "named": "tool"}.get(wish.choice, wish.choice)
            made["tool_choice"] = {"type": kind} | ({"name": "get_weather"} if kind == "tool" else {})
        if wish.form == "schema":
            made["output_config"] = {"format": {"type": "json_schema", "schema": tiny.ANSWER}}
        return made

    def read(self, message: Any, pieces: int = 0) -> Got:
        """A whole message."""
        text = "".join(block.text for block in message.content if block.type == "text")
        thinking = "".join(block.thinking for block in message.content if block.type == "thinking")
        found = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
        usage = message.usage
        tokens = (usage.input_tokens + (usage.cache_read_input_tokens or 0), usage.output_tokens)
        return Got(text, thinking, found, STOPS[message.stop_reason], tokens, pieces, message)

    async def ask(self, wish: Wish, **more: Any) -> Got:
        """One whole answer."""
        return self.read(await settle(self.client.messages.create, **self.wanted(wish) | more))

    async def stream(self, wish: Wish, **more: Any) -> Got:
        """One answer in events, put together by the SDK."""
        arguments, pieces = self.wanted(wish) | more, 0
        if isinstance(self.client, anthropic.AsyncAnthropic):
            async with self.client.messages.stream(**arguments) as stream:
                async for event in stream:
                    pieces += event.type == "content_block_delta"
                return self.read(await stream.get_final_message(), pieces)
        return await asyncio.to_thread(self._stream, arguments)

    def _stream(self, arguments: dict[str, Any]) -> Got:
        assert isinstance(self.client, anthropic.Anthropic)
        with self.client.messages.stream(**arguments) as stream:
            pieces = sum(event.type == "content_block_delta" for event in stream)
            return self.read(stream.get_final_message(), pieces)

    async def round_trip(self) -> Got:
        """Ask for a tool call, answer it, and get the words after it."""
        first = await self.ask(Wish(tools=1))
        content = [block.model_dump(exclude_none=True) for block in first.raw.content]
        call = next(block for block in content if block["type"] == "tool_use")
        result = [{"type": "tool_result", "tool_use_id": call["id"], "content": "sunny"}]
        turns = [*tiny.user("hi"), {"role": "assistant", "content": content}, {"role": "user", "content": result}]
        return await self.ask(Wish(tools=1), messages=turns)


Asker = OpenAIAsker | AnthropicAsker


async def settle(call: Any, **arguments: Any) -> Any:
    """The result of a synchronous or an asynchronous call."""
    made = await asyncio.to_thread(call, **arguments)
    return await made if hasattr(made, "__await__") else made


async def flow(call: Any, **arguments: Any) -> AsyncIterator[Any]:
    """The items of a synchronous or an asynchronous stream."""
    made = await settle(call, **arguments)
    if hasattr(made, "__aiter__"):
        async for item in made:
            yield item
    else:
        for item in await asyncio.to_thread(list, made):
            yield item


def openai_client(url: str, kind: str = "sync") -> Any:
    """An OpenAI client for the server at ``url``; without TLS there are no roots to load."""
    if kind == "sync":
        http: Any = openai.DefaultHttpxClient(verify=False)
        return openai.OpenAI(base_url=f"{url}/v1", api_key="sk-caller", max_retries=0, timeout=30, http_client=http)
    http = openai.DefaultAsyncHttpxClient(verify=False)
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-caller", max_retries=0, timeout=30, http_client=http)


def anthropic_client(url: str, kind: str = "sync") -> Any:
    """An Anthropic client for the server at ``url``."""
    if kind == "sync":
        http: Any = anthropic.DefaultHttpxClient(verify=False)
        return anthropic.Anthropic(base_url=url, api_key="sk-caller", max_retries=0, timeout=30, http_client=http)
    http = anthropic.DefaultAsyncHttpxClient(verify=False)
    return anthropic.AsyncAnthropic(base_url=url, api_key="sk-caller", max_retries=0, timeout=30, http_client=http)


@asynccontextmanager
async def asker(dialect: str, kind: str, url: str, model: str) -> AsyncIterator[Asker]:
    """A client of ``dialect``, ``kind`` sync or async, for the server at ``url``; closed afterwards."""
    client = openai_client(url, kind) if dialect == "openai" else anthropic_client(url, kind)
    try:
        yield OpenAIAsker(client, model) if dialect == "openai" else AnthropicAsker(client, model)
    finally:
        closing = client.close()
        if closing is not None:
            await closing
