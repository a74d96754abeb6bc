"""Ollama's answers as the verbatim path sees them: a look into a line or a whole answer, no more."""

from typing import Final

from msgspec import Raw, Struct, json

from parley.failure import ParleyError
from parley.ir import Usage
from parley.wire import Mark
from parley.wire.ollama.answer import whole
from parley.wire.ollama.errors import BAD_JSON, bad, decode
from parley.wire.ollama.lines import line_of, object_of, refuse_error, usage_of

_NOTHING: Final = Mark()
_CONTENT: Final = Mark(content=True)


def glance(event: str, data: bytes) -> Mark:
    """What one line tells; raises ``upstream_bad_response`` (bad_event)."""
    try:
        line = line_of(data)
    except ParleyError as error:
        if error.failure.detail == "stream_error":
            return Mark(failure=error.failure)
        raise
    said = line.message
    content = bool(line.response or line.thinking)
    if said is not None:
        content = content or bool(said.content or said.thinking or said.tool_calls)
    if line.done:
        return Mark(content=content, finished=True, end=True, usage=usage_of(decode(data)))
    return _CONTENT if content else _NOTHING


def check_chat(body: bytes) -> Usage | None:
    """The counters of a whole answer to chat. Raises as its decoder unless it is one."""
    return usage_of(whole(body, "message")[0])


def check_generate(body: bytes) -> Usage | None:
    """The counters of a whole answer to generate, or a picture. Raises as its decoder unless it is one."""
    return usage_of(whole(body, "response")[0])


class _Vectors(Struct, gc=False):
    embeddings: Raw = Raw()
    embedding: Raw = Raw()
    prompt_eval_count: float | int | None = None


_vectors: Final = json.Decoder(_Vectors).decode


def check_vectors(body: bytes) -> Usage | None:
    """The counter of an answer that holds vectors, None where it has none. Raises unless it is one."""
    if not body.strip():
        bad("empty_body", "the provider sent an empty answer")
    try:
        body.decode()  # members that are skipped are not checked by the decoder
        found = _vectors(body)
        listed = bytes(found.embeddings) or bytes(found.embedding)
    except BAD_JSON:
        listed = b""
    if not listed.startswith(b"["):
        refuse_error(object_of(body, "bad_shape"))
        bad("bad_shape", "the provider's answer holds no vectors")
    return None if found.prompt_eval_count is None else Usage(int(found.prompt_eval_count))
