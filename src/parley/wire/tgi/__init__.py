"""Text Generation Inference's own wire, as a provider: a text is continued.

request   requests written for a provider
answer    whole answers, read
stream    events, read

The text-generation task pipelines of the same house speak a simpler form of it: HF_TEXT.
Sources: provider contract 5.2 and 5.3.
"""

from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from parley.wire import Wire, unspoken
from parley.wire.flat_error import flat_failure
from parley.wire.plain_prompt import Template, converted
from parley.wire.tgi.answer import decode_response
from parley.wire.tgi.request import encode_request, encode_task
from parley.wire.tgi.stream import TokenDecoder

NAME = "tgi"
TASK = "hf_text"


class TextOptions(Struct, frozen=True):
    """What an operator may say of the server: how a conversation becomes one text."""

    template: Template = Template()


def fitted(options: Any) -> Wire:
    """The wire with a provider's options. Raises ``msgspec.ValidationError``."""
    found: TextOptions = converted(options, TextOptions)
    return replace(WIRE, encode_request=partial(encode_request, found.template))


def task_fitted(options: Any) -> Wire:
    """The same for task pipelines."""
    found: TextOptions = converted(options, TextOptions)
    return replace(HF_TEXT, encode_request=partial(encode_task, found.template))


WIRE = Wire(
    name=NAME,
    encode_error=unspoken,
    decode_error=partial(flat_failure, NAME),
    stream_encoder=unspoken,
    glance=unspoken,
    check_answer=unspoken,
    known=frozenset(),
    encode_request=partial(encode_request, Template()),
    decode_response=partial(decode_response, NAME),
    stream_decoder=TokenDecoder,
    repeats=True,
    idle=("index", "id", "logprob"),
    minds=False,
    options=("template",),
    fitted=fitted,
)
HF_TEXT = Wire(
    name=TASK,
    encode_error=unspoken,
    decode_error=partial(flat_failure, TASK),
    stream_encoder=unspoken,
    glance=unspoken,
    check_answer=unspoken,
    known=frozenset(),
    encode_request=partial(encode_task, Template()),
    decode_response=partial(decode_response, TASK),
    stream_decoder=TokenDecoder,
    repeats=True,
    idle=("index", "id", "logprob"),
    minds=False,
    options=("template",),
    fitted=task_fitted,
)
