"""Fetching for a caller what the operator allows, and nothing else: hosts that are named, addresses that are public or
named, the connection made to the very address that was looked at, no redirects, no more than so many bytes.

Sources: fault contract P11; product contract section 4 (addresses).
"""

import asyncio
import ssl
from collections.abc import Callable
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

from parley.failure import Failure, ParleyError
from parley.io.opening import Opener
from parley.io.pool import Pool
from parley.ports import Call, Destination, Flight, Headers

SECONDS: Final = 30.0
NOT_ALLOWED: Final = Failure("url_not_allowed", "this address may not be fetched", param="image")
_REDIRECT: Final = Failure(
    "url_not_allowed", "the address answers with a redirect, which is not followed", param="image"
)
_PORTS: Final = {"http": 80, "https": 443}
Ip: TypeAlias = IPv4Address | IPv6Address
Net: TypeAlias = IPv4Network | IPv6Network


class Allowed:
    """What ``addresses.fetch`` names: networks and addresses, and names (``*`` stands for anything)."""

    def __init__(self, entries: tuple[str, ...]) -> None:
        self._networks: list[Net] = []
        self._names: list[str] = []
        for entry in entries:
            try:
                self._networks.append(ip_network(entry, strict=False))
            except ValueError:
                self._names.append(entry.lower().rstrip("."))

    def names(self, host: str) -> bool:
        """Whether a name is one of them."""
        return any(fnmatchcase(host.lower().rstrip("."), name) for name in self._names)

    def holds(self, address: Ip) -> bool:
        """Whether an address is one of them."""
        return any(address.version == one.version and address in one for one in self._networks)


class Fetching:
    """A Fetcher on a loop. ``allowed`` may be replaced at any time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, allowed: Allowed) -> None:
        self.allowed = allowed
        self._loop = loop

    def fetch(self, url: str, limit: int, then: Callable[[bytes | Failure], None]) -> Callable[[], None]:
        """See parley.ports.Fetcher."""
        task = self._loop.create_task(self._fetched(url, limit))

        def done(ended: asyncio.Task[bytes | Failure]) -> None:
            if not ended.cancelled():
                then(ended.result())

        task.add_done_callback(done)

        def stop() -> None:
            task.remove_done_callback(done)
            task.cancel()

        return stop

    async def _fetched(self, url: str, limit: int) -> bytes | Failure:
        try:
            async with asyncio.timeout(SECONDS):
                parts = _split(url)
                address = await self._address(parts)
                return await self._got(parts, address, limit)
        except ParleyError as error:
            return error.failure
        except TimeoutError:
            return Failure("invalid_request", "the address did not answer in time", param="image", status=400)

    async def _address(self, url: SplitResult) -> str:
        """The address to connect to. Raises ``url_not_allowed`` before anything is sent."""
        host = url.hostname or ""
        try:
            literal = ip_address(host)
        except ValueError:
            return await self._resolved(host, url)
        if not self.allowed.holds(literal):
            raise ParleyError(NOT_ALLOWED)
        return str(literal)

    async def _resolved(self, host: str, url: SplitResult) -> str:
        if not self.allowed.names(host):
            raise ParleyError(NOT_ALLOWED)
        try:
            found = await self._loop.getaddrinfo(host, url.port or _PORTS[url.scheme], proto=6)
        except OSError:
            raise ParleyError(Failure("invalid_request", "the name was not found", param="image")) from None
        addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        # All of them: one that is not allowed shows that the name is not what it seems.
        if not addresses or not all(_public(one) or self.allowed.holds(one) for one in addresses):
            raise ParleyError(NOT_ALLOWED)
        return str(addresses[0])

    async def _got(self, url: SplitResult, address: str, limit: int) -> bytes | Failure:
        opener = Pinned(self._loop, address, url.hostname or "")
        pool = Pool(self._loop, opener)
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        to = Destination(
            method=b"GET", origin=f"{url.scheme}://{url.netloc}", path=target.encode(), first_byte=15.0, idle=15.0
        )
        sink = _Collected(self._loop, limit)
        sink.flight = pool.send(Call(to, b"accept: image/*\r\n", (), SECONDS), sink)
        try:
            return await sink.outcome
        finally:
            sink.flight.cancel()
            pool.close()


class Pinned(Opener):
    """Opens connections to one address, whatever the name; TLS is for the name."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: str, name: str) -> None:
        super().__init__(loop, {})
        self._place = address
        self._name = name

    async def open(self, call: Call, protocol: Any) -> Failure | None:
        """Connect."""
        url = urlsplit(call.to.origin)
        context = ssl.create_default_context() if url.scheme == "https" else None
        name = self._name if context is not None else None
        port = url.port or _PORTS[url.scheme]
        try:
            async with asyncio.timeout(call.to.connect):
                await self._loop.create_connection(
                    lambda: protocol, self._place, port, ssl=context, server_hostname=name
                )
        except (OSError, TimeoutError):
            return Failure("upstream_unreachable", "nobody answers there", detail="connect_failed")
        return None


class _Collected:
    """A Sink that keeps up to so many bytes of an answer with status 200."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self.outcome: asyncio.Future[bytes | Failure] = loop.create_future()
        self.flight: Flight
        self._limit = limit
        self._data = bytearray()

    def head(self, status: int, headers: Headers) -> None:
        length = next((value for name, value in headers if name == b"content-length"), b"")
        if 300 <= status < 400:
            self._end(_REDIRECT)
        elif status != 200:
            self._end(Failure("invalid_request", f"the address answers with status {status}", param="image"))
        elif length.isdigit() and int(length) > self._limit:
            self._end(self._large())

    def body(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._limit:
            self._end(self._large())

    def done(self) -> None:
        self._end(bytes(self._data))

    def failed(self, failure: Failure) -> None:
        self._end(Failure("invalid_request", "the address could not be fetched", param="image", status=400))

    def _large(self) -> Failure:
        return Failure("body_too_large", f"what is at the address is larger than {self._limit} bytes", param="image")

    def _end(self, outcome: bytes | Failure) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


def _public(address: Ip) -> bool:
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_global and not address.is_multicast and (mapped is None or mapped.is_global)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ParleyError(NOT_ALLOWED) from None
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or port == 0 or not plain:
        raise ParleyError(NOT_ALLOWED)
    return parts
