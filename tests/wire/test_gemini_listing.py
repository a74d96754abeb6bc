"""The list of models as Gemini's callers read it."""

from typing import Any

import pytest
from msgspec import json

from parley.wire.inlets import dialect_of, placed_model, placed_row
from parley.wire.listing import Listed, one, page
from wire.gemini_parts import failing

MODELS = [Listed("a", operations=("chat",)), Listed("org/b", operations=("embeddings",)), Listed("c", operations=())]


def listed(**query: str) -> Any:
    return json.decode(page("gemini", MODELS, query))


def test_the_list() -> None:
    found = listed()
    assert [model["name"] for model in found["models"]] == ["models/a", "models/org/b", "models/c"]
    assert [model["supportedGenerationMethods"] for model in found["models"]] == [
        ["generateContent", "streamGenerateContent", "countTokens"],
        ["embedContent", "batchEmbedContents"],
        [],
    ]
    assert "nextPageToken" not in found
    assert json.decode(one("gemini", MODELS[1]))["displayName"] == "org/b"


def test_pages() -> None:
    first = listed(pageSize="2")
    assert len(first["models"]) == 2
    second = listed(page_size="2", page_token=first["nextPageToken"])
    assert [model["name"] for model in second["models"]] == ["models/c"]
    assert "nextPageToken" not in second
    assert len(listed(pageSize="0")["models"]) == 3


@pytest.mark.parametrize(("query", "param"), [({"pageSize": "x"}, "pageSize"), ({"pageToken": "zz"}, "pageToken")])
def test_pages_that_are_none(query: dict[str, str], param: str) -> None:
    assert failing(page, "gemini", MODELS, query).param == param


@pytest.mark.parametrize(
    ("path", "headers", "dialect"),
    [
        (b"/v1beta/anything", (), "gemini"),
        (b"/genai/v1/models", (), "gemini"),
        (b"/v1/models", ("x-goog-api-key",), "gemini"),
        (b"/v1/models", ("x-goog-api-key", "anthropic-version"), "anthropic"),
        (b"/v1/models", (), "openai_chat"),
    ],
)
def test_whose_words_a_path_speaks(path: bytes, headers: tuple[str, ...], dialect: str) -> None:
    assert dialect_of(path, headers) == dialect


@pytest.mark.parametrize(
    ("verb", "query", "wire", "mode"),
    [
        (b"generateContent", b"", "gemini", "whole"),
        (b"streamGenerateContent", b"alt=sse", "gemini", "stream"),
        (b"streamGenerateContent", b"key=k&alt=sse", "gemini", "stream"),
        (b"streamGenerateContent", b"", "gemini_array", "stream"),
        (b"streamGenerateContent", b"alt=json", "gemini_array", "stream"),
        (b"countTokens", b"", "gemini", "whole"),
        (b"embedContent", b"", "gemini_embed", "whole"),
        (b"batchEmbedContents", b"", "gemini_embed_batch", "whole"),
    ],
)
def test_verbs(verb: bytes, query: bytes, wire: str, mode: str) -> None:
    for prefix in (b"/v1", b"/v1beta", b"/genai/v1beta"):
        path = prefix + b"/models/openai/gpt-4o%3Amini:" + verb
        row = placed_row(path, query)
        assert row is not None
        assert (row[0], row[2], row[3]) == ("gemini", wire, mode)
        assert placed_model(path + b"?" + query) == "openai/gpt-4o:mini"


def test_paths_as_the_client_writes_them_for_vertex() -> None:
    for place in (b"/projects/p/locations/l/publishers/google", b"/publishers/google"):
        target = b"/v1beta1" + place + b"/models/org/m:generateContent"
        assert placed_row(target, b"") == ("gemini", "chat", "gemini", "whole")
        assert placed_model(target) == "org/m"


def test_other_verbs_are_nothing() -> None:
    assert placed_row(b"/v1beta/models/m:predict", b"") is None
    assert placed_row(b"/v1beta/models/m", b"") is None
