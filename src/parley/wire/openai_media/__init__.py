"""The operations beside chat: embeddings, images, rerank, speech, transcriptions, moderations.

Embeddings, rerank and pictures made of words have a canonical form. All else passes as it is or not at all, and what
is known of it here: its errors, which members a request may have, what an event of its streams tells, and whether a
whole answer has its shape.

embeddings, images, rerank   requests and answers, both ways
members   request members and demands
glance    events of images, speech and transcriptions
answer    whole answers
"""

from parley.wire import Demand, Wire
from parley.wire.error_event import ErrorEvent
from parley.wire.openai_error import decode_error, encode_error
from parley.wire.openai_media import answer, embeddings, images, members, rerank
from parley.wire.openai_media.glance import glance

# An event holds a whole picture in base64.
MAX_MEDIA = 32 * 1024 * 1024

EMBEDDINGS = Wire(
    name="openai_embeddings",
    decode_request=embeddings.decode_request,
    encode_response=embeddings.encode_response,
    encode_request=embeddings.encode_request,
    decode_response=embeddings.decode_response,
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
    decode_request=images.decode_request,
    encode_response=images.encode_response,
    encode_request=images.encode_request,
    decode_response=images.decode_response,
    encode_error=encode_error,
    decode_error=decode_error,
    stream_encoder=ErrorEvent,
    glance=glance,
    check_answer=answer.check_images,
    known=members.IMAGES,
    rename=members.named(members.IMAGES),
    demands=Demand("prompt", b'"', "a string"),
    several=("n",),
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
    decode_request=rerank.decode_request,
    encode_response=rerank.encode_response,
    encode_request=rerank.encode_request,
    decode_response=rerank.decode_response,
    encode_error=encode_error,
    decode_error=decode_error,
    stream_encoder=ErrorEvent,
    glance=glance,
    check_answer=answer.check_rerank,
    known=members.RERANK,
    rename=members.named(members.RERANK),
    demands=Demand("query", b'"', "a string"),
)
