"""Embeddings, images, audio, moderations and rerank: looks into answers and events, and errors."""

from typing import Any

import pytest
from msgspec import json

from parley.failure import Failure, ParleyError
from parley.ir import Delta, Usage
from parley.wire import WIRES, Reply, load, unspoken

NAMES = [name for name, place in WIRES.items() if ".openai_media:" in place]
EACH = [pytest.param(load(name), id=name) for name in NAMES]
USED = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}


def failure(call: Any, *arguments: Any) -> Failure:
    with pytest.raises(ParleyError) as caught:
        call(*arguments)
    return caught.value.failure


def test_there_are_six() -> None:
    assert NAMES == [
        "openai_embeddings",
        "openai_images",
        "openai_speech",
        "openai_transcriptions",
        "openai_moderations",
        "rerank",
    ]
    assert [load(name).name for name in NAMES] == NAMES


@pytest.mark.parametrize("wire", EACH)
def test_what_has_no_canonical_form_is_not_translated(wire: Any) -> None:
    calls = (wire.decode_request, wire.decode_response, wire.encode_response, wire.encode_request)
    if wire.name in ("openai_embeddings", "openai_images", "rerank"):
        assert unspoken not in calls
    else:
        assert {failure(call, b"{}").kind for call in calls} == {"not_implemented"}
    assert failure(wire.stream_decoder).kind == "not_implemented"
    encoder = wire.stream_encoder(Reply(model="m", id="r", created=1))
    assert failure(encoder.feed, Delta(0, 0, "text", "x")).kind == "not_implemented"


@pytest.mark.parametrize("wire", EACH)
def test_errors_have_the_shape_of_the_api(wire: Any) -> None:
    status, body = wire.encode_error(Failure("invalid_request", "words", param="input"), "r")
    error = {"message": "words", "type": "invalid_request_error", "param": "input", "code": "invalid_request"}
    assert (status, json.decode(body)) == (400, {"error": error})
    own = b'{"error": {"message": "m", "type": "t", "param": null, "code": "c"}}'
    assert wire.encode_error(wire.decode_error(422, [], own), "r") == (422, own)
    assert wire.decode_error(429, [], b'{"message": "slow down"}').message == "slow down"
    sent = wire.stream_encoder(Reply(model="m", id="r", created=1)).fail(Failure("upstream_incomplete", "cut"))
    assert sent.startswith(b"data: ")
    assert json.decode(sent[6:])["error"]["code"] == "upstream_incomplete"
    assert sent.endswith(b"\n\n")


@pytest.mark.parametrize(
    ("name", "demand", "count"),
    [
        ("openai_embeddings", "input", 5),
        ("openai_images", "prompt", 23),
        ("openai_speech", "input", 7),
        ("openai_transcriptions", None, 14),
        ("openai_moderations", "input", 2),
        ("rerank", "query", 8),
    ],
)
def test_members(name: str, demand: str | None, count: int) -> None:
    wire = load(name)
    assert len(wire.known) == count
    assert (wire.demands and wire.demands.name) == demand
    assert demand is None or demand in wire.known
    assert set(wire.rename) <= wire.known
    assert {"model", "stream", "stream_format", "file", "image"}.isdisjoint(wire.rename)
    assert all(before == after for before, after in wire.rename.items())


def test_how_a_stream_is_asked_for() -> None:
    asked = {name: load(name).stream_member for name in NAMES}
    assert asked.pop("openai_speech") == ("stream_format", b'"sse"')
    assert set(asked.values()) == {("stream", b"true")}
    assert [name for name in NAMES if load(name).free_form] == ["openai_speech", "openai_transcriptions"]


# Whole answers


