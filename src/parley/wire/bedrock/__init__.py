"""Amazon Bedrock Converse (POST /model/{model}/converse and /converse-stream), as a provider.

request   requests written for the provider
content   their content blocks
answer    whole answers
stream    streams of events
marked    the same for models whose signatures mean nothing elsewhere
frames    the binary messages that carry events
errors    errors as answers and as exceptions in streams
words     names, ids, stop reasons and usage, which all of them share

No caller speaks it, so as a dialect it has no more than errors. Source: provider contract section 10.
"""

from msgspec.structs import replace

from parley.wire import Wire, unspoken
from parley.wire.bedrock.answer import check_answer, decode_response
from parley.wire.bedrock.errors import decode_error, encode_error
from parley.wire.bedrock.frames import delta_of
from parley.wire.bedrock.marked import MarkedDecoder, decode_marked
from parley.wire.bedrock.request import KNOWN, encode_request
from parley.wire.bedrock.stream import ConverseDecoder
from parley.wire.bedrock.words import NAME, is_claude


def of_model(model: str) -> Wire:
    """The wire as answers of that model are read."""
    return WIRE if is_claude(model) else OTHERS


WIRE = Wire(
    name=NAME,
    encode_error=encode_error,
    decode_error=decode_error,
    stream_encoder=unspoken,
    glance=unspoken,
    check_answer=check_answer,
    encode_request=encode_request,
    decode_response=decode_response,
    stream_decoder=ConverseDecoder,
    repeats=True,
    idle=("p",),
    minds=False,
    unframed=delta_of,
    known=KNOWN,
    stream_type=b"application/vnd.amazon.eventstream",
    placed=True,
    beats=False,
    of_model=of_model,
)
OTHERS = replace(WIRE, decode_response=decode_marked, stream_decoder=MarkedDecoder)
