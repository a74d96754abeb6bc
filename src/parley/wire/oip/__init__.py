"""The Open Inference Protocol (V2) and its predecessor V1, as providers of text and of vectors.

options    what an operator says of a model: names of its tensors, template
tensors    tensors of text, written and read
infer      V2 infer, over REST; over gRPC the same JSON is carried by a transport
embed      the same for models that make vectors
generate   the generate extension, whole and as a stream
stream     its events
predict    V1

Chat through a tensor is a convention of each model, so names, shape and template are the operator's to set.
Source: provider contract section 6.
"""

from functools import partial
from typing import Any

from msgspec.structs import replace

from parley.wire import Wire, unspoken
from parley.wire.flat_error import flat_failure
from parley.wire.oip import embed, generate, infer, predict
from parley.wire.oip.options import GenerateOptions, InferOptions, PredictOptions
from parley.wire.oip.stream import TextDecoder
from parley.wire.plain_prompt import converted


def infer_fitted(options: Any) -> Wire:
    """The infer wire with a provider's options. Raises ``msgspec.ValidationError``."""
    found: InferOptions = converted(options, InferOptions)
    return replace(
        INFER,
        encode_request=partial(infer.encode_request, found),
        decode_response=partial(infer.decode_response, infer.NAME, found.output),
    )


def embed_fitted(options: Any) -> Wire:
    """The same for vectors."""
    found: InferOptions = converted(options, InferOptions)
    return replace(
        EMBED,
        encode_request=partial(embed.encode_request, found),
        decode_response=partial(embed.decode_response, found.output),
    )


def generate_fitted(options: Any) -> Wire:
    """The generate wire with a provider's options. Raises ``msgspec.ValidationError``."""
    found: GenerateOptions = converted(options, GenerateOptions)
    decode = partial(infer.decode_response, generate.NAME, found.output)
    return replace(
        GENERATE,
        encode_request=partial(generate.encode_request, found),
        decode_response=decode if found.body == "infer" else generate.decode_response,
        stream_decoder=partial(TextDecoder, found),
        repeats=found.body != "infer" and not found.cumulative,
    )


def predict_fitted(options: Any) -> Wire:
    """The V1 wire with a provider's options. Raises ``msgspec.ValidationError``."""
    found: PredictOptions = converted(options, PredictOptions)
    return replace(
        PREDICT,
        encode_request=partial(predict.encode_request, found),
        decode_response=partial(predict.decode_response, found.output),
    )


INFER = Wire(
    name=infer.NAME,
    encode_error=unspoken,
    decode_error=partial(flat_failure, infer.NAME),
    stream_encoder=unspoken,
    glance=unspoken,
    check_answer=unspoken,
    known=frozenset(),
    encode_request=partial(infer.encode_request, InferOptions()),
    decode_response=partial(infer.decode_response, infer.NAME, None),
    options=InferOptions.__struct_fields__,
    fitted=infer_fitted,
)
EMBED = Wire(
    name=embed.NAME,
    encode_error=unspoken,
    decode_error=partial(flat_failure, embed.NAME),
    stream_encoder=unspoken,
    glance=unspoken,
    check_answer=unspoken,
    known=frozenset(),
    encode_request=partial(embed.encode_request, InferOptions()),
    decode_response=partial(embed.decode_response, None),
    options=InferOptions.__struct_fields__,
    fitted=embed_fitted,
)
GENERATE = Wire(
    name=generate.NAME,
    encode_error=unspoken,
    decode_error=partial(flat_failure, generate.NAME),
    stream_encoder=unspoken,
    glance=unspoken,
    check_answer=unspoken,
    known=frozenset(),
    encode_request=partial(generate.encode_request, GenerateOptions()),
    decode_response=generate.decode_response,
    stream_decoder=partial(TextDecoder, GenerateOptions()),
    repeats=True,
    # What is told of the token that the text is made of.
    idle=("id", "text", "logprob"),
    minds=False,
    options=GenerateOptions.__struct_fields__,
    fitted=generate_fitted,
)
PREDICT = Wire(
    name=predict.NAME,
    encode_error=unspoken,
    decode_error=partial(flat_failure, predict.NAME),
    stream_encoder=unspoken,
    glance=unspoken,
    check_answer=unspoken,
    known=frozenset(),
    encode_request=partial(predict.encode_request, PredictOptions()),
    decode_response=partial(predict.decode_response, None),
    options=PredictOptions.__struct_fields__,
    fitted=predict_fitted,
)
