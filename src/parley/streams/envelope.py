"""The JSON of requests and answers. Pure.

Source: messaging contract sections 1, 2 and 8.
"""

from base64 import b64encode
from typing import Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

from parley import jsontext
from parley.failure import ParleyError
from parley.jsontext import Members

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
_FALSE: Final = Raw(b"false")
# How the member begins that is nearly always the last, and what stands for it while the others are read.
_BODY: Final = b'"body":'
_ELSEWHERE: Final = b'"body":0}'
_OPENS: Final = ord("{")
_SPACE: Final = ord(" ")
# Of the metadata: what is echoed, the caller's key, and what two named members held.
Told: TypeAlias = tuple[Raw, str | None, str, str]
_UNTOLD: Final[Told] = (_NOTHING, None, "", "")
_any: Final = msgspec.json.Decoder(Raw).decode


class Asked:
    """A request as it came. ``metadata`` is what is echoed, as it was written; ``key`` the caller's (None where
    there is no such member, "" where it holds no key), ``identity`` and ``order`` what the members of those names held
    ("" for nothing). ``members`` are those of the body, where they are known."""

    __slots__ = ("body", "identity", "key", "members", "metadata", "order", "path")

    def __init__(self, path: str, body: bytes, told: Told, members: Members | None = None) -> None:
        self.path = path
        self.body = body
        self.metadata, self.key, self.identity, self.order = told
        self.members = members


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
    if len(message) <= largest:
        quick = _halved(message, identity, order)
        if quick is not None:
            return quick
    elif len(message) > 4 * largest:
        raise _large(len(message), largest, _NOTHING)
    try:
        found = jsontext.members(message)
    except ParleyError as error:
        raise RefusedError(f"{_PARSING}{error.failure.message}", code="invalid_json") from None
    told = _metadata(found.get("metadata"), identity, order)
    if len(message) > largest:
        raise _large(len(message), largest, told[0])
    given = found.get("body")
    text = b"" if given is None else bytes(given)
    if not text.startswith(b"{"):
        raise RefusedError(f"{READING}body must be an object", metadata=told[0])
    return Asked(_path(found.get("path"), told[0]), text, told)


def _halved(message: bytes, identity: str, order: str) -> Asked | None:
    """A message whose body is its last member; None where that is not sure. Raises RefusedError.

    Nothing is read twice. What is before is an object when the body is taken out of it, so that is where the body
    began; and the body is an object with nothing behind it but the end of the message.
    """
    at = message.find(_BODY)
    if at < 0 or not message.endswith(b"}}"):
        return None
    start = at + len(_BODY)
    if message[start] == _SPACE:
        start += 1
    if message[start] != _OPENS:
        return None
    body, before = message[start:-1], message[:at] + _ELSEWHERE
    try:
        members = jsontext.members(body)
        usual = _usual(before, identity, order)
        if usual is not None:
            return Asked(usual[0], body, usual[1], members)
        found = jsontext.members(before)
    except ParleyError:
        # Something follows, or it is no request. Read as a whole it says which.
        return None
    told = _metadata(found.get("metadata"), identity, order)
    return Asked(_path(found.get("path"), told[0]), body, told, members)


class _Before(Struct, gc=False):
    """What comes before the body in nearly all messages, in that order."""

    path: str
    metadata: dict[str, Raw]
    body: int


_before: Final = msgspec.json.Decoder(_Before).decode


def _usual(text: bytes, identity: str, order: str) -> tuple[str, Told] | None:
    """Path and metadata of a message that has just these, written without white space; None for any other."""
    if not text.isascii() or len(text) > jsontext.MAX_DIGITS:
        return None
    try:
        found = _before(text)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    path, members = found.path, found.metadata
    metadata = jsontext.encode(members)
    # What was there twice, and whatever else there was, makes it longer.
    if text != b'{"path":%b,"metadata":%b,"body":0}' % (jsontext.encode(path), metadata) or not path.startswith("/"):
        return None
    return path, _told(Raw(metadata), members, identity, order)


def collected(
    body: bytes, members: Members | None, member: str, *, streams: bool, refuse: bool
) -> tuple[bytes, Members]:
    """The body of a request whose answer comes whole, and its members: where ``member`` asks for a stream, or the
    dialect ``streams`` where nothing is said, it says no. Raises RefusedError where that is to be refused, ParleyError
    for no JSON."""
    found = jsontext.members(body) if members is None else members
    said = found.get(member)
    asks = said == _TRUE or (streams and (said is None or said == _NOTHING))
    if not asks:
        return body, found
    if refuse and said == _TRUE:
        raise RefusedError(WHOLE)
    changed = {name: value for name, value in found.items() if name != _STREAM_OPTIONS}
    changed[member] = _FALSE
    return jsontext.encode(changed), changed


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


def good_of(metadata: Raw, body: bytes) -> bytes:
    """The whole answer that says 200: both at once."""
    return b'{"metadata":%b,"status_code":200,"body":%b}' % (bytes(metadata), body)


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


def _metadata(given: Raw | None, identity: str, order: str) -> Told:
    if given is None or given == _NOTHING:
        return _UNTOLD
    text = bytes(given)
    if not text.startswith(b"{"):
        raise RefusedError(f"{_PARSING}metadata must be an object")
    try:
        members = jsontext.members(text)
    except ParleyError as error:
        raise RefusedError(f"{_PARSING}metadata: {error.failure.message}") from None
    return _told(given, members, identity, order)


def _told(given: Raw, members: Members, identity: str, order: str) -> Told:
    named = _word(members.get(identity)) if identity else ""
    line = _word(members.get(order)) if order else ""
    key = members.pop(KEY, None)
    if key is None:
        return given, None, named, line
    return Raw(jsontext.encode(members)), jsontext.text(key) or "", named, line


def _word(value: Raw | None) -> str:
    """A string as it is, anything else as its JSON; nothing and null are nothing."""
    if value is None or value == _NOTHING:
        return ""
    return jsontext.text(value) or bytes(value).decode()
