"""Answers written for a caller, in both shipped forms, by the rules of protojson: what is zero or empty is left out.

What of a request concerns its answer alone is added later: parley.wire.dapr.turns.
Source: conversation contract sections 2.2, 4.1 to 4.3, 4.6.
"""

from typing import Any, Final

from msgspec import json

from parley.failure import Failure, ParleyError
from parley.ir import ChatResponse, Choice, Event, Stop, Text, ToolCall, Usage
from parley.wire import Mark, Reply
from parley.wire.dapr.echo import ECHO

# The wire of providers that give every answer a reason to end.
CHAT: Final = "openai_chat"
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
    texts = (_text(choice) for choice in _choices(response))
    return json.encode({"outputs": [{"result": text} if text else {} for text in texts]})


def encode_alpha2(response: ChatResponse, reply: Reply) -> bytes:
    """One output for each choice. Raises where tools were required and nothing came."""
    choices = _choices(response)
    _required(reply.asked, choices)
    return json.encode({"outputs": [_output(one, place, response, reply) for place, one in enumerate(choices)]})


def _choices(response: ChatResponse) -> tuple[Choice, ...]:
    return response.choices or (Choice(0, ()),)


def _required(body: bytes, choices: tuple[Choice, ...]) -> None:
    if b"required" not in body:
        return
    asked = json.decode(body)
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


def _output(choice: Choice, place: int, response: ChatResponse, reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {}
    if text := _text(choice):
        message["content"] = text
    calls = [_call(block) for block in choice.content if isinstance(block, ToolCall)]
    if calls:
        message["toolCalls"] = calls
    told: dict[str, Any] = {"finishReason": _reason(choice, response)}
    if place:
        told["index"] = str(place)
    output: dict[str, Any] = {"choices": [told | {"message": message}]}
    # The echo component names no model.
    if reply.wire != ECHO and reply.model:
        output["model"] = reply.model
    if response.usage is not None:
        output["usage"] = _usage(response.usage)
    return output


def _reason(choice: Choice, response: ChatResponse) -> str:
    """The provider's own word; where its API has one and it was not said, nobody knows."""
    if choice.native or (choice.native is None and response.wire != CHAT):
        return choice.native or _STOPS[choice.stop]
    return "unknown"


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
