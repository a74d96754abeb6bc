"""Gemini's whole answers, read from a provider and written for a caller; and the parts of an answer.

Source: provider contract 3.3.
"""

from typing import Any, Final

from msgspec import Raw, Struct, json
from msgspec.structs import replace

from parley.failure import ParleyError
from parley.ir import Block, ChatResponse, Choice, Extra, Media, Opaque, Refusal, Text, Thinking, ToolCall
from parley.wire import Reply
from parley.wire.gemini.counts import logprobs_from, logprobs_to, reason_of, stop_of, usage_from, usage_to
from parley.wire.gemini.errors import bad, refuse_error
from parley.wire.gemini.names import BAD_JSON, NAME, Json, decode, encode, rest, word
from parley.wire.gemini.parts import Ids, blocks_of, redacted
from parley.wire.signature import FILLER, SIGNED, beside, foreign, of_text, opened

ANSWER: Final = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId"})
_SEAL: Final = frozenset({SIGNED})
_CANDIDATE: Final = frozenset({"content", "finishReason", "index", "logprobsResult"})
_object: Final = json.Decoder(dict[str, Any])


class _Call(Struct, frozen=True):
    args: Raw = Raw(b"")


class _Part(Struct, frozen=True, rename="camel"):
    function_call: _Call | None = None


class _Content(Struct, frozen=True):
    parts: list[_Part] | None = None


class _Candidate(Struct, frozen=True):
    content: _Content | None = None


class _Candidates(Struct, frozen=True):
    candidates: list[_Candidate] | None = None


_calls: Final = json.Decoder(_Candidates)


def answer_of(body: bytes, detail: str) -> Json:
    """The object of an answer or event. Raises ``upstream_bad_response`` with that detail, and what an error object
    means (detail stream_error)."""
    try:
        value = decode(body)
    except BAD_JSON:
        bad(detail, "the provider's answer is not JSON")
    refuse_error(value)
    if type(value) is not dict:
        bad("bad_shape" if detail == "bad_json" else detail, "the provider's answer is not an object")
    return value


def candidates_of(answer: Json, detail: str) -> list[Json]:
    """The candidates; none where the prompt was refused or an event only tells other things."""
    found = answer.get("candidates")
    if found is None:
        return []
    if type(found) is not list or not all(type(item) is dict for item in found):
        bad(detail, "the provider's candidates are not a list of objects")
    return found


def parts_of(candidate: Json, ids: Ids, detail: str, spelled: list[bytes | None]) -> tuple[Block, ...]:
    """The blocks of a candidate, which may have none. ``spelled`` are the arguments of its calls as the provider wrote
    them, one for each part."""
    content = candidate.get("content")
    parts = content.get("parts") if type(content) is dict else None
    if parts is None:
        return ()
    try:
        if type(parts) is not list:
            bad(detail, "the provider's parts are not a list")
        blocks = blocks_of(parts, ids)
    except ParleyError as error:
        bad(detail, f"the provider's answer holds a part that is not valid: {error.failure.param or 'parts'}")
    found: list[Block] = []
    texts = spelled if len(spelled) == len(blocks) else [None] * len(blocks)
    for block, text in zip(blocks, texts, strict=True):
        if type(block) is Text and type(block.extra.get(SIGNED)) is str:
            found += _signed_text(block)
        else:
            found.append(replace(block, arguments=text.decode()) if isinstance(block, ToolCall) and text else block)
    return tuple(found)


def _signed_text(block: Text) -> list[Block]:
    """A text, and beside it what signs it."""
    extra = rest(block.extra, _SEAL)
    seal = beside(block.text, block.extra[SIGNED])
    return [Text(block.text, extra), seal] if block.text or extra else [seal]


def spellings(body: bytes) -> list[list[bytes | None]]:
    """The arguments of every call as they are written, by candidate and part; [] where nothing is called."""
    if body.find(b'"functionCall"') < 0:
        return []
    try:
        found = _calls.decode(body).candidates or []
    except BAD_JSON:
        return []
    return [
        [_spelled(part) for part in (item.content.parts or () if item.content is not None else ())] for item in found
    ]


def _spelled(part: _Part) -> bytes | None:
    text = bytes(part.function_call.args) if part.function_call is not None else b""
    return text if text.startswith(b"{") else None


def decode_response(body: bytes) -> ChatResponse:
    """A whole answer. Raises ``upstream_bad_response`` (empty_body, bad_json, bad_shape), and what an error object
    means (detail stream_error)."""
    if not body.strip():
        bad("empty_body", "the provider sent an empty answer")
    answer = answer_of(body, "bad_json")
    found, written = candidates_of(answer, "bad_shape"), spellings(body)
    ids = Ids(unique=True)
    if found:
        choices = tuple(
            _choice(place, item, ids, written[place] if place < len(written) else [])
            for place, item in enumerate(found)
        )
    elif blocked(answer):
        choices = (Choice(0, (), "refusal"),)
    else:
        bad("bad_shape", "the provider's answer holds no candidates")
    usage = answer.get("usageMetadata")
    return ChatResponse(
        wire=NAME,
        id=word(answer, "responseId") or "",
        model=word(answer, "modelVersion") or "",
        choices=choices,
        usage=usage_from(usage) if type(usage) is dict else None,
        extra=rest(answer, ANSWER),
    )


