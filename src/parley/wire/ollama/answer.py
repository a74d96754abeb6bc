"""Whole answers of /api/chat and /api/generate, read from a provider and written for a caller.

What an answer's last line and a whole answer say is the same: reason, counters, times. Times that the provider did
not tell are measured by the gateway, in nanoseconds.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

from parley.failure import Failure, ParleyError
from parley.ir import (
    Block,
    ChatResponse,
    Choice,
    Extra,
    Finish,
    Media,
    Refusal,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from parley.wire import Reply
from parley.wire.ollama.errors import BAD_JSON, NAME, bad, encode
from parley.wire.ollama.lines import (
    ANSWER,
    CallIds,
    Line,
    arguments_of,
    created_of,
    incomplete,
    line_of,
    logprobs_of,
    object_of,
    refuse_error,
    stop_of,
    usage_of,
)
from parley.wire.ollama.options import GENERATE, KIN
from parley.wire.ollama.prompt import arguments_object

Json: TypeAlias = dict[str, Any]
_REASONS: Final[dict[Stop, str]] = {"length": "length"}


# --- reading -----------------------------------------------------------------------------------


def decode_chat(body: bytes) -> ChatResponse:
    """A whole answer to chat. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error
    object means (detail stream_error)."""
    value, line = whole(body, "message")
    return _response(NAME, value, line)


def decode_generate(body: bytes) -> ChatResponse:
    """A whole answer to generate. Raises as ``decode_chat``."""
    value, line = whole(body, "response")
    if "image" in value:
        bad("bad_shape", "the provider answered with a picture")
    return _response(GENERATE, value, line)


def whole(body: bytes, member: str) -> tuple[Json, Line]:
    """The object of an answer, proven to be one. Raises as ``decode_chat``, ``upstream_incomplete`` where it is not
    done."""
    if not body.strip():
        bad("empty_body", "the provider sent an empty answer")
    value = object_of(body, "bad_shape")
    refuse_error(value)
    try:
        line = line_of(body)
    except ParleyError:
        bad("bad_shape", "the provider's answer has the wrong shape")
    if (line.message if member == "message" else line.response) is None:
        bad("bad_shape", f"the provider's answer has no {member}")
    if line.done is False:
        raise incomplete()
    return value, line


def _response(wire: str, value: Json, line: Line) -> ChatResponse:
    content = tuple(_blocks(line))
    stop, native = stop_of(value.get("done_reason"), called=any(isinstance(block, ToolCall) for block in content))
    return ChatResponse(
        wire=wire,
        id="",
        model=line.model or "",
        created=created_of(line.created_at),
        choices=(Choice(0, content, stop, None, native, logprobs_of(line.logprobs)),),
        usage=usage_of(value),
        extra={name: item for name, item in value.items() if name not in ANSWER},
    )


def _blocks(line: Line) -> Iterable[Block]:
    said = line.message
    text, thought = line.response, line.thinking
    if said is not None:
        text, thought = said.content, said.thinking
    if thought:
        yield Thinking(thought)
    calls = said.tool_calls if said is not None else None
    if text or not (thought or calls):
        yield Text(text or "")
    ids = CallIds(line.created_at or "")
    for call in calls or ():
        try:
            arguments = arguments_of(call)
        except BAD_JSON:
            bad("bad_shape", "the provider sent a tool call that is not UTF-8")
        yield ToolCall(ids.of(call), call.function.name, arguments)


# --- writing -----------------------------------------------------------------------------------


def encode_chat(response: ChatResponse, reply: Reply) -> bytes:
    """A whole answer to chat; only the first choice is written. Raises ``upstream_error`` for one that ended in
    error."""
    choice = _first(response)
    message = message_object(choice.content)
    return encode({**_opening(response, reply), "message": message, **_closing(response, choice, reply)})


def encode_generate(response: ChatResponse, reply: Reply) -> bytes:
    """A whole answer to generate. Raises as ``encode_chat``."""
    choice = _first(response)
    message = message_object(choice.content)
    said = {"response": message["content"]}
    if "thinking" in message:
        said["thinking"] = message["thinking"]
    if "images" in message:
        said["image"] = message["images"][0]
    return encode({**_opening(response, reply), **said, **_closing(response, choice, reply)})


def _first(response: ChatResponse) -> Choice:
    return response.choices[0] if response.choices else Choice(0, ())


def _opening(response: ChatResponse, reply: Reply) -> Json:
    return {
        "model": response.model or reply.model,
        "created_at": time_text(response.created or reply.created),
    }


def _closing(response: ChatResponse, choice: Choice, reply: Reply) -> Json:
    finish = Finish(choice.index, choice.stop, None, choice.native)
    made = ending(finish, response.usage, reply, response.extra)
    tokens = tokens_of(choice.logprobs)
    return {**made, "logprobs": tokens} if tokens else made


def ending(finish: Finish, usage: Usage | None, reply: Reply, extra: Extra, read: int = 0) -> Json:
    """The members of an answer's last line. ``read`` are the nanoseconds until the first word, 0 where unknown."""
    if finish.stop == "error":
        message = "the provider ended the answer with an error"
        raise ParleyError(Failure("upstream_error", message, detail="stream_error"))
    same = reply.wire in KIN
    reason = finish.native if same and finish.native else _REASONS.get(finish.stop, "stop")
    total = max(1, reply.elapsed())
    read = min(read, total - 1)
    made: Json = {"done": True, "done_reason": reason, "total_duration": total, "load_duration": 0}
    if usage is not None:
        made["prompt_eval_count"] = usage.input
    made["prompt_eval_duration"] = read
    if usage is not None:
        made["eval_count"] = usage.output
    made["eval_duration"] = total - read
    return {**made, **extra} if same else made


