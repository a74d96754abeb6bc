"""Whole Responses answers, read from a provider."""

from typing import Any

from msgspec import json

from parley.failure import Failure, ParleyError
from parley.ir import ChatResponse, Choice
from parley.wire.openai_error import BAD_JSON, bad_response, stream_failure, told_error
from parley.wire.openai_responses.output import bad_shape, blocks_of, logprobs_of
from parley.wire.openai_responses.sealed import NAME
from parley.wire.openai_responses.usage import read_usage, stop_of

Json = dict[str, Any]
_UNFINISHED = ("queued", "in_progress")
_FAILED = ("failed", "cancelled")


def decode_response(body: bytes) -> ChatResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), ``upstream_incomplete`` for
    one that is still being made, and what the error of a failed one means (detail stream_error)."""
    response = _object(body)
    output = response.get("output")
    if response.get("status") in _FAILED:
        raise ParleyError(failure_of(response))
    if response.get("object", "response") != "response" or type(output) is not list:
        if error := told_error(response):
            raise ParleyError(stream_failure(error))
        raise bad_shape()
    if response.get("status") in _UNFINISHED:
        raise ParleyError(Failure("upstream_incomplete", "the provider's answer is not finished"))
    stop, native = stop_of(response)
    return ChatResponse(
        wire=NAME,
        choices=(Choice(0, blocks_of(output), stop, None, native, logprobs_of(output)),),
        usage=read_usage(response.get("usage"), response.get("service_tier")),
        **identity(response),
        extra=response,
    )


def _object(body: bytes) -> Json:
    if not body.strip():
        raise bad_response("empty_body", "the provider sent an empty answer")
    try:
        data = json.decode(body)
    except BAD_JSON:
        raise bad_response("bad_json", "the provider's answer is not JSON") from None
    if type(data) is not dict:
        raise bad_shape()
    return data


def identity(response: Json) -> Json:
    """Id, model and time; "" and 0 where there are none."""
    id_, model, created = response.get("id"), response.get("model"), response.get("created_at")
    return {
        "id": id_ if type(id_) is str else "",
        "model": model if type(model) is str else "",
        "created": int(created) if type(created) is int or type(created) is float else 0,
    }


def failure_of(response: Json) -> Failure:
    """What a failed or cancelled response means."""
    said = "the provider cancelled the answer" if response.get("status") == "cancelled" else ""
    return stream_failure(response.get("error") or {"message": said})
