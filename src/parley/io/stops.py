"""The Upstream of the transport ``stops``: for servers whose streams include the stop string that they end at, and
whose answers have no id.

OpenAI's do not and have one, so the string is cut off and an id is given on the way. A caller who asks for the string
with the servers' own member gets it. Source: provider contract section 7.
"""

from typing import Any, Final

import msgspec

from parley.io.local.answers import Shaped
from parley.io.named import Named, name_for
from parley.ports import Call, Flight, Sink, Upstream
from parley.shaping import Shaper

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class StopsUpstream:
    """See the module. ``pool`` carries the calls, and is closed by its owner."""

    def __init__(self, pool: Upstream) -> None:
        self._pool = pool

    def send(self, call: Call, sink: Sink) -> Flight:
        """Start a call; the answer is cut where the request is for a stream with stop strings."""
        words, name = stops_of(b"".join(call.body)), name_for(call.to.path)
        shaped: Sink = Shaped(sink, lambda: Shaper(stop=words)) if words else sink
        return self._pool.send(call, Named(shaped, name) if name else shaped)

    def close(self) -> None:
        """Nothing of its own is open."""


def stops_of(body: bytes) -> tuple[str, ...]:
    """The stop strings that a stream would include; none where there is nothing to cut."""
    if b'"stop"' not in body or b'"stream"' not in body:
        return ()
    try:
        asked = _decode(body)
    except msgspec.DecodeError:
        return ()
    if asked.get("stream") is not True or asked.get("include_stop_str_in_output") is True:
        return ()
    stop = asked.get("stop")
    words = stop if isinstance(stop, list) else [stop]
    return tuple(word for word in words if isinstance(word, str) and word)
