"""Images: generations, edits and variations. A real PNG at the asked size, its colours and cells taken from the
prompt's hash (and the given image's), the prompt itself as its description.

Where the caller does not say how it wants them, images come both as ``b64_json`` and as a ``data:`` URL, since real
models differ. Usage counts words, and images as one each. Source of the shapes: surface contract section 7.
"""

import hashlib
import re
import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct, json

from parley.failure import invalid
from parley.framing import sse
from parley.io.echo.asked import EVENTS, JSON, Ask, Fields, Said, form_of, object_of
from parley.io.echo.png import drawn, size_of
from parley.multipart import Part

LARGEST: Final = 4096
USUAL: Final = (1024, 1024)
CELLS: Final = 8
MOST_IMAGES: Final = 10
MOST_FILES: Final = 16
# A partial image is a coarser one.
_PARTIAL_CELLS: Final = (1, 2, 4)
_SIZE: Final = re.compile(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,3})")
_QUALITIES: Final = ("low", "medium", "high", "xhigh", "max")
_ANY_QUALITY: Final = (*_QUALITIES, "auto", "standard", "hd")


class _Wish(Struct, frozen=True, kw_only=True):
    """What is to be drawn. ``told`` are the members that answers and events have in common."""

    event: str
    prompt: str
    seed: bytes
    size: tuple[int, int]
    count: int
    form: str | None
    told: dict[str, Any]
    usage: dict[str, Any]

    def image(self, index: int, cells: int = CELLS) -> bytes:
        """The image of that number, as base64."""
        seed = hashlib.sha256(self.seed + index.to_bytes(2, "big")).digest()
        transparent = self.told["background"] == "transparent"
        return b64encode(drawn(self.size, seed, cells, self.prompt, transparent=transparent))


def generation(ask: Ask) -> Said:
    """Images from a prompt."""
    fields = object_of(ask)
    return _answer(fields, _wish(fields, "image_generation", fields.need("prompt"), []))


def edit(ask: Ask) -> Said:
    """Images from a prompt and images."""
    fields = form_of(ask)
    given, prompt = fields.files("image"), fields.need("prompt")
    if len(given) > MOST_FILES:
        raise invalid(f"image must be at most {MOST_FILES} files", "image")
    if fields.given("mask") is not None:
        raise invalid("mask must be a file", "mask")
    return _answer(fields, _wish(fields, "image_edit", prompt, given))


def variation(ask: Ask) -> Said:
    """Images from an image."""
    fields = form_of(ask)
    wish = _wish(fields, "", "", [fields.file("image")])
    return Said(JSON, _whole(wish))


def _answer(fields: Fields, wish: _Wish) -> Said:
    partials = fields.whole("partial_images", 0, len(_PARTIAL_CELLS)) or 0
    if fields.flag("stream"):
        return Said(EVENTS, _events(wish, partials))
    return Said(JSON, _whole(wish))


def _wish(fields: Fields, event: str, prompt: str, given: list[Part]) -> _Wish:
    form = fields.word("output_format", ("png", "webp", "jpeg", "gif", "svg"))
    if form not in (None, "png"):
        raise invalid(f"echo draws png only, not {form}", "output_format")
    size, count = _size(fields, given), fields.whole("n", 1, MOST_IMAGES) or 1
    background = fields.word("background", ("transparent", "opaque", "auto"))
    quality = fields.word("quality", _ANY_QUALITY)
    parts = b"".join(hashlib.sha256(part.data).digest() for part in given)
    words = len(prompt.split())
    return _Wish(
        event=event,
        prompt=prompt,
        seed=hashlib.sha256(prompt.encode()).digest() + parts,
        size=size,
        count=count,
        form=fields.word("response_format", ("url", "b64_json")),
        told={
            "background": "transparent" if background == "transparent" else "opaque",
            "output_format": "png",
            "quality": quality if quality in _QUALITIES else "low",
            "size": f"{size[0]}x{size[1]}",
        },
        usage={
            "input_tokens": words + len(given),
            "input_tokens_details": {"text_tokens": words, "image_tokens": len(given)},
            "output_tokens": count,
            "total_tokens": words + len(given) + count,
        },
    )


def _size(fields: Fields, given: list[Part]) -> tuple[int, int]:
    """The size asked for, else that of the image given, else the usual one."""
    said = fields.text("size")
    if said in (None, "auto"):
        found = size_of(given[0].data) if given else None
        return found if found is not None and 0 < min(found) <= max(found) <= LARGEST else USUAL
    match = _SIZE.fullmatch(said or "")
    if match is None or max(int(match[1]), int(match[2])) > LARGEST:
        raise invalid(f"size must be auto or WIDTHxHEIGHT of 1 to {LARGEST} pixels", "size")
    return int(match[1]), int(match[2])


def _whole(wish: _Wish) -> Iterator[bytes]:
    """The answer, an image at a time."""
    before = b'{"created":%d,"data":[' % int(time.time())
    for index in range(wish.count):
        yield before + json.encode(_object(wish.image(index), wish.form))
        before = b","
    yield b"]," + json.encode({**wish.told, "usage": wish.usage})[1:]


def _object(image: bytes, form: str | None) -> dict[str, str]:
    text = image.decode()
    made = {"b64_json": text, "url": f"data:image/png;base64,{text}"}
    return made if form is None else {form: made[form]}


def _events(wish: _Wish, partials: int) -> Iterator[bytes]:
    """The partial images of each image, then the image with the usage so far."""
    created, read = int(time.time()), wish.usage["input_tokens"]
    for index in range(wish.count):
        for place in range(partials):
            image = wish.image(index, _PARTIAL_CELLS[place - partials])
            yield _event(wish, "partial_image", image, created_at=created, partial_image_index=place)
        usage = {**wish.usage, "output_tokens": index + 1, "total_tokens": read + index + 1}
        yield _event(wish, "completed", wish.image(index), created_at=created, usage=usage)


def _event(wish: _Wish, kind: str, image: bytes, **more: Any) -> bytes:
    name = f"{wish.event}.{kind}"
    return sse(json.encode({"type": name, "b64_json": image.decode(), **wish.told, **more}), name)
