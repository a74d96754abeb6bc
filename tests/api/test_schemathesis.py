"""Requests made up from the served document itself: no 5xx, no status that is not declared, answers as described.

Every operation that is served is asked with what fits its schemas and with what does not; the latter must be refused.
The suite tries a few requests of each kind, always the same; ``make fuzz`` many, other ones each time.
"""

import http.client
import json
import os
import struct
import zlib
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import httpx
import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from fixtures.children import eventually
from fixtures.parley import Gateway, Start
from parley.api.surface import document

# How many requests of each kind; "" and 0 for the few of the suite.
MANY = int(os.environ.get("PARLEY_FUZZ") or 0)
FEW = 8
ALL = (
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
)


def picture() -> bytes:
    """A PNG of one pixel."""
    parts = ((b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b""))
    made = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def answerable(*left_out: str, **members: Any) -> Callable[[dict[str, Any]], None]:
    """Take out of a request what the echo model refuses by name, and put in what it needs."""

    def change(body: dict[str, Any]) -> None:
        for name in left_out:
            body.pop(name, None)
        body |= members

    return change


TURNS = [{"role": "user", "content": "hello there"}]
REFERRED = ("previous_response_id", "conversation", "prompt", "tools", "tool_choice", "include", "background")
# Requests that fit the document and that this model, or any, could not answer: what makes them answerable.
FITTED = {
    "countMessageTokens": answerable("tools", "tool_choice", "system", messages=TURNS),
    "createChatCompletion": answerable("tools", "tool_choice", "modalities", messages=TURNS),
    "createCompletion": answerable("best_of", "echo", "logprobs", "suffix", prompt="hello there"),
    "createImageEdit": answerable("mask", "size", "n", image=picture()),
    "createImageVariation": answerable("size", "n", image=picture()),
    "createMessage": answerable("tools", "tool_choice", "system", "temperature", messages=TURNS, max_tokens=50),
    "createResponse": answerable(*REFERRED, input="hello there"),
    "createSpeech": answerable(response_format="wav"),
    "createTranscription": answerable("timestamp_granularities", "stream", "chunking_strategy", file=b"hello there"),
    "createTranslation": answerable(file=b"hello there"),
    "createFile": lambda body: body.update(file=LINES, purpose="batch"),
    "createBatch": lambda body: body.update(endpoint="/v1/chat/completions", completion_window="24h"),
}
# Members of a form are texts: what does not fit may well be sent as what does, or not at all. Both dialects' models
# are at one path, and what only Anthropic's knows is nothing in OpenAI's.
LENIENT = {"createImageEdit", "createImageVariation", "createTranscription", "createTranslation", "listModels"}
# Here items are checked by their types and what those need, not in full.
LOOSE = {
    "ConversationsCreateRequest": "items",
    "ConversationsItemsCreateRequest": "items",
    "ResponsesCreateRequest": "input",
    "ResponsesInputTokensCountRequest": "input",
}
# They delete what the others are asked about.
FATAL = {"deleteResponse", "deleteConversation", "deleteConversationItem", "deleteFile", "cancelBatch"}
LINE = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "echo", "messages": TURNS}}
LINES = json.dumps(LINE).encode() + b"\n"


def served(*given: str) -> list[str]:
    """The operationIds of all that is served, or of that to which something can be given in one of these places."""
    paths = json.loads(document())["paths"].values()
    found = [operation for item in paths for operation in item.values() if operation["x-parley-served"]]
    return [operation["operationId"] for operation in found if not given or _places(operation) & set(given)]


def _places(operation: dict[str, Any]) -> set[str]:
    body = {"body"} if "requestBody" in operation else set()
    return body | {parameter["in"] for parameter in operation.get("parameters", ())}


@pytest.fixture(scope="module")
def gateway(parley_for_module: Start) -> Gateway:
    return parley_for_module({"models": [{"model": "echo", "targets": ["echo/echo"]}]})