def blocked(answer: Json) -> bool:
    """Whether the prompt was refused."""
    return word(answer.get("promptFeedback"), "blockReason") is not None


def _choice(place: int, candidate: Json, ids: Ids, spelled: list[bytes | None]) -> Choice:
    content = parts_of(candidate, ids, "bad_shape", spelled)
    called = any(isinstance(block, ToolCall) for block in content)
    native = word(candidate, "finishReason")
    stop = stop_of(native or "STOP", called=called, spoke=bool(content), message=word(candidate, "finishMessage"))
    return Choice(
        number_of(candidate, place),
        content,
        stop,
        native=native,
        logprobs=logprobs_from(candidate.get("logprobsResult")),
        extra=left_over(candidate),
    )


def number_of(candidate: Json, place: int) -> int:
    """Which of the answers it is; 0 may be left out."""
    index = candidate.get("index")
    return index if type(index) is int else place


def left_over(candidate: Json) -> Extra:
    """What of a candidate is this wire's own (safetyRatings, groundingMetadata, continuationToken, ...)."""
    return rest(candidate, _CANDIDATE)


# --- writing -----------------------------------------------------------------------------------


def encode_response(response: ChatResponse, reply: Reply) -> bytes:
    """An answer. Raises ``upstream_error`` for one that ended in error."""
    same = response.wire == NAME
    answer: Json = {}
    if not (same and blocked(response.extra) and not any(choice.content for choice in response.choices)):
        answer["candidates"] = [_candidate(choice, same) for choice in response.choices]
    if response.usage is not None:
        answer["usageMetadata"] = usage_to(response.usage, same=same)
    answer["modelVersion"] = response.model or reply.model
    answer["responseId"] = response.id or reply.id
    return encode({**answer, **response.extra} if same else answer)


def _candidate(choice: Choice, same: bool) -> Json:
    parts: list[Json] = []
    for block in choice.content:
        if not (same and parts and type(block) is Thinking and _closes(parts[-1], block)):
            parts += answer_parts(block, same=same)
    if not same:
        filled(parts)
    made: Json = {
        "content": {"role": "model", "parts": parts},
        "finishReason": reason_of(choice.stop, choice.native, same=same),
        "index": choice.index,
    }
    logprobs = logprobs_to(choice.logprobs)
    if logprobs is not None:
        made["logprobsResult"] = logprobs
    return {**made, **choice.extra} if same else made


def _closes(part: Json, block: Thinking) -> bool:
    """Whether it signs that part, which it then does."""
    signs = of_text(block.signature)
    if signs is None or not signs[1] or "text" not in part or "thought" in part or SIGNED in part:
        return False
    part[SIGNED] = signs[0]
    return True


def answer_parts(block: Block, *, same: bool) -> list[Json]:
    """The parts that say a block of an answer; none for what this wire cannot say. ``same``: it came from this wire."""
    match block:
        case Text(text, extra):
            return [{"text": text, **(extra if same else {})}] if text or same else []
        case Thinking():
            return thought_parts(block)
        case Refusal(text):
            return [{"text": text}] if text else []
        case ToolCall():
            return [call_part(block, same=same)]
        case Media():
            return _media_parts(block)
        case Opaque(wire, value) if wire == NAME:
            return [value]
    return []


def thought_parts(block: Thinking) -> list[Json]:
    """A thought with its signature; another wire's is wrapped in bytes, which is all that this one has."""
    part: Json = {"text": block.text, "thought": True}
    if block.redacted is not None:
        return [{**part, SIGNED: foreign(redacted(block.redacted))}]
    if (signs := of_text(block.signature)) is not None:
        return [{"text": "", SIGNED: signs[0]}]
    if block.signature:
        part[SIGNED] = opened(block.signature) or foreign(block.signature)
    return [part] if block.text or block.signature else []


def call_part(call: ToolCall, *, same: bool) -> Json:
    """A call; arguments that are no object are wrapped as ``_raw``."""
    inner: Json = {"id": call.id, "name": call.name, "args": _arguments(call.arguments)}
    return {"functionCall": inner, **(call.extra if same else {})}


def filled(parts: list[Json]) -> bool:
    """Whether there is a call among them; the first gets the filler where it is not signed, so that a history made
    elsewhere is good for this wire's own providers too."""
    for part in parts:
        if "functionCall" in part:
            part.setdefault(SIGNED, FILLER)
            return True
    return False


def _arguments(text: str) -> Any:
    if not text or text.isspace():
        return {}
    try:
        _object.decode(text)
    except BAD_JSON:
        return {"_raw": text}
    return Raw(text.encode())


def _media_parts(media: Media) -> list[Json]:
    if media.data is not None:
        return [{"inlineData": {"mimeType": media.media_type or "image/png", "data": media.data}}]
    kind = {"mimeType": media.media_type} if media.media_type else {}
    return [{"fileData": {"fileUri": media.url or media.file_id or "", **kind}}]