@pytest.mark.parametrize(
    ("name", "body", "usage"),
    [
        ("openai_embeddings", {"data": [], "usage": {"prompt_tokens": 3, "total_tokens": 3}}, Usage(3, 0)),
        ("openai_embeddings", {"data": [], "usage": {"total_tokens": 3}}, Usage(3, 0)),
        ("openai_embeddings", {"data": [], "usage": {"prompt_tokens": 3.0, "x": 1}}, Usage(3, 0)),
        ("openai_embeddings", {"data": [], "usage": {}}, None),
        ("openai_embeddings", {"data": [], "usage": None}, None),
        ("openai_embeddings", {"data": [], "usage": "many"}, None),
        ("openai_embeddings", {"data": [], "error": None}, None),
        ("openai_images", {"data": [{"url": "x"}], "usage": USED}, Usage(3, 4, images=1)),
        ("openai_images", {"data": [{"url": "x"}, {"url": "y"}]}, Usage(images=2, estimated=True)),
        (
            "openai_images",
            {"data": [{}], "usage": {**USED, "input_tokens_details": {"image_tokens": 1, "text_tokens": 2}}},
            Usage(3, 4, images=1, image_input=1),
        ),
        ("openai_images", {"data": []}, None),
        ("openai_moderations", {"results": [{}]}, None),
        ("rerank", {"results": [], "usage": {"total_tokens": 9}}, Usage(9, 0)),
        ("rerank", {"results": [], "meta": {"tokens": {"input_tokens": 5}, "billed_units": {}}}, Usage(5, 0)),
        ("rerank", {"results": [], "meta": {"billed_units": {"search_units": 1}}}, None),
        ("rerank", {"results": [], "meta": 5}, None),
        ("rerank", {"data": []}, None),
        ("rerank", [{"index": 0, "score": 0.5}], None),
        ("openai_transcriptions", {"text": "x", "usage": {"type": "tokens", **USED}}, Usage(3, 4)),
        ("openai_transcriptions", {"text": "x", "usage": {"type": "duration", "seconds": 2.5}}, Usage(seconds=2.5)),
        (
            "openai_transcriptions",
            {"text": "x", "usage": {"type": "tokens", **USED, "input_token_details": {"audio_tokens": 2}}},
            Usage(3, 4, audio_input=2),
        ),
    ],
)
def test_usage(name: str, body: Any, usage: Usage | None) -> None:
    assert load(name).check_answer(json.encode(body)) == usage
    assert (
        load(name).check_answer(json.format(json.encode({"z": "\u00fc", **body} if isinstance(body, dict) else body)))
        == usage
    )


@pytest.mark.parametrize("name", [name for name in NAMES if not load(name).free_form])
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty_body"),
        (b"\n", "empty_body"),
        (b"<html>", "bad_json"),
        (b'{"data": [', "bad_json"),
        (b'{"data": [], "results": [], "x": "\xff"}', "bad_json"),
        (b'"data"', "bad_shape"),
        (b"{}", "bad_shape"),
        (b'{"data": null, "results": {}}', "bad_shape"),
        (b'{"error": {"message": "m"}}', "stream_error"),
        (b'{"error": "m", "data": [], "results": []}', "stream_error"),
    ],
)
def test_answers_that_are_none(name: str, body: bytes, detail: str) -> None:
    assert failure(load(name).check_answer, body).detail == detail


@pytest.mark.parametrize("name", ["openai_embeddings", "openai_images", "openai_moderations"])
def test_a_bare_list_is_no_answer(name: str) -> None:
    assert failure(load(name).check_answer, b"[]").detail == "bad_shape"


@pytest.mark.parametrize("body", [b"[", b'["\xff"]'])
def test_a_broken_list_of_ranks(body: bytes) -> None:
    assert failure(load("rerank").check_answer, body).detail == "bad_json"


@pytest.mark.parametrize("name", ["openai_speech", "openai_transcriptions"])
@pytest.mark.parametrize(
    "body",
    [b"RIFF\0\xff\xfe", b"ID3", b"\n", b"1\n00:00:00,000 --> 00:00:01,000\nhi\n\n", b"{not json", b'{"text": ""}'],
)
def test_sound_and_text_pass(name: str, body: bytes) -> None:
    assert load(name).check_answer(body) is None


