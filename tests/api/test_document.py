"""The document that is served: what it promises of each operation. Its validity is tested with its generation."""

from typing import Any

import pytest
from msgspec import json

from parley import __version__
from parley.api.surface import document
from parley.extensions import ALIAS
from parley.extensions.fields import FIELDS
from parley.failure import KINDS
from parley.operations import OPERATIONS
from parley.settings import EXTENSIONS

DOCUMENT: dict[str, Any] = json.decode(document())
SCHEMAS = DOCUMENT["components"]["schemas"]
SERVED = "x-parley-served"
ALL = [(path, method, operation) for path, item in DOCUMENT["paths"].items() for method, operation in item.items()]
# Operation ids of surface contract section 2 and where they are.
IDS = {
    "createChatCompletion": "post /v1/chat/completions",
    "createCompletion": "post /v1/completions",
    "createEmbedding": "post /v1/embeddings",
    "createResponse": "post /v1/responses",
    "getResponse": "get /v1/responses/{response_id}",
    "deleteResponse": "delete /v1/responses/{response_id}",
    "cancelResponse": "post /v1/responses/{response_id}/cancel",
    "listInputItems": "get /v1/responses/{response_id}/input_items",
    "Getinputtokencounts": "post /v1/responses/input_tokens",
    "createConversation": "post /v1/conversations",
    "getConversation": "get /v1/conversations/{conversation_id}",
    "updateConversation": "post /v1/conversations/{conversation_id}",
    "deleteConversation": "delete /v1/conversations/{conversation_id}",
    "createImage": "post /v1/images/generations",
    "createImageEdit": "post /v1/images/edits",
    "createImageVariation": "post /v1/images/variations",
    "createSpeech": "post /v1/audio/speech",
    "createTranscription": "post /v1/audio/transcriptions",
    "createTranslation": "post /v1/audio/translations",
    "createModeration": "post /v1/moderations",
    "listModels": "get /v1/models",
    "retrieveModel": "get /v1/models/{model}",
    "createRerank": "post /v1/rerank",
    "createMessage": "post /v1/messages",
    "countMessageTokens": "post /v1/messages/count_tokens",
    "getLiveness": "get /livez",
    "getReadiness": "get /readyz",
    "getHealth": "get /health",
    "getMetrics": "get /metrics",
    "createFile": "post /v1/files",
    "downloadFile": "get /v1/files/{file_id}/content",
    "createBatch": "post /v1/batches",
}
REFUSED = {
    "listChatCompletions": "get /v1/chat/completions",
    "deleteModel": "delete /v1/models/{model}",
    "cancelUpload": "post /v1/uploads/{upload_id}/cancel",
    "Compactconversation": "post /v1/responses/compact",
}


def test_it_speaks_of_this_version_and_this_server() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert (DOCUMENT["info"]["title"], DOCUMENT["info"]["version"]) == ("Parley", __version__)
    assert DOCUMENT["servers"] == [{"url": "/"}]


def test_operations_have_openai_s_own_ids() -> None:
    places = {operation["operationId"]: f"{method} {path}" for path, method, operation in ALL if operation[SERVED]}
    assert IDS.items() <= places.items()
    places = {operation["operationId"]: f"{method} {path}" for path, method, operation in ALL if not operation[SERVED]}
    assert REFUSED.items() <= places.items()


def test_what_is_not_served_has_its_501_and_nothing_else() -> None:
    refused = [operation for _, _, operation in ALL if operation[SERVED] is False]
    assert len(refused) > 300
    only = {"501": {"$ref": "#/components/responses/NotImplemented"}}
    assert [one["operationId"] for one in refused if one["responses"] != only or "requestBody" in one] == []


def test_what_is_served_tells_every_status_that_a_failure_may_have() -> None:
    statuses = {str(kind.status) for kind in KINDS.values()}
    missing = {
        operation["operationId"]: sorted(statuses - set(operation["responses"]))
        for path, _, operation in ALL
        if operation[SERVED] and path.startswith("/v1/") and statuses - set(operation["responses"])
    }
    assert missing == {}


def test_the_twins_are_told_beside_their_siblings() -> None:
    twins = [twin for _, _, operation in ALL for twin in operation.get("x-parley-twins", [])]
    assert len(twins) == 7
    assert {(twin["query"], twin[SERVED]) for twin in twins} == {("beta=true", False)}


def schema_of(operation: str) -> dict[str, Any]:
    path = f"/v1{OPERATIONS[operation].path}"
    [content] = DOCUMENT["paths"][path]["post"]["requestBody"]["content"].values()
    found: dict[str, Any] = SCHEMAS[content["schema"]["$ref"].rpartition("/")[2]]
    return found


