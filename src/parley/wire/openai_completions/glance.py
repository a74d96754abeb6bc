"""Legacy completions as the verbatim path sees them: a look into an answer or an event, no more."""

from typing import Any, Final

from msgspec import Struct, ValidationError, json

from parley.ir import Usage
from parley.wire import Mark
from parley.wire.openai_error import BAD_JSON, bad_event, bad_response, stream_failure, told_error
from parley.wire.openai_shape import members_of, require_list
from parley.wire.openai_usage import Counts, counted

_NOTHING: Final = Mark()
_CONTENT: Final = Mark(content=True)
_END: Final = Mark(end=True)


class _Choice(Struct, gc=False):
    text: Any = None
    reasoning_content: Any = None
    finish_reason: Any = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: Counts | None = None
    error: Any = None


_chunk: Final = json.Decoder(_Chunk).decode
_object: Final = json.Decoder(dict[str, Any]).decode
_counts: Final = json.Decoder(Counts | None).decode


def glance(event: str, data: bytes) -> Mark:
    """What one event tells; raises bad_event where it is not JSON of this shape."""
    if data.startswith(b"[DONE]"):
        return _END
    try:
        if not data.isascii():
            data.decode()  # members that are skipped are not checked by the decoder
        chunk = _chunk(data)
    except ValidationError:
        return _odd(event, data)
    except BAD_JSON:
        raise bad_event() from None
    if chunk.error or event == "error":
        return _odd(event, data)
    choices = chunk.choices or ()
    content = any(choice.text or choice.reasoning_content for choice in choices)
    finished = any(choice.finish_reason for choice in choices)
    if finished or chunk.usage is not None:
        usage = None if chunk.usage is None else counted(chunk.usage)
        return Mark(content=content, finished=finished, usage=usage)
    return _CONTENT if content else _NOTHING


def _odd(event: str, data: bytes) -> Mark:
    """An error, or members of unexpected types: it passes unless it is no object or tells an error."""
    try:
        chunk = _object(data)
    except BAD_JSON:
        raise bad_event() from None
    error = told_error(chunk, event)
    return Mark(failure=stream_failure(error)) if error else _NOTHING


def check_answer(body: bytes) -> Usage | None:
    """The usage of a whole 200 answer, None where it tells none that can be read.

    Raises unless it holds a list of choices with texts, for an error object what that means (detail stream_error).
    """
    found = members_of(body)
    require_list(found, "choices")
    if bytes(found["choices"]).find(b'"text"') < 0:
        raise bad_response("bad_shape", "the provider's answer holds no choices with a text")
    if "usage" not in found:
        return None
    try:
        usage = _counts(found["usage"])
    except BAD_JSON:
        return None
    return None if usage is None else counted(usage)
