"""OpenAI chat completions as the verbatim path sees them: a look into an answer or an event, no more.

Only the members that matter are decoded, by typed Structs; everything else is skipped.
"""

from typing import Any, Final

from msgspec import Raw, Struct, ValidationError, json

from parley.failure import ParleyError
from parley.ir import Usage
from parley.wire import Mark
from parley.wire.openai_error import BAD_JSON, bad_event, bad_response, stream_failure, told_error
from parley.wire.openai_usage import Counts, counted

_NOTHING: Final = Mark()
_CONTENT: Final = Mark(content=True)
_END: Final = Mark(end=True)
_EMPTY: Final = frozenset({b"", b"null", b"[]", b"{}"})
_ABSENT = Raw()


class _Delta(Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Raw = _ABSENT
    function_call: Raw = _ABSENT
    audio: Raw = _ABSENT
    thinking_blocks: Raw = _ABSENT


class _Choice(Struct):
    delta: _Delta | None = None
    finish_reason: Any = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: Counts | None = None
    error: Any = None
    service_tier: Any = None


class _Bare(Struct, gc=False):
    choices: Raw = _ABSENT
    error: Any = None


class _Answer(_Bare, gc=False):
    usage: Counts | None = None
    service_tier: Any = None


_chunk: Final = json.Decoder(_Chunk).decode
_answer: Final = json.Decoder(_Answer).decode
_bare: Final = json.Decoder(_Bare).decode
_object: Final = json.Decoder(dict[str, Any]).decode


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
    if chunk.error or event == "error" or (chunk.choices is None and b'"code"' in data):
        return _odd(event, data)
    content = finished = False
    for choice in chunk.choices or ():
        content = content or _speaks(choice.delta)
        finished = finished or bool(choice.finish_reason)
    used = chunk.usage
    if finished or used is not None:
        usage = None if used is None else counted(used, chunk.service_tier)
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


def _speaks(delta: _Delta | None) -> bool:
    """Whether there is anything in it that a caller would take for an answer."""
    if delta is None:
        return False
    if delta.content or delta.reasoning_content or delta.reasoning or delta.refusal:
        return True
    if delta.tool_calls is not _ABSENT and bytes(delta.tool_calls) not in _EMPTY:
        return True
    rare = (delta.function_call, delta.audio, delta.thinking_blocks)
    return any(part is not _ABSENT and bytes(part) not in _EMPTY for part in rare)


def check_answer(body: bytes) -> Usage | None:
    """The usage of a whole 200 answer, None where it tells none that can be read.

    Raises unless it holds a list of choices with messages, for an error object what that means (detail stream_error).
    """
    try:
        if not body.isascii():
            body.decode()  # members that are skipped are not checked by the decoder
        answer = _answer(body)
    except BAD_JSON:
        _shaped(_plain(body), body)
        return None
    if answer.error or not _answered(bytes(answer.choices)):
        _shaped(answer, body)
    usage = answer.usage
    return None if usage is None else counted(usage, answer.service_tier)


def _shaped(answer: _Bare, body: bytes) -> None:
    if answer.error:
        raise ParleyError(stream_failure(told_error(_object(body))))
    if not _answered(bytes(answer.choices)):
        raise bad_response("bad_shape", "the provider's answer holds no choices with a message")


def _answered(choices: bytes) -> bool:
    """Whether there is a list, and what a choice must hold in it."""
    return choices.startswith(b"[") and choices.find(b'"message"') >= 0


def _plain(body: bytes) -> _Bare:
    """An answer whose usage has another type, or the failure of one that is none."""
    if not body.strip():
        raise bad_response("empty_body", "the provider sent an empty answer")
    try:
        body.decode()
        return _bare(body)
    except ValidationError:
        raise bad_response("bad_shape", "the provider's answer is not an object") from None
    except BAD_JSON:
        raise bad_response("bad_json", "the provider's answer is not JSON") from None