@lru_cache(maxsize=16)
def time_text(seconds: int) -> str:
    """Unix seconds as RFC 3339. All answers of a second tell the same."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def tokens_of(logprobs: Any) -> list[Any] | None:
    """The list inside OpenAI's wrapping."""
    found = logprobs.get("content") if isinstance(logprobs, dict) else None
    return found if isinstance(found, list) and found else None


def message_object(content: tuple[Block, ...]) -> Json:
    """The assistant's message; other providers' signatures stand in ``thinking_blocks``, this gateway's extension."""
    texts = [block.text for block in content if isinstance(block, Text | Refusal)]
    thoughts = [block for block in content if isinstance(block, Thinking)]
    calls = [block for block in content if isinstance(block, ToolCall)]
    images = [block.data for block in content if isinstance(block, Media) and block.kind == "image" and block.data]
    message: Json = {"role": "assistant", "content": "".join(texts)}
    if thought := "".join([block.text for block in thoughts]):
        message["thinking"] = thought
    if any(map(is_sealed, thoughts)):
        message["thinking_blocks"] = [thinking_object(block) for block in thoughts]
    if images:
        message["images"] = images
    if calls:
        message["tool_calls"] = [call_object(call, index) for index, call in enumerate(calls)]
    return message


def call_object(call: ToolCall, index: int) -> Json:
    """One call, its arguments an object."""
    function = {"index": index, "name": call.name, "arguments": arguments_object(call.arguments)}
    return {"id": call.id, "function": function}


def is_sealed(thinking: Thinking) -> bool:
    """Whether the block holds what must come back untouched, beside its text."""
    return bool(thinking.signature) or thinking.redacted is not None


def thinking_object(thinking: Thinking) -> Json:
    """One item of ``thinking_blocks``."""
    if thinking.redacted is not None:
        return {"type": "redacted_thinking", "data": thinking.redacted}
    made = {"type": "thinking", "thinking": thinking.text}
    return made if thinking.signature is None else {**made, "signature": thinking.signature}
