"""Requests against their models: which field is at fault, in which words, at which cost."""

import json
import time
from typing import Any

import pytest

from parley.api.check import BODIES, FORMS, checked, checked_form
from parley.failure import Failure, ParleyError
from parley.operations import OPERATIONS

HI = [{"role": "user", "content": "hi"}]
LEAST: dict[str, dict[str, Any]] = {
    "chat": {"model": "m", "messages": HI},
    "completions": {"model": "m", "prompt": "p"},
    "embeddings": {"model": "m", "input": "i"},
    "responses": {},
    "image_generation": {"prompt": "p"},
    "speech": {"model": "m", "input": "i", "voice": "v"},
    "moderation": {"input": "i"},
    "rerank": {"model": "m", "query": "q", "documents": ["d"]},
    "conversation": {},
    "conversation_items": {"items": [{"role": "user", "content": "hi"}]},
    "conversation_update": {"metadata": {}},
    "input_tokens": {},
}
EXTENSIONS = "x-parley-extensions"
ALIAS = "x-localai-extensions"


def refused(operation: str, body: Any) -> Failure:
    with pytest.raises(ParleyError) as caught:
        checked(operation, body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value.failure


def message(**members: Any) -> dict[str, Any]:
    return {"messages": [members]}


def test_every_operation_is_checked_in_one_of_two_ways() -> None:
    beside = {"conversation", "conversation_items", "conversation_update", "input_tokens"}
    assert {name for name, operation in OPERATIONS.items() if not operation.form} | beside == BODIES == set(LEAST)
    assert {name for name, operation in OPERATIONS.items() if operation.form} == FORMS
    with pytest.raises(KeyError):
        checked("transcription_of_dreams", b"{}")


@pytest.mark.parametrize("operation", sorted(LEAST))
def test_the_least_request_is_enough_and_each_of_its_members_is_needed(operation: str) -> None:
    least = LEAST[operation]
    checked(operation, json.dumps(least).encode())
    for name in least:
        failure = refused(operation, {other: value for other, value in least.items() if other != name})
        assert (failure.kind, failure.http_status) == ("invalid_request", 400)
        assert (failure.param, failure.message) == (name, f"{name} is required")


@pytest.mark.parametrize("operation", sorted(OPERATIONS.keys() & LEAST.keys()))
def test_unknown_members_are_kept_but_not_in_the_extension_object(operation: str) -> None:
    checked(operation, json.dumps(LEAST[operation] | {"brand_new": {"deep": [1]}}).encode())
    for name in (EXTENSIONS, ALIAS):
        checked(operation, json.dumps(LEAST[operation] | {name: {"seed": 4, "debug": None}}).encode())
        checked(operation, json.dumps(LEAST[operation] | {name: None}).encode())
        failure = refused(operation, LEAST[operation] | {name: {"topk": 4}})
        assert failure.param == f"{name}.topk"
        assert failure.message == f"{name}.topk is not known: {name} takes no members but its own"


# Surface contract sections 3 to 9, extension contract 1.4 and 2.3.
BAD: list[tuple[str, dict[str, Any], str, str]] = [
    ("chat", {"messages": []}, "messages", "must have at least 1 item"),
    ("chat", {"messages": "x"}, "messages", "must be an array, not a string"),
    ("chat", {"messages": None}, "messages", "must be an array, not null"),
    ("chat", {"messages": ["x"]}, "messages[0]", "must be an object, not a string"),
    ("chat", {"model": 5}, "model", "must be a string, not an integer"),
    ("chat", message(content="x"), "messages[0].role", "is required"),
    ("chat", message(role=5), "messages[0].role", "must be a string"),
    (
        "chat",
        message(role="wizard"),
        "messages[0].role",
        "must be one of developer, system, user, assistant, tool, function, not 'wizard'",
    ),
    ("chat", message(role="user"), "messages[0].content", "is required"),
    ("chat", message(role="user", content=5), "messages[0].content", "must be a string or an array, not an integer"),
    ("chat", message(role="tool", content="x"), "messages[0].tool_call_id", "is required"),
    ("chat", message(role="user", content=[{"type": "text"}]), "messages[0].content[0].text", "is required"),
    (
        "chat",
        message(role="user", content=[{"type": "video"}]),
        "messages[0].content[0].type",
        "must be one of text, image_url, input_audio, file, refusal, not 'video'",
    ),
    (
        "chat",
        message(role="user", content=[{"type": "image_url", "image_url": {}}]),
        "messages[0].content[0].image_url.url",
        "is required",
    ),
    (
        "chat",
        message(role="assistant", tool_calls=[{"id": "1", "type": "function", "function": {"name": "f"}}]),
        "messages[0].tool_calls[0].function.arguments",
        "is required",
    ),
    ("chat", {"frequency_penalty": -2.1}, "frequency_penalty", "must be at least -2"),
    ("chat", {"presence_penalty": 2.5}, "presence_penalty", "must be at most 2"),
    ("chat", {"temperature": 2.01}, "temperature", "must be at most 2"),
    ("chat", {"temperature": "hot"}, "temperature", "must be a number or null, not a string"),
    ("chat", {"top_p": 1.5}, "top_p", "must be at most 1"),
    ("chat", {"n": 0}, "n", "must be at least 1"),
    ("chat", {"n": 129}, "n", "must be at most 128"),
    ("chat", {"n": 1.5}, "n", "must be an integer or null, not a number"),
    ("chat", {"n": True}, "n", "must be an integer or null, not a boolean"),
    ("chat", {"top_logprobs": 21}, "top_logprobs", "must be at most 20"),
    ("chat", {"functions": []}, "functions", "must have at least 1 item"),
    ("chat", {"seed": 2**63}, "seed", "must be at most 9223372036854775807"),
    ("chat", {"safety_identifier": "x" * 65}, "safety_identifier", "must have at most 64 characters"),
    ("chat", {"stream": "yes"}, "stream", "must be true or false or null, not a string"),
    ("chat", {"stop": [1]}, "stop[0]", "must be a string, not an integer"),
    ("chat", {"logit_bias": {"50256": "no"}}, "logit_bias", "each value of logit_bias must be an integer"),
    ("chat", {"metadata": {"a": 1}}, "metadata", "each value of metadata must be a string"),
    ("chat", {"reasoning_effort": "huge"}, "reasoning_effort", "must be one of high, low, max, medium, minimal,"),
    ("chat", {"verbosity": "loud"}, "verbosity", "must be one of high, low, medium, not 'loud'"),
    ("chat", {"modalities": ["smell"]}, "modalities[0]", "must be one of audio, text, not 'smell'"),
    ("chat", {"response_format": {"type": "json"}}, "response_format.type", "must be one of text, json_schema, json_"),
    ("chat", {"response_format": {"type": "json_schema"}}, "response_format.json_schema", "is required"),
    ("chat", {"tools": [{"type": "function"}]}, "tools[0].function", "is required"),
    ("chat", {"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "is required"),
    ("chat", {"tool_choice": "some"}, "tool_choice", "must be one of auto, none, required, not 'some'"),
    ("chat", {"tool_choice": {"type": "function"}}, "tool_choice.function", "is required"),
    ("chat", {"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "must be true or false, not"),
    ("chat", {"user": None}, "user", "must be a string, not null"),
    ("chat", {"top_k": "many"}, "top_k", "must be an integer or null, not a string"),
    ("chat", {EXTENSIONS: {"top_k": "many"}}, f"{EXTENSIONS}.top_k", "must be an integer or null, not a string"),
    ("chat", {EXTENSIONS: {"top_k": -2}}, f"{EXTENSIONS}.top_k", "must be at least -1"),
    ("chat", {EXTENSIONS: {"mirostat": 3}}, f"{EXTENSIONS}.mirostat", "must be at most 2"),
    ("chat", {EXTENSIONS: {"roles": {"user": 1}}}, f"{EXTENSIONS}.roles.user", "must be a string or null, not an int"),
    ("chat", {EXTENSIONS: {"roles": {"king": "k"}}}, f"{EXTENSIONS}.roles.king", "is not known"),
    ("chat", {EXTENSIONS: {"stopwords": [""]}}, f"{EXTENSIONS}.stopwords[0]", "must have at least 1 character"),
    ("chat", {EXTENSIONS: {"step": 4}}, f"{EXTENSIONS}.step", "is not known"),
    ("chat", {EXTENSIONS: {"cutstrings": "a"}}, f"{EXTENSIONS}.cutstrings", "must be an array or null"),
    ("embeddings", {EXTENSIONS: {"pooling": "max"}}, f"{EXTENSIONS}.pooling", "must be one of backend, decayed_mean,"),
    ("image_generation", {EXTENSIONS: {"model": None}}, f"{EXTENSIONS}.model", "must be a string, not null"),
    ("chat", {EXTENSIONS: []}, EXTENSIONS, "must be an object or null, not an array"),
    ("completions", {"prompt": {}}, "prompt", "must be a string or an array or null, not an object"),
    ("completions", {"prompt": [[1, "a"]]}, "prompt[0][1]", "must be an integer, not a string"),
    ("completions", {"best_of": 21}, "best_of", "must be at most 20"),
    ("completions", {"logprobs": 6}, "logprobs", "must be at most 5"),
    ("completions", {"max_tokens": -1}, "max_tokens", "must be at least 0"),
    ("embeddings", {"input": []}, "input", "must have at least 1 item"),
    ("embeddings", {"input": ["x"] * 2049}, "input", "must have at most 2048 items"),
    ("embeddings", {"input": [{}]}, "input[0]", "must be an integer or a string or an array, not an object"),
    ("embeddings", {"dimensions": 0}, "dimensions", "must be at least 1"),
    ("embeddings", {"encoding_format": "hex"}, "encoding_format", "must be one of base64, float, not 'hex'"),
    ("responses", {"input": 5}, "input", "must be a string or an array, not an integer"),
    ("responses", {"input": ["x"]}, "input[0]", "must be an object, not a string"),
    ("responses", {"max_output_tokens": 15}, "max_output_tokens", "must be at least 16"),
    ("responses", {"temperature": -1}, "temperature", "must be at least 0"),
    ("responses", {"truncation": "some"}, "truncation", "must be one of auto, disabled, not 'some'"),
    ("responses", {"tools": [{"type": "function"}]}, "tools[0].", "is required"),
    ("responses", {"tools": [{"type": "web"}]}, "tools[0].type", "must be one of function, file_search"),
    ("responses", {"text": {"format": {"type": "xml"}}}, "text.format.type", "must be one of text, json_schema"),
    ("responses", {"reasoning": {"effort": "huge"}}, "reasoning.effort", "must be one of high, low, max"),
    ("responses", {"include": ["all"]}, "include[0]", "must be one of"),
    ("image_generation", {"n": 11}, "n", "must be at most 10"),
    ("image_generation", {"quality": "best"}, "quality", "must be one of auto, hd, high, low, max, medium, standard"),
    ("image_generation", {"response_format": "png"}, "response_format", "must be one of b64_json, url, not 'png'"),
    ("image_generation", {"partial_images": 4}, "partial_images", "must be at most 3"),
    ("image_generation", {"output_compression": 101}, "output_compression", "must be at most 100"),
    ("image_generation", {"style": "dull"}, "style", "must be one of natural, vivid, not 'dull'"),
    ("speech", {"input": "x" * 4097}, "input", "must have at most 4096 characters"),
    ("speech", {"instructions": "x" * 4097}, "instructions", "must have at most 4096 characters"),
    ("speech", {"speed": 0.2}, "speed", "must be at least 0.25"),
    ("speech", {"speed": 4.5}, "speed", "must be at most 4"),
    ("speech", {"response_format": "ogg"}, "response_format", "must be one of aac, flac, mp3, opus, pcm, wav,"),
    ("speech", {"voice": {}}, "voice.id", "is required"),
    ("moderation", {"input": [{"type": "text"}]}, "input[0].text", "is required"),
    ("moderation", {"input": [{"type": "image_url", "image_url": "x"}]}, "input[0].image_url", "must be an object"),
    ("rerank", {"documents": []}, "documents", "must have at least 1 item"),
    ("rerank", {"documents": [1]}, "documents[0]", "must be a string or an object, not an integer"),
    ("rerank", {"top_n": 0}, "top_n", "must be at least 1"),
    ("input_tokens", {"truncation": "some"}, "truncation", "must be one of auto, disabled, not 'some'"),
    ("input_tokens", {"tools": [{"type": "function"}]}, "tools[0].", "is required"),
    ("conversation", {"metadata": {"a": 1}}, "metadata", "each value of metadata must be a string"),
    ("conversation_items", {"items": ["x"]}, "items[0]", "must be an object, not a string"),
    ("conversation_update", {"metadata": []}, "metadata", "must be an object or null, not an array"),
]


@pytest.mark.parametrize(("operation", "change", "param", "said"), BAD, ids=[f"{row[0]}-{row[2]}" for row in BAD])
def test_the_field_at_fault_is_named(operation: str, change: dict[str, Any], param: str, said: str) -> None:
    failure = refused(operation, LEAST[operation] | change)
    assert (failure.kind, failure.http_status) == ("invalid_request", 400)
    assert failure.param is not None
    assert failure.param.startswith(param)
    assert said in failure.message
    assert failure.param in failure.message


GOOD: list[tuple[str, dict[str, Any]]] = [
    ("chat", {"temperature": 0, "top_p": 1, "n": 128, "seed": -(2**63), "presence_penalty": 2}),
    ("chat", {"temperature": None, "stop": None, "logit_bias": None, "response_format": {"type": "json_object"}}),
    ("chat", {"messages": [{"role": "assistant", "content": None, "tool_calls": None, "name": None, "audio": None}]}),
    ("chat", {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}], "new": 1}]}),
    ("chat", {"tool_choice": "required", "tools": [{"type": "custom", "custom": {"name": "c"}}]}),
    ("chat", {"top_k": 0, "min_p": 0.5, "grammar": None, "roles": {"user": ""}}),
    ("completions", {"prompt": None, "max_tokens": 0, "logprobs": 0}),
    ("completions", {"prompt": [[1, 2], [3]]}),
    ("embeddings", {"input": [[1, 2], [3]], "encoding_format": "base64"}),
    ("embeddings", {"input": ["x"] * 2048}),
    ("responses", {"input": [{"role": "user", "content": "no type"}, {"type": "item_reference", "id": "i"}]}),
    (
        "responses",
        {"tools": [{"type": "web_search_2025_08_26"}, {"type": "custom", "name": "c"}], "tool_choice": "auto"},
    ),
    ("image_generation", {"size": "640x480", "n": None}),
    ("speech", {"speed": 0.25, "voice": {"id": "v"}}),
    ("moderation", {"input": ["a", "b"]}),
    ("rerank", {"documents": ["a", {"text": "b", "more": 1}], "top_n": None}),
]


@pytest.mark.parametrize(("operation", "change"), GOOD)
def test_what_the_contract_allows_is_allowed(operation: str, change: dict[str, Any]) -> None:
    checked(operation, json.dumps(LEAST[operation] | change).encode())


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"", "invalid_json", "not valid JSON"),
        (b"{", "invalid_json", "not valid JSON"),
        (b'{"model": "\xff"}', "invalid_json", "not valid JSON"),
        (b'{"new":' + b"[" * 100_000, "invalid_json", ""),
        (b"[]", "invalid_request", "the request body must be an object, not an array"),
        (b"null", "invalid_request", "the request body must be an object, not null"),
    ],
)
def test_what_is_no_object_is_said_to_be_none(body: bytes, kind: str, said: str) -> None:
    failure = refused("chat", body)
    assert failure.kind == kind
    assert failure.param is None
    assert said in failure.message


