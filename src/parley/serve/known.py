"""A request head that came before: the same bytes mean the same again, so they are parsed and checked once."""

from parley.framing import UsualHead
from parley.ports import Headers
from parley.wire.inlets import Inlet


class Known(UsualHead):
    """What was understood from a head for a hot path. ``headers`` are without the length, which may differ."""

    __slots__ = ("given_id", "headers", "inlet", "url")

    def __init__(self, url: bytes, headers: Headers, inlet: Inlet, given_id: bytes | None) -> None:
        super().__init__()
        self.url = url
        self.headers = [pair for pair in headers if pair[0] != b"content-length"]
        self.inlet = inlet
        self.given_id = given_id
