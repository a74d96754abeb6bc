"""Images without a model: real PNG files, checked by a decoder of our own, in answers, events and forms."""

import base64
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from echoes import events_at, form, object_at, refused
from openai.types import ImageEditStreamEvent, ImageGenStreamEvent, ImagesResponse
from pydantic import TypeAdapter

MADE, EDITED, VARIED = "/images/generations", "/images/edits", "/images/variations"


def asking(prompt: Any = "a red fox", **members: Any) -> dict[str, Any]:
    return {"model": "echo", "prompt": prompt, **members}


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents; every checksum must be right."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at = 8
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + size]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + size)
        assert checksum == zlib.crc32(name + content)
        yield name, content
        at += 12 + size


def picture(data: bytes) -> tuple[tuple[int, int], list[bytes], dict[bytes, bytes]]:
    """Size, rows of colour numbers, and all chunks. Rows are unfiltered as RFC 2083 section 6 says."""
    found = list(chunks(data))
    assert found[0][0] == b"IHDR"
    assert found[-1] == (b"IEND", b"")
    parts = dict(found)
    width, height, depth, colours, compression, filters, interlace = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    assert (depth, colours, compression, filters, interlace) == (2, 3, 0, 0, 0)
    raw, stride = zlib.decompress(parts[b"IDAT"]), (width + 3) // 4
    assert len(raw) == height * (stride + 1)
    rows, above = [], bytes(stride)
    for at in range(0, len(raw), stride + 1):
        kind, line = raw[at], raw[at + 1 : at + 1 + stride]
        assert kind in (0, 2)
        above = line if kind == 0 else bytes((a + b) % 256 for a, b in zip(line, above, strict=True))
        rows.append(bytes(byte >> shift & 3 for byte in above for shift in (6, 4, 2, 0))[:width])
    assert max(map(max, rows)) < len(parts[b"PLTE"]) // 3
    return (width, height), rows, parts


async def images(path: str, members: Any) -> list[bytes]:
    made = ImagesResponse.model_validate(await object_at(path, members))
    assert made.data is not None
    return [base64.b64decode(image.b64_json or "", validate=True) for image in made.data]


async def test_a_generation() -> None:
    made = await object_at(MADE, asking(size="64x48", response_format="b64_json"))
    parsed = ImagesResponse.model_validate(made)
    assert (parsed.size, parsed.output_format, parsed.background, parsed.quality) == ("64x48", "png", "opaque", "low")
    assert made["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"text_tokens": 3, "image_tokens": 0},
        "output_tokens": 1,
        "total_tokens": 4,
    }
    (image,) = made["data"]
    assert set(image) == {"b64_json"}
    size, rows, parts = picture(base64.b64decode(image["b64_json"]))
    assert size == (64, 48)
    assert len(set(rows)) > 1
    assert all(row == row[::-1] for row in rows)
    assert parts[b"iTXt"] == b"Description\0\0\0\0\0a red fox"


@pytest.mark.parametrize("size", ["1x1", "7x3", "3x200", "1792x1024", "4096x2"])
async def test_any_size(size: str) -> None:
    (image,) = await images(MADE, asking(size=size))
    assert "x".join(map(str, picture(image)[0])) == size


@pytest.mark.parametrize("members", [{}, {"size": "auto"}, {"size": None}])
async def test_the_usual_size(members: dict[str, Any]) -> None:
    (image,) = await images(MADE, asking(**members))
    assert picture(image)[0] == (1024, 1024)
    assert len(image) < 8192


async def test_the_prompt_decides() -> None:
    first, other = await images(MADE, asking(size="8x8")), await images(MADE, asking("a fox", size="8x8"))
    assert first == await images(MADE, asking(size="8x8"))
    assert first != other


async def test_several_images_differ() -> None:
    found = await images(MADE, asking(n=10, size="16x16"))
    assert len(set(found)) == len(found) == 10


async def test_both_ways_where_none_is_asked_for() -> None:
    (both,) = (await object_at(MADE, asking(size="8x8")))["data"]
    assert both["url"] == f"data:image/png;base64,{both['b64_json']}"
    (url,) = (await object_at(MADE, asking(size="8x8", response_format="url")))["data"]
    assert url == {"url": both["url"]}


async def test_a_transparent_background() -> None:
    made = await object_at(MADE, asking(size="8x8", background="transparent"))
    assert made["background"] == "transparent"
    assert picture(base64.b64decode(made["data"][0]["b64_json"]))[2][b"tRNS"] == b"\0"
    (opaque,) = await images(MADE, asking(size="8x8", background="opaque"))
    assert b"tRNS" not in picture(opaque)[2]


async def test_a_prompt_that_is_long_and_not_ascii() -> None:
    (image,) = await images(MADE, asking("\u00fc" * 3000, size="8x8"))
    assert picture(image)[2][b"iTXt"] == b"Description\0\0\0\0\0" + ("\u00fc" * 1000).encode()


