"""Task pipelines: texts to vectors however deep, prompts to pictures."""

import base64
from typing import Any

import pytest
from msgspec import ValidationError, json

from parley.ir import EmbedRequest, ImageRequest, Picture
from parley.wire import load
from wire.server_parts import failure, fitted

FEATURES, PICTURES = load("hf_features"), load("hf_image")
PNG = b"\x89PNG\r\n\x1a\n rest"


def embed(*inputs: Any, **more: Any) -> EmbedRequest:
    return EmbedRequest(wire="openai_embeddings", model="m", inputs=inputs, **more)


def picture(**more: Any) -> ImageRequest:
    return ImageRequest(wire="openai_images", model="m", prompt="a cat", **more)


def test_texts_leave_as_a_list_so_that_the_depth_of_the_answer_tells() -> None:
    assert FEATURES.encode_request(embed("a", single=True), {}).body == {"inputs": ["a"]}
    made = FEATURES.encode_request(embed("a", "b", dimensions=3, user="u", purpose="query", truncate=True), {})
    assert made.body == {"inputs": ["a", "b"], "truncate": True}
    assert made.dropped == ("dimensions", "user", "input_type")
    told = fitted("hf_features", normalize=True, prompts={"query": "q"})
    assert told.encode_request(embed("a", purpose="query"), {}).body == {
        "inputs": ["a"],
        "normalize": True,
        "prompt_name": "q",
    }
    assert failure(FEATURES.encode_request, embed((1,), single=True), {}).param == "input"


TOKENS = [[1, 2], [3, -4]]


@pytest.mark.parametrize(
    ("answer", "pooling", "vectors"),
    [
        ([[1, 2], [3, 4]], "mean", ((1.0, 2.0), (3.0, 4.0))),
        ([TOKENS], "mean", ((2.0, -1.0),)),
        ([TOKENS], "first", ((1.0, 2.0),)),
        ([TOKENS], "last", ((3.0, -4.0),)),
        ([TOKENS], "max", ((3.0, 2.0),)),
        ([[TOKENS], [TOKENS]], "mean", ((2.0, -1.0), (2.0, -1.0))),
        ([[[1, 2]]], "mean", ((1.0, 2.0),)),
        ([TOKENS, [[5, 6]]], "mean", ((2.0, -1.0), (5.0, 6.0))),
    ],
)
def test_vectors_of_tokens_are_pooled(answer: Any, pooling: str, vectors: Any) -> None:
    assert fitted("hf_features", pooling=pooling).decode_response(json.encode(answer)).vectors == vectors


def test_pooling_is_one_of_the_four() -> None:
    with pytest.raises(ValidationError, match="pooling"):
        fitted("hf_features", pooling="median")


@pytest.mark.parametrize(
    "body", [b"[]", b"[[]]", b"[[[]]]", b"[[[1,2],[3]]]", b'["a"]', b"[[[[[1]]]]]", b"{}", b"[[null]]", b"[1,[2]]"]
)
def test_answers_without_vectors(body: bytes) -> None:
    assert failure(FEATURES.decode_response, body).detail == "bad_shape"


def test_a_prompt_leaves() -> None:
    made = PICTURES.encode_request(picture(n=1, size="640x480", seed=7, format="png", answer="b64_json"), {})
    assert made.body == {"inputs": "a cat", "parameters": {"width": 640, "height": 480, "seed": 7}}
    assert made.dropped == ()
    assert PICTURES.encode_request(picture(size="auto"), {}).body == {"inputs": "a cat"}


def test_what_a_pipeline_cannot_do_is_listed_or_refused() -> None:
    made = PICTURES.encode_request(
        picture(quality="hd", style="vivid", background="auto", user="u", format="webp", extra={"odd": 1}), {}
    )
    assert made.body == {"inputs": "a cat"}
    assert made.dropped == ("quality", "style", "background", "user", "output_format", "odd")
    found = failure(PICTURES.encode_request, picture(n=2), {})
    assert (found.kind, found.param) == ("invalid_request", "n")


@pytest.mark.parametrize("size", ["big", "640", "640x", "x480", "0x4", "-1x4", "6 x4", "1000000x1", "٣x٣"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    assert failure(PICTURES.encode_request, picture(size=size), {}).param == "size"


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0 rest", "image/jpeg"),
        (b"GIF89a rest", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBP rest", "image/webp"),
    ],
)
def test_the_picture_comes_as_it_is(data: bytes, media_type: str) -> None:
    found = PICTURES.decode_response(data)
    assert found.pictures == (Picture(base64.b64encode(data).decode(), None, media_type),)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty_body"),
        (b"\x00\x01", "bad_json"),
        (b"{}", "bad_shape"),
        (b"RIFF\x00\x00\x00\x00WAVE", "bad_json"),
        (b'{"error":"Model is loading","estimated_time":3}', "stream_error"),
    ],
)
def test_answers_that_are_no_picture(body: bytes, detail: str) -> None:
    assert failure(PICTURES.decode_response, body).detail == detail
