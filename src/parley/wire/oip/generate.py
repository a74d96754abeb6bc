"""The generate extension: text in, text out. Tokens are not told."""

from collections.abc import Mapping
from typing import Any, Final

from parley.ir import ChatRequest, ChatResponse, Choice, Stop, Text
from parley.wire import Encoded
from parley.wire.flat_error import bad_shape, object_of, refuse_told
from parley.wire.oip.options import GenerateOptions
from parley.wire.oip.tensors import infer_body, name_of, settings_of
from parley.wire.plain_prompt import left_out, written

NAME: Final = "oip_generate"
_USUAL: Final = ("temperature", "top_p", "max_tokens")
_STOPS: Final[dict[str, Stop]] = {"eos_token": "end", "stop_sequence": "stop_sequence", "length": "length"}


def encode_request(fixed: GenerateOptions, request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """The body for a provider of which ``fixed`` tells. Raises ``invalid_request`` for what a text cannot say."""
    prompt = written(request, fixed.template)
    if fixed.body == "infer":
        body = infer_body(fixed, [prompt.text], settings_of(request, fixed.parameters))
        return Encoded(body, (*prompt.dropped, *left_out(request, fixed.parameters)))
    names = (*_USUAL, *fixed.parameters)
    parameters = settings_of(request, names)
    if request.stop is not None:
        parameters["stop"] = list(request.stop)
    if not fixed.flat:
        parameters["details"] = True
    beside = parameters if fixed.flat else {"parameters": parameters}
    return Encoded({"text_input": prompt.text, **beside}, (*prompt.dropped, *left_out(request, (*names, "stop"))))


def decode_response(body: bytes) -> ChatResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error object
    means (detail stream_error)."""
    data = object_of(body, "generated text")
    refuse_told(NAME, data)
    text = text_of(data)
    if text is None:
        raise bad_shape("a generated text")
    stop, native = stop_of(data)
    choice = Choice(0, (Text(text),), stop, native=native)
    return ChatResponse(wire=NAME, id="", model=name_of(data), choices=(choice,))


def text_of(data: Any) -> str | None:
    """The text of an answer or event, None where it has none."""
    text = data.get("text_output") if isinstance(data, dict) else None
    return text if isinstance(text, str) else None


def stop_of(data: dict[str, Any]) -> tuple[Stop, str | None]:
    """Why it stopped and the server's own word; a server that tells nothing has come to the end."""
    details = data.get("details")
    word = details.get("finish_reason") if isinstance(details, dict) else None
    return (_STOPS.get(word, "end"), word) if isinstance(word, str) and word else ("end", None)
