"""Cohere v2 (POST /v2/chat, /v2/embed, /v2/rerank) as a provider. Nobody is answered in these wires.

prompt    chat requests
answer    whole chat answers
stream    chat streams
embed     embeddings
rerank    ranked documents
errors    errors of all of them

Source: provider contract section 9.
"""

from parley.ir import Usage
from parley.wire import Wire
from parley.wire.cohere import answer, embed, prompt, rerank, stream
from parley.wire.cohere.errors import NAME, ErrorEvent, decode_error, encode_error


def _chat_usage(body: bytes) -> Usage | None:
    return answer.decode_response(body).usage


def _embed_usage(body: bytes) -> Usage | None:
    return embed.decode_response(body).usage


def _rerank_usage(body: bytes) -> Usage | None:
    return rerank.decode_response(body).usage


CHAT = Wire(
    name=NAME,
    encode_request=prompt.encode_request,
    decode_response=answer.decode_response,
    stream_decoder=stream.ChatDecoder,
    encode_error=encode_error,
    decode_error=decode_error,
    stream_encoder=ErrorEvent,
    glance=stream.glance,
    check_answer=_chat_usage,
    known=frozenset(),
    repeats=True,
)
EMBED = Wire(
    name=embed.NAME,
    encode_request=embed.encode_request,
    decode_response=embed.decode_response,
    encode_error=encode_error,
    decode_error=decode_error,
    stream_encoder=ErrorEvent,
    glance=stream.glance,
    check_answer=_embed_usage,
    known=frozenset(),
)
RERANK = Wire(
    name=rerank.NAME,
    encode_request=rerank.encode_request,
    decode_response=rerank.decode_response,
    encode_error=encode_error,
    decode_error=decode_error,
    stream_encoder=ErrorEvent,
    glance=stream.glance,
    check_answer=_rerank_usage,
    known=frozenset(),
)