@pytest.mark.parametrize("name", ["openai_speech", "openai_transcriptions"])
def test_sound_and_text_that_are_none(name: str) -> None:
    assert failure(load(name).check_answer, b"").detail == "empty_body"
    found = failure(load(name).check_answer, b'{"error": {"message": "busy", "type": "overloaded_error"}}')
    assert (found.detail, found.message) == ("stream_error", "busy")


# Events


@pytest.mark.parametrize("wire", EACH)
@pytest.mark.parametrize(
    ("data", "mark", "usage"),
    [
        ({"type": "image_generation.partial_image", "b64_json": "QQ==", "partial_image_index": 0}, "content", None),
        ({"type": "image_generation.completed", "b64_json": "QQ==", "usage": USED}, "content finished", Usage(3, 4)),
        ({"type": "image_edit.partial_image", "b64_json": "QQ=="}, "content", None),
        ({"type": "image_edit.completed", "b64_json": "QQ=="}, "content finished", None),
        ({"type": "image_generation.completed", "url": "https://x"}, "content finished", None),
        ({"type": "speech.audio.delta", "audio": "QQ=="}, "content", None),
        ({"type": "speech.audio.done", "usage": USED}, "finished", Usage(3, 4)),
        ({"type": "transcript.text.delta", "delta": "a"}, "content", None),
        ({"type": "transcript.text.delta", "delta": ""}, "", None),
        ({"type": "transcript.text.segment", "text": "a"}, "content", None),
        (
            {"type": "transcript.text.done", "text": "a", "usage": {"type": "tokens", **USED}},
            "content finished",
            Usage(3, 4),
        ),
        (
            {"type": "transcript.text.done", "text": "", "usage": {"type": "duration", "seconds": 1}},
            "finished",
            Usage(seconds=1.0),
        ),
        ({"type": "speech.audio.done", "usage": "many"}, "finished", None),
        ({"choices": [{"delta": {"content": "a"}}]}, "content", None),
        ({"choices": [{"delta": {}, "finish_reason": "stop"}]}, "content finished", None),
        ({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}, "", Usage(1, 2)),
        ({"type": "something.new"}, "", None),
        ({"type": 5}, "", None),
    ],
)
def test_a_glance(wire: Any, data: dict[str, Any], mark: str, usage: Usage | None) -> None:
    found = wire.glance("", json.encode(data))
    told = [word for word in ("content", "finished", "end") if getattr(found, word)]
    assert (" ".join(told), found.usage, found.failure) == (mark, usage, None)


@pytest.mark.parametrize("wire", EACH)
def test_the_name_of_an_event_counts_where_the_data_have_none(wire: Any) -> None:
    assert wire.glance("image_generation.completed", b'{"b64_json":"QQ=="}').finished
    assert not wire.glance("image_generation.partial_image", b'{"b64_json":"QQ=="}').finished


@pytest.mark.parametrize("wire", EACH)
def test_the_end_is_told_by_done_alone(wire: Any) -> None:
    assert wire.glance("", b"[DONE]").end
    assert wire.terminator == b""
    assert not wire.glance("", b'{"type":"image_generation.completed","b64_json":"QQ=="}').end


@pytest.mark.parametrize("wire", EACH)
@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("", {"error": {"message": "busy", "type": "overloaded_error"}}),
        ("error", {"error": {"message": "busy", "type": "overloaded_error"}}),
        ("", {"type": "error", "error": {"message": "busy", "type": "overloaded_error"}}),
        ("error", {"message": "busy", "code": "overloaded_error"}),
        ("", {"type": "error", "message": "busy", "code": "overloaded_error"}),
    ],
)
def test_an_error_event(wire: Any, event: str, data: dict[str, Any]) -> None:
    found = wire.glance(event, json.encode(data)).failure
    assert found is not None
    assert (found.message, found.http_status, found.detail) == ("busy", 529, "stream_error")


@pytest.mark.parametrize("wire", EACH)
@pytest.mark.parametrize("data", [b"", b"{", b"5", b"[]", b'{"x": "\xff"}'])
def test_a_glance_at_something_broken(wire: Any, data: bytes) -> None:
    assert failure(wire.glance, "", data).detail == "bad_event"
