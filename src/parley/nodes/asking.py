"""A request that came from another node, as our own gateway is asked for it."""

from collections.abc import Mapping
from typing import Final

from parley import jsontext, multipart

_JSON: Final = b"application/json"
# Where our own gateway takes the operations that nodes call.
PATHS: Final[Mapping[str, str]] = {
    "chat": "/v1/chat/completions",
    "image_generation": "/node/v1/images/generations",
    "image_edit": "/v1/images/edits",
}


def renamed(body: bytes, content_type: bytes, name: str) -> tuple[bytes, jsontext.Members | None]:
    """The request with another model, and its members where it had that model already. Raises ``invalid_json`` or
    ``invalid_request`` for what is none."""
    if content_type != _JSON and content_type.partition(b";")[0].strip().lower() == b"multipart/form-data":
        return b"".join(multipart.read(body, content_type).edited({"model": (name,)})), None
    found = jsontext.members(body)
    model = found.get("model")
    if model is not None and jsontext.text(model) == name:
        return body, found
    return b"".join(jsontext.replaced(body, found, {"model": name})), None
