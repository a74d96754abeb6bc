"""The operations that have no canonical form: embeddings, images, speech, transcriptions, moderations, rerank.

Their requests and answers pass as they are or not at all. What is known of them here: their errors, which members
a request may have, what an event of their streams tells, and whether a whole answer has its shape.

members   request members and demands
glance    events of images, speech and transcriptions
answer    whole answers
event     the error event of a stream
"""

from parley.wire import Demand, Wire
from parley.wire.openai_error import decode_error, encode_error
from parley.wire.openai_media import answer, members
from parley.wire.openai_media.event import ErrorEvent
from parley.wire.openai_media.glance import glance

# An event holds a whole picture in base64.
MAX_MEDIA = 32 * 1024 * 1024

EMBEDDINGS = Wire(
    name="openai_embeddings",
    encode_error=encode_error,
    decode_error=decode_error,
    stream_encoder=ErrorEvent,
    glance=glance,
    check_answer=answer.check_embeddings,
    known=members.EMBEDDINGS,
    rename=members.named(members.EMBEDDINGS),
    demands=Demand("input", b'"[', "a string or an array"),
)
IMAGES = Wire(
    name="openai_images",
    encode_error=encode_error,
    decode_error=decode_error,
    stream_encoder=ErrorEvent,
    glance=glance,
    check_answer=answer.check_images,
    known=members.IMAGES,
    rename=members.named(members.IMAGES),
    demands=Demand("prompt", b'"', "a string"),
    max_event=MAX_MEDIA,
)
SPEECH = Wire(
    name="openai_speech",
    encode_error=encode_error,
    decode_error=decode_error,
    stream_encoder=ErrorEvent,
    glance=glance,
    check_answer=answer.check_speech,
    known=members.SPEECH,
    rename=members.named(members.SPEECH),
    demands=Demand("input", b'"', "a string"),
    stream_member=("stream_format", b'"sse"'),
    free_form=True,
    max_event=MAX_MEDIA,
)
TRANSCRIPTIONS = Wire(
    name="openai_transcriptions",
    encode_error=encode_error,
    decode_error=decode_error,
    stream_encoder=ErrorEvent,
    glance=glance,
    check_answer=answer.check_transcription,
    known=members.TRANSCRIPTIONS,
    rename=members.named(members.TRANSCRIPTIONS),
    free_form=True,
)
MODERATIONS = Wire(
    name="openai_moderations",
    encode_error=encode_error,
    decode_error=decode_error,
    stream_encoder=ErrorEvent,
    glance=glance,
    check_answer=answer.check_moderations,
    known=members.MODERATIONS,
    rename=members.named(members.MODERATIONS),
    demands=Demand("input", b'"[', "a string or an array"),
)
RERANK = Wire(
    name="rerank",
    encode_error=encode_error,
    decode_error=decode_error,
    stream_encoder=ErrorEvent,
    glance=glance,
    check_answer=answer.check_rerank,
    known=members.RERANK,
    rename=members.named(members.RERANK),
    demands=Demand("query", b'"', "a string"),
)
