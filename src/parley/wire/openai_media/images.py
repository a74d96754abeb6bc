"""Pictures made of words: requests and answers, both ways, to and from the canonical form. Edits and variations are
forms with files and pass as they are or not at all; so do streams of pictures.

A provider that has only data gives a caller who asked for a URL one that holds the data.
Source: surface contract section 7.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import DecodeError, Struct, ValidationError, json

from parley.failure import invalid
from parley.ir import ImageRequest, ImageResponse, Picture, Usage
from parley.wire import Encoded, Reply
from parley.wire.data_url import data_url, split_data_url
from parley.wire.fields import Scalar, check, optional, required
from parley.wire.openai_error import bad_response
from parley.wire.openai_media.answer import usage_of
from parley.wire.openai_media.embeddings import plain
from parley.wire.openai_media.members import no_stream
from parley.wire.openai_shape import members_of

NAME: Final = "openai_images"
_MANY: Final = Scalar((int,), 1, 10)
_INT: Final = Scalar((int,))
# Canonical field and the member's name where it is another.
_MEMBERS: Final[Mapping[str, str]] = {
    "n": "n",
    "size": "size",
    "quality": "quality",
    "style": "style",
    "background": "background",
    "format": "output_format",
    "answer": "response_format",
    "seed": "seed",
    "user": "user",
}
_NUMBERS: Final[Mapping[str, Scalar]] = {"n": _MANY, "seed": _INT}


class _Picture(Struct):
    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None


class _Asked(Struct):
    response_format: str | None = None


_pictures: Final = json.Decoder(list[_Picture]).decode
_asked: Final = json.Decoder(_Asked).decode


def decode_request(body: dict[str, Any]) -> ImageRequest:
    """The request in ``body``, which is left as it is. ``seed`` is no member of this API but has its place.
    Raises ``invalid_request`` naming the field."""
    body = body.copy()
    model, prompt = required(body, "model", str), required(body, "prompt", str)
    no_stream(body)
    named = {field: _member(body, name) for field, name in _MEMBERS.items()}
    if named["answer"] not in (None, "url", "b64_json"):
        raise invalid("response_format must be url or b64_json", "response_format")
    return ImageRequest(wire=NAME, model=model, prompt=prompt, extra=body, **named)


def _member(body: dict[str, Any], name: str) -> Any:
    scalar = _NUMBERS.get(name)
    if scalar is None:
        return optional(body, name, str)
    value = body.pop(name, None)
    if value is not None:
        check(name, value, scalar)
    return value


def encode_request(request: ImageRequest, options: Mapping[str, Any]) -> Encoded:
    """The body for a provider."""
    body: dict[str, Any] = {"model": request.model, "prompt": request.prompt}
    for field, name in _MEMBERS.items():
        value = getattr(request, field)
        if value is not None:
            body[name] = value
    if request.wire == NAME:
        return Encoded({**body, **request.extra})
    return Encoded(body, tuple(request.extra))


def decode_response(body: bytes) -> ImageResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), also for a picture that is
    neither data nor a URL."""
    found = members_of(body)
    data = found.pop("data", None)
    try:
        pictures = _pictures(data) if data is not None else None
    except ValidationError:
        pictures = None
    if pictures is None:
        raise bad_response("bad_shape", "the provider's answer holds no pictures")
    usage = usage_of(found)
    rest = plain(found, "usage")
    created, form = rest.pop("created", None), rest.get("output_format")
    media_type = f"image/{form}" if isinstance(form, str) else None
    return ImageResponse(
        wire=NAME,
        pictures=tuple(_picture(picture, media_type) for picture in pictures),
        created=int(created) if isinstance(created, int | float) else 0,
        usage=usage,
        extra=rest,
    )


def _picture(found: _Picture, media_type: str | None) -> Picture:
    if found.b64_json is None and found.url is None:
        raise bad_response("bad_shape", "the provider's answer holds a picture without data")
    said, data = split_data_url(found.url or "")
    if data is not None and found.b64_json is None:
        return Picture(data, None, said or media_type, found.revised_prompt)
    return Picture(found.b64_json, found.url, media_type, found.revised_prompt)


def encode_response(response: ImageResponse, reply: Reply) -> bytes:
    """The whole answer for the caller."""
    same = response.wire == NAME
    by_url = _wish(reply) == "url"
    made: dict[str, Any] = {
        "created": response.created or reply.created,
        "data": [_datum(picture, by_url) for picture in response.pictures],
    }
    if response.usage is not None:
        made["usage"] = _usage(response.usage)
    return json.encode({**made, **response.extra} if same else made)


def _wish(reply: Reply) -> str | None:
    try:
        return _asked(reply.asked).response_format
    except DecodeError:
        return None


def _datum(picture: Picture, by_url: bool) -> dict[str, str]:
    made = {}
    if picture.url is not None:
        made["url"] = picture.url
    elif by_url and picture.data is not None:
        made["url"] = data_url(picture.media_type or "image/png", picture.data)
    if picture.data is not None and not (by_url and made):
        made["b64_json"] = picture.data
    if picture.revised_prompt is not None:
        made["revised_prompt"] = picture.revised_prompt
    return made


def _usage(usage: Usage) -> dict[str, Any]:
    """Only words are read for a picture that is made of nothing else."""
    return {
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "input_tokens_details": {"text_tokens": usage.input, "image_tokens": 0},
    }
