"""Embeddings: requests and answers, both ways, to and from the canonical form.

``input_type``, which several compatible servers take, is read as the purpose. A caller who asked for base64 gets it,
whatever the provider sent. Answers must tell usage: where the provider told none, four bytes of input are a token.
Source: surface contract section 5.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import DecodeError, Struct, json

from parley.failure import ParleyError, invalid
from parley.ir import EmbedRequest, EmbedResponse, Usage
from parley.wire import Encoded, Reply
from parley.wire.fields import Scalar, check, missing, optional, required
from parley.wire.openai_error import bad_response
from parley.wire.openai_media.answer import usage_of
from parley.wire.openai_media.members import no_stream
from parley.wire.openai_shape import Members, members_of
from parley.wire.vectors import packed, purpose_member, vectors_of

NAME: Final = "openai_embeddings"
_COUNT: Final = Scalar((int,), 1)
_BYTES_PER_TOKEN: Final = 4
_anything: Final = json.Decoder().decode


class _Asked(Struct):
    input: Any = None
    encoding_format: str | None = None


_asked: Final = json.Decoder(_Asked).decode


def decode_request(body: dict[str, Any]) -> EmbedRequest:
    """The request in ``body``, which is left as it is. Raises ``invalid_request`` naming the field."""
    body = body.copy()
    model = required(body, "model", str)
    no_stream(body)
    inputs, single = _inputs(body.pop("input", None))
    dimensions = body.pop("dimensions", None)
    if dimensions is not None:
        check("dimensions", dimensions, _COUNT)
    encoding = optional(body, "encoding_format", str)
    if encoding not in (None, "float", "base64"):
        raise invalid("encoding_format must be float or base64", "encoding_format")
    return EmbedRequest(
        wire=NAME,
        model=model,
        inputs=inputs,
        single=single,
        dimensions=dimensions,
        encoding=encoding,
        purpose=optional(body, "input_type", str),
        user=optional(body, "user", str),
        extra=body,
    )


def _inputs(value: Any) -> tuple[tuple[str | tuple[int, ...], ...], bool]:
    """The inputs, and whether they are one that stands alone."""
    if isinstance(value, str):
        return (value,), True
    if not isinstance(value, list):
        raise missing("input") if value is None else invalid("input must be a string or an array", "input")
    if not value:
        raise invalid("input must hold at least one item", "input")
    if type(value[0]) is int:
        return (_tokens(value, "input"),), True
    return tuple(_input(item, f"input[{place}]") for place, item in enumerate(value)), False


def _input(value: Any, path: str) -> str | tuple[int, ...]:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise invalid(f"{path} must be a string or an array of tokens", path)
    return _tokens(value, path)


def _tokens(values: list[Any], path: str) -> tuple[int, ...]:
    if not values or not all(type(value) is int for value in values):
        raise invalid(f"{path} must be an array of tokens, which are integers", path)
    return tuple(values)


def encode_request(request: EmbedRequest, options: Mapping[str, Any]) -> Encoded:
    """The body for a provider."""
    inputs = [each if isinstance(each, str) else list(each) for each in request.inputs]
    body: dict[str, Any] = {"model": request.model, "input": inputs[0] if request.single else inputs}
    named = {"dimensions": request.dimensions, "encoding_format": request.encoding, "user": request.user}
    body.update({name: value for name, value in named.items() if value is not None})
    if request.wire == NAME:
        purpose = {} if request.purpose is None else {"input_type": request.purpose}
        return Encoded({**body, **purpose, **request.extra})
    lost = [purpose_member(request.wire)] if request.purpose is not None else []
    lost += ["truncate"] if request.truncate is not None else []
    return Encoded(body, (*lost, *request.extra))


def decode_response(body: bytes) -> EmbedResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape)."""
    found = members_of(body)
    data = found.pop("data", None)
    if data is None:
        raise bad_response("bad_shape", "the provider's answer holds no list named data")
    vectors, usage = vectors_of(data), usage_of(found)
    rest = plain(found, "usage", "object")
    return EmbedResponse(
        wire=NAME, vectors=vectors, model=word(rest, "model"), id=word(rest, "id"), usage=usage, extra=rest
    )


def plain(found: Members, *known: str) -> dict[str, Any]:
    """The members that are not ``known``, decoded."""
    return {name: _anything(value) for name, value in found.items() if name not in known}


def word(rest: dict[str, Any], name: str) -> str:
    """A string, taken out; "" where there is none."""
    value = rest.pop(name, None)
    return value if isinstance(value, str) else ""


def encode_response(response: EmbedResponse, reply: Reply) -> bytes:
    """The whole answer for the caller. Raises ``upstream_bad_response`` where the vectors are not the inputs'."""
    asked = _request_of(reply)
    count = _count(asked.input)
    if count is not None and count != len(response.vectors):
        raise bad_response("bad_shape", f"the provider sent {len(response.vectors)} vectors for {count} inputs")
    as_text = asked.encoding_format == "base64"
    usage = response.usage or Usage(len(json.encode(asked.input)) // _BYTES_PER_TOKEN, estimated=True)
    made: dict[str, Any] = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": place, "embedding": packed(vector) if as_text else vector}
            for place, vector in enumerate(response.vectors)
        ],
        "model": response.model or reply.model,
        # No member of this API, but one that a vendor's client for it insists on.
        "id": response.id or reply.id,
        "usage": {"prompt_tokens": usage.input, "total_tokens": usage.input + usage.output},
    }
    return json.encode({**made, **response.extra} if response.wire == NAME else made)


def _request_of(reply: Reply) -> _Asked:
    """What the caller asked; of an unreadable request nothing."""
    try:
        return _asked(reply.asked)
    except (DecodeError, ParleyError):
        return _Asked()


def _count(value: Any) -> int | None:
    """How many vectors are owed, None where that is not known."""
    if isinstance(value, str):
        return 1
    if not isinstance(value, list) or not value:
        return None
    return 1 if type(value[0]) is int else len(value)
