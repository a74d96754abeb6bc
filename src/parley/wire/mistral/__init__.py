"""Mistral (POST /v1/chat/completions, /v1/embeddings) as a provider. Nobody is answered in these wires.

It is a wire of its own, not OpenAI's with quirks: answers would pass unread to callers of OpenAI's wire, with lists for
content, objects for arguments and the word null for an id, and requests would pass with members and ids it refuses.

prompt    chat requests
answer    whole chat answers
stream    chat streams
embed     embeddings
errors    errors of all of them

Source: provider contract section 8.
"""

from parley.ir import Usage
from parley.wire import Wire
from parley.wire.error_event import ErrorEvent
from parley.wire.mistral import answer, embed, prompt, stream
from parley.wire.mistral.errors import NAME, decode_error
from parley.wire.openai_error import encode_error


def _chat_usage(body: bytes) -> Usage | None:
    return answer.decode_response(body).usage


def _embed_usage(body: bytes) -> Usage | None:
    return embed.decode_response(body).usage


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
    several=("n",),
    repeats=True,
    idle=("p",),
    minds=False,
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