def ask(gateway: Gateway, method: str, path: str, body: Any = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        assert answer.status == 200
        return json.loads(answer.read())
    finally:
        connection.close()


def about(operation: dict[str, Any], schemas: dict[str, Any], known: dict[str, str]) -> None:
    """Let all requests be about what is there."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path" and operation["operationId"] not in FATAL:
            parameter["schema"] = {"type": "string", "enum": [known[parameter["name"]]]}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        body = schemas[content["schema"]["$ref"].rpartition("/")[2]]
        if "image" in body["properties"]:
            # One file; schemathesis would send several as texts.
            body["properties"]["image"] = {"type": "string", "format": "binary"}
        if "input_file_id" in body["properties"]:
            body["properties"]["input_file_id"] = {"type": "string", "const": known["file_id"]}
        if "model" in body["properties"]:
            body["properties"]["model"] = {"type": "string", "const": "echo"}
            body["required"] = sorted({*body.get("required", ()), "model"})


Operations = dict[GenerationMode, dict[str, Any]]


@pytest.fixture(scope="module")
def operations(gateway: Gateway) -> Operations:
    """The operations of the served document by their ids, asked about the echo model and about what is stored."""
    described = ask(gateway, "GET", "/openapi.json")
    item = {"role": "user", "content": "hello"}
    conversation = ask(gateway, "POST", "/v1/conversations", {"items": [item]})["id"]
    [first] = ask(gateway, "GET", f"/v1/conversations/{conversation}/items")["data"]
    response = ask(gateway, "POST", "/v1/responses", {"model": "echo", "input": "hello", "background": True})["id"]
    eventually(lambda: ask(gateway, "GET", f"/v1/responses/{response}")["status"] == "completed", 30, "it is answered")
    form = {"files": {"file": ("lines.jsonl", LINES)}, "data": {"purpose": "batch"}}
    file = httpx.post(f"{gateway.url}/v1/files", **form).json()["id"]
    asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = ask(gateway, "POST", "/v1/batches", asked)["id"]
    known = {"conversation_id": conversation, "item_id": first["id"], "response_id": response, "model": "echo"}
    known |= {"file_id": file, "batch_id": batch}
    for operation in (found for item in described["paths"].values() for found in item.values()):
        if operation["x-parley-served"]:
            about(operation, described["components"]["schemas"], known)
    found = {GenerationMode.POSITIVE: listed(described)}
    for name, member in LOOSE.items():
        list_of = described["components"]["schemas"][name]["properties"][member]
        for form in list_of.get("anyOf", [list_of]):
            if "items" in form:
                form["items"] = {"type": "object"}
    return found | {GenerationMode.NEGATIVE: listed(described)}


def listed(described: dict[str, Any]) -> dict[str, Any]:
    schema = schemathesis.openapi.from_dict(deepcopy(described))
    found = (result.ok() for result in schema.get_all_operations())
    return {operation.definition.raw["operationId"]: operation for operation in found}


class Described:
    """What an operation may be sent, by a judge other than the one that made it up."""

    def __init__(self, operation: Any) -> None:
        content = operation.definition.raw.get("requestBody", {}).get("content", {}).get("application/json")
        root = {**content["schema"], "components": operation.schema.raw_schema["components"]} if content else False
        self._validator = jsonschema.Draft202012Validator(root)

    def __contains__(self, body: Any) -> bool:
        return self._validator.is_valid(body)


def tried(operation: Any, mode: GenerationMode, url: str, change: Callable[[dict[str, Any]], None] | None) -> list[int]:
    """Ask for it many times, check every answer; the statuses."""
    statuses: list[int] = []
    name = operation.definition.raw["operationId"]
    wanted = (*ALL, checks.negative_data_rejection) if mode.is_negative and name not in LENIENT else ALL
    phases = [Phase.generate, Phase.shrink]
    kept: Any = {"database": None, "deadline": None, "phases": phases, "suppress_health_check": list(HealthCheck)}

    described = Described(operation)

    @settings(max_examples=MANY or FEW, derandomize=not MANY, **kept)
    @given(operation.as_strategy(generation_mode=mode))
    def attempt(case: Any) -> None:
        if change is not None and isinstance(case.body, dict):
            change(case.body)
        answer = case.call(base_url=url, timeout=30)
        statuses.append(answer.status_code)
        # Of what is made not to fit one alternative, something may fit another.
        fits = answer.status_code == 200 and case.body in described
        case.validate_response(answer, checks=ALL if fits else wanted)

    attempt()
    return statuses


@pytest.mark.parametrize("name", served())
def test_what_fits_the_document(operations: Operations, gateway: Gateway, name: str) -> None:
    statuses = tried(operations[GenerationMode.POSITIVE][name], GenerationMode.POSITIVE, gateway.url, FITTED.get(name))
    assert 200 in statuses or name in FATAL


@pytest.mark.parametrize("name", served("body", "query"))
def test_what_does_not_fit_the_document(operations: Operations, gateway: Gateway, name: str) -> None:
    statuses = tried(operations[GenerationMode.NEGATIVE][name], GenerationMode.NEGATIVE, gateway.url, None)
    assert set(statuses) & {400, 404}
