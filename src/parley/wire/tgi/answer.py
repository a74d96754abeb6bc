"""Whole answers: an object, or an array of one; what they share with events.

Tokens read are told only where the server lists them; a usage with half of its figures would be none, so there is none.
Probabilities of tokens are given on where alternatives were asked for (``top_tokens``). Source: provider contract 5.3.
"""

from typing import Any, Final

from parley.ir import ChatResponse, Choice, Stop, Text, Usage
from parley.wire.flat_error import bad_shape, object_of, refuse_told

_WHAT: Final = "a generated text"
_STOPS: Final[dict[str, Stop]] = {"eos_token": "end", "stop_sequence": "stop_sequence", "length": "length"}


def decode_response(wire: str, body: bytes) -> ChatResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error object
    means (detail stream_error)."""
    data = object_of(body, _WHAT)
    refuse_told(wire, data)
    while isinstance(data, list) and len(data) == 1 and isinstance(data[0], list):
        data = data[0]
    items = data if isinstance(data, list) else [data]
    if not items:
        raise bad_shape(_WHAT)
    choices = tuple(_choice(wire, place, item) for place, item in enumerate(items))
    usage = usage_of(items[0].get("details")) if len(items) == 1 else None
    return ChatResponse(wire=wire, id="", model="", choices=choices, usage=usage)


def _choice(wire: str, place: int, item: Any) -> Choice:
    refuse_told(wire, item)
    if not isinstance(item, dict) or not isinstance(item.get("generated_text"), str):
        raise bad_shape(_WHAT)
    details = item.get("details")
    stop, native = stop_of(details)
    return Choice(place, (Text(item["generated_text"]),), stop, native=native, logprobs=_logprobs(details))


def stop_of(details: Any) -> tuple[Stop, str | None]:
    """Why it stopped and the server's own word; a server that tells nothing has come to the end."""
    word = details.get("finish_reason") if isinstance(details, dict) else None
    return (_STOPS.get(word, "end"), word) if isinstance(word, str) else ("end", None)


def usage_of(details: Any) -> Usage | None:
    """The tokens read and made, None where one of the figures is missing."""
    if not isinstance(details, dict):
        return None
    made, read, prefill = details.get("generated_tokens"), details.get("input_length"), details.get("prefill")
    if read is None and isinstance(prefill, list) and prefill:
        read = len(prefill)
    return Usage(read, made) if type(read) is int and type(made) is int else None


def _logprobs(details: Any) -> dict[str, Any] | None:
    if not isinstance(details, dict) or not isinstance(details.get("top_tokens"), list):
        return None
    tokens, tops = details.get("tokens"), details["top_tokens"]
    if not isinstance(tokens, list):
        return None
    rest = [*tops, *[[] for _ in tokens]]
    pairs = [(token, top) for token, top in zip(tokens, rest, strict=False) if is_said(token)]
    return {"content": [logprob_of(token, top) for token, top in pairs]} if pairs else None


def is_said(token: Any) -> bool:
    """Whether a token is part of the text; special ones (the end of it) are not."""
    return isinstance(token, dict) and isinstance(token.get("text"), str) and token.get("special") is not True


def logprob_of(token: dict[str, Any], top: Any) -> dict[str, Any]:
    """One token's probability as OpenAI writes it, with its alternatives."""
    others = [other for other in top if isinstance(other, dict)] if isinstance(top, list) else []
    return {**_probable(token), "top_logprobs": [_probable(other) for other in others]}


def _probable(token: dict[str, Any]) -> dict[str, Any]:
    text = str(token.get("text", ""))
    return {"token": text, "logprob": token.get("logprob"), "bytes": list(text.encode())}