def test_a_long_value_is_not_repeated_in_full() -> None:
    assert len(refused("chat", LEAST["chat"] | {"verbosity": "x" * 100_000}).message) < 300


def test_a_request_of_2_kb_costs_less_than_15_microseconds() -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "weather", "description": "d" * 150, "parameters": parameters}}
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Berlin"}'}}
    body = json.dumps(
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "s" * 300},
                {"role": "user", "content": "u" * 300},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": "t" * 100},
                {"role": "user", "content": [{"type": "text", "text": "u" * 200}]},
            ],
            "tools": [tool, tool],
            "temperature": 0.2,
            "stream": True,
            EXTENSIONS: {"top_k": 40, "min_p": 0.1},
        }
    ).encode()
    assert 1900 < len(body) < 2300

    def microseconds() -> float:
        begun = time.process_time()
        for _ in range(200):
            checked("chat", body)
        return (time.process_time() - begun) / 200 * 1e6

    assert min(microseconds() for _ in range(20)) < 30


FORM: list[tuple[str, dict[str, list[str]], set[str], str, str]] = [
    ("transcription", {"model": ["w"]}, set(), "file", "file is required"),
    ("transcription", {}, {"file"}, "model", "model is required"),
    ("transcription", {"model": ["w"], "file": ["x"]}, set(), "file", "must be a file, sent with a file name"),
    ("transcription", {}, {"file", "model"}, "model", "must be text, not a file"),
    ("transcription", {"model": ["w", "v"]}, {"file"}, "model", "is given 2 times"),
    ("transcription", {"model": ["w"], "temperature": ["hot"]}, {"file"}, "temperature", "must be a number"),
    ("transcription", {"model": ["w"], "temperature": ["inf"]}, {"file"}, "temperature", "must be at most 1"),
    ("transcription", {"model": ["w"], "temperature": ["nan"]}, {"file"}, "temperature", "must be"),
    ("transcription", {"model": ["w"], "temperature": [""]}, {"file"}, "temperature", "must be a number"),
    ("transcription", {"model": ["w"], "stream": ["yes"]}, {"file"}, "stream", "must be true or false"),
    ("transcription", {"model": ["w"], "response_format": ["xml"]}, {"file"}, "response_format", "must be one of"),
    (
        "transcription",
        {"model": ["w"], "timestamp_granularities[]": ["word", "line"]},
        {"file"},
        "timestamp_granularities[1]",
        "must be one of segment, word, not 'line'",
    ),
    (
        "transcription",
        {"model": ["w"], "include": ["logprobs"], "include[]": ["logprobs"]},
        {"file"},
        "include",
        "is given twice",
    ),
    (
        "transcription",
        {"model": ["w"], "known_speaker_names[]": ["a"] * 5},
        {"file"},
        "known_speaker_names",
        "must have at most 4 items",
    ),
    (
        "transcription",
        {"model": ["w"], "chunking_strategy[type]": ["vad"]},
        {"file"},
        "chunking_strategy.type",
        "must be one of server_vad, not 'vad'",
    ),
    (
        "transcription",
        {"model": ["w"], "chunking_strategy": ["auto"], "chunking_strategy[type]": ["server_vad"]},
        {"file"},
        "chunking_strategy",
        "contradicts another field",
    ),
    ("translation", {"model": ["w"], "response_format": ["diarized_json"]}, {"file"}, "response_format", "must be one"),
    ("image_edit", {"prompt": ["p"]}, set(), "image", "image is required"),
    ("image_edit", {"prompt": ["p"], "n": ["11"]}, {"image"}, "n", "must be at most 10"),
    ("image_edit", {"prompt": ["p"], "n": ["two"]}, {"image"}, "n", "must be an integer"),
    ("image_edit", {"prompt": ["p"], "quality": ["hd"]}, {"image"}, "quality", "must be one of"),
    ("image_edit", {"prompt": ["p"], EXTENSIONS: ['{"k":1}']}, {"image"}, f"{EXTENSIONS}.k", "is not known"),
    ("image_edit", {"prompt": ["p"], EXTENSIONS: ["{"]}, {"image"}, EXTENSIONS, "is not valid JSON"),
    ("image_variation", {"size": ["640x480"]}, {"image"}, "size", "must be one of 1024x1024, 256x256, 512x512, not"),
]


