"""V1 predict: a list of instances, a list of predictions."""

from collections.abc import Mapping
from typing import Any, Final

from parley.failure import ParleyError
from parley.ir import ChatRequest, ChatResponse, Choice, Text
from parley.wire import Encoded
from parley.wire.flat_error import bad_shape, object_of, refuse_told
from parley.wire.oip.options import PredictOptions
from parley.wire.oip.tensors import settings_of
from parley.wire.plain_prompt import left_out, written

NAME: Final = "kserve_predict"


def encode_request(fixed: PredictOptions, request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """The body for a provider of which ``fixed`` tells. Raises ``invalid_request`` for what a text cannot say."""
    prompt = written(request, fixed.template)
    instance = prompt.text if fixed.input is None else {fixed.input: prompt.text}
    body: dict[str, Any] = {"instances": [instance]}
    parameters = settings_of(request, fixed.parameters)
    if parameters:
        body["parameters"] = parameters
    return Encoded(body, (*prompt.dropped, *left_out(request, fixed.parameters)))


def decode_response(output: str | None, body: bytes) -> ChatResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error object
    means (detail stream_error)."""
    data = object_of(body, "list of predictions")
    refuse_told(NAME, data)
    found = data.get("predictions") if isinstance(data, dict) else None
    if not isinstance(found, list) or not found:
        raise bad_shape("a list of predictions")
    choices = tuple(Choice(place, (Text(_text(output, item)),)) for place, item in enumerate(found))
    return ChatResponse(wire=NAME, id="", model="", choices=choices)


def _text(output: str | None, item: Any) -> str:
    """The text of one prediction: the text itself, a list of it, or a member of an object."""
    while isinstance(item, list) and len(item) == 1:
        item = item[0]
    if isinstance(item, dict):
        texts = [value for value in item.values() if isinstance(value, str)]
        item = item.get(output) if output is not None else texts[0] if len(texts) == 1 else None
    elif output is not None:
        raise _none(output)
    if isinstance(item, str):
        return item
    raise _none(output)


def _none(output: str | None) -> ParleyError:
    named = "" if output is None else f" in {output!r}"
    return bad_shape(f"one with a text{named} in each prediction (the provider's option output names its member)")
