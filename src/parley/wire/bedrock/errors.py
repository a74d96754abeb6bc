"""Amazon Bedrock Converse: errors as answers and as exceptions inside streams.

The name of an exception says more than its status: a model that failed answers 424, which is no fault of the caller.
Source: provider contract 0.4, 10.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from parley.failure import Failure
from parley.wire import Headers
from parley.wire.bedrock.words import BAD_JSON, NAME, decode, encode
from parley.wire.status import failure_of, told_failure

# Names in lower case without "exception" and "error" at their end.
_STATUSES: Mapping[str, int] = {
    "validation": 400,
    "servicequotaexceeded": 400,
    "accessdenied": 403,
    "unrecognizedclient": 403,
    "invalidsignature": 403,
    "invalidclienttokenid": 403,
    "signaturedoesnotmatch": 403,
    "incompletesignature": 403,
    "missingauthenticationtoken": 403,
    "expiredtoken": 403,
    "resourcenotfound": 404,
    "conflict": 409,
    "throttling": 429,
    "throttled": 429,
    "toomanyrequests": 429,
    "modelnotready": 429,
    "internalserver": 500,
    "internalfailure": 500,
    "model": 500,
    "modelstream": 500,
    "serviceunavailable": 503,
    "modeltimeout": 504,
}
_NOT_FOUND = "resourcenotfound"
_HEADER = b"x-amzn-errortype"


def decode_error(status: int, headers: Headers, body: bytes) -> Failure:
    """The failure behind an error answer, by its exception's name where that says more than the status."""
    try:
        value = decode(body)
    except BAD_JSON:
        value = None
    named = next((text.decode("latin-1") for name, text in headers if name == _HEADER), "") or _name_in(value)
    name = _plain(named)
    known = status if status >= 500 else _STATUSES.get(_stem(name), status)
    return _coded(
        failure_of(known, headers, _message(value), wire=NAME, body=None, upstream_type=name or None), _stem(name)
    )


def exception(name: str, payload: bytes) -> Failure:
    """The failure that an exception inside a stream tells of."""
    try:
        value = decode(payload) if payload else None
    except BAD_JSON:
        value = None
    return told(name, value, _message(value))


def told(name: str, value: Any, message: str) -> Failure:
    """The failure of a named exception in an answer whose status was 200."""
    name = _plain(name)
    error = {"status": _STATUSES.get(_stem(name), 502)}
    more = _word(value, "originalMessage")
    words = f"{message} ({more})" if more and more not in message else message
    return _coded(told_failure(error, words, wire=NAME, upstream_type=name or None), _stem(name))


def error_in(value: Any) -> Failure | None:
    """The failure that an answer with status 200 tells of, None where it tells none."""
    if type(value) is not dict or "output" in value:
        return None
    name, message = _name_in(value), _message(value)
    return told(name, value, message) if name or message else None


def encode_error(failure: Failure, request_id: str) -> tuple[int, bytes]:
    """Status and body as this wire writes them."""
    return failure.http_status, encode({"message": failure.message})


def _coded(failure: Failure, stem: str) -> Failure:
    """Callers of other wires know a missing model by a code."""
    if stem == _NOT_FOUND and failure.upstream_code is None:
        return replace(failure, upstream_code="model_not_found")
    return failure


def _plain(name: str) -> str:
    """A name without the address behind its colon and without the namespace before its "#"."""
    return name.rpartition("#")[2].partition(":")[0].strip()


def _stem(name: str) -> str:
    return name.lower().removesuffix("exception").removesuffix("error")


def _name_in(value: Any) -> str:
    """The name that a body gives, also where an unknown path was asked for."""
    inner = value.get("Output") if type(value) is dict else None
    return _word(value, "__type") or _word(inner, "__type") or _word(value, "code")


def _message(value: Any) -> str:
    return _word(value, "message") or _word(value, "Message")


def _word(value: Any, key: str) -> str:
    found = value.get(key) if type(value) is dict else None
    return found if type(found) is str else ""
