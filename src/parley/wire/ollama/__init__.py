"""Ollama's own API, as a dialect and as a provider: chat, generate, embed and the older embeddings.

turns     requests to chat read from a caller
generate  requests to generate read from a caller
prompt    requests written for a provider
options   options, thinking and format, both ways
loading   requests that ask nothing of a model
lines     what an answer or one line of it holds
answer    whole answers, both ways
stream    streams read from a provider
chunks    streams written for a caller
glance    the verbatim path's look into answers
vectors   embed and embeddings
errors    errors, as answers and as lines

Source: provider contract section 4.
"""

from typing import Final

from parley.wire import Demand, Wire
from parley.wire.ollama import generate, loading, turns, vectors
from parley.wire.ollama.answer import decode_chat, decode_generate, encode_chat, encode_generate
from parley.wire.ollama.chunks import ChatLines, GenerateLines
from parley.wire.ollama.errors import NAME, decode_error, encode_error
from parley.wire.ollama.glance import check_chat, check_generate, check_vectors, glance
from parley.wire.ollama.options import GENERATE as GENERATE_NAME
from parley.wire.ollama.paths import generate_places, places
from parley.wire.ollama.prompt import encode_generate as encode_generate_request
from parley.wire.ollama.prompt import encode_request
from parley.wire.ollama.stream import MAX_LINE, LinesDecoder

_LINES: Final = b"application/x-ndjson"
# No member asks for a stream of vectors.
_NEVER: Final = ("", b"true")
# What other wires name as OpenAI does, as callers of this one say it.
_CALLED: Final = {
    "temperature": "options.temperature",
    "top_p": "options.top_p",
    "top_k": "options.top_k",
    "max_tokens": "options.num_predict",
    "stop": "options.stop",
    "seed": "options.seed",
    "presence_penalty": "options.presence_penalty",
    "frequency_penalty": "options.frequency_penalty",
    "response_format": "format",
    "reasoning_effort": "think",
    "thinking": "think",
}
# What stands at top level; every other parameter is one of ``options``.
_NAMED: Final = {"stream": "stream", "logprobs": "logprobs", "top_logprobs": "top_logprobs"}

CHAT = Wire(
    name=NAME,
    decode_request=turns.decode_request,
    encode_response=encode_chat,
    stream_encoder=ChatLines,
    encode_error=encode_error,
    encode_request=encode_request,
    decode_response=decode_chat,
    stream_decoder=LinesDecoder,
    decode_error=decode_error,
    glance=glance,
    check_answer=check_chat,
    rename=_NAMED,
    called=_CALLED,
    known=turns.KNOWN,
    stream_type=_LINES,
    lines=True,
    beats=False,
    stream_default=True,
    max_event=MAX_LINE,
    unasked=loading.chat,
    places=places,
    repeats=True,
    idle=("created_at",),
    minds=False,
    forgets=True,
)
GENERATE = Wire(
    name=GENERATE_NAME,
    decode_request=generate.decode_request,
    encode_response=encode_generate,
    stream_encoder=GenerateLines,
    encode_error=encode_error,
    encode_request=encode_generate_request,
    decode_response=decode_generate,
    stream_decoder=LinesDecoder,
    decode_error=decode_error,
    glance=glance,
    check_answer=check_generate,
    rename=_NAMED,
    called=_CALLED,
    known=generate.KNOWN,
    stream_type=_LINES,
    lines=True,
    beats=False,
    stream_default=True,
    max_event=MAX_LINE,
    unasked=loading.generate,
    places=generate_places,
    repeats=True,
    idle=("created_at",),
    minds=False,
    forgets=True,
)
EMBED = Wire(
    name=vectors.EMBED,
    decode_request=vectors.decode_embed,
    encode_response=vectors.encode_embed_answer,
    stream_encoder=vectors.NoLines,
    encode_error=encode_error,
    encode_request=vectors.encode_embed,
    decode_response=vectors.decode_response,
    decode_error=decode_error,
    glance=vectors.no_line,
    check_answer=check_vectors,
    rename={"dimensions": "dimensions"},
    known=vectors.KNOWN_EMBED,
    demands=Demand("input", b'"[', "a string or a list"),
    stream_member=_NEVER,
    stream_type=_LINES,
    lines=True,
    beats=False,
    unasked=loading.embed,
)
EMBEDDINGS = Wire(
    name=vectors.EMBEDDINGS,
    decode_request=vectors.decode_embeddings,
    encode_response=vectors.encode_embeddings_answer,
    stream_encoder=vectors.NoLines,
    encode_error=encode_error,
    encode_request=vectors.encode_embeddings,
    decode_response=vectors.decode_response,
    decode_error=decode_error,
    glance=vectors.no_line,
    check_answer=check_vectors,
    known=vectors.KNOWN_EMBEDDINGS,
    demands=Demand("prompt", b'"', "a string"),
    stream_member=_NEVER,
    stream_type=_LINES,
    lines=True,
    beats=False,
    unasked=loading.embeddings,
)
