"""``parley check --live``: one GET of the models path per provider and endpoint, over the gateway's own client."""

import asyncio
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from parley import __version__
from parley.cli.exits import Code
from parley.failure import Failure
from parley.gateway.heads import added, lane_head
from parley.io.opening import Opener
from parley.io.pool import Pool
from parley.ir import ChatRequest, Message, Text
from parley.ports import Call, Destination, Headers, Upstream
from parley.settings import Provider, Target
from parley.wire import SPOKEN, load

SECONDS = 5.0


class Probe(Struct, frozen=True, kw_only=True):
    """What one endpoint said. ``status`` None: no answer, ``failure`` tells why (a code of the product)."""

    provider: str
    endpoint: str
    status: int | None = None
    failure: str = ""
    message: str = ""
    seconds: float = 0.0

    @property
    def code(self) -> Code:
        """The exit code this finding asks for; a models path that is not there is no fault."""
        if self.status is None:
            return Code.UNREACHABLE
        if self.status in (401, 403):
            return Code.AUTHENTICATION
        return Code.UPSTREAM if self.status >= 500 else Code.OK


def probe(providers: Iterable[Provider]) -> list[Probe]:
    """Ask all of them at once; each has 5 seconds to connect and as many to answer."""
    return asyncio.run(_all([(one, at) for one in providers for at in range(len(one.endpoints))]))


def worst(probes: Iterable[Probe]) -> Code:
    """The one exit code for all findings: unreachable before refused keys before errors."""
    codes = {one.code for one in probes}
    return next((code for code in (Code.UNREACHABLE, Code.AUTHENTICATION, Code.UPSTREAM) if code in codes), Code.OK)


def words(one: Probe) -> str:
    """The finding for people."""
    if one.status is None:
        return f"not reachable: {one.message}"
    if one.code is Code.AUTHENTICATION:
        return f"reachable, but it refuses the key ({one.status})"
    took = f"{one.seconds * 1000:.0f} ms"
    return f"answers with an error ({one.status})" if one.code else f"reachable ({one.status}, {took})"


class _Ear:
    """A sink that waits for the status, or for the failure that comes instead."""

    def __init__(self, heard: "asyncio.Future[int | Failure]") -> None:
        self._heard = heard

    def head(self, status: int, headers: Headers) -> None:
        self._heard.set_result(status)

    def body(self, data: bytes) -> None:
        pass

    def done(self) -> None:
        pass

    def failed(self, failure: Failure) -> None:
        if not self._heard.done():
            self._heard.set_result(failure)


async def _all(places: list[tuple[Provider, int]]) -> list[Probe]:
    loop = asyncio.get_running_loop()
    pool = Pool(loop, Opener(loop))
    called: dict[str, Upstream] = {}
    if any(provider.transport == "grpc-infer" for provider, _ in places):
        from parley.io.oip_grpc import GrpcInferUpstream

        called["grpc-infer"] = GrpcInferUpstream(loop)
    try:
        return list(
            await asyncio.gather(*(_one(called.get(one.transport, pool), one, endpoint) for one, endpoint in places))
        )
    finally:
        for upstream in (pool, *called.values()):
            upstream.close()


async def _one(pool: Upstream, provider: Provider, endpoint: int) -> Probe:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    heard: asyncio.Future[int | Failure] = loop.create_future()
    flight = pool.send(_call(provider, endpoint), _Ear(heard))
    found = await heard
    flight.cancel()
    result = Probe(provider=provider.name, endpoint=provider.endpoints[endpoint], seconds=loop.time() - begun)
    if isinstance(found, Failure):
        return replace(result, failure=found.kind, message=found.message)
    return replace(result, status=found)


def _call(provider: Provider, endpoint: int) -> Call:
    asked = provider if "models" in provider.paths else replace(provider, paths={"models": ""})
    lane = lane_head(asked, Target(provider.name, ""), endpoint, 0 if provider.keys else -1, "models")
    own = b"accept: application/json\r\nuser-agent: parley/%b\r\n" % __version__.encode()
    to = Destination(
        method=b"GET",
        origin=lane.origin,
        path=lane.path or b"/",
        connect=SECONDS,
        first_byte=SECONDS,
        idle=SECONDS,
    )
    return Call(to, own + lane.lines + added(_needed(provider), lane.named), (), 2 * SECONDS, fresh=True)


def _needed(provider: Provider) -> tuple[tuple[str, str], ...]:
    """The headers that this wire wants on every request, such as a version of its API."""
    spoken = SPOKEN[provider.wire].get("chat")
    if spoken is None:
        return ()
    hello = ChatRequest(wire=spoken, model="", messages=(Message("user", (Text("hello"),)),), max_tokens=1)
    return load(spoken).encode_request(hello, provider.quirks.options).headers