def extensions_of(operation: str) -> dict[str, Any]:
    alternatives = schema_of(operation)["properties"][EXTENSIONS]["anyOf"]
    found: dict[str, Any] = SCHEMAS[alternatives[0]["$ref"].rpartition("/")[2]]
    return found


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_every_request_is_an_open_object_with_the_extension_object(operation: str) -> None:
    schema = schema_of(operation)
    assert "additionalProperties" not in schema
    assert schema["properties"][EXTENSIONS] == schema["properties"][ALIAS]
    assert extensions_of(operation)["additionalProperties"] is False
    form = [*DOCUMENT["paths"][f"/v1{OPERATIONS[operation].path}"]["post"]["requestBody"]["content"]]
    assert form == ["multipart/form-data" if OPERATIONS[operation].form else "application/json"]


def test_the_extension_objects_are_whole() -> None:
    # Extension contract 1.4, 2.3 (row "extensions"), 3.4, and the words that end an answer.
    everything = {
        *("seed", "debug"),
        *("top_k", "batch", "f16", "ignore_eos", "n_keep", "mirostat", "mirostat_eta", "mirostat_tau"),
        *("cutstrings", "trimstrings", "roles", "model", "mode", "step", "grammar", "stopwords"),
        *("min_p", "typical_p", "tfz", "repeat_penalty", "repeat_last_n", "negative_prompt", "negative_prompt_scale"),
        *("rope_freq_base", "rope_freq_scale", "clip_skip", "tokenizer", "translate"),
        *("pooling", "pooling_half_life_tokens"),
    }
    assert set().union(*(extensions_of(operation)["properties"] for operation in OPERATIONS)) == everything


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_the_extension_object_is_what_the_server_reads(operation: str) -> None:
    fields = {name: field for name, field in FIELDS.items() if field.fits(operation)}
    told = extensions_of(operation)["properties"]
    assert set(told) == set(fields)
    for name, field in fields.items():
        assert (told[name].get("minimum"), told[name].get("maximum")) == (field.low, field.high)
    top = {name for name, field in fields.items() if field.top}
    if not OPERATIONS[operation].form:
        assert top <= set(schema_of(operation)["properties"])


@pytest.mark.parametrize(
    ("operation", "field", "facts"),
    [
        ("chat", "messages", {"minItems": 1}),
        ("chat", "frequency_penalty", {"minimum": -2, "maximum": 2, "default": 0}),
        ("chat", "n", {"minimum": 1, "maximum": 128, "default": 1}),
        ("chat", "temperature", {"minimum": 0, "maximum": 2, "default": 1, "type": ["number", "null"]}),
        ("chat", "top_logprobs", {"minimum": 0, "maximum": 20}),
        ("chat", "functions", {"minItems": 1, "maxItems": 128, "deprecated": True}),
        ("chat", "verbosity", {"enum": ["low", "medium", "high", None]}),
        ("chat", "user", {"type": "string", "deprecated": True}),
        ("completions", "max_tokens", {"minimum": 0, "default": 16}),
        ("completions", "best_of", {"minimum": 0, "maximum": 20, "default": 1}),
        ("embeddings", "dimensions", {"minimum": 1, "type": "integer"}),
        ("embeddings", "encoding_format", {"enum": ["float", "base64"], "default": "float"}),
        ("responses", "max_output_tokens", {"minimum": 16}),
        ("responses", "store", {"default": True}),
        ("image_generation", "n", {"minimum": 1, "maximum": 10, "default": 1}),
        ("image_generation", "output_format", {"enum": ["png", "webp", "jpeg", "gif", "svg", None], "default": "png"}),
        ("image_edit", "input_fidelity", {"enum": ["high", "low", None]}),
        ("image_variation", "size", {"enum": ["256x256", "512x512", "1024x1024", None]}),
        ("speech", "speed", {"minimum": 0.25, "maximum": 4, "default": 1}),
        ("speech", "input", {"maxLength": 4096}),
        ("transcription", "known_speaker_names", {"maxItems": 4}),
        ("transcription", "file", {"type": "string", "format": "binary"}),
        ("translation", "response_format", {"enum": ["json", "text", "srt", "verbose_json", "vtt"]}),
        ("moderation", "model", {"default": "omni-moderation-latest"}),
        ("rerank", "documents", {"minItems": 1}),
    ],
)
def test_bounds_and_words_of_the_contract(operation: str, field: str, facts: dict[str, Any]) -> None:
    assert facts.items() <= schema_of(operation)["properties"][field].items()


@pytest.mark.parametrize(
    ("operation", "required"),
    [
        ("chat", {"model", "messages"}),
        ("completions", {"model", "prompt"}),
        ("embeddings", {"model", "input"}),
        ("responses", set()),
        ("image_generation", {"prompt"}),
        ("image_edit", {"prompt", "image"}),
        ("image_variation", {"image"}),
        ("speech", {"input", "model", "voice"}),
        ("transcription", {"file", "model"}),
        ("translation", {"file", "model"}),
        ("moderation", {"input"}),
        ("rerank", {"model", "query", "documents"}),
    ],
)
def test_what_the_contract_requires(operation: str, required: set[str]) -> None:
    assert set(schema_of(operation).get("required", [])) == required


def test_no_schema_is_there_for_nobody() -> None:
    text = document().decode()
    assert [name for name in SCHEMAS if f'"#/components/schemas/{name}"' not in text] == []
