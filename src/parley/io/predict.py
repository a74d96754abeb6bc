"""The Upstream of the transport ``predict``: for gates that take requests of a known wire in an envelope of their own.

Requests that are in one already, or are to pass as they are, go on untouched. Source: predict contract sections 2, 10.
"""

from time import time
from typing import Final

from parley.failure import Failure, ParleyError
from parley.io.ending import finished
from parley.ports import Call, Flight, Headers, Sink, Upstream
from parley.wire.caila.sealed import Unsealed, refusal, sealed

_FORMS: Final = (b"/predict-with-config", b"/predict-with-config-v2-stream")

_ID: Final = b"x-request-id: "


class PredictUpstream:
    """See the module. ``pool`` carries the calls, and is closed by its owner."""

    def __init__(self, pool: Upstream) -> None:
        self._pool = pool

    def send(self, call: Call, sink: Sink) -> Flight:
        """Start a call, in its envelope."""
        path = call.to.path
        if not path.endswith(_FORMS):
            return self._pool.send(call, sink)
        streams = path.endswith(_FORMS[1])
        body = sealed(b"".join(call.body), texts=streams)
        answer = _Answer(sink, streams=streams, name=_name(call.head))
        answer.flight = self._pool.send(Call(call.to, call.head, (body,), call.total, call.fresh), answer)
        return answer

    def close(self) -> None:
        """Nothing of its own is open."""


def _name(head: bytes) -> str:
    """The id of an answer to the request with these header lines."""
    return "chatcmpl-" + head.partition(_ID)[2].partition(b"\r\n")[0].decode("latin-1")


class _Answer:
    """The Sink of such a call, and its Flight."""

    def __init__(self, sink: Sink, *, streams: bool, name: str) -> None:
        self._sink: Sink | None = sink
        self._streams = streams
        self._answer = Unsealed(streams=streams, name=name, created=int(time()))
        self._opened = False
        self._status = 0
        self._headers: Headers = []
        self._refused: list[bytes] = []
        self.flight: Flight | None = None

    def cancel(self) -> None:
        self._sink = None
        if self.flight is not None:
            self.flight.cancel()

    def pause(self) -> None:
        if self.flight is not None:
            self.flight.pause()

    def resume(self) -> None:
        if self.flight is not None:
            self.flight.resume()

    def head(self, status: int, headers: Headers) -> None:
        self._status, self._headers = status, headers

    def body(self, data: bytes) -> None:
        if self._status != 200:
            self._refused.append(data)
            return
        try:
            self._say(self._answer.feed(data))
        except ParleyError as error:
            self._break(error)

    def done(self) -> None:
        self.flight = None
        if self._status == 200:
            self._say(self._answer.close(), last=True)
        else:
            self._refuse()
        sink, self._sink = self._sink, None
        if sink is not None:
            finished(sink)

    def failed(self, failure: Failure) -> None:
        self.flight = None
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.failed(failure)

    def _say(self, out: bytes, *, last: bool = False) -> None:
        sink = self._sink
        if sink is None or not (out or last):
            return
        if not self._opened:
            self._opened = True
            rest = [pair for pair in self._headers if pair[0] != b"content-type"]
            sink.head(200, [*rest, (b"content-type", self._answer.kind)])
        if out and self._sink is not None:
            sink.body(out)

    def _refuse(self) -> None:
        sink = self._sink
        if sink is not None:
            sink.head(self._status, self._headers)
        if self._sink is not None and sink is not None:
            sink.body(refusal(b"".join(self._refused)))

    def _break(self, error: ParleyError) -> None:
        if self.flight is not None:
            self.flight.cancel()
        self.failed(error.failure)