@pytest.mark.parametrize(("operation", "fields", "files", "param", "said"), FORM)
def test_the_field_of_a_form_at_fault_is_named(
    operation: str, fields: dict[str, list[str]], files: set[str], param: str, said: str
) -> None:
    with pytest.raises(ParleyError) as caught:
        checked_form(operation, fields, files)
    assert (caught.value.failure.kind, caught.value.failure.param) == ("invalid_request", param)
    assert said in caught.value.failure.message


@pytest.mark.parametrize(
    ("operation", "fields", "files"),
    [
        ("transcription", {"model": ["w"], "temperature": ["0.5"], "stream": ["true"]}, {"file"}),
        ("transcription", {"model": ["w"], "timestamp_granularities[]": ["word", "segment"]}, {"file"}),
        ("transcription", {"model": ["w"], "timestamp_granularities": ["word"]}, {"file"}),
        ("transcription", {"model": ["w"], "chunking_strategy": ["auto"]}, {"file"}),
        ("transcription", {"model": ["w"], "chunking_strategy": ['{"type":"server_vad"}']}, {"file"}),
        (
            "transcription",
            {"model": ["w"], "chunking_strategy[type]": ["server_vad"], "chunking_strategy[threshold]": ["0.5"]},
            {"file"},
        ),
        ("transcription", {"model": ["w"], "new": ["a", "b"], "od[d": ["x"], "x[y]": ["z"]}, {"file", "other"}),
        ("translation", {"model": ["w"], "prompt": ["12"]}, ["file"]),
        ("image_edit", {"prompt": ["p"], "n": ["2"]}, {"image[]": 1, "mask": 1}),
        ("image_edit", {"prompt": ["p"], EXTENSIONS: ['{"step":4}'], f"{ALIAS}[mode]": ["1"]}, {"image"}),
        ("image_variation", {"size": ["512x512"], "n": ["1"]}, {"image"}),
    ],
)
def test_a_form_that_fits(operation: str, fields: dict[str, list[str]], files: Any) -> None:
    checked_form(operation, fields, files)
