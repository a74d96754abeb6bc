"""Responses as the verbatim path sees them: a look into an answer or an event, no more.

Only the members that matter are decoded, by typed Structs; everything else is skipped.
"""

from typing import Any, Final

from msgspec import Raw, Struct, ValidationError, json

from parley.failure import ParleyError
from parley.ir import Usage
from parley.wire import Mark
from parley.wire.openai_error import BAD_JSON, bad_event, bad_response, stream_failure, told_error
from parley.wire.openai_responses.answer import failure_of
from parley.wire.openai_responses.usage import Counts, counted

_NOTHING: Final = Mark()
_CONTENT: Final = Mark(content=True)
_END: Final = frozenset({"response.completed", "response.incomplete"})
_FAILED: Final = frozenset({"response.failed", "response.cancelled"})
# Items that say nothing before their parts do.
_SILENT: Final = frozenset({"message", "reasoning"})
_ABSENT = Raw()


class _Item(Struct, gc=False):
    type: str = ""


class _Event(Struct, gc=False):
    type: str = ""
    delta: str = ""
    item: _Item | None = None
    error: Raw = _ABSENT


class _Whole(Struct, gc=False):
    usage: Counts | None = None
    service_tier: str | None = None


class _Terminal(Struct, gc=False):
    response: _Whole | None = None


class _Answer(Struct, gc=False):
    object: str = "response"
    status: str | None = None
    output: Raw = _ABSENT
    error: Raw = _ABSENT
    usage: Counts | None = None
    service_tier: str | None = None


_event: Final = json.Decoder(_Event).decode
_terminal: Final = json.Decoder(_Terminal).decode
_answer: Final = json.Decoder(_Answer).decode
_object: Final = json.Decoder(dict[str, Any]).decode
_NO_ERROR: Final = frozenset({b"", b"null", b"{}", b'""', b"false"})


def glance(event: str, data: bytes) -> Mark:
    """What one event tells; raises bad_event where it is not JSON of this shape."""
    if data.startswith(b"[DONE]"):
        return _NOTHING
    try:
        if not data.isascii():
            data.decode()  # members that are skipped are not checked by the decoder
        found = _event(data)
    except ValidationError:
        return _odd(event, data)
    except BAD_JSON:
        raise bad_event() from None
    kind = found.type or event
    if kind == "error" or bytes(found.error) not in _NO_ERROR or kind in _FAILED:
        return _odd(event, data)
    if kind in _END:
        return Mark(finished=True, end=True, usage=_used(data))
    return _CONTENT if _speaks(kind, found) else _NOTHING


def _speaks(kind: str, event: _Event) -> bool:
    """Whether there is anything in it that a caller would take for an answer."""
    if kind.endswith(".delta") or kind.endswith(".partial_image"):
        return event.delta != "" or kind.endswith("image")
    if kind == "response.output_item.added":
        return event.item is not None and event.item.type not in _SILENT
    return kind == "response.output_item.done"


def _used(data: bytes) -> Usage | None:
    """The usage of the last event, None where it tells none that can be read."""
    try:
        found = _terminal(data).response
    except BAD_JSON:
        return None
    return None if found is None or found.usage is None else counted(found.usage, found.service_tier)


def _odd(event: str, data: bytes) -> Mark:
    """A failure, or members of unexpected types: it passes unless it is no object or tells an error."""
    try:
        value = _object(data)
    except BAD_JSON:
        raise bad_event() from None
    kind = str(value.get("type") or event)
    if kind in _FAILED:
        response = value.get("response")
        return Mark(failure=failure_of(response if type(response) is dict else {}))
    if kind == "error" or value.get("error"):
        return Mark(failure=stream_failure(error_of(value)))
    if kind in _END:
        return Mark(finished=True, end=True)
    # Something said in another form than text (an image, a command): real content all the same.
    return _CONTENT if kind.endswith(".delta") else _NOTHING


def error_of(value: dict[str, Any]) -> Any:
    """The error that an event tells of: below ``error``, or its own members beside its type."""
    rest = {name: member for name, member in value.items() if name not in ("type", "sequence_number")}
    return told_error(rest, "error")


def check_answer(body: bytes) -> Usage | None:
    """The usage of a whole 200 answer, None where it tells none that can be read.

    Raises unless it is a response with its output; for a failed one what its error means (detail stream_error).
    """
    try:
        if not body.isascii():
            body.decode()  # members that are skipped are not checked by the decoder
        answer = _answer(body)
    except BAD_JSON:
        _check_plain(body)
        return None
    shaped = answer.object == "response" and bytes(answer.output).startswith(b"[")
    if answer.status in ("failed", "cancelled") or not shaped:
        _check_plain(body)
    return None if answer.usage is None else counted(answer.usage, answer.service_tier)


def _check_plain(body: bytes) -> None:
    """Raise what is wrong with the answer, if anything is."""
    if not body.strip():
        raise bad_response("empty_body", "the provider sent an empty answer")
    try:
        body.decode()
        answer = _object(body)
    except ValidationError:
        raise bad_response("bad_shape", "the provider's answer is not an object") from None
    except BAD_JSON:
        raise bad_response("bad_json", "the provider's answer is not JSON") from None
    if answer.get("status") in ("failed", "cancelled"):
        raise ParleyError(failure_of(answer))
    if answer.get("object", "response") == "response" and type(answer.get("output")) is list:
        return
    if error := told_error(answer):
        raise ParleyError(stream_failure(error))
    raise bad_response("bad_shape", "the provider's answer is not a response")
