"""What the tests of model servers' own wires are made of: requests as they leave, streams as they are read."""

from collections.abc import Mapping
from typing import Any

from msgspec import json
from openai.types.chat import ChatCompletionChunk

from parley.fold import Fold
from parley.ir import ChatResponse, Delta, Event
from parley.settings import Quirks
from parley.wire import Wire, load
from relay_parts import body, refused, reply, sent, way
from wire.openai_parts import failure

OPENAI = load("openai_chat")
HEADERS = [(b"content-type", b"application/json")]
NONE: Mapping[str, Any] = {}

__all__ = ["HEADERS", "OPENAI", "failure", "fitted", "folded", "left", "no", "read", "shown", "spelt"]


def fitted(name: str, **options: Any) -> Wire:
    """The wire for a server that these options describe."""
    wire = load(name)
    assert wire.fitted is not None
    return wire.fitted(options)


def left(outlet: str, options: Mapping[str, Any] = NONE, inlet: str = "openai_chat", **members: Any) -> Any:
    """The object that leaves for a chat request with these members, and the fields that could not."""
    return sent(way(inlet, outlet, quirks=Quirks(options=options)), body(**members))


def no(outlet: str, **members: Any) -> tuple[str, str | None]:
    """Kind and field of the refusal of a chat request."""
    found = refused(way("openai_chat", outlet), body(**members))
    return found.kind, found.param


def read(wire: Wire, *pieces: bytes) -> list[Event]:
    """The events of a whole stream."""
    decoder = wire.stream_decoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


def folded(wire: Wire, stream: bytes) -> ChatResponse:
    """A whole stream as one answer."""
    fold = Fold(wire.name)
    for event in read(wire, stream):
        fold.feed(event)
    return fold.response()


def spelt(events: list[Event]) -> list[str]:
    """The pieces of text."""
    return [event.text for event in events if isinstance(event, Delta)]


def shown(events: list[Event]) -> list[ChatCompletionChunk]:
    """What a caller of OpenAI's API gets of them, as its official client reads it."""
    encoder = OPENAI.stream_encoder(reply("tgi"))
    stream = b"".join(encoder.feed(event) for event in events)
    *chunks, last = [block.removeprefix(b"data: ") for block in stream.split(b"\n\n")[:-1]]
    assert last == b"[DONE]"
    return [ChatCompletionChunk.model_validate(json.decode(chunk)) for chunk in chunks]
