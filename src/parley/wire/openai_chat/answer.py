"""OpenAI chat completions answers, read from a provider and written for a caller; what streams share with them.

Reasoning travels as ``reasoning_content`` (``reasoning`` is read too); blocks with a signature also as
``thinking_blocks``, whole. Losses: texts merge into one, and come before the tool calls.
"""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import json

from parley.failure import ParleyError
from parley.ir import Block, ChatResponse, Choice, Extra, Media, Opaque, Refusal, Stop, Text, Thinking, ToolCall
from parley.wire import Reply
from parley.wire.data_url import data_url
from parley.wire.openai_chat.body import is_custom_call, is_sealed, thinking_object
from parley.wire.openai_chat.error import BAD_JSON, WIRE_NAME, stream_failure, told_error
from parley.wire.openai_error import bad_response
from parley.wire.openai_usage import read_usage, usage_object
from parley.wire.signature import call_signature, extra_content

STOPS: dict[str, Stop] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
    "model_length": "length",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
}
# Other wires' words, in lower case, that ours are as good as.
_PLAIN: Final = frozenset(
    (
        *("stop", "stop_sequence", "end_turn", "eos_token", "complete", "completed"),
        *("length", "max_tokens", "max_output_tokens", "model_length"),
        *("tool_use", "tool_call", "tool_calls", "function_call"),
        *("content_filter", "content_filtered", "refusal", "safety"),
    )
)
REASONS: dict[Stop, str] = {
    "end": "stop",
    "stop_sequence": "stop",
    "pause": "stop",
    "error": "stop",
    "length": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def decode_response(body: bytes) -> ChatResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error
    object means (detail stream_error) where a provider answers one with status 200."""
    data = _object(body)
    if error := told_error(data):
        raise ParleyError(stream_failure(error))
    choices = data.pop("choices", None)
    if not isinstance(choices, list):
        raise _bad_shape()
    ids = CallIds()
    usage = data.pop("usage", None)
    for name in ("object", "error"):
        data.pop(name, None)
    return ChatResponse(
        wire=WIRE_NAME,
        choices=tuple(_choice(place, choice, ids) for place, choice in enumerate(choices)),
        usage=read_usage(usage, data.get("service_tier")) if isinstance(usage, dict) else None,
        **identity(data),
        extra=data,
    )


def _object(body: bytes) -> dict[str, Any]:
    if not body.strip():
        raise bad_response("empty_body", "the provider sent an empty answer")
    try:
        data = json.decode(body)
    except BAD_JSON:
        raise bad_response("bad_json", "the provider's answer is not JSON") from None
    if not isinstance(data, dict):
        raise _bad_shape()
    return data


def _bad_shape() -> ParleyError:
    return bad_response("bad_shape", "the provider's answer is not a chat completion")


def identity(data: dict[str, Any]) -> dict[str, Any]:
    """Id, model and time, taken out of ``data``; "" and 0 where there are none."""
    id_, model, created = data.pop("id", None), data.pop("model", None), data.pop("created", None)
    return {
        "id": id_ if isinstance(id_, str) else "",
        "model": model if isinstance(model, str) else "",
        "created": int(created) if isinstance(created, int | float) else 0,
    }


def _choice(place: int, choice: Any, ids: "CallIds") -> Choice:
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        raise _bad_shape()
    message = choice.pop("message")
    content = tuple(_blocks(message, ids))
    index, reason = choice.pop("index", place), choice.pop("finish_reason", None)
    stop, matched = stop_of(reason, choice, any(isinstance(block, ToolCall) for block in content))
    message.pop("role", None)
    return Choice(
        index if isinstance(index, int) else place,
        content,
        stop,
        matched,
        reason if isinstance(reason, str) else None,
        choice.pop("logprobs", None),
        {**choice, "message": message} if message else choice,
    )


def stop_of(reason: Any, choice: dict[str, Any], called: bool) -> tuple[Stop, str | None]:
    """Why it stopped, and the matched text where a server tells (``stop_reason``, ``matched_stop``).

    A forced call ends in ``stop`` here; elsewhere that is a call like any other.
    """
    if reason == "error":
        raise ParleyError(stream_failure(choice.get("error") or "the provider ended the answer with an error"))
    stop = STOPS.get(reason, "end") if isinstance(reason, str) else "end"
    if stop != "end":
        return stop, None
    if called:
        return "tool_use", None
    matched = choice.get("stop_reason") or choice.get("matched_stop")
    return ("stop_sequence", matched) if isinstance(matched, str) and reason == "stop" else ("end", None)


class CallIds:
    """Ids for the calls of one answer whose provider gave none."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def of(self, given: Any) -> str:
        """The id given, else ``call_<n>``. One provider writes the word null."""
        if is_id(given):
            found: str = given
            return found
        self._count += 1
        return f"call_{self._count}"


def is_id(given: Any) -> bool:
    """Whether it can identify a call."""
    return isinstance(given, str) and given not in ("", "null")


def _blocks(message: dict[str, Any], ids: CallIds) -> Iterator[Block]:
    """The blocks of a message, taken out of it. An empty text beside something else is no block."""
    yield from _thoughts(message)
    content, refusal = message.pop("content", None), message.pop("refusal", None)
    calls, legacy = message.pop("tool_calls", None), message.pop("function_call", None)
    yield from _said(content, alone=not (refusal or calls or legacy))
    if isinstance(refusal, str) and refusal:
        yield Refusal(refusal)
    if calls and not isinstance(calls, list):
        raise _bad_shape()
    yield from (_call(call, ids) for call in [*(calls or ()), *([{"function": legacy}] if legacy else ())])


def _said(content: Any, *, alone: bool) -> Iterator[Block]:
    if isinstance(content, list):
        yield from map(content_part, content)
    elif isinstance(content, str):
        if content or alone:
            yield Text(content)
    elif content is not None:
        raise _bad_shape()


def _thoughts(message: dict[str, Any]) -> Iterator[Block]:
    blocks = message.pop("thinking_blocks", None)
    said = [message.pop(name, None) for name in ("reasoning_content", "reasoning") if is_text(message.get(name))]
    if isinstance(blocks, list) and blocks:
        yield from map(thinking_of, blocks)
    else:
        yield from (Thinking(text) for text in [text for text in said if text][:1])


def is_text(value: Any) -> bool:
    """Whether it is a string or null, so that nothing is lost by taking it as text."""
    return value is None or isinstance(value, str)


def thinking_of(value: Any) -> Thinking:
    """One item of ``thinking_blocks``."""
    if not isinstance(value, dict):
        raise _bad_shape()
    rest = {name: item for name, item in value.items() if name not in ("type", "thinking", "signature", "data")}
    if value.get("type") == "redacted_thinking":
        return Thinking(redacted=str(value.get("data", "")), extra=rest)
    signature = value.get("signature")
    return Thinking(str(value.get("thinking", "")), signature if isinstance(signature, str) else None, extra=rest)


def content_part(part: Any) -> Block:
    """One chunk of a content list, which some providers answer."""
    if not isinstance(part, dict):
        raise _bad_shape()
    if part.get("type") == "text" and isinstance(part.get("text"), str):
        return Text(part.pop("text"), _rest(part))
    inner = part.get("thinking")
    if part.get("type") == "thinking" and isinstance(inner, list):
        text = "".join(str(item.get("text", "")) for item in inner if isinstance(item, dict))
        signature = part.get("signature")
        return Thinking(text, signature if isinstance(signature, str) else None)
    return Opaque(WIRE_NAME, part)


def _rest(part: dict[str, Any]) -> Extra:
    return {name: value for name, value in part.items() if name != "type"}


def _call(call: Any, ids: CallIds) -> Block:
    if not isinstance(call, dict):
        raise _bad_shape()
    if call.get("type") == "custom":
        return Opaque(WIRE_NAME, call)
    function = call.pop("function", None)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise _bad_shape()
    id_, name, arguments = call.pop("id", None), function.pop("name"), arguments_text(function.pop("arguments", None))
    for member in ("type", "index"):
        call.pop(member, None)
    return ToolCall(ids.of(id_), name, arguments, {**call, "function": function} if function else call)


def arguments_text(value: Any) -> str:
    """Arguments as JSON text; some providers send the object itself."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.encode(value).decode()


def encode_response(response: ChatResponse, reply: Reply) -> bytes:
    """A whole answer for the caller. Extras and native stop words only where it came on this wire."""
    same = response.wire == WIRE_NAME
    body: dict[str, Any] = {
        "id": response.id or reply.id,
        "object": "chat.completion",
        "created": response.created or reply.created,
        "model": response.model or reply.model,
        "choices": [_choice_object(choice, same) for choice in response.choices],
    }
    if response.usage is not None:
        body["usage"] = usage_object(response.usage, same)
    return json.encode({**body, **response.extra} if same else body)


def _choice_object(choice: Choice, same: bool) -> dict[str, Any]:
    message = _message_object(choice.content, same)
    extra = dict(choice.extra) if same else {}
    message.update(extra.pop("message", ()))
    return {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": reason_of(choice.stop, choice.native, same),
        **told_natively(choice.native, same),
        **extra,
    }


def told_natively(native: str | None, same: bool) -> dict[str, Any]:
    """The provider's own word for why it stopped, where ours does not say as much: an extension."""
    return {} if same or native is None or native.lower() in _PLAIN else {"native_finish_reason": native}


def reason_of(stop: Stop, native: str | None, same: bool) -> str:
    """The provider's own word on its own wire, else ours."""
    return native if same and native else REASONS[stop]


def _message_object(content: tuple[Block, ...], same: bool) -> dict[str, Any]:
    texts = [block.text for block in content if isinstance(block, Text)]
    refusals = [block.text for block in content if isinstance(block, Refusal)]
    thoughts = [block for block in content if isinstance(block, Thinking)]
    calls = [call_object(b, same) for b in content if isinstance(b, ToolCall) or is_custom_call(b)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": "".join(refusals) if refusals else None,
    }
    if reasoning := "".join(block.text for block in thoughts):
        message["reasoning_content"] = reasoning
    if any(map(is_sealed, thoughts)):
        message["thinking_blocks"] = [thinking_object(block) for block in thoughts]
    if calls:
        message["tool_calls"] = calls
    if images := [image_object(block) for block in content if isinstance(block, Media) and block.kind == "image"]:
        message["images"] = images
    return message


def image_object(image: Media) -> dict[str, Any]:
    """A picture that the model made, an item of the extension ``images`` that several providers have."""
    url = image.url if image.data is None else data_url(image.media_type or "image/png", image.data)
    return {"type": "image_url", "image_url": {"url": url or image.file_id or ""}}


def signed(call: ToolCall) -> dict[str, Any]:
    """The signature that another wire put on a call, where callers of this one keep it."""
    signature = call_signature(call.extra)
    return {} if signature is None else {"extra_content": extra_content(signature)}


def call_object(call: ToolCall | Opaque, same: bool) -> dict[str, Any]:
    """One tool call. No arguments given is an empty object, but as it came on this wire."""
    if isinstance(call, Opaque):
        return call.value
    function: dict[str, Any] = {"name": call.name, "arguments": call.arguments or ("" if same else "{}")}
    if not call.extra:
        return {"id": call.id, "type": "function", "function": function}
    if not same:
        return {"id": call.id, "type": "function", "function": function, **signed(call)}
    extra = dict(call.extra)
    function.update(extra.pop("function", ()))
    return {"id": call.id, "type": "function", "function": function, **extra}
