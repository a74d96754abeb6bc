"""Text Generation Inference's own wire: what leaves, and what its answers, streams and errors mean."""

from typing import Any

import pytest
from msgspec import json
from openai.types.chat import ChatCompletion

from parley.ir import BlockStart, BlockStop, Delta, End, Finish, Start, Text, Usage
from parley.wire import load
from relay_parts import reply
from wire.server_parts import HEADERS, OPENAI, failure, folded, left, read, shown, spelt

TGI = load("tgi")
# As the server writes them: no space behind the colon, no names, no terminator.
STREAM = (
    b'data:{"index":1,"token":{"id":13,"text":"Hi","logprob":-0.1,"special":false},"generated_text":null,"details":null}'
    b"\n\n"
    b'data:{"index":2,"token":{"id":14,"text":" th\xc3\xa9re","logprob":-0.2,"special":false},"generated_text":null,'
    b'"details":null}\n\n'
    b'data:{"index":3,"token":{"id":2,"text":"</s>","logprob":0.0,"special":true},"generated_text":"Hi th\xc3\xa9re",'
    b'"details":{"finish_reason":"eos_token","generated_tokens":3,"input_length":5,"seed":null}}\n\n'
)


def event(**members: Any) -> bytes:
    return b"data:" + json.encode(members) + b"\n\n"


def token(text: str, special: bool = False, **more: Any) -> bytes:
    members: dict[str, Any] = {"generated_text": None, "details": None, **more}
    return event(index=1, token={"id": 1, "text": text, "logprob": -0.5, "special": special}, **members)


def last(reason: str = "eos_token", text: str = "whole") -> bytes:
    return token("</s>", special=True, generated_text=text, details={"finish_reason": reason, "generated_tokens": 1})


def test_a_request() -> None:
    made, dropped = left(
        "tgi", max_tokens=7, temperature=0.5, top_p=0.9, seed=3, stop=["a", "b"], frequency_penalty=0.25, stream=True
    )
    assert dropped == ()
    assert made == {
        "inputs": "User: hi\nAssistant:",
        "parameters": {
            "max_new_tokens": 7,
            "do_sample": True,
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 3,
            "stop": ["a", "b"],
            "frequency_penalty": 0.25,
            "details": True,
            "return_full_text": False,
        },
    }


def test_what_was_not_said_is_not_sent() -> None:
    assert left("tgi")[0]["parameters"] == {"details": True, "return_full_text": False}


def test_no_temperature_is_no_sampling() -> None:
    parameters = left("tgi", temperature=0, top_p=1)[0]["parameters"]
    assert parameters["do_sample"] is False
    assert "temperature" not in parameters
    assert "top_p" not in parameters


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}}, {"type": "array"}),
    ],
)
def test_the_form_of_an_answer_is_a_grammar(form: dict[str, Any], value: dict[str, Any]) -> None:
    made, dropped = left("tgi", response_format=form)
    assert made["parameters"]["grammar"] == {"type": "json", "value": value}
    assert dropped == ()


def test_the_settings_it_has_no_name_for_are_listed() -> None:
    made, dropped = left("tgi", presence_penalty=1, logit_bias={"1": 1}, user="u", response_format={"type": "text"})
    assert set(made["parameters"]) == {"details", "return_full_text"}
    assert dropped == ("presence_penalty", "logit_bias", "user")


def test_a_pipeline_gets_nothing_that_it_may_not_know() -> None:
    made, dropped = left("hf_text", max_tokens=7, temperature=0, seed=3, stop="x", stream=True)
    assert made["parameters"] == {"max_new_tokens": 7, "do_sample": False, "return_full_text": False}
    assert dropped == ("stop", "seed")


DETAILS = {"finish_reason": "length", "generated_tokens": 4, "seed": None, "prefill": [], "tokens": []}


@pytest.mark.parametrize("data", [{"generated_text": "Hi"}, [{"generated_text": "Hi"}], [[{"generated_text": "Hi"}]]])
def test_an_answer_is_an_object_or_an_array_of_one(data: Any) -> None:
    found = TGI.decode_response(json.encode(data))
    assert [choice.content for choice in found.choices] == [(Text("Hi"),)]
    assert found.choices[0].stop == "end"
    assert found.usage is None


@pytest.mark.parametrize(
    ("reason", "stop", "shown"),
    [("eos_token", "end", "stop"), ("stop_sequence", "stop_sequence", "stop"), ("length", "length", "length")],
)
def test_why_it_stopped(reason: str, stop: str, shown: str) -> None:
    found = TGI.decode_response(json.encode({"generated_text": "Hi", "details": {**DETAILS, "finish_reason": reason}}))
    assert (found.choices[0].stop, found.choices[0].native) == (stop, reason)
    answer = ChatCompletion.model_validate_json(OPENAI.encode_response(found, reply("tgi")))
    assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == (shown, "Hi")
    assert (answer.id, answer.model) == ("req-1", "real-1")
    streamed = folded(TGI, token("Hi") + last(reason))
    assert (streamed.choices[0].stop, streamed.choices[0].native) == (stop, reason)


@pytest.mark.parametrize(
    ("details", "usage"),
    [
        (None, None),
        (DETAILS, None),
        ({**DETAILS, "prefill": [{"id": 1}, {"id": 2}]}, Usage(2, 4)),
        ({**DETAILS, "input_length": 0}, Usage(0, 4)),
        ({**DETAILS, "input_length": 3, "generated_tokens": None}, None),
    ],
)
def test_usage_is_told_whole_or_not_at_all(details: Any, usage: Usage | None) -> None:
    assert TGI.decode_response(json.encode({"generated_text": "", "details": details})).usage == usage


