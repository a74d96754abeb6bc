"""Who keeps what a provider sealed: for requests with tools, to providers that want it back. See ``relay.seals``."""

from typing import TYPE_CHECKING, Final

from msgspec import Raw

from parley.gateway.route import Route
from parley.jsontext import Members
from parley.relay import Keeper, Relay, Seals, Tapped
from parley.wire import unspoken
from parley.wire.signature import RETURNS, SEALING, WORDS

if TYPE_CHECKING:
    from parley.gateway.job import Job

_NONE: Final = (Raw(b"null"), Raw(b"[]"))


def keeper_for(job: "Job", route: Route, members: Members) -> Keeper | None:
    """What keeps for this request, None for most: without tools nothing is called, and the provider's own callers
    bring back what is sealed, but where the provider is known for having clients that do not."""
    tools = members.get("tools")
    if tools is None or tools in _NONE or job.inlet.counts:
        return None
    way = route.way
    returns = way.quirks.options.get(RETURNS)
    if returns is None and (route.same or way.outlet.name not in SEALING):
        return None
    seals: Seals | None = job.gateway.seals
    if seals is None or way.inlet.stream_decoder is unspoken or way.outlet.encode_request is unspoken:
        return None
    provider = way.provider
    origin = (way.outlet.name, provider.type, provider.endpoints)
    return Keeper(seals, job.owner, origin, unsigned=returns == WORDS)


def tapped(job: "Job", route: Route, carrier: Relay | None, *, events: bool) -> Relay | None:
    """The relay of an answer that passes as it came, read on the side where somebody keeps."""
    keeper = job.message.keeper
    if keeper is None or carrier is None:
        return carrier
    return Tapped(carrier, route.way.outlet, keeper, streams=events)
