"""The JSON of requests and answers. Pure.

Source: messaging contract sections 1, 2 and 8.
"""

from base64 import b64encode
from typing import Final

import msgspec
from msgspec import Raw, Struct

from parley import jsontext
from parley.failure import ParleyError

USUAL_PATH: Final = "/v1/completions"
# The metadata member that carries a caller's key. It is never echoed.
KEY: Final = "parley_key"
WHOLE: Final = "stream: an answer to a message comes whole: stream must be false"
_NOTHING: Final = Raw(b"null")
_PARSING: Final = "parsing request: unmarshalling message as json: "
READING: Final = "bad request: reading model from body: "
_TEXTS: Final = ("text/", "application/xml", "application/xhtml")
_STREAM_OPTIONS: Final = "stream_options"
_TRUE: Final = Raw(b"true")
_ESCAPE: Final = b"\\"
_ESCAPED: Final = b"\\u"
_any: Final = msgspec.json.Decoder(Raw).decode


class Asked(Struct, frozen=True):
    """A request as it came. ``metadata`` is what is echoed, as it was written; ``key`` the caller's (None where
    there is no such member, "" where it holds no key), ``identity`` and ``order`` what the members of those names held
    ("" for nothing)."""

    path: str
    body: bytes
    metadata: Raw = _NOTHING
    key: str | None = None
    identity: str = ""
    order: str = ""


class RefusedError(Exception):
    """A message that is no request. ``status`` and ``code`` of the answer, and what of the metadata could be read."""

    def __init__(
        self, message: str, status: int = 400, code: str = "invalid_request", metadata: Raw = _NOTHING
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.metadata = status, code, metadata


def read(message: bytes, largest: int, identity: str = "", order: str = "") -> Asked:
    """The request that a message holds, of at most ``largest`` bytes; ``identity`` and ``order`` name members of its
    metadata. Raises RefusedError."""
    if len(message) > 4 * largest:
        raise _large(len(message), largest, _NOTHING)
    try:
        found = jsontext.members(message)
    except ParleyError as error:
        raise RefusedError(f"{_PARSING}{error.failure.message}", code="invalid_json") from None
    metadata, key, named = _metadata(found.get("metadata"), (identity, order))
    if len(message) > largest:
        raise _large(len(message), largest, metadata)
    body = found.get("body")
    text = b"" if body is None else bytes(body)
    if not text.startswith(b"{"):
        raise RefusedError(f"{READING}body must be an object", metadata=metadata)
    return Asked(_path(found.get("path"), metadata), text, metadata, key, *named)


def collected(body: bytes, member: str, *, streams: bool, refuse: bool) -> bytes:
    """The body of a request whose answer comes whole: where ``member`` asks for a stream, or the dialect ``streams``
    where nothing is said, it says no. Raises RefusedError where that is to be refused, ParleyError for no JSON."""
    # To ask with ``in`` costs an exception inside each time: the left side might be a number.
    if not streams and body.find(member.encode()) < 0 and (body.find(_ESCAPE) < 0 or body.find(_ESCAPED) < 0):
        return body
    found = jsontext.members(body)
    said = found.get(member)
    asks = said == _TRUE or (streams and (said is None or said == _NOTHING))
    if not asks:
        return body
    if refuse and said == _TRUE:
        raise RefusedError(WHOLE)
    found.pop(_STREAM_OPTIONS, None)
    return jsontext.encode({**found, member: False})


def is_json(body: bytes) -> bool:
    """Whether it is JSON text."""
    try:
        _any(body)
        return True
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False


def body_of(status: int, kind: str, body: bytes) -> tuple[int, bytes]:
    """Status and JSON of an answer of that content type."""
    if not body:
        return status, b"null"
    if is_json(body):
        return status, body
    plain = kind.partition(";")[0].strip().lower()
    if plain.startswith(_TEXTS) or plain in ("", "application/json"):
        message = "the answer is not JSON: " + body[:200].decode("utf-8", "replace")
        return (status if status >= 400 else 502), error_of(message, "upstream_bad_response")
    return status, jsontext.encode({"b64_json": b64encode(body).decode(), "content_type": plain})


def error_of(message: str, code: str, kind: str = "") -> bytes:
    """An error object as OpenAI's."""
    usual = "invalid_request_error" if code.startswith(("invalid", "model", "body", "not_")) else "api_error"
    return jsontext.encode({"error": {"message": message, "type": kind or usual, "param": None, "code": code}})


def told_of(status: int, body: bytes) -> bytes:
    """The part of an answer that is the same whoever asked."""
    return b'"status_code":%d,"body":%b}' % (status, body)


def answer_of(metadata: Raw, told: bytes) -> bytes:
    """The whole answer."""
    return b'{"metadata":%b,%b' % (bytes(metadata), told)


def not_found(model: str) -> str:
    """How errors of ours about a model that nobody serves begin."""
    return f'model not found: "{model}": '


def beginning(words: str, body: bytes) -> bytes:
    """An error of ours, beginning as such errors of messages do."""
    try:
        found = msgspec.json.decode(body)
        error = found["error"]
        error["message"] = f"{words}{error['message']}"
    except (msgspec.DecodeError, KeyError, TypeError):
        return body
    return jsontext.encode(found)


def _large(size: int, largest: int, metadata: Raw) -> RefusedError:
    message = f"the message has {size} bytes, and {largest} are allowed"
    return RefusedError(message, 413, "body_too_large", metadata)


def _path(given: Raw | None, metadata: Raw) -> str:
    if given is None or given == _NOTHING:
        return USUAL_PATH
    path = jsontext.text(given)
    if path is None:
        raise RefusedError(f"{_PARSING}path must be a string", metadata=metadata)
    return path if path.startswith("/") else f"/{path}" if path else USUAL_PATH


def _metadata(given: Raw | None, names: tuple[str, str]) -> tuple[Raw, str | None, tuple[str, str]]:
    """What is echoed, the key, and what the named members hold."""
    if given is None or given == _NOTHING:
        return _NOTHING, None, ("", "")
    text = bytes(given)
    if not text.startswith(b"{"):
        raise RefusedError(f"{_PARSING}metadata must be an object")
    try:
        members = jsontext.members(text)
    except ParleyError as error:
        raise RefusedError(f"{_PARSING}metadata: {error.failure.message}") from None
    named = (_word(members.get(names[0])), _word(members.get(names[1])))
    key = members.pop(KEY, None)
    if key is None:
        return given, None, named
    return Raw(jsontext.encode(members)), jsontext.text(key) or "", named


def _word(value: Raw | None) -> str:
    """A string as it is, anything else as its JSON; nothing and null are nothing."""
    if value is None or value == _NOTHING:
        return ""
    return jsontext.text(value) or bytes(value).decode()
