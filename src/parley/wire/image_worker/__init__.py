"""Image workers of a computing node, as providers: OpenAI's images with the size also as two numbers.

An answer has a ``code`` beside its pictures: 0 or none for success; another one is a refusal in the worker's own words,
whatever the HTTP status. Source: computing node contract 2.2, 2.5.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, ValidationError, convert, json
from msgspec.structs import replace

from parley.failure import Failure, ParleyError, invalid
from parley.ir import ImageRequest, ImageResponse, Picture
from parley.wire import Encoded, Wire, unspoken
from parley.wire.flat_error import bad_shape, flat_failure, object_of, refuse_told
from parley.wire.openai_error import BAD_JSON
from parley.wire.status import LONGEST_MESSAGE, Headers

NAME: Final = "image_worker"
NODE: Final = "node_images"
# A worker's members that no canonical field holds.
BESIDE: Final = ("width", "height", "step", "wallet", "signature", "hash")
_WHAT: Final = "a list of pictures"
# Fields of a request that a worker has no member for, as callers know them.
_LOST: Final = {
    "quality": "quality",
    "style": "style",
    "background": "background",
    "format": "output_format",
    "seed": "seed",
    "user": "user",
}


class _Datum(Struct):
    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None


def encode_request(request: ImageRequest, options: Mapping[str, Any]) -> Encoded:
    """The body for a worker. Raises ``invalid_request`` for a size that is none."""
    body: dict[str, Any] = {
        "model": request.model,
        "prompt": request.prompt,
        "n": 1 if request.n is None else request.n,
    }
    if request.wire == NODE:
        return _as_asked(request, body)
    if request.size is not None and request.size != "auto":
        width, cross, height = request.size.lower().partition("x")
        if not (cross and _is_pixels(width) and _is_pixels(height)):
            raise invalid("size must be WIDTHxHEIGHT in pixels, or auto", "size")
        body |= {"size": request.size, "width": int(width), "height": int(height)}
    if request.answer is not None:
        body["response_format"] = request.answer
    dropped = [name for field, name in _LOST.items() if getattr(request, field) is not None]
    return Encoded(body, (*dropped, *request.extra))


def _as_asked(request: ImageRequest, body: dict[str, Any]) -> Encoded:
    """For a caller whose dialect has the worker's own members: they go as they came."""
    named = {"size": request.size, **{name: request.extra.get(name) for name in BESIDE}}
    width, _, height = (request.size or "").partition("x")
    if _is_pixels(width) and _is_pixels(height):
        named = {**named, "width": named["width"] or int(width), "height": named["height"] or int(height)}
    body |= {name: value for name, value in named.items() if value is not None}
    if request.answer is not None:
        body["response_format"] = request.answer
    return Encoded(body, tuple(name for name in request.extra if name not in BESIDE))


def _is_pixels(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < len(text) < 6 and int(text) > 0


def decode_response(body: bytes) -> ImageResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), ``upstream_error`` (detail
    stream_error) where the worker says that it failed."""
    found = object_of(body, _WHAT)
    refuse_told(NAME, found)
    if not isinstance(found, dict):
        raise bad_shape(_WHAT)
    _refuse_code(found)
    try:
        data = convert(found.get("data"), list[_Datum])
    except ValidationError:
        raise bad_shape(_WHAT) from None
    if not data or any(datum.b64_json is None and datum.url is None for datum in data):
        raise bad_shape(_WHAT)
    created = found.get("created")
    return ImageResponse(
        wire=NAME,
        pictures=tuple(
            Picture(one.b64_json or None, one.url or None, None, one.revised_prompt or None) for one in data
        ),
        created=created if type(created) is int else 0,
    )


def _refuse_code(found: dict[str, Any]) -> None:
    code = found.get("code")
    if code in (None, 0):
        return
    message = _message(found) or f"the worker answered with code {str(code)[:20]}"
    raise ParleyError(
        Failure("upstream_error", message, detail="stream_error", wire=NAME, upstream_code=str(code)[:20])
    )


def _message(found: dict[str, Any]) -> str:
    message = found.get("message")
    return message.strip()[:LONGEST_MESSAGE] if isinstance(message, str) else ""


def decode_error(status: int, headers: Headers, body: bytes) -> Failure:
    """The failure behind an error answer, with the worker's own code where it gives one."""
    failure = flat_failure(NAME, status, headers, body)
    try:
        found = json.decode(body)
    except BAD_JSON:
        return failure
    code = found.get("code") if isinstance(found, dict) else None
    known = isinstance(code, int) and failure.kind != "upstream_auth"
    return replace(failure, upstream_code=str(code)) if known else failure


WIRE = Wire(
    name=NAME,
    encode_error=unspoken,
    decode_error=decode_error,
    stream_encoder=unspoken,
    glance=unspoken,
    check_answer=unspoken,
    known=frozenset(),
    encode_request=encode_request,
    decode_response=decode_response,
    several=("n",),
)
