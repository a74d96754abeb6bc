"""Requests for /generate and /generate_stream, and for text-generation task pipelines.

Greedy decoding is ``do_sample`` false: a temperature of 0 is no temperature here, and a ``top_p`` of 1, which cuts
nothing, is not accepted. Source: provider contract 5.3.
"""

from collections.abc import Mapping
from typing import Any, Final

from parley.ir import ChatRequest, OutputFormat
from parley.wire import Encoded
from parley.wire.plain_prompt import Template, left_out, written

# What pipelines know under the same names as the server.
_OF_TASKS: Final = ("max_tokens", "temperature", "top_p", "top_k")
_OF_SERVER: Final = (*_OF_TASKS, "seed", "stop", "frequency_penalty", "logprobs", "top_logprobs", "output")


def encode_request(template: Template, request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """The body for the server. Raises ``invalid_request`` for what a text cannot say."""
    prompt = written(request, template)
    parameters = {**_sampling(request), "details": True, "return_full_text": False}
    for name in ("seed", "frequency_penalty"):
        value = getattr(request, name)
        if value is not None:
            parameters[name] = value
    if request.stop is not None:
        parameters["stop"] = list(request.stop)
    if request.logprobs:
        parameters["top_n_tokens"] = max(1, request.top_logprobs or 0)
    grammar = _grammar(request.output)
    if grammar is not None:
        parameters["grammar"] = grammar
    dropped = (*prompt.dropped, *left_out(request, _OF_SERVER))
    return Encoded({"inputs": prompt.text, "parameters": parameters}, dropped)


def encode_task(template: Template, request: ChatRequest, options: Mapping[str, Any]) -> Encoded:
    """The body for a pipeline, which gets no parameter that it may not know."""
    prompt = written(request, template)
    parameters = {**_sampling(request), "return_full_text": False}
    dropped = (*prompt.dropped, *left_out(request, _OF_TASKS))
    return Encoded({"inputs": prompt.text, "parameters": parameters}, dropped)


def _sampling(request: ChatRequest) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if request.max_tokens is not None:
        made["max_new_tokens"] = request.max_tokens
    if request.temperature is not None:
        made["do_sample"] = request.temperature > 0
        if request.temperature > 0:
            made["temperature"] = request.temperature
    if request.top_p is not None and request.top_p < 1:
        made["top_p"] = request.top_p
    if request.top_k is not None:
        made["top_k"] = request.top_k
    return made


def _grammar(output: OutputFormat | None) -> dict[str, Any] | None:
    if output is None or output.kind == "text":
        return None
    schema = output.schema if output.kind == "schema" else None
    return {"type": "json", "value": {"type": "object"} if schema is None else schema}
