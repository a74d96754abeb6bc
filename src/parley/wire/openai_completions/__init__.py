"""OpenAI's legacy completions, as a dialect towards chat models and, for answers, as a provider.

request   requests read from a caller
answer    whole answers, both ways
stream    streams, both ways
glance    the verbatim path's look into answers

No request is written for a provider: a caller of another dialect needs one that chats.
"""

from parley.wire import Demand, Wire
from parley.wire.openai_completions.answer import decode_response, encode_response
from parley.wire.openai_completions.glance import check_answer, glance
from parley.wire.openai_completions.request import KNOWN, NAMED, WIRE_NAME, decode_request
from parley.wire.openai_completions.stream import DONE, CompletionStreamDecoder, CompletionStreamEncoder
from parley.wire.openai_error import decode_error, encode_error
from parley.wire.paths import prompt_places

WIRE = Wire(
    name=WIRE_NAME,
    decode_request=decode_request,
    encode_response=encode_response,
    stream_encoder=CompletionStreamEncoder,
    encode_error=encode_error,
    decode_response=decode_response,
    stream_decoder=CompletionStreamDecoder,
    decode_error=decode_error,
    glance=glance,
    check_answer=check_answer,
    terminator=DONE,
    rename={**{name: name for name in sorted(NAMED)}, "max_completion_tokens": "max_tokens"},
    known=KNOWN,
    places=prompt_places,
    several=("n",),
    demands=Demand("prompt", b'"[n', "a string, an array or null"),
    metered=("stream_options", b'{"include_usage":true}'),
)
