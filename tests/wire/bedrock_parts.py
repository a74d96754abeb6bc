"""What Bedrock says and takes: messages of a stream byte by byte, and bodies judged by the service's own model."""

import base64
import struct
from collections.abc import Mapping
from functools import cache
from typing import Any
from zlib import crc32

import msgspec
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from parley.failure import ParleyError
from parley.ir import Block, ChatRequest, Message, Text
from parley.wire.bedrock import WIRE

# The names of members that hold bytes, which is base64 in JSON.
BLOBS = ("bytes", "redactedContent")


def message(headers: Mapping[str, str], payload: bytes, typed: bytes = b"") -> bytes:
    """One message; ``typed`` are further headers, already encoded."""
    packed = typed + b"".join(header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    whole = prelude + struct.pack(">I", crc32(prelude)) + packed + payload
    return whole + struct.pack(">I", crc32(whole))


def header(name: str, value: str) -> bytes:
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()


def event(name: str, body: Any) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return message(headers, msgspec.json.encode(body))


def raised(name: str, **body: Any) -> bytes:
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return message(headers, msgspec.json.encode(body))


def delta(index: int, **body: Any) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": body, "p": "abcdefgh"})


def begun(index: int, **start: Any) -> bytes:
    return event("contentBlockStart", {"contentBlockIndex": index, "start": start})


def stopped(index: int) -> bytes:
    return event("contentBlockStop", {"contentBlockIndex": index})


def ended(reason: str = "end_turn", **more: Any) -> bytes:
    return event("messageStop", {"stopReason": reason, **more})


START = event("messageStart", {"role": "assistant"})
USAGE = {"inputTokens": 30, "outputTokens": 5, "totalTokens": 35}
META = event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 7}})
SPOKEN = (START, delta(0, text="Bedrock "), delta(0, text="says hi."), stopped(0), ended(), META)
CALLED = (
    START,
    delta(0, reasoningContent={"text": "Let me "}),
    delta(0, reasoningContent={"text": "look."}),
    delta(0, reasoningContent={"signature": "c2ln/+=="}),
    stopped(0),
    delta(1, reasoningContent={"redactedContent": "AAECgP8="}),
    stopped(1),
    delta(2, text="Looking."),
    stopped(2),
    begun(3, toolUse={"toolUseId": "tooluse_a.b:1", "name": "weather"}),
    delta(3, toolUse={"input": '{"city": "Par'}),
    delta(3, toolUse={"input": 'is", "n": 1.0}'}),
    stopped(3),
    begun(4, toolUse={"toolUseId": "tooluse_2", "name": "clock"}),
    stopped(4),
    ended("tool_use"),
    META,
)


def answer(*content: dict[str, Any], reason: str = "end_turn", **more: Any) -> dict[str, Any]:
    """A whole answer."""
    return {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": reason,
        "usage": USAGE,
        "metrics": {"latencyMs": 7},
        **more,
    }


def user(*content: Block | str) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in content))


def said(*content: Block | str) -> Message:
    return Message("assistant", tuple(Text(part) if isinstance(part, str) else part for part in content))


def request(*messages: Message, wire: str = "openai_chat", model: str = "amazon.nova", **fields: Any) -> ChatRequest:
    return ChatRequest(wire=wire, model=model, messages=messages or (user("hi"),), **fields)


def sent(asked: ChatRequest, **options: Any) -> dict[str, Any]:
    """The body as the provider reads it, which the service's own model finds valid."""
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(WIRE.encode_request(asked, options).body))
    assert faults(body) == ""
    return body


def dropped(asked: ChatRequest) -> tuple[str, ...]:
    """What could not go."""
    return WIRE.encode_request(asked, {}).dropped


def refused(asked: ChatRequest) -> str | None:
    """The field for which a request is refused."""
    with pytest.raises(ParleyError) as caught:
        WIRE.encode_request(asked, {})
    assert caught.value.failure.kind == "invalid_request"
    return caught.value.failure.param


def faults(body: dict[str, Any]) -> str:
    """What botocore finds wrong with a request."""
    shape = model().operation_model("Converse").input_shape
    return str(ParamValidator().validate({"modelId": "m", **_with_bytes(body)}, shape).generate_report())


@cache
def model() -> ServiceModel:
    """The service as its vendor describes it."""
    return ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime")


def _with_bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_bytes(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64decode(item, validate=True) if name in BLOBS and isinstance(item, str) else _with_bytes(item)
        for name, item in value.items()
    }
