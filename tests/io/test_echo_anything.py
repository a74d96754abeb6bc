"""Whatever it is asked, the echo model answers or refuses; it never fails."""

from typing import Any

import pytest
from echoes import JSON, asked, form
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from msgspec import json
from servers import Waiting

from parley.config.environment import echo
from parley.failure import Failure
from parley.io.echo import OPERATIONS, operation_at
from parley.operations import OPERATIONS as KNOWN

FORMS = [f"/{path}" for path in ("images/edits", "images/variations", "audio/transcriptions", "audio/translations")]
OBJECTS = sorted({path.decode() for path in OPERATIONS} - set(FORMS))
FEW = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
NAMES = (
    "model", "input", "prompt", "query", "documents", "dimensions", "encoding_format", "n", "size", "voice", "speed",
    "response_format", "temperature", "include", "timestamp_granularities", "stream", "stream_format",
    "top_n", "messages", "quality", "background", "partial_images",
)  # fmt: skip
VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False)
    | some.text(max_size=8) | some.sampled_from(["echo", "wav", "url", "sse", "8x8", "auto", "float", "user"]),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from(NAMES), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


TEXTS = some.text(max_size=6) | some.sampled_from(
    ["1", "8x8", "true", "wav", "url", "json", "srt", "vtt", "verbose_json", "text", "word", "logprobs", "0.5"]
)


def check(ear: Waiting) -> None:
    (end,) = ear.ended
    if end == "done":
        assert ear.status == 200
        assert ear.content
    else:
        assert isinstance(end, Failure)
        assert (end.http_status, ear.status) == (400, 0)


@pytest.mark.parametrize("path", OBJECTS)
@FEW
@given(members=some.dictionaries(some.sampled_from(NAMES), VALUES, max_size=6))
async def test_any_object(path: str, members: dict[str, Any]) -> None:
    check(await asked(path, json.encode({"model": "echo", "input": "x", "prompt": "x", **members}), JSON))


@pytest.mark.parametrize("path", FORMS)
@FEW
@given(
    fields=some.dictionaries(some.sampled_from([*NAMES, "include[]", "timestamp_granularities[]"]), TEXTS, max_size=5),
    data=some.binary(max_size=60) | some.binary(max_size=60).map(lambda data: b"RIFF\0\0\0\0WAVE" + data),
)
async def test_any_form(path: str, fields: dict[str, str], data: bytes) -> None:
    name = "image" if "images" in path else "file"
    body, kind = form({"model": "echo", "prompt": "x", **fields}, {name: data or b"x"})
    check(await asked(path, body, kind))


def test_the_provider_offers_what_there_is() -> None:
    paths = {name: path for name, path in echo().paths.items() if name != "models"}
    assert set(paths) == set(KNOWN) - {"completions", "responses"}
    made = {operation_at(f"/v1{path}?x=/rerank".encode()).__name__ for path in paths.values()}
    assert len(made) == len(paths) == len(OPERATIONS)


async def test_a_file_of_empty_chunks_is_soon_done() -> None:
    body, kind = form({"model": "echo"}, {"file": b"RIFF\0\0\0\0WAVE" + bytes(1 << 23)})
    ear = await asked("/audio/transcriptions", body, kind)
    assert json.decode(ear.whole[1])["text"] == f"file.bin, {(1 << 23) + 12} bytes"
