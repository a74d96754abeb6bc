"""Answers that pass byte for byte, whatever they are; read on the side for what they used, as far as they can be."""

from parley.failure import ParleyError
from parley.relay.answer import Asis, Through, verbatim
from parley.relay.carrier import Relay
from parley.wire import Wire


class Proxied(Asis):
    """One whole answer."""

    __slots__ = ("_wire",)

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def _answer(self, body: bytes) -> bytes:
        try:
            self.usage = self._wire.check_answer(body)
        except ParleyError:
            # The caller knows its provider's words.
            self.usage = None
        return body


class ProxiedStream(Through):
    """A stream. What cannot be read on the side passes all the same."""

    __slots__ = ("_beside",)

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._beside: Relay | None = verbatim(wire, streams=True, events=True)

    def feed(self, data: bytes) -> bytes:
        """The same bytes."""
        beside = self._beside
        if beside is not None:
            beside.feed(data)
            self.usage, self.pieces = beside.usage, beside.pieces
            if beside.failure is not None:
                self._beside = None
        return super().feed(data)
