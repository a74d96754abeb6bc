"""The second form towards whoever speaks it: conversations written, answers read.

So far that is the echo component alone, whose answers are made on this machine.
Source: conversation contract sections 1.2 and 4.6.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from parley.failure import Failure, ParleyError, invalid
from parley.ir import Block, ChatRequest, ChatResponse, Choice, Message, Stop, Text, ToolCall, ToolResult, Usage
from parley.ir import Tool as Function
from parley.wire import Encoded
from parley.wire.dapr.request import ALPHA1, ALPHA2

ECHO: Final = "dapr_echo"
_OWN: Final = (ALPHA1, ALPHA2)
_NAMES: Final = {"system": "ofSystem", "developer": "ofDeveloper", "user": "ofUser"}
_STOPS: Final[dict[str, Stop]] = {"stop": "end", "length": "length", "tool_calls": "tool_use"}
_UNSAID: Final = (
    "top_p", "top_k", "stop", "n", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs",
    "top_logprobs", "reasoning", "user", "parallel_tool_calls",
)  # fmt: skip


def encode_request(request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """A conversation of one input. What it has no member for is left out, by name."""
    messages = [one for message in request.messages for one in _messages(message)]
    body: dict[str, Any] = {"inputs": [{"messages": messages}]}
    tools = [_tool(one) for one in request.tools if isinstance(one, Function)]
    if tools:
        body["tools"] = tools
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.max_tokens is not None:
        body["maxTokens"] = request.max_tokens
    dropped = [name for name in _UNSAID if getattr(request, name) is not None]
    if request.wire not in _OWN:
        dropped += ["response_format"] if request.output is not None else []
        dropped += list(request.extra)
    return Encoded(body, tuple(dropped))


def _messages(message: Message) -> list[dict[str, Any]]:
    """One turn; results of tools are turns of their own."""
    texts = [{"text": block.text} for block in message.content if isinstance(block, Text)]
    results = [_result(block) for block in message.content if isinstance(block, ToolResult)]
    for block in message.content:
        if not isinstance(block, (Text, ToolCall, ToolResult)):
            raise _beyond(block, message)
    if message.role == "assistant":
        calls = [_call(block) for block in message.content if isinstance(block, ToolCall)]
        said: dict[str, Any] = {"content": texts}
        return [{"ofAssistant": said | ({"toolCalls": calls} if calls else {})}]
    return results + ([{_NAMES.get(message.role, "ofUser"): {"content": texts}}] if texts or not results else [])


def _beyond(block: Block, message: Message) -> ParleyError:
    kind = type(block).__name__.lower()
    return invalid(f"a conversation of Dapr holds text only, and no {kind}", message.place or "messages")


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}}


def _result(result: ToolResult) -> dict[str, Any]:
    texts = [{"text": block.text} for block in result.content if isinstance(block, Text)]
    return {"ofTool": {"toolId": result.call_id, "name": result.extra.get("name") or "", "content": texts}}


def _tool(tool: Function) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    return {"function": function}


def decode_response(body: bytes) -> ChatResponse:
    """A whole answer. Raises ``upstream_bad_response``."""
    try:
        value = msgspec.json.decode(body)
        choices = [one for output in value["outputs"] for one in output.get("choices", ())]
        usage = next((_usage(output["usage"]) for output in value["outputs"] if "usage" in output), None)
        made = tuple(_choice(one, place) for place, one in enumerate(choices))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ParleyError(
            Failure("upstream_bad_response", "the provider's answer is no conversation", detail="bad_shape")
        ) from None
    return ChatResponse(wire=ECHO, id="", model="", choices=made, usage=usage)


def _choice(given: dict[str, Any], place: int) -> Choice:
    message, reason = given.get("message", {}), given.get("finishReason", "")
    calls = [
        ToolCall(one.get("id", ""), one["function"].get("name", ""), one["function"].get("arguments", ""))
        for one in message.get("toolCalls", ())
    ]
    text = message.get("content", "")
    blocks: tuple[Block, ...] = (*((Text(text),) if text else ()), *calls)
    return Choice(place, blocks, _STOPS.get(reason, "end"), native=reason or None)


def _usage(given: dict[str, Any]) -> Usage:
    cached = given.get("promptTokensDetails", {}).get("cachedTokens")
    return Usage(
        int(given.get("promptTokens", 0)),
        int(given.get("completionTokens", 0)),
        None if cached is None else int(cached),
    )


def check_answer(body: bytes) -> Usage | None:
    """The usage of a whole answer that has this shape."""
    return decode_response(body).usage
