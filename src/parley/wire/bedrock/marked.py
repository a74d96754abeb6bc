"""Signatures of models that are not Claude's, read from the provider: they bear a mark.

Claude's signatures are the same wherever it is served, so they bear none; others mean nothing anywhere else.
"""

from msgspec.structs import replace

from parley.ir import Block, ChatResponse, Delta, Event, Thinking
from parley.wire.bedrock.answer import decode_response
from parley.wire.bedrock.stream import ConverseDecoder
from parley.wire.signature import BEDROCK


def decode_marked(body: bytes) -> ChatResponse:
    """A whole answer; raises as ``decode_response``."""
    response = decode_response(body)
    choices = [replace(choice, content=tuple(map(_marked, choice.content))) for choice in response.choices]
    return replace(response, choices=tuple(choices))


def _marked(block: Block) -> Block:
    if type(block) is not Thinking or not block.signature:
        return block
    return replace(block, signature=BEDROCK + block.signature)


class MarkedDecoder:
    """Reads a provider's stream; see ``ConverseDecoder``."""

    __slots__ = ("_begun", "_decoder")

    def __init__(self) -> None:
        self._decoder = ConverseDecoder()
        # The blocks whose signature has begun.
        self._begun: set[int] = set()

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by ``data``."""
        return [self._marked(event) for event in self._decoder.feed(data)]

    def close(self) -> list[Event]:
        """The End the provider owes; raises where the answer is not whole."""
        return self._decoder.close()

    def _marked(self, event: Event) -> Event:
        if type(event) is not Delta or event.kind != "signature" or not event.text or event.index in self._begun:
            return event
        self._begun.add(event.index)
        return replace(event, text=BEDROCK + event.text)
