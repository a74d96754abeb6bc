"""Answers written for a caller, in both shipped forms, by the rules of protojson: what is zero or empty is left out.

Source: conversation contract sections 2.2, 4.1 to 4.3, 4.6.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import json

from parley.failure import Failure, ParleyError
from parley.ir import ChatResponse, Choice, Event, Stop, Text, ToolCall, Usage
from parley.wire import Mark, Reply
from parley.wire.dapr.echo import ECHO

_STOPS: Final[dict[Stop, str]] = {
    "end": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause": "stop",
    "error": "unknown",
}


def encode_alpha1(response: ChatResponse, reply: Reply) -> bytes:
    """The first choice of each output as plain text."""
    asked = json.decode(reply.asked)
    seen = _sight(asked.get("scrubPII") is True)
    parameters = asked.get("parameters")
    outputs: list[dict[str, Any]] = []
    for choice in _choices(response):
        output: dict[str, Any] = {}
        if text := seen(_text(choice)):
            output["result"] = text
        if parameters:
            output["parameters"] = parameters
        outputs.append(output)
    return json.encode(_context(asked, "contextID") | {"outputs": outputs})


def encode_alpha2(response: ChatResponse, reply: Reply) -> bytes:
    """One output for each choice. Raises where tools were required and nothing came."""
    asked = json.decode(reply.asked)
    seen = _sight(asked.get("scrubPii") is True)
    choices = _choices(response)
    _required(asked, choices)
    outputs = [_output(choice, place, response, reply, seen) for place, choice in enumerate(choices)]
    return json.encode(_context(asked, "contextId") | {"outputs": outputs})


def _choices(response: ChatResponse) -> tuple[Choice, ...]:
    return response.choices or (Choice(0, ()),)


def _context(asked: dict[str, Any], name: str) -> dict[str, Any]:
    """Echoed as it came where it says something."""
    return {name: asked[name]} if asked.get(name) else {}


def _sight(scrub: bool) -> Callable[[str], str]:
    if not scrub:
        return str
    from parley.pii import scrubbed

    return scrubbed


def _required(asked: dict[str, Any], choices: tuple[Choice, ...]) -> None:
    tools = asked.get("tools") or ()
    if asked.get("toolChoice") != "required" or not tools:
        return
    if not any(block for choice in choices for block in choice.content if _says(block)):
        message = f"LLM returned empty response with no tool calls despite {len(tools)} tools being available"
        raise ParleyError(Failure("upstream_bad_response", message, detail="empty_body"))


def _says(block: Any) -> bool:
    return isinstance(block, ToolCall) or (isinstance(block, Text) and bool(block.text))


def _text(choice: Choice) -> str:
    return "".join([block.text for block in choice.content if isinstance(block, Text)])


def _output(
    choice: Choice, place: int, response: ChatResponse, reply: Reply, seen: Callable[[str], str]
) -> dict[str, Any]:
    message: dict[str, Any] = {}
    if text := seen(_text(choice)):
        message["content"] = text
    calls = [_call(block) for block in choice.content if isinstance(block, ToolCall)]
    if calls:
        message["toolCalls"] = calls
    told: dict[str, Any] = {"finishReason": choice.native or _STOPS[choice.stop]}
    if place:
        told["index"] = str(place)
    output: dict[str, Any] = {"choices": [told | {"message": message}]}
    # The echo component names no model.
    if reply.wire != ECHO and reply.model:
        output["model"] = reply.model
    if response.usage is not None:
        output["usage"] = _usage(response.usage)
    return output


def _call(call: ToolCall) -> dict[str, Any]:
    function = {name: value for name, value in (("name", call.name), ("arguments", call.arguments)) if value}
    return ({"id": call.id} if call.id else {}) | {"function": function}


def _usage(usage: Usage) -> dict[str, Any]:
    """64-bit numbers are texts; details are there where one of them is not zero."""
    made: dict[str, Any] = _counts(
        completionTokens=usage.output, promptTokens=usage.input, totalTokens=usage.input + usage.output
    )
    if details := _counts(audioTokens=usage.audio_output, reasoningTokens=usage.reasoning):
        made["completionTokensDetails"] = details
    if details := _counts(audioTokens=usage.audio_input, cachedTokens=usage.cached):
        made["promptTokensDetails"] = details
    return made


def _counts(**counts: int | None) -> dict[str, Any]:
    return {name: str(count) for name, count in counts.items() if count}


class Silent:
    """No form of this API streams."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    def feed(self, event: Event) -> bytes:
        """Nothing."""
        return b""

    def fail(self, failure: Failure) -> bytes:
        """Nothing."""
        return b""


def no_event(name: str, data: bytes) -> Mark:
    """Nor does any provider that speaks it."""
    raise ParleyError(Failure("upstream_bad_response", "the provider streamed what is no stream", detail="bad_event"))
