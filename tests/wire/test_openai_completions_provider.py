"""Legacy completions of a provider that has them, and the look of the verbatim path."""

from typing import Any

import pytest
from msgspec import json

from parley.fold import unfold
from parley.ir import (
    BlockStart,
    Delta,
    Start,
    Text,
    Thinking,
    Usage,
)
from wire.completions_parts import (
    ASKED,
    CHAT,
    DONE,
    HEAD,
    WIRE,
    answer,
    chunk,
    event,
    failure,
    folded,
    read,
    reply,
    written,
)

# Answers of a provider

LOGPROBS = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"a": -0.5}], "text_offset": [0]}
NATIVE = [
    {"text": "a", "index": 1, "logprobs": LOGPROBS, "finish_reason": "eos_token", "matched_stop": 7},
    {"text": "", "index": 0, "logprobs": None, "finish_reason": "length", "reasoning_content": "hm"},
]


def test_an_answer_of_this_wire_comes_back_as_it_was() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "odd": 1}
    body = answer(*NATIVE, usage=usage, system_fingerprint="fp")
    response = WIRE.decode_response(body)
    assert response.choices[0].content == (Text("a"),)
    assert json.decode(WIRE.encode_response(response, reply("openai_completions"))) == json.decode(body)
    elsewhere = json.decode(WIRE.encode_response(response, reply("openai_completions")))
    assert elsewhere["choices"][0]["finish_reason"] == "eos_token"


def test_an_answer_of_this_wire_as_a_stream() -> None:
    parts = written(unfold(WIRE.decode_response(answer(*NATIVE))), reply("openai_completions"))
    said = [part["choices"][0] for part in parts]
    assert [(one["index"], one["text"]) for one in said if one["text"]] == [(1, "a")]
    assert [one["logprobs"] for one in said if one["logprobs"]] == [LOGPROBS]
    assert [one["finish_reason"] for one in said if one["finish_reason"]] == ["eos_token", "length"]


@pytest.mark.parametrize("size", [1, 7, 100000])
def test_a_stream_is_read_whatever_its_pieces(size: int) -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    stream = chunk("Hel") + chunk("x", index=1) + chunk("lo") + chunk("", "stop") + chunk("", "length", 1)
    stream += event({**HEAD, "choices": [], "usage": usage}) + DONE + b"data: {\n\n"
    events = read(*(stream[at : at + size] for at in range(0, len(stream), size)))
    assert events[0] == Start("cmpl-1", "m", 7)
    response = folded(events)
    assert [(choice.content, choice.stop) for choice in response.choices] == [
        ((Text("Hello"),), "end"),
        ((Text("x"),), "length"),
    ]
    assert response.usage == Usage(3, 2)


def test_logprobs_of_a_stream_are_gathered() -> None:
    one = {"tokens": ["a"], "token_logprobs": [-1]}
    two = {"tokens": ["b"], "token_logprobs": [-2]}
    parts = [event({**HEAD, "choices": [{"text": "x", "index": 0, "logprobs": given}]}) for given in (one, two)]
    response = folded(read(*parts, chunk("", "stop"), DONE))
    assert response.choices[0].logprobs == {"tokens": ["a", "b"], "token_logprobs": [-1, -2]}


def test_a_silent_choice_is_an_empty_text() -> None:
    assert folded(read(chunk("", "stop"), DONE)).choices[0].content == (Text(""),)
    assert folded(read(chunk("a"), DONE)).choices[0].stop == "end"


def test_thoughts_and_text_are_blocks_of_their_own() -> None:
    thought = event({**HEAD, "choices": [{"text": "", "index": 0, "reasoning_content": "hm"}]})
    assert folded(read(thought, chunk("a"), chunk("", "stop"))).choices[0].content == (Thinking("hm"), Text("a"))


@pytest.mark.parametrize(
    ("parts", "kind", "detail"),
    [
        ([], "upstream_bad_response", "empty_body"),
        ([DONE], "upstream_bad_response", "empty_body"),
        ([chunk("a")], "upstream_incomplete", "missing_terminator"),
        ([chunk("a", "stop"), chunk("b", index=1)], "upstream_incomplete", "missing_terminator"),
        ([b"data: {\n\n"], "upstream_bad_response", "bad_event"),
        ([b"data: 5\n\n"], "upstream_bad_response", "bad_event"),
        ([event({"choices": 5})], "upstream_bad_response", "bad_event"),
        ([event({"choices": [5]})], "upstream_bad_response", "bad_event"),
        ([event({"choices": [{"text": 5}]})], "upstream_bad_response", "bad_event"),
        ([event({"choices": [{"index": "a"}]})], "upstream_bad_response", "bad_event"),
        ([event({"error": {"message": "no"}})], "upstream_error", "stream_error"),
        ([event({"error": "no"})], "upstream_error", "stream_error"),
    ],
)
def test_streams_that_are_none(parts: list[bytes], kind: str, detail: str) -> None:
    found = failure(read, *parts)
    assert (found.kind, found.detail) == (kind, detail)


