"""Mistral chat: whole answers, and what streams share with them.

Content may be a list of chunks, thoughts among them; arguments may be text or the object itself; the id of a call may
be the word null. Source: provider contract section 8.
"""

from collections.abc import Iterator
from hashlib import sha256
from string import ascii_letters, digits
from typing import Any, Final

from msgspec import json

from parley.failure import ParleyError
from parley.ir import Block, ChatResponse, Choice, Opaque, Stop, Text, Thinking, ToolCall
from parley.wire.mistral.errors import NAME, told
from parley.wire.openai_error import BAD_JSON, bad_response, stream_failure
from parley.wire.openai_usage import read_usage
from parley.wire.signature import MISTRAL

STOPS: Final[dict[str, Stop]] = {
    "stop": "end",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_use",
}
_LETTERS: Final = ascii_letters + digits
_ID_LENGTH: Final = 9


def short_id(text: str) -> str:
    """Nine letters and digits, which is all that an id may be here: for the same text the same."""
    number = int.from_bytes(sha256(text.encode()).digest()[:8], "big")
    made = ""
    for _ in range(_ID_LENGTH):
        number, place = divmod(number, len(_LETTERS))
        made += _LETTERS[place]
    return made


def is_short(text: str) -> bool:
    """Whether it can be an id here."""
    return len(text) == _ID_LENGTH and text.isascii() and text.isalnum()


def given_id(value: Any) -> str:
    """The id that a call was given, "" where it was given none."""
    return value if isinstance(value, str) and value != "null" else ""


def decode_response(body: bytes) -> ChatResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error means
    (detail stream_error)."""
    if not body.strip():
        raise bad_response("empty_body", "the provider sent an empty answer")
    try:
        data = json.decode(body)
    except BAD_JSON:
        raise bad_response("bad_json", "the provider's answer is not JSON") from None
    if not isinstance(data, dict):
        raise bad_shape()
    error = told(data)
    if error is not None:
        raise error
    choices, usage = data.pop("choices", None), data.pop("usage", None)
    if not isinstance(choices, list):
        raise bad_shape()
    head = identity(data)
    return ChatResponse(
        wire=NAME,
        choices=tuple(_choice(place, choice, head["id"]) for place, choice in enumerate(choices)),
        usage=read_usage(usage) if isinstance(usage, dict) else None,
        extra={name: value for name, value in data.items() if name != "object"},
        **head,
    )


def bad_shape() -> ParleyError:
    """The error for an answer that is not this wire's."""
    return bad_response("bad_shape", "the provider's answer is not a chat completion")


def identity(data: dict[str, Any]) -> dict[str, Any]:
    """Id, model and time, taken out of ``data``; "" and 0 where there are none."""
    id_, model, created = (data.pop(name, None) for name in ("id", "model", "created"))
    return {
        "id": id_ if isinstance(id_, str) else "",
        "model": model if isinstance(model, str) else "",
        "created": int(created) if isinstance(created, int | float) else 0,
    }


def _choice(place: int, choice: Any, answer: str) -> Choice:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise bad_shape()
    index, reason = choice.get("index"), choice.get("finish_reason")
    index = index if isinstance(index, int) else place
    content = tuple(_blocks(message, f"{answer}:{index}"))
    stop = stop_of(reason, any(isinstance(block, ToolCall) for block in content))
    native = reason if isinstance(reason, str) else None
    return Choice(index, content, stop, native=native, logprobs=choice.get("logprobs"))


def stop_of(reason: Any, called: bool) -> Stop:
    """Why it stopped. Raises where that is an error."""
    if reason == "error":
        raise ParleyError(stream_failure("the provider ended the answer with an error"))
    stop = STOPS.get(reason, "end") if isinstance(reason, str) else "end"
    return "tool_use" if stop == "end" and called else stop


def _blocks(message: dict[str, Any], seed: str) -> Iterator[Block]:
    content, calls = message.get("content"), message.get("tool_calls")
    if calls and not isinstance(calls, list):
        raise bad_shape()
    if isinstance(content, list):
        yield from map(chunk_of, content)
    elif isinstance(content, str):
        if content or not calls:
            yield Text(content)
    elif content is not None:
        raise bad_shape()
    yield from (_call(call, f"{seed}:{place}") for place, call in enumerate(calls or ()))


def chunk_of(chunk: Any) -> Block:
    """One chunk of content. A reference or a thing made by a tool of the provider's is for this wire alone."""
    if not isinstance(chunk, dict):
        raise bad_shape()
    kind = chunk.get("type", "text")
    if kind == "text" and isinstance(chunk.get("text"), str):
        return Text(chunk["text"])
    if kind == "thinking":
        return _thinking(chunk)
    return Opaque(NAME, chunk)


def _thinking(chunk: dict[str, Any]) -> Thinking:
    """A thought, which is a list of chunks again; bare words are read as well."""
    inner, signature = chunk.get("thinking"), chunk.get("signature")
    if isinstance(inner, list):
        inner = "".join(str(item.get("text") or "") for item in inner if isinstance(item, dict))
    if inner is not None and not isinstance(inner, str):
        raise bad_shape()
    return Thinking(inner or "", MISTRAL + signature if isinstance(signature, str) and signature else None)


def _call(call: Any, seed: str) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise bad_shape()
    return ToolCall(given_id(call.get("id")) or short_id(seed), function["name"], arguments_of(function))


def arguments_of(function: dict[str, Any]) -> str:
    """Arguments as JSON text, or a piece of it."""
    value = function.get("arguments")
    if isinstance(value, str):
        return value
    return "" if value is None else json.encode(value).decode()