@pytest.mark.parametrize(("partials", "count"), [(0, 1), (2, 1), (3, 2)])
async def test_a_stream(partials: int, count: int) -> None:
    members = asking(stream=True, partial_images=partials, n=count, size="32x16", quality="high")
    found = await events_at(MADE, members)
    part, whole = "image_generation.partial_image", "image_generation.completed"
    assert [name for name, _ in found] == ([part] * partials + [whole]) * count
    for name, data in found:
        event: Any = TypeAdapter(ImageGenStreamEvent).validate_python(data)
        assert event.type == name == data["type"]
        assert (event.size, event.quality, event.background) == ("32x16", "high", "opaque")
        assert picture(base64.b64decode(event.b64_json))[0] == (32, 16)
    places = [data["partial_image_index"] for name, data in found if name == part]
    assert places == list(range(partials)) * count
    final = [data for name, data in found if name == whole]
    assert [data["usage"]["output_tokens"] for data in final] == list(range(1, count + 1))
    assert final[-1]["usage"]["total_tokens"] == 3 + count
    still = await images(MADE, asking(n=count, size="32x16"))
    assert [base64.b64decode(data["b64_json"]) for data in final] == still


async def test_an_edit() -> None:
    (given,) = await images(MADE, asking(size="20x10"))
    made = await object_at(EDITED, ({"model": "echo", "prompt": "more", "n": "2"}, {"image": given, "mask": b"m"}))
    assert (made["size"], len(made["data"])) == ("20x10", 2)
    details = {"text_tokens": 1, "image_tokens": 1}
    assert made["usage"] == {
        "input_tokens": 2, "input_tokens_details": details, "output_tokens": 2, "total_tokens": 4,
    }  # fmt: skip
    image = base64.b64decode(made["data"][0]["b64_json"])
    assert picture(image)[0] == (20, 10)
    assert image != given
    other = await images(EDITED, ({"model": "echo", "prompt": "more", "size": "20x10"}, {"image": b"another"}))
    assert other[0] != image


async def test_an_edit_of_several_images() -> None:
    fields = {"model": "echo", "prompt": "join", "size": "8x8", "stream": "true", "partial_images": "1"}
    found = await events_at(EDITED, (fields, [("image[]", b"one"), ("image[]", b"two")]))
    assert [name for name, _ in found] == ["image_edit.partial_image", "image_edit.completed"]
    for _, data in found:
        event: Any = TypeAdapter(ImageEditStreamEvent).validate_python(data)
        assert picture(base64.b64decode(event.b64_json))[0] == (8, 8)
    assert found[-1][1]["usage"]["input_tokens_details"] == {"text_tokens": 1, "image_tokens": 2}


async def test_a_variation() -> None:
    (given,) = await images(MADE, asking(size="256x256"))
    first, second = await images(VARIED, ({"model": "echo", "n": "2"}, {"image": given}))
    assert picture(first)[0] == picture(second)[0] == (256, 256)
    assert len({given, first, second}) == 3
    (url,) = (await object_at(VARIED, ({"response_format": "url", "size": "512x512"}, {"image": given})))["data"]
    assert picture(base64.b64decode(url["url"].partition(",")[2]))[0] == (512, 512)


async def test_an_image_whose_size_is_absurd_does_not_decide() -> None:
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 1 << 31, 5)
    (image,) = await images(VARIED, ({}, {"image": huge}))
    assert picture(image)[0] == (1024, 1024)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"n": "2"}, "n"),
        ({"size": "big"}, "size"),
        ({"size": "0x8"}, "size"),
        ({"size": "4097x8"}, "size"),
        ({"size": "-8x8"}, "size"),
        ({"size": 8}, "size"),
        ({"response_format": "png"}, "response_format"),
        ({"output_format": "webp"}, "output_format"),
        ({"output_format": "bmp"}, "output_format"),
        ({"background": "blue"}, "background"),
        ({"quality": "best"}, "quality"),
        ({"partial_images": 4, "stream": True}, "partial_images"),
        ({"partial_images": -1}, "partial_images"),
        ({"stream": "true"}, "stream"),
        ({"stream": 1}, "stream"),
    ],
)
async def test_what_a_generation_cannot_be(members: dict[str, Any], param: str) -> None:
    assert (await refused(MADE, asking(**members))).param == param


@pytest.mark.parametrize(
    ("path", "fields", "files", "param"),
    [
        (EDITED, {"prompt": "x"}, [], "image"),
        (EDITED, {"prompt": "x"}, [("image", b"")], "image"),
        (EDITED, {"prompt": "x", "image": "text"}, [], "image"),
        (EDITED, {}, [("image", b"i")], "prompt"),
        (EDITED, {"prompt": ["x", "y"]}, [("image", b"i")], "prompt"),
        (EDITED, {}, [("image", b"i"), ("prompt", b"p")], "prompt"),
        (EDITED, {"prompt": "x", "mask": "m"}, [("image", b"i")], "mask"),
        (EDITED, {"prompt": "x", "n": "many"}, [("image", b"i")], "n"),
        (EDITED, {"prompt": "x", "n": "1.5"}, [("image", b"i")], "n"),
        (EDITED, {"prompt": "x", "n": ""}, [("image", b"i")], "n"),
        (EDITED, {"prompt": "x", "stream": "yes"}, [("image", b"i")], "stream"),
        (EDITED, {"prompt": "x"}, [("image", b"i")] * 17, "image"),
        (VARIED, {}, [("image", b"i"), ("image", b"j")], "image"),
        (VARIED, {"size": "x"}, [("image", b"i")], "size"),
    ],
)
async def test_what_a_form_cannot_be(
    path: str, fields: dict[str, Any], files: list[tuple[str, bytes]], param: str
) -> None:
    assert (await refused(path, (fields, files))).param == param


async def test_the_form_of_these_tests_is_one() -> None:
    body, kind = form({"a": "b"}, {"c": b"d"})
    assert kind.startswith(b"multipart/form-data; boundary=")
    assert body.count(b"--a-boundary\r\n") == 2
