"""Mistral's errors: ``{"object":"error","message","type","code"}``, ``{"message","request_id"}``, and for members that
it does not know ``{"detail":[{loc, msg, type}]}`` with status 422. The list may also stand inside the message."""

from typing import Any, Final

from msgspec import json

from parley.failure import Failure, ParleyError
from parley.wire.openai_error import BAD_JSON, stream_failure
from parley.wire.openai_error import decode_error as decode_any
from parley.wire.status import Headers

NAME: Final = "mistral"


def decode_error(status: int, headers: Headers, body: bytes) -> Failure:
    """The failure behind an error answer."""
    try:
        value = json.decode(body)
    except BAD_JSON:
        value = None
    if isinstance(value, dict):
        body = json.encode(_unpacked(value))
    return decode_any(status, headers, body)


def _unpacked(value: dict[str, Any]) -> dict[str, Any]:
    """The error with words for its message; a number for its code is a word too."""
    message, code = value.get("message"), value.get("code")
    made = value if not isinstance(code, int) else {**value, "code": str(code)}
    if isinstance(message, dict | list):
        detail = message.get("detail", message) if isinstance(message, dict) else message
        made = {name: item for name, item in made.items() if name != "message"} | {"detail": detail}
    return made


def told(value: dict[str, Any]) -> ParleyError | None:
    """What an answer or event that is an error means, None for any other."""
    error = value.get("error")
    if error:
        return ParleyError(stream_failure({"message": error} if isinstance(error, str) else error))
    if value.get("object") == "error" or ("choices" not in value and isinstance(value.get("message"), str)):
        return ParleyError(stream_failure(_unpacked(value)))
    return None
