"""Vectors without a model: real shapes, the same every time, both encodings alike."""

import base64
import math
import struct
from typing import Any

import pytest
from echoes import bytes_at, object_at, refused
from msgspec import json
from openai.types import CreateEmbeddingResponse

PATH = "/embeddings"


def asking(given: Any = "a b c", **members: Any) -> dict[str, Any]:
    return {"model": "echo", "input": given, **members}


async def vectors(given: Any, **members: Any) -> list[list[float]]:
    made = CreateEmbeddingResponse.model_validate(await object_at(PATH, asking(given, **members)))
    assert [item.index for item in made.data] == list(range(len(made.data)))
    return [item.embedding for item in made.data]


def length(vector: Any) -> float:
    return math.sqrt(sum(number * number for number in vector))


async def test_a_vector_of_length_one() -> None:
    made = await object_at(PATH, asking())
    (item,) = made["data"]
    assert (made["object"], made["model"], item["object"], item["index"]) == ("list", "echo", "embedding", 0)
    assert len(item["embedding"]) == 32
    assert length(item["embedding"]) == pytest.approx(1, abs=1e-6)
    assert made["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


async def test_the_same_text_has_the_same_vector_and_another_has_not() -> None:
    first, second, again = await vectors(["a b c", "a b d", "a b c"])
    assert first == again == (await vectors("a b c"))[0]
    assert sum(a * b for a, b in zip(first, second, strict=True)) < 0.9


@pytest.mark.parametrize("size", [1, 2, 33, 4096])
async def test_dimensions(size: int) -> None:
    (vector,) = await vectors("x", dimensions=size)
    assert len(vector) == size
    assert length(vector) == pytest.approx(1, abs=1e-6)


async def test_fewer_dimensions_are_the_beginning_of_more() -> None:
    (long,), (short,) = await vectors("x", dimensions=64), await vectors("x", dimensions=8)
    scale = length(long[:8])
    assert short == pytest.approx([number / scale for number in long[:8]], abs=1e-6)


@pytest.mark.parametrize("size", [None, 5])
async def test_base64_says_the_same_as_floats(size: int | None) -> None:
    asked = asking(["one", "two words", ""], **({} if size is None else {"dimensions": size}))
    floats = await object_at(PATH, {**asked, "encoding_format": "float"})
    packed = await object_at(PATH, {**asked, "encoding_format": "base64"})
    assert packed["usage"] == floats["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    for plain, coded in zip(floats["data"], packed["data"], strict=True):
        data = base64.b64decode(coded["embedding"], validate=True)
        assert list(struct.unpack(f"<{size or 32}f", data)) == plain["embedding"]


async def test_tokens() -> None:
    one, (first, second) = await vectors([1, 2, 3]), await vectors([[1, 2, 3], [4]])
    assert one == [first]
    assert first != second
    usage = (await object_at(PATH, asking([[1, 2, 3], [4]])))["usage"]
    assert usage == {"prompt_tokens": 4, "total_tokens": 4}


async def test_the_most_items_there_may_be_come_in_pieces() -> None:
    _, content = await bytes_at(PATH, asking(["x"] * 2048, dimensions=4))
    assert len(json.decode(content)["data"]) == 2048


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"model": "echo"}, "input"),
        ({"input": "x"}, "model"),
        (asking([]), "input"),
        (asking(5), "input"),
        (asking({}), "input"),
        (asking(None), "input"),
        (asking(["a", 1]), "input[1]"),
        (asking([1, "a"]), "input[0]"),
        (asking([[1], []]), "input[1]"),
        (asking([[1.5]]), "input[0]"),
        (asking([True]), "input[0]"),
        (asking(["a"] * 2049), "input"),
        (asking(dimensions=0), "dimensions"),
        (asking(dimensions=-1), "dimensions"),
        (asking(dimensions=4097), "dimensions"),
        (asking(dimensions=10**30), "dimensions"),
        (asking(dimensions=1.5), "dimensions"),
        (asking(dimensions="8"), "dimensions"),
        (asking(dimensions=True), "dimensions"),
        (asking(["a"] * 2048, dimensions=1024), "dimensions"),
        (asking(encoding_format="int8"), "encoding_format"),
        (asking(encoding_format=1), "encoding_format"),
    ],
)
async def test_what_does_not_fit_is_named(asked: dict[str, Any], param: str) -> None:
    assert (await refused(PATH, asked)).param == param
