"""The dialect of computing nodes: calls of models through a node, and the interface of a worker that nodes call.

prepared   requests judged in a node's order and put into the form of the wire that carries them
errors     code and message
images     pictures, requests and answers
frames     the error event of a stream

Text is OpenAI's chat in both interfaces, so that it passes as it came; only errors, and the frame of a worker's
answers, are this dialect's own. Source: computing node contract sections 2, 5, 10, 12.
"""

from functools import partial
from typing import Final

from msgspec.structs import replace

from parley.wire import Wire, load
from parley.wire.node import images
from parley.wire.node.errors import decode_error, encode_called, encode_edit, encode_node, encode_worker
from parley.wire.node.frames import CodedEvent, CodedStream, succeeded
from parley.wire.node.prepared import chat, picture, worker_chat, worker_picture

# What a request holds for the worker alone.
PRIVATE: Final = ("wallet", "signature", "hash")


def _chat(name: str) -> Wire:
    return replace(
        load("openai_chat"),
        name=name,
        twin="openai_chat",
        demands=None,
        names_model=True,
        private=PRIVATE,
        stream_encoder=CodedStream,
    )


CHAT = replace(_chat("node_chat"), encode_error=encode_called, prepared=partial(chat, proxy=False))
CHAT_PROXY = replace(_chat("node_chat_proxy"), encode_error=encode_called, prepared=partial(chat, proxy=True))
WORKER_CHAT = replace(_chat("node_worker_chat"), encode_error=encode_worker, prepared=worker_chat, dressed=succeeded)
IMAGES = Wire(
    name="node_images",
    decode_request=images.decode_request,
    encode_response=images.encode_response,
    encode_error=encode_node,
    decode_error=decode_error,
    stream_encoder=CodedEvent,
    glance=images.no_event,
    check_answer=images.no_answer,
    known=images.KNOWN,
    rename=images.RENAME,
    names_model=True,
    prepared=partial(picture, proxy=False),
    stream_member=("", b"true"),
)
IMAGES_PROXY = replace(IMAGES, name="node_images_proxy", prepared=partial(picture, proxy=True))
WORKER_IMAGES = replace(
    IMAGES, name="node_worker_images", prepared=worker_picture, encode_error=encode_worker, dressed=succeeded
)
_FORM: Final = replace(
    load("openai_images"), twin="openai_images", names_model=True, stream_encoder=CodedEvent, demands=None
)
EDITS = replace(_FORM, name="node_edits", encode_error=encode_edit)
WORKER_EDITS = replace(_FORM, name="node_worker_edits", encode_error=encode_worker, dressed=succeeded)
