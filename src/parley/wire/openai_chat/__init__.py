"""OpenAI chat completions, as a dialect and as a provider.

request   requests read from a caller
body      requests written for a provider
answer    whole answers, both ways
stream    streams read from a provider
chunks    streams written for a caller
paths     where a turn has its blocks
sealed    what only other providers know in requests that pass as they came
glance    the verbatim path's look into answers
error     errors, as every OpenAI endpoint shapes them
"""

from parley.wire import Demand, Wire
from parley.wire.openai_chat.answer import decode_response, encode_response
from parley.wire.openai_chat.body import encode_request
from parley.wire.openai_chat.chunks import DONE, ChatStreamEncoder
from parley.wire.openai_chat.error import WIRE_NAME, decode_error, encode_error
from parley.wire.openai_chat.glance import check_answer, glance
from parley.wire.openai_chat.paths import places
from parley.wire.openai_chat.request import KNOWN, SCALARS, decode_request
from parley.wire.openai_chat.sealed import cleared
from parley.wire.openai_chat.stream import ChatStreamDecoder

WIRE = Wire(
    name=WIRE_NAME,
    decode_request=decode_request,
    encode_response=encode_response,
    stream_encoder=ChatStreamEncoder,
    encode_error=encode_error,
    encode_request=encode_request,
    decode_response=decode_response,
    stream_decoder=ChatStreamDecoder,
    decode_error=decode_error,
    glance=glance,
    check_answer=check_answer,
    terminator=DONE,
    rename={name: name for name in sorted(SCALARS)},
    known=KNOWN,
    several=("n",),
    repeats=True,
    idle=("obfuscation",),
    forgets=True,
    demands=Demand("messages", b"[", "a list"),
    cleared=cleared,
    places=places,
    metered=("stream_options", b'{"include_usage":true}'),
)
