"""Gemini's answers as the verbatim path sees them: a look into an answer or an event, no more.

Only the members that matter are decoded; everything else is skipped.
"""

from typing import Any, Final

from msgspec import Raw, Struct, ValidationError, json

from parley.ir import Usage
from parley.wire import Mark
from parley.wire.gemini.answer import answer_of, blocked, candidates_of
from parley.wire.gemini.counts import OTHERS, modal
from parley.wire.gemini.errors import bad, refuse_error
from parley.wire.gemini.names import BAD_JSON, decode

_NOTHING: Final = Mark()
_CONTENT: Final = Mark(content=True)
_ABSENT: Final = Raw()


class _Part(Struct, gc=False):
    text: str | None = None


class _Content(Struct):
    parts: list[_Part] | None = None


class _Candidate(Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None


class _Feedback(Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class _Counts(Struct, gc=False, rename="camel"):
    prompt_token_count: float | int | None = None
    tool_use_prompt_token_count: float | int | None = None
    candidates_token_count: float | int | None = None
    thoughts_token_count: float | int | None = None
    cached_content_token_count: float | int | None = None
    prompt_tokens_details: Raw = _ABSENT
    candidates_tokens_details: Raw = _ABSENT
    cache_tokens_details: Raw = _ABSENT


class _Event(Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Counts | None = None
    error: Any = None


class _Answer(Struct, gc=False, rename="camel"):
    candidates: Raw = _ABSENT
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Counts | None = None
    error: Any = None


_event: Final = json.Decoder(_Event).decode
_answer: Final = json.Decoder(_Answer).decode


def glance(event: str, data: bytes) -> Mark:
    """What one event tells; raises bad_event where it is not JSON of this shape."""
    if data.startswith(b"[DONE]"):
        return _NOTHING
    try:
        if not data.isascii():
            data.decode()  # members that are skipped are not checked by the decoder
        found = _event(data)
    except ValidationError:
        return _odd(data)
    except BAD_JSON:
        bad("bad_event", "the provider sent an event that is not JSON")
    if found.error:
        refuse_error(decode(data))
    return _marked(found)


def _marked(found: _Event) -> Mark:
    content = False
    finished = found.prompt_feedback is not None and found.prompt_feedback.block_reason is not None
    for candidate in found.candidates or ():
        content = content or _speaks(candidate.content)
        finished = finished or bool(candidate.finish_reason)
    if finished or found.usage_metadata is not None:
        usage = None if found.usage_metadata is None else _counted(found.usage_metadata)
        return Mark(content=content, finished=finished, usage=usage)
    return _CONTENT if content else _NOTHING


def _speaks(content: _Content | None) -> bool:
    """Whether there is anything in it that a caller would take for an answer: a part that is no text is."""
    return content is not None and any(part.text != "" for part in content.parts or ())


def _odd(data: bytes) -> Mark:
    """An error, or members of unexpected types: it passes unless it is no object or tells an error."""
    answer = answer_of(data, "bad_event")
    ends = any(bool(item.get("finishReason")) for item in candidates_of(answer, "bad_event"))
    return Mark(finished=True) if ends or blocked(answer) else _NOTHING


def _counted(usage: _Counts) -> Usage:
    """The numbers alone, which is all that a meter needs."""
    thoughts, cached = usage.thoughts_token_count, usage.cached_content_token_count
    details = (usage.prompt_tokens_details, usage.candidates_tokens_details, usage.cache_tokens_details)
    # Nearly always there is text alone.
    told = [decode(part) if OTHERS.search(part) else None for part in map(bytes, details)]
    return Usage(
        int((usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0)),
        int((usage.candidates_token_count or 0) + (thoughts or 0)),
        None if cached is None else int(cached),
        None,
        None if thoughts is None else int(thoughts),
        **(modal(*told) if any(told) else {}),
    )


def check_answer(body: bytes) -> Usage | None:
    """The counts of a whole answer's usage, None where it has none that can be read.

    Raises unless it holds candidates or says why there are none.
    """
    try:
        if not body.isascii():
            body.decode()  # members that are skipped are not checked by the decoder
        answer = _answer(body)
    except BAD_JSON:
        _shaped(body)
        return None
    if answer.error or not bytes(answer.candidates).startswith(b"[") or bytes(answer.candidates) == b"[]":
        _shaped(body)
    return None if answer.usage_metadata is None else _counted(answer.usage_metadata)


def _shaped(body: bytes) -> None:
    if not body.strip():
        bad("empty_body", "the provider sent an empty answer")
    answer = answer_of(body, "bad_json")
    if not candidates_of(answer, "bad_shape") and not blocked(answer):
        bad("bad_shape", "the provider's answer holds no candidates")
