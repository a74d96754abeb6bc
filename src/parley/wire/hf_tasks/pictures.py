"""Text to image: the prompt and its parameters go up as JSON, one picture comes down as bytes."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from parley.failure import invalid
from parley.ir import ImageRequest, ImageResponse, Picture
from parley.wire import Encoded
from parley.wire.flat_error import bad_shape, object_of, refuse_told

NAME: Final = "hf_image"
# What the bytes of a picture begin with; the fourth kind has its name behind eight bytes.
_SIGNS: Final = ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))
# Fields of a request that have no parameter here, as callers know them.
_LOST: Final = {"quality": "quality", "style": "style", "background": "background", "user": "user"}


def encode_request(request: ImageRequest, options: Mapping[str, Any]) -> Encoded:
    """The body for a pipeline. Raises ``invalid_request`` for several pictures and for a size that is none."""
    if request.n is not None and request.n != 1:
        raise invalid("n: this provider makes one picture per request", "n")
    parameters = _size(request.size)
    if request.seed is not None:
        parameters["seed"] = request.seed
    dropped = [name for field, name in _LOST.items() if getattr(request, field) is not None]
    if request.format not in (None, "png"):
        dropped.append("output_format")
    body: dict[str, Any] = {"inputs": request.prompt}
    if parameters:
        body["parameters"] = parameters
    return Encoded(body, (*dropped, *request.extra))


def _size(size: str | None) -> dict[str, Any]:
    if size is None or size == "auto":
        return {}
    width, cross, height = size.lower().partition("x")
    if not (cross and _is_pixels(width) and _is_pixels(height)):
        raise invalid("size must be WIDTHxHEIGHT in pixels, or auto", "size")
    return {"width": int(width), "height": int(height)}


def _is_pixels(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < len(text) < 6 and int(text) > 0


def decode_response(body: bytes) -> ImageResponse:
    """The picture. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error object means
    (detail stream_error)."""
    media_type = _media_type(body)
    if media_type is None:
        refuse_told(NAME, object_of(body, "picture"))
        raise bad_shape("a picture")
    return ImageResponse(wire=NAME, pictures=(Picture(b64encode(body).decode(), None, media_type),))


def _media_type(body: bytes) -> str | None:
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    return next((media_type for sign, media_type in _SIGNS if body.startswith(sign)), None)
