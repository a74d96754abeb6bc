"""Errors on this wire: the shape of every endpoint of the API, see ``wire/openai_error.py``."""

from parley.wire.openai_error import (
    BAD_JSON,
    SHAPE,
    decode_error,
    encode_error,
    error_object,
    stream_failure,
    told_error,
)

WIRE_NAME = SHAPE

__all__ = ["BAD_JSON", "WIRE_NAME", "decode_error", "encode_error", "error_object", "stream_failure", "told_error"]
