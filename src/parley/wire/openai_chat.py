"""OpenAI chat completions: the record of the wire.

openai_request   requests read from a caller
openai_body      requests written for a provider
openai_answer    whole answers, both ways
openai_stream    streams read from a provider
openai_chunks    streams written for a caller
openai_glance    the verbatim path's look into answers
openai_error     errors, as every OpenAI endpoint shapes them
"""

from parley.wire import Wire
from parley.wire.openai_answer import decode_response, encode_response
from parley.wire.openai_body import encode_request
from parley.wire.openai_chunks import DONE, ChatStreamEncoder
from parley.wire.openai_error import WIRE_NAME, decode_error, encode_error
from parley.wire.openai_glance import check_answer, glance, usage_of
from parley.wire.openai_request import KNOWN, SCALARS, decode_request
from parley.wire.openai_stream import ChatStreamDecoder

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
    usage_of=usage_of,
    check_answer=check_answer,
    terminator=DONE,
    rename={name: name for name in sorted(SCALARS)},
    known=KNOWN,
)