def test_what_precedes_a_fault_comes_first() -> None:
    decoder = WIRE.stream_decoder()
    events = decoder.feed(chunk("a") + b"data: {\n\n")
    assert [type(found) for found in events] == [Start, BlockStart, Delta]
    assert failure(decoder.feed, b"").detail == "bad_event"
    assert failure(decoder.close).detail == "bad_event"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty_body"),
        (b" \n", "empty_body"),
        (b"<html>", "bad_json"),
        (b'{"choices": "\xff"}', "bad_json"),
        (b"[]", "bad_shape"),
        (b"{}", "bad_shape"),
        (b'{"choices": {}}', "bad_shape"),
        (b'{"choices": [{"message": {}}]}', "bad_shape"),
        (b'{"choices": [], "error": {"message": "m"}}', "stream_error"),
        (b'{"error": "m"}', "stream_error"),
    ],
)
def test_answers_that_are_none(body: bytes, detail: str) -> None:
    assert failure(WIRE.decode_response, body).detail == detail
    assert failure(WIRE.check_answer, body).detail == detail


def test_an_answer_without_choices_is_none() -> None:
    assert failure(WIRE.check_answer, b'{"choices": []}').detail == "bad_shape"


@pytest.mark.parametrize("choice", [5, {}, {"text": None}, {"message": {"content": "x"}}])
def test_choices_that_are_none(choice: Any) -> None:
    assert failure(WIRE.decode_response, json.encode({"choices": [choice]})).detail == "bad_shape"


# The verbatim path


@pytest.mark.parametrize(
    ("data", "mark"),
    [
        (chunk(""), ""),
        (event({"choices": []}), ""),
        (event({"choices": [{"text": None}]}), ""),
        (event({"choices": [5]}), ""),
        (event({"other": 1}), ""),
        (chunk("a"), "content"),
        (event({"choices": [{"text": "", "reasoning_content": "a"}]}), "content"),
        (chunk("", "stop"), "finished"),
        (chunk("a", "stop"), "content finished"),
        (DONE, "end"),
    ],
)
def test_a_glance(data: bytes, mark: str) -> None:
    found = WIRE.glance("", data.removeprefix(b"data: ").removesuffix(b"\n\n"))
    told = [word for word in ("content", "finished", "end") if getattr(found, word)]
    assert (" ".join(told), found.usage, found.failure) == (mark, None, None)


def test_a_glance_at_usage_and_at_errors() -> None:
    assert WIRE.glance("", b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}').usage == Usage(3, 4)
    told = WIRE.glance("", b'{"error":{"message":"slow","type":"rate_limit_error"}}').failure
    assert told is not None
    assert (told.kind, told.message) == ("upstream_rate_limited", "slow")
    assert WIRE.glance("error", b'{"message":"no"}').failure is not None


@pytest.mark.parametrize("data", [b"", b"{", b"5", b'{"x": "\xff"}'])
def test_a_glance_at_something_broken(data: bytes) -> None:
    assert failure(WIRE.glance, "", data).detail == "bad_event"


def test_usage_of_a_whole_answer() -> None:
    assert WIRE.check_answer(answer(*NATIVE, usage={"prompt_tokens": 3, "completion_tokens": 4})) == Usage(3, 4)
    assert WIRE.check_answer(answer(*NATIVE)) is None
    assert WIRE.check_answer(answer(*NATIVE, usage=None)) is None
    assert WIRE.check_answer(answer(*NATIVE, usage=5)) is None


def test_errors_are_those_of_every_endpoint() -> None:
    body = b'{"error": {"message": "long", "type": "t", "param": "prompt", "code": null}}'
    found = WIRE.decode_error(400, [], body)
    assert WIRE.encode_error(found, "r") == CHAT.encode_error(found, "r") == (400, body)
    assert CHAT.encode_error(CHAT.decode_error(400, [], body), "r") == (400, body)


def test_no_request_is_written_for_a_provider() -> None:
    found = failure(WIRE.encode_request, WIRE.decode_request(ASKED), {})
    assert found.kind == "not_implemented"
