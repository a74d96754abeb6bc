"""A request that came from another node, as our own gateway is asked for it."""

from collections.abc import Mapping
from typing import Final

from parley import jsontext, multipart

# Where our own gateway takes the operations that nodes call.
PATHS: Final[Mapping[str, str]] = {
    "chat": "/v1/chat/completions",
    "image_generation": "/node/v1/images/generations",
    "image_edit": "/v1/images/edits",
}


def renamed(body: bytes, content_type: bytes, name: str) -> bytes:
    """The request with another model. Raises ``invalid_json`` or ``invalid_request`` for what is none."""
    if content_type.partition(b";")[0].strip().lower() == b"multipart/form-data":
        return b"".join(multipart.read(body, content_type).edited({"model": (name,)}))
    found = jsontext.members(body)
    model = found.get("model")
    if model is not None and jsontext.text(model) == name:
        return body
    return b"".join(jsontext.replaced(body, found, {"model": name}))
