"""V2 infer: a text goes in as a tensor of one element, each element of the answer's tensor is one answer."""

from collections.abc import Mapping
from typing import Any, Final

from parley.ir import ChatRequest, ChatResponse, Choice, Text
from parley.wire import Encoded
from parley.wire.flat_error import object_of, refuse_told
from parley.wire.oip.options import InferOptions
from parley.wire.oip.tensors import infer_body, name_of, settings_of, texts_of
from parley.wire.plain_prompt import left_out, written

NAME: Final = "oip_infer"


def encode_request(fixed: InferOptions, request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """The body for a provider of which ``fixed`` tells. Raises ``invalid_request`` for what a text cannot say."""
    prompt = written(request, fixed.template)
    body = infer_body(fixed, [prompt.text], settings_of(request, fixed.parameters))
    return Encoded(body, (*prompt.dropped, *left_out(request, fixed.parameters)))


def decode_response(wire: str, output: str | None, body: bytes) -> ChatResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error object
    means (detail stream_error)."""
    data = object_of(body, "list of tensors")
    refuse_told(wire, data)
    texts = texts_of(data, output)
    id_ = data.get("id")
    return ChatResponse(
        wire=wire,
        id=id_ if isinstance(id_, str) else "",
        model=name_of(data),
        choices=tuple(Choice(place, (Text(text),)) for place, text in enumerate(texts)),
    )