def test_probabilities_where_they_were_asked_for() -> None:
    assert left("tgi", logprobs=True, top_logprobs=2)[0]["parameters"]["top_n_tokens"] == 2
    assert left("tgi", logprobs=True)[0]["parameters"]["top_n_tokens"] == 1
    tokens = [
        {"id": 1, "text": "é", "logprob": -0.5, "special": False},
        {"id": 2, "text": "</s>", "logprob": 0.0, "special": True},
    ]
    top = [[{"id": 1, "text": "é", "logprob": -0.5, "special": False}], []]
    details = {**DETAILS, "tokens": tokens, "top_tokens": top}
    expected = {"token": "é", "logprob": -0.5, "bytes": [0xC3, 0xA9]}
    found = TGI.decode_response(json.encode({"generated_text": "é", "details": details}))
    assert found.choices[0].logprobs == {"content": [{**expected, "top_logprobs": [expected]}]}
    streamed = folded(TGI, token("é", top_tokens=top[0]) + last())
    assert streamed.choices[0].logprobs == {"content": [{**expected, "top_logprobs": [expected]}]}
    plain = TGI.decode_response(json.encode({"generated_text": "é", "details": {**DETAILS, "tokens": tokens}}))
    assert plain.choices[0].logprobs is None


def test_a_stream() -> None:
    assert read(TGI, STREAM) == [
        Start("", ""),
        BlockStart(0, 0, Text("")),
        Delta(0, 0, "text", "Hi"),
        Delta(0, 0, "text", " thére"),
        BlockStop(0, 0),
        Finish(0, "end", native="eos_token"),
        End(Usage(5, 3)),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_a_stream_is_the_same_however_it_is_cut(size: int) -> None:
    for stream in (STREAM, STREAM.replace(b"\n", b"\r\n"), b": hi\n\n" + STREAM.replace(b"data:", b"data: ")):
        assert read(TGI, *[stream[at : at + size] for at in range(0, len(stream), size)]) == read(TGI, STREAM)


def test_the_official_client_reads_what_callers_get() -> None:
    chunks = shown(read(TGI, STREAM))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hi thére"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


def test_special_tokens_are_no_text_wherever_they_stand() -> None:
    stream = token("<s>", special=True) + token("a") + token("<pad>", special=True) + token("b") + last(text="ab")
    assert spelt(read(TGI, stream)) == ["a", "b"]


def test_a_text_that_came_only_at_the_end_is_not_lost() -> None:
    assert spelt(read(TGI, last(text="all of it"))) == ["all of it"]
    assert spelt(read(TGI, last(text=""))) == []


def test_what_follows_the_end_is_not_read() -> None:
    assert read(TGI, STREAM + b"data:{broken\n\n") == read(TGI, STREAM)


@pytest.mark.parametrize(
    ("stream", "kind", "detail"),
    [
        (b"", "upstream_bad_response", "empty_body"),
        (token("a"), "upstream_incomplete", "missing_terminator"),
        (token("a")[:-5], "upstream_incomplete", "missing_terminator"),
        (b"data:{broken\n\n", "upstream_bad_response", "bad_event"),
        (b"data:[]\n\n", "upstream_bad_response", "bad_event"),
        (event(something="else"), "upstream_bad_response", "bad_event"),
        (b'data:{"token":"\xff"}\n\n', "upstream_bad_response", "bad_event"),
    ],
)
def test_broken_streams(stream: bytes, kind: str, detail: str) -> None:
    found = failure(read, TGI, stream, b"")
    assert (found.kind, found.detail) == (kind, detail)


@pytest.mark.parametrize(
    ("word", "kind", "status"),
    [
        ("validation", "upstream_rejected", 422),
        ("generation", "upstream_error", 502),
        ("overloaded", "upstream_rate_limited", 429),
        ("incomplete_generation", "upstream_error", 500),
        ("something new", "upstream_error", 502),
    ],
)
def test_errors_before_and_in_a_stream(word: str, kind: str, status: int) -> None:
    body = json.encode({"error": "it is so", "error_type": word})
    before = TGI.decode_error({"something new": 500}.get(word, 424 if word == "generation" else status), HEADERS, body)
    assert (before.kind, before.upstream_type) == (kind, word)
    decoder = TGI.stream_decoder()
    events = decoder.feed(token("a") + b"data:" + body + b"\n\n")
    assert spelt(events) == ["a"]
    found = failure(decoder.feed, b"")
    assert (found.kind, found.http_status, found.detail) == (kind, status, "stream_error")
    assert found.message == "it is so"


def test_the_error_object_of_the_chat_route_is_read_too() -> None:
    stream = event(error={"message": "too long", "http_status_code": 422})
    found = failure(read, TGI, stream)
    assert (found.kind, found.http_status, found.message) == ("upstream_rejected", 422, "too long")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b" ", "empty_body"),
        (b"<html>", "bad_json"),
        (b"[]", "bad_shape"),
        (b"{}", "bad_shape"),
        (b"[1]", "bad_shape"),
        (b'{"generated_text":null}', "bad_shape"),
        (b'{"error":"no","error_type":"generation"}', "stream_error"),
        (b'[{"error":"no"}]', "stream_error"),
    ],
)
def test_answers_that_are_none(body: bytes, detail: str) -> None:
    assert failure(TGI.decode_response, body).detail == detail
