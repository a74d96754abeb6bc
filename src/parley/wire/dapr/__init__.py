"""Dapr's conversation building block, in all its forms, as a dialect; one also towards its echo component.

form      bodies by the rules of protojson
scalars   numbers, times and typed values by those rules
request   conversations read
answer    answers written
echo      conversations written, answers read
errors    errors, both ways
turns     the proposal's own form, and what is kept of conversations

Source: conversation contract sections 1, 2 and 4.
"""

from functools import partial
from typing import Final

from msgspec.structs import replace

from parley.wire import Wire
from parley.wire.dapr.answer import Silent, encode_alpha1, encode_alpha2, no_event
from parley.wire.dapr.echo import ECHO as ECHO_NAME
from parley.wire.dapr.echo import check_answer, decode_response, encode_request
from parley.wire.dapr.errors import decode_error, encode_error
from parley.wire.dapr.form import prepared
from parley.wire.dapr.request import ALPHA1 as ALPHA1_NAME
from parley.wire.dapr.request import ALPHA2 as ALPHA2_NAME
from parley.wire.dapr.request import KNOWN_ALPHA1, KNOWN_ALPHA2, decode_alpha1, decode_alpha2
from parley.wire.dapr.turns import TURNS as TURNS_NAME
from parley.wire.dapr.turns import prepared as prepared_turns

_NEVER: Final = ("", b"true")

ALPHA1 = Wire(
    name=ALPHA1_NAME,
    decode_request=decode_alpha1,
    encode_response=encode_alpha1,
    stream_encoder=Silent,
    encode_error=encode_error,
    decode_error=decode_error,
    glance=no_event,
    check_answer=check_answer,
    known=KNOWN_ALPHA1,
    stream_member=_NEVER,
    beats=False,
    placed=True,
    prepared=partial(prepared, message="alpha1"),
    names_model=True,
)
ALPHA2 = Wire(
    name=ALPHA2_NAME,
    decode_request=decode_alpha2,
    encode_response=encode_alpha2,
    stream_encoder=Silent,
    encode_error=encode_error,
    decode_error=decode_error,
    glance=no_event,
    check_answer=check_answer,
    known=KNOWN_ALPHA2,
    stream_member=_NEVER,
    beats=False,
    placed=True,
    prepared=partial(prepared, message="alpha2"),
    names_model=True,
)
# For bodies that were made from what passed those rules by itself: no caller can send any.
ALPHA1_READ = replace(ALPHA1, prepared=None)
ALPHA2_READ = replace(ALPHA2, prepared=None)
TURNS = Wire(
    name=TURNS_NAME,
    stream_encoder=Silent,
    encode_error=encode_error,
    decode_error=decode_error,
    glance=no_event,
    check_answer=check_answer,
    known=frozenset({"conversationContext", "inputs", "parameters"}),
    stream_member=_NEVER,
    placed=True,
    prepared=prepared_turns,
    names_model=True,
)
# Apart from the dialect, so that no request passes unread: what it says of itself is kept (scrubbing, context).
ECHO = Wire(
    name=ECHO_NAME,
    encode_error=encode_error,
    encode_request=encode_request,
    decode_response=decode_response,
    stream_encoder=Silent,
    decode_error=decode_error,
    glance=no_event,
    check_answer=check_answer,
    known=KNOWN_ALPHA2,
    rename={"max_tokens": "maxTokens", "max_completion_tokens": "maxTokens", "temperature": "temperature"},
    stream_member=_NEVER,
)
