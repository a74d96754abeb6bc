"""Whole answers as they pass: their shape, an error object among them, and their usage.

Usage has many spellings: prompt_tokens or input_tokens, completion_tokens or output_tokens, and where there is only
a total the rest of it was read. Transcriptions may tell seconds of sound in place of tokens.
"""

from typing import Final

from msgspec import Raw, Struct, json
from msgspec.structs import replace

from parley.ir import Usage
from parley.wire.openai_error import BAD_JSON, bad_response
from parley.wire.openai_shape import Members, members_of, refuse_error, require_list


class _Parts(Struct, gc=False):
    audio_tokens: float | int | None = None
    image_tokens: float | int | None = None


class Counts(Struct, gc=False):
    """The numbers of a usage object, by any of their names."""

    prompt_tokens: float | int | None = None
    completion_tokens: float | int | None = None
    input_tokens: float | int | None = None
    output_tokens: float | int | None = None
    total_tokens: float | int | None = None
    input_tokens_details: "_Parts | None" = None
    input_token_details: "_Parts | None" = None
    output_tokens_details: "_Parts | None" = None
    seconds: float | int | None = None


class _Billed(Struct, gc=False):
    tokens: Counts | None = None


_counts: Final = json.Decoder(Counts | None).decode
_billed: Final = json.Decoder(_Billed | None).decode
_members: Final = json.Decoder(Members).decode
_list: Final = json.Decoder(list[Raw]).decode


def counted(found: Counts) -> Usage | None:
    """The usage, None where there is no number in it."""
    read = found.prompt_tokens if found.prompt_tokens is not None else found.input_tokens
    made = found.completion_tokens if found.completion_tokens is not None else found.output_tokens
    if read is None and made is None and found.total_tokens is None:
        return None if found.seconds is None else Usage(seconds=float(found.seconds))
    made = made or 0
    if read is None:
        read = max(0, (found.total_tokens or made) - made)
    asked = found.input_tokens_details or found.input_token_details or _Parts()
    gave = found.output_tokens_details or _Parts()
    return Usage(
        int(read),
        int(made),
        audio_input=_whole_number(asked.audio_tokens),
        image_input=_whole_number(asked.image_tokens),
        image_output=_whole_number(gave.image_tokens),
    )


def _whole_number(count: float | int | None) -> int | None:
    return None if count is None else int(count)


def check_embeddings(body: bytes) -> Usage | None:
    """Raises unless it holds a list ``data``."""
    found = members_of(body)
    require_list(found, "data")
    return usage_of(found)


def check_images(body: bytes) -> Usage | None:
    """Raises unless it holds a list ``data``, whose pictures are counted too."""
    found = members_of(body)
    require_list(found, "data")
    usage, images = usage_of(found), len(_list(found["data"]))
    if usage is None:
        return Usage(images=images, estimated=True) if images else None
    return replace(usage, images=images)


def check_moderations(body: bytes) -> Usage | None:
    """Raises unless it holds a list ``results``."""
    found = members_of(body)
    require_list(found, "results")
    return usage_of(found)


def check_rerank(body: bytes) -> Usage | None:
    """Raises unless it holds a list ``results`` (``data`` with some) or is one, as text-embedding servers answer."""
    if body.lstrip().startswith(b"["):
        _whole(body)
        return None
    found = members_of(body)
    require_list(found, "results", "data")
    usage = usage_of(found)
    if usage is not None or "meta" not in found:
        return usage
    try:
        billed = _billed(found["meta"])
    except BAD_JSON:
        return None
    return None if billed is None or billed.tokens is None else counted(billed.tokens)


def check_speech(body: bytes) -> Usage | None:
    """Raises for an empty answer and for an error object; all else is sound."""
    if not body:
        raise bad_response("empty_body", "the provider sent an empty answer")
    _told(body)
    return None


def check_transcription(body: bytes) -> Usage | None:
    """The same for JSON, plain text or subtitles; silence may be an empty line but not nothing."""
    if not body:
        raise bad_response("empty_body", "the provider sent an empty answer")
    found = _told(body)
    return None if found is None else usage_of(found)


def _told(body: bytes) -> Members | None:
    """The members of an answer that is a JSON object, None for anything else; raises what its error means."""
    if body.lstrip()[:1] != b"{":
        return None
    try:
        found = _members(body)
    except BAD_JSON:
        return None
    refuse_error(found)
    return found


def usage_of(found: Members) -> Usage | None:
    """The numbers of an answer's usage, None where it has none that can be read."""
    if "usage" not in found:
        return None
    try:
        counts = _counts(found["usage"])
    except BAD_JSON:
        return None
    return None if counts is None else counted(counts)


def _whole(body: bytes) -> None:
    try:
        body.decode()
        json.decode(body)
    except BAD_JSON:
        raise bad_response("bad_json", "the provider's answer is not JSON") from None
