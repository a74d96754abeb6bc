"""Anthropic Messages (POST /v1/messages), as a dialect and as a provider.

request   requests read from a caller
prompt    requests written for a provider
answer    whole answers, both ways
decoder   streams read from a provider
encoder   streams written for a caller
glance    the verbatim path's look into answers
errors    errors, as answers and as stream events
blocks    content blocks, usage and stop reasons, which all of them share

Source: provider contract section 2.
"""

from parley.wire import Demand, Wire
from parley.wire.anthropic.answer import decode_response, encode_response
from parley.wire.anthropic.blocks import NAME
from parley.wire.anthropic.decoder import MessageDecoder
from parley.wire.anthropic.encoder import TERMINATOR, MessageEncoder
from parley.wire.anthropic.errors import decode_error, encode_error
from parley.wire.anthropic.glance import check_answer, glance
from parley.wire.anthropic.prompt import cleared, encode_request
from parley.wire.anthropic.request import KNOWN, count_tokens, decode_request
from parley.wire.paths import plain_places

WIRE = Wire(
    name=NAME,
    decode_request=decode_request,
    encode_response=encode_response,
    stream_encoder=MessageEncoder,
    encode_error=encode_error,
    encode_request=encode_request,
    decode_response=decode_response,
    stream_decoder=MessageDecoder,
    decode_error=decode_error,
    glance=glance,
    check_answer=check_answer,
    terminator=TERMINATOR,
    rename={
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "max_tokens": "max_tokens",
        "max_completion_tokens": "max_tokens",
        # A list here, where the other dialect also takes a string: whoever edits must wrap it.
        "stop": "stop_sequences",
        "stream": "stream",
    },
    known=KNOWN,
    called={
        "stop": "stop_sequences",
        "user": "metadata.user_id",
        "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
        "reasoning_effort": "output_config.effort",
        "response_format": "output_config.format",
    },
    demands=Demand("messages", b"[", "a list"),
    count=count_tokens,
    cleared=cleared,
    places=plain_places,
    # The version that takes every field this dialect ever had, for callers who do not say.
    # Newer versions of the API refuse these, so whoever sets one must choose the version too.
    weighty=frozenset({"temperature", "top_p", "top_k"}),
    needs=((b"anthropic-version", b"2023-06-01"),),
    repeats=True,
    forgets=True,
)
