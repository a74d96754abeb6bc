"""Errors of model servers: every shape they come in, and what they mean."""

from typing import Any

import pytest
from msgspec import json

from parley.wire import load
from wire.server_parts import HEADERS

WIRES = ["tgi", "tei_embed", "tei_rerank", "hf_text", "hf_features", "hf_image", "oip_infer", "oip_generate"]


@pytest.mark.parametrize("name", [*WIRES, "kserve_predict", "oip_embed"])
@pytest.mark.parametrize(
    ("status", "word", "kind", "shown"),
    [
        (400, "Empty", "upstream_rejected", 400),
        (404, None, "upstream_rejected", 404),
        (413, "Validation", "upstream_rejected", 413),
        (422, "Tokenizer", "upstream_rejected", 422),
        (424, "Backend", "upstream_error", 502),
        (429, "Overloaded", "upstream_rate_limited", 429),
        (500, None, "upstream_error", 500),
        (501, None, "upstream_error", 502),
        (503, "Unhealthy", "upstream_error", 503),
    ],
)
def test_statuses(name: str, status: int, word: str | None, kind: str, shown: int) -> None:
    found = load(name).decode_error(status, HEADERS, json.encode({"error": "because", "error_type": word}))
    assert (found.kind, found.http_status, found.upstream_type, found.wire) == (kind, shown, word, name)
    assert (found.message == "because") == (status < 500)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "text"}, "text"),
        ({"error": ["one", "two", 3]}, "one; two"),
        ({"error": {"message": "inner"}}, "inner"),
        ({"message": "flat", "code": 413, "error_type": "Validation"}, "flat"),
        ({"detail": "of a framework"}, "of a framework"),
        ({"error": None, "detail": [{"loc": []}]}, "the provider answered with status 400"),
        ("words", "words"),
        ([1], "the provider answered with status 400"),
    ],
)
def test_words(body: Any, message: str) -> None:
    assert load("tei_embed").decode_error(400, HEADERS, json.encode(body)).message == message


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"\xff"])
def test_no_json(body: bytes) -> None:
    found = load("oip_infer").decode_error(503, HEADERS, body)
    assert (found.kind, found.message) == ("upstream_error", "the provider answered with status 503")


def test_a_refused_key_is_not_quoted() -> None:
    found = load("hf_text").decode_error(401, HEADERS, b'{"error":"Invalid token hf_secret"}')
    assert found.kind == "upstream_auth"
    assert "hf_secret" not in found.message


@pytest.mark.parametrize(
    ("wait", "headers", "seconds"),
    [
        (20.5, HEADERS, 20.5),
        (0, HEADERS, 0.0),
        (900, HEADERS, 60.0),
        (-1, HEADERS, 0.0),
        (True, HEADERS, None),
        ("soon", HEADERS, None),
        (None, HEADERS, None),
        (20.5, [(b"retry-after", b"3")], 3.0),
    ],
)
def test_a_model_that_is_being_loaded_says_how_long(wait: Any, headers: Any, seconds: float | None) -> None:
    body = json.encode({"error": "Model x/y is currently loading", "estimated_time": wait})
    found = load("hf_image").decode_error(503, headers, body)
    assert (found.kind, found.http_status, found.retry_after) == ("upstream_error", 503, seconds)


def test_only_what_may_be_tried_again_has_a_time() -> None:
    body = json.encode({"error": "no", "estimated_time": 3})
    assert load("hf_image").decode_error(422, HEADERS, body).retry_after is None
