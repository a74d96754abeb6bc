"""Image workers of a computing node."""

from typing import Any

import pytest
from msgspec import json

from parley.ir import ImageRequest, Picture
from parley.wire import load
from wire.server_parts import HEADERS, failure

WIRE = load("image_worker")


def picture(**more: Any) -> ImageRequest:
    return ImageRequest(wire="openai_images", model="m", prompt="a cat", **more)


def test_a_prompt_leaves() -> None:
    made = WIRE.encode_request(picture(n=2, size="640x480", answer="b64_json"), {})
    assert made.body == {
        "model": "m",
        "prompt": "a cat",
        "n": 2,
        "size": "640x480",
        "width": 640,
        "height": 480,
        "response_format": "b64_json",
    }
    assert made.dropped == ()
    assert WIRE.encode_request(picture(size="auto"), {}).body == {"model": "m", "prompt": "a cat", "n": 1}


def test_what_a_worker_cannot_do_is_listed_or_refused() -> None:
    made = WIRE.encode_request(picture(quality="hd", format="webp", seed=1, user="u", extra={"odd": 1}), {})
    assert made.dropped == ("quality", "output_format", "seed", "user", "odd")
    assert failure(WIRE.encode_request, picture(size="big"), {}).param == "size"


@pytest.mark.parametrize("code", [{}, {"code": 0, "message": "ok"}, {"code": None}])
def test_pictures_come(code: dict[str, Any]) -> None:
    data = [{"b64_json": "AAAA", "url": ""}, {"url": "http://h/x.png", "revised_prompt": "two cats"}]
    found = WIRE.decode_response(json.encode({**code, "created": 5, "data": data}))
    assert found.pictures == (Picture("AAAA"), Picture(None, "http://h/x.png", None, "two cats"))
    assert found.created == 5


def test_a_code_is_a_refusal_whatever_the_status() -> None:
    body = json.encode({"code": 1007, "message": "out of memory", "data": None})
    found = failure(WIRE.decode_response, body)
    assert (found.kind, found.message, found.upstream_code) == ("upstream_error", "out of memory", "1007")
    found = WIRE.decode_error(400, HEADERS, body)
    assert (found.kind, found.message, found.upstream_code) == ("upstream_rejected", "out of memory", "1007")
    assert WIRE.decode_error(401, HEADERS, body).upstream_code is None
    assert WIRE.decode_error(500, HEADERS, b"<html>").kind == "upstream_error"
    assert "7" in failure(WIRE.decode_response, b'{"code":7}').message


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty_body"),
        (b"<", "bad_json"),
        (b"[]", "bad_shape"),
        (b"{}", "bad_shape"),
        (b'{"data":[]}', "bad_shape"),
        (b'{"data":[{}]}', "bad_shape"),
        (b'{"data":[{"url":1}]}', "bad_shape"),
        (b'{"error":{"message":"no"}}', "stream_error"),
    ],
)
def test_answers_that_hold_no_picture(body: bytes, detail: str) -> None:
    assert failure(WIRE.decode_response, body).detail == detail
