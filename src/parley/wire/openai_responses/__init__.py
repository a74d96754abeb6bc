"""OpenAI Responses (POST /responses), as a dialect and as a provider.

request   requests read from a caller
items     input items read from a caller
prompt    requests written for a provider
turns     input items written for a provider
answer    whole answers read from a provider
output    output items read from a provider
decoder   streams read from a provider
growing   output items of such a stream under way
encoder   answers written for a caller, whole or as a stream
drafts    output items written for a caller, with their events
mirror    the response object around an answer
sealed    reasoning that must come back byte for byte
usage     usage and the reasons why answers end
glance    the verbatim path's look into answers

Source: OpenAI surface contract, sections 6 and 10.
"""

from parley.wire import Wire
from parley.wire.openai_error import decode_error, encode_error
from parley.wire.openai_responses.answer import decode_response
from parley.wire.openai_responses.decoder import ResponseDecoder
from parley.wire.openai_responses.encoder import ResponseEncoder, encode_response
from parley.wire.openai_responses.glance import check_answer, glance
from parley.wire.openai_responses.paths import places
from parley.wire.openai_responses.prompt import encode_request
from parley.wire.openai_responses.request import KNOWN, SCALARS, count_tokens, decode_request
from parley.wire.openai_responses.sealed import NAME, cleared

WIRE = Wire(
    name=NAME,
    decode_request=decode_request,
    encode_response=encode_response,
    stream_encoder=ResponseEncoder,
    encode_error=encode_error,
    encode_request=encode_request,
    decode_response=decode_response,
    stream_decoder=ResponseDecoder,
    decode_error=decode_error,
    glance=glance,
    check_answer=check_answer,
    # The last event holds the whole response: it cannot be supplied where it is missing.
    terminator=b"",
    rename={
        **{name: name for name in sorted(SCALARS)},
        "max_tokens": "max_output_tokens",
        "max_completion_tokens": "max_output_tokens",
    },
    known=KNOWN,
    called={
        "max_tokens": "max_output_tokens",
        "reasoning_effort": "reasoning.effort",
        "response_format": "text.format",
        "logprobs": "include",
    },
    count=count_tokens,
    cleared=cleared,
    places=places,
    # The last event repeats the whole answer.
    max_event=32 * 1024 * 1024,
)
