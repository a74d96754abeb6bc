"""The echo component of Dapr: every text once more, a call for every tool. Source: conversation contract 4.6."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from parley import jsontext
from parley.failure import Failure, ParleyError
from parley.io.echo.asked import JSON, Ask, Said

_SPEAKERS: Final = ("ofDeveloper", "ofSystem", "ofUser", "ofAssistant")


def converse(ask: Ask) -> Said:
    """A conversation in the second form of its API, answered as a whole."""
    # It was written by parley.wire.dapr, from a request that was read and judged.
    body = jsontext.whole(ask.body)
    messages = [message for one in body.get("inputs", ()) for message in one.get("messages", ())]
    text = "\n".join(_texts(messages))
    calls = [*_offered(body.get("tools", ())), *_made(messages)]
    asked, most = len(text.split()), body.get("maxTokens")
    reason, said = "tool_calls" if calls else "stop", asked
    if most is not None and most < asked:
        text, reason, said = " ".join(text.split()[:most]), "length", most
    message: dict[str, Any] = {"content": text} if text else {}
    if calls:
        message["toolCalls"] = calls
    counts = {"completionTokens": said, "promptTokens": asked, "totalTokens": said + asked}
    usage = {name: str(count) for name, count in counts.items() if count}
    output = {"choices": [{"finishReason": reason, "message": message}], "usage": usage}
    return Said(JSON, iter((msgspec.json.encode({"outputs": [output]}),)))


def _texts(messages: list[dict[str, Any]]) -> Iterator[str]:
    """Every part of every message; a tool's answer says whose it is."""
    for message in messages:
        for speaker in _SPEAKERS:
            for part in message.get(speaker, {}).get("content", ()):
                yield part.get("text", "")
        answer = message.get("ofTool")
        if answer is not None:
            named = f"Tool Response for tool ID '{answer.get('toolId', '')}' with name '{answer.get('name', '')}': "
            for part in answer.get("content", ()):
                yield named + part.get("text", "")


def _offered(tools: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A call for each tool, its arguments the names of the properties."""
    for number, tool in enumerate(tools):
        function = tool["function"]
        properties = (function.get("parameters") or {}).get("properties", {})
        if not isinstance(properties, dict):
            raise ParleyError(Failure("upstream_bad_response", "properties of a tool's parameters is no object"))
        arguments = ",".join(sorted(properties))
        yield {"id": str(number), "function": {"name": function.get("name", ""), "arguments": arguments}}


def _made(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Calls that the conversation holds already, unchanged."""
    for message in messages:
        yield from message.get("ofAssistant", {}).get("toolCalls", ())
