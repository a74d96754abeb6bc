"""Gemini's generateContent and its relatives, as a dialect and as a provider.

request   requests read from a caller, with config (settings and tools) and parts
prompt    requests written for a provider, with settings
answer    whole answers, both ways
decoder   streams read from a provider, with pieces (calls that come in parts)
encoder   streams written for a caller, as events and as one array
glance    the verbatim path's look into answers
errors    errors, as answers and inside streams
embed     embeddings
counts    usage, stop reasons and log probabilities
schema    JSON Schema and the part of OpenAPI's that this wire has
names     member names in both of their spellings

Source: provider contract section 3.
"""

from msgspec.structs import replace

from parley.wire import Demand, Wire
from parley.wire.gemini import embed
from parley.wire.gemini.answer import decode_response, encode_response
from parley.wire.gemini.counts import COUNTS
from parley.wire.gemini.decoder import ContentDecoder
from parley.wire.gemini.encoder import ArrayEncoder, ContentEncoder
from parley.wire.gemini.errors import decode_error, encode_array_error, encode_error
from parley.wire.gemini.glance import check_answer, glance
from parley.wire.gemini.names import CALLED, EMBED_KNOWN, KNOWN, MAX_ITEM, NAME
from parley.wire.gemini.prompt import cleared, encode_request
from parley.wire.gemini.request import count_tokens, decode_request
from parley.wire.paths import plain_places

WIRE = Wire(
    name=NAME,
    decode_request=decode_request,
    encode_response=encode_response,
    stream_encoder=ContentEncoder,
    encode_error=encode_error,
    encode_request=encode_request,
    decode_response=decode_response,
    stream_decoder=ContentDecoder,
    decode_error=decode_error,
    glance=glance,
    check_answer=check_answer,
    known=KNOWN,
    several=("generationConfig", "candidateCount"),
    called=CALLED,
    demands=Demand("contents", b"[", "a list"),
    count=count_tokens,
    cleared=cleared,
    places=plain_places,
    beats=False,
    placed=True,
    inside="parts",
    max_event=MAX_ITEM,
    repeats=True,
    idle=COUNTS,
    forgets=True,
)
# A stream for callers who did not ask for events. Providers are always asked for them.
ARRAY = replace(WIRE, name="gemini_array", stream_encoder=ArrayEncoder, encode_error=encode_array_error,
                stream_type=b"application/json")  # fmt: skip

EMBED_BATCH = Wire(
    name="gemini_embed_batch",
    decode_request=embed.decode_batch,
    encode_response=embed.encode_batch,
    stream_encoder=embed.NoStream,
    encode_error=encode_error,
    encode_request=embed.encode_request,
    decode_response=embed.decode_response,
    decode_error=decode_error,
    glance=embed.glance,
    check_answer=embed.check_answer,
    known=EMBED_KNOWN,
    demands=Demand("requests", b"[", "a list"),
    placed=True,
)
EMBED = replace(
    EMBED_BATCH,
    name="gemini_embed",
    decode_request=embed.decode_one,
    encode_response=embed.encode_one,
    demands=Demand("content", b"{", "an object"),
)
# A provider's: never the caller's own, because every request in a batch names the model, which is another there.
EMBEDDINGS = replace(EMBED_BATCH, name="gemini_embeddings")
