"""Pictures, as a node is asked for them and answers. Source: contract sections 2.2, 5.3."""

from typing import Any, Final

from msgspec import json

from parley.ir import ImageRequest, ImageResponse, Picture, Usage
from parley.wire import Mark, Reply, unspoken
from parley.wire.data_url import split_data_url

NAME: Final = "node_images"
# Members that a worker knows and the canonical form does not.
BESIDE: Final = ("width", "height", "step", "wallet", "signature", "hash")
KNOWN: Final = frozenset({"model", "prompt", "n", "size", "response_format", *BESIDE})
RENAME: Final = {"n": "n", "size": "size", "response_format": "response_format"}


def decode_request(body: dict[str, Any]) -> ImageRequest:
    """The request in ``body``, which was prepared: types are right."""
    rest = {name: value for name, value in body.items() if value is not None}
    size, width, height = rest.pop("size", ""), rest.get("width"), rest.get("height")
    if not size and width and height:
        size = f"{width}x{height}"
    return ImageRequest(
        wire=NAME,
        model=rest.pop("model"),
        prompt=rest.pop("prompt", ""),
        n=rest.pop("n", None),
        size=size or None,
        answer=rest.pop("response_format", "") or None,
        extra=rest,
    )


def encode_response(response: ImageResponse, reply: Reply) -> bytes:
    """The answer of a node."""
    data = [_datum(picture) for picture in response.pictures]
    return json.encode({"created": response.created or reply.created, "data": data})


def _datum(picture: Picture) -> dict[str, str]:
    data = picture.data
    if data is None and picture.url is not None:
        data = split_data_url(picture.url)[1]
    said = {"b64_json": data, "url": None if data else picture.url, "revised_prompt": picture.revised_prompt}
    return {name: value for name, value in said.items() if value is not None}


def no_event(name: str, data: bytes) -> Mark:
    """There are no streams."""
    unspoken()
    return Mark()


def no_answer(body: bytes) -> Usage | None:
    """No provider speaks this."""
    unspoken()
    return None
