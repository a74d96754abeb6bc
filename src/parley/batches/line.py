"""One line of a batch: a request with a name of its own. Source: OpenAI surface contract section 9."""

from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Raw, Struct

from parley import jsontext
from parley.failure import ParleyError
from parley.operations import OPERATIONS

SERVED: Final = ("chat", "completions", "embeddings", "responses", "image_generation", "moderation")
ENDPOINTS: Final[dict[str, str]] = {f"/v1{OPERATIONS[name].path}": name for name in SERVED}
LONGEST_ID: Final = 512
_OUTER: Final[tuple[tuple[str, type], ...]] = (("custom_id", str), ("method", str), ("url", str), ("body", dict))
_INNER: Final[tuple[tuple[str, type], ...]] = (("model", str), ("stream", bool), ("background", bool))
_BLANK: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"


class Fault(Struct, frozen=True):
    """What is wrong with a file. ``line`` counts from 1; None: it is not one line's fault."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class Line(NamedTuple):
    """A request. ``number`` counts the lines of the file from 1; ``model`` is None where it names none."""

    number: int
    custom_id: str
    url: str
    body: bytes
    model: str | None


class LineError(Exception):
    """This line is no request."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class _Envelope(Struct):
    custom_id: str
    method: Literal["POST"]
    url: str
    body: Raw


class _Body(Struct):
    model: str | None = None
    stream: bool | None = None
    background: bool | None = None


_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_body: Final = msgspec.json.Decoder(_Body).decode


def lines(data: bytes, first: int) -> Iterator[tuple[int, bytes]]:
    """Numbers and texts of the lines that are not blank; the first of all has the number ``first``."""
    for number, text in enumerate(data.split(b"\n"), first):
        bare = text.removeprefix(_BOM).strip(_BLANK) if number == 1 else text.strip(_BLANK)
        if bare:
            yield number, bare


def line_of(text: bytes, number: int, endpoint: str = "") -> Line:
    """The request of a line. Raises LineError. ``endpoint``: the only one that is possible, "" for any that is
    served."""
    try:
        found = _envelope(text)
        body = bytes(found.body)
        inner = _body(body)
        jsontext.members(text)
    except ParleyError as error:
        reason = error.failure.message
        raise _fault("invalid_json_line", f"This line is not parseable as valid JSON: {reason}.", number) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _explained(text, number) from None
    _check(found, inner, number, endpoint)
    return Line(number, found.custom_id, found.url, body, inner.model)


def _check(found: _Envelope, inner: _Body, number: int, endpoint: str) -> None:
    if not found.custom_id or len(found.custom_id) > LONGEST_ID:
        message = f"custom_id must have 1 to {LONGEST_ID} characters, got {len(found.custom_id)}."
        raise _fault("invalid_custom_id", message, number, "custom_id")
    if found.url not in ENDPOINTS:
        known = ", ".join(ENDPOINTS)
        message = f"{found.url[:80]!r} cannot be asked in a batch. Supported are: {known}."
        raise _fault("invalid_url", message, number, "url")
    if endpoint and found.url != endpoint:
        message = f"The URL {found.url!r} of this line is not the batch's endpoint {endpoint!r}."
        raise _fault("mismatched_url", message, number, "url")
    if inner.model is None and not OPERATIONS[ENDPOINTS[found.url]].model:
        raise _fault("missing_required_parameter", "Missing required parameter: 'body.model'.", number, "body.model")
    for name in ("stream", "background"):
        if getattr(inner, name):
            message = f"'{name}' is not possible in a batch: leave it out, or write false."
            raise _fault("unsupported_parameter", message, number, f"body.{name}")


def _explained(text: bytes, number: int) -> LineError:
    """Why it is none, in words that name the member."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        return _fault("invalid_json_line", f"This line is not parseable as valid JSON: {reason}.", number)
    if not isinstance(value, dict):
        return _fault("invalid_json_line", "This line is valid JSON, but not an object.", number)
    for name, kind in _OUTER:
        wrong = _member(value, name, kind, number)
        if wrong is not None:
            return wrong
    if value["method"] != "POST":
        message = f"{value['method'][:40]!r} is not possible: the method of every line is 'POST'."
        return _fault("invalid_method", message, number, "method")
    for name, kind in _INNER:
        wrong = None if value["body"].get(name) is None else _member(value["body"], name, kind, number, "body.")
        if wrong is not None:
            return wrong
    return _fault("invalid_json_line", "This line is not a request.", number)


def _member(value: dict[str, Any], name: str, kind: type, number: int, where: str = "") -> LineError | None:
    place, words = f"{where}{name}", {str: "a string", dict: "an object", bool: "true or false"}
    if name not in value:
        return _fault("missing_required_parameter", f"Missing required parameter: '{place}'.", number, place)
    if not isinstance(value[name], kind):
        return _fault("invalid_type", f"Invalid type for '{place}': expected {words[kind]}.", number, place)
    return None


def _fault(code: str, message: str, number: int, param: str | None = None) -> LineError:
    return LineError(Fault(code, message, number, param))
