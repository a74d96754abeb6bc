"""An answer that passes as it came, read on the side for what it sealed beside its calls."""

from parley.failure import Failure, ParleyError
from parley.relay.carrier import Relay
from parley.relay.keeper import Keeper, Watch
from parley.wire import StreamDecoder, Wire


class Tapped(Relay):
    """Carries what ``inner`` carries. What cannot be read on the side passes all the same: nothing is kept of it."""

    __slots__ = ("_decoder", "_inner", "_keeper", "_streams", "_watch", "_wire")

    def __init__(self, inner: Relay, wire: Wire, keeper: Keeper, *, streams: bool) -> None:
        super().__init__()
        self._inner = inner
        self._wire = wire
        self._keeper = keeper
        self._streams = streams
        self._decoder: StreamDecoder | None = wire.stream_decoder() if streams else None
        self._watch: Watch = keeper.watch()

    def feed(self, data: bytes) -> bytes:
        """What ``inner`` gives."""
        out = self._inner.feed(data)
        self._read(data)
        self._follow()
        return out

    def close(self) -> bytes:
        """The same; a whole answer is read here."""
        out = self._inner.close()
        self._follow()
        if self.failure is None:
            self._end(out)
        return out

    def fail(self, failure: Failure) -> bytes:
        """The same."""
        return self._inner.fail(failure)

    def _follow(self) -> None:
        inner = self._inner
        self.content, self.ended, self.trailing = inner.content, inner.ended, inner.trailing
        self.failure, self.usage, self.pieces = inner.failure, inner.usage, inner.pieces

    def _read(self, data: bytes) -> None:
        if self._decoder is None:
            return
        try:
            for event in self._decoder.feed(data):
                self._watch.feed(event)
        except ParleyError:
            self._decoder = None

    def _end(self, out: bytes) -> None:
        try:
            if self._decoder is not None:
                for event in self._decoder.close():
                    self._watch.feed(event)
            elif not self._streams:
                self._keeper.keep(self._wire.decode_response(out))
        except ParleyError:
            return
