"""Opening connections: names, TLS with the system's roots, HTTP proxies; and the request's bytes.

Sources: RFC 9110 section 9.3.6 (CONNECT), RFC 9112 section 3.2; fault contract U1-U5.
"""

import asyncio
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from parley.failure import Failure
from parley.io.cork import Message
from parley.ports import Call, Destination

_UNIX: Final = "unix://"
_JOIN_BELOW: Final = 64 * 1024
_REMEMBERED: Final = 4096


class Address(NamedTuple):
    """Where an origin's connections go: the peer, TLS or not, and the proxy in between, if any. A host that begins
    with a slash is a Unix socket."""

    host: str
    port: int
    tls: bool
    host_header: bytes
    proxy: "Proxy | None"


class Proxy(NamedTuple):
    """An HTTP proxy. ``credentials`` is the Proxy-Authorization value, b"" if none."""

    host: str
    port: int
    credentials: bytes


class Opener:
    """Opens connections for the pool. ``proxies`` maps scheme to proxy URL as the environment does."""

    def __init__(self, loop: asyncio.AbstractEventLoop, proxies: Mapping[str, str] | None = None) -> None:
        self._loop = loop
        self._proxies = dict(_environment() if proxies is None else proxies)
        self._addresses: dict[str, Address] = {}
        self._starts: dict[Destination, bytes] = {}
        self._context: ssl.SSLContext | None = None

    def message(self, call: Call) -> Message:
        """The request as parts; small ones as a single part, so that they leave in one packet."""
        start = self._starts.get(call.to)
        if start is None:
            start = self._start(call.to)
        body = call.body
        length = len(body[0]) if len(body) == 1 else sum(map(len, body))
        head = b"%b%bcontent-length: %b\r\n\r\n" % (start, call.head, str(length).encode())
        if length >= _JOIN_BELOW:
            return (head, *body)
        return (head + body[0] if len(body) == 1 else b"".join((head, *body)),)

    def _start(self, to: Destination) -> bytes:
        """Request line and Host: the same for every call to a destination."""
        address = self._address(to.origin)
        target, extra = to.path, b""
        if address.proxy is not None and not address.tls:
            target = to.origin.encode() + target
            extra = _authorization(address.proxy)
        start = b"%b %b HTTP/1.1\r\nhost: %b\r\n%b" % (to.method, target, address.host_header, extra)
        if len(self._starts) >= _REMEMBERED:
            self._starts.clear()
        self._starts[to] = start
        return start

    async def open(self, call: Call, protocol: Any) -> Failure | None:
        """Connect ``protocol`` within the connect limit; the failure if that was not possible."""
        try:
            async with asyncio.timeout(call.to.connect):
                await self._connect(self._address(call.to.origin), protocol)
        except TimeoutError:
            return Failure(
                "upstream_connect_timeout", "the provider could not be reached in time", detail="connect_timeout"
            )
        except (OSError, ssl.SSLError, _ProxyError) as error:
            return _failure(error)
        return None

    async def _connect(self, address: Address, protocol: Any) -> None:
        context = self._tls() if address.tls else None
        if address.host.startswith("/"):
            await self._loop.create_unix_connection(lambda: protocol, address.host)
        elif address.proxy is None:
            name = address.host if address.tls else None
            await self._loop.create_connection(
                lambda: protocol, address.host, address.port, ssl=context, server_hostname=name
            )
        elif context is None:
            await self._loop.create_connection(lambda: protocol, address.proxy.host, address.proxy.port)
        else:
            await self._tunnel(address, address.proxy, context, protocol)

    async def _tunnel(self, address: Address, proxy: Proxy, context: ssl.SSLContext, protocol: Any) -> None:
        made: asyncio.Future[None] = self._loop.create_future()
        host = f"[{address.host}]" if ":" in address.host else address.host
        peer = b"%b:%d" % (host.encode("idna"), address.port)
        ask = b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (peer, peer, _authorization(proxy))
        transport, _ = await self._loop.create_connection(lambda: _Tunnel(ask, made), proxy.host, proxy.port)
        try:
            await made
            secured = await self._loop.start_tls(transport, protocol, context, server_hostname=address.host)
        except BaseException:
            transport.abort()
            raise
        assert secured is not None
        protocol.connection_made(secured)

    def _address(self, origin: str) -> Address:
        address = self._addresses.get(origin)
        if address is None:
            address = self._addresses[origin] = self._resolve(origin)
        return address

    def _resolve(self, origin: str) -> Address:
        if origin.startswith(_UNIX):
            return Address(origin.removeprefix(_UNIX), 0, False, b"localhost", None)
        url = urlsplit(origin)
        host, tls = url.hostname or "", url.scheme == "https"
        port = url.port or (443 if tls else 80)
        # The origin's own spelling of the authority: default ports stay unwritten.
        return Address(host, port, tls, url.netloc.encode("idna"), self._proxy(url.scheme, f"{host}:{port}"))

    def _proxy(self, scheme: str, peer: str) -> Proxy | None:
        found = self._proxies.get(scheme) or self._proxies.get("all")
        if not found or _bypassed(peer, self._proxies.get("no", "")):
            return None
        url = urlsplit(found if "://" in found else f"http://{found}")
        user = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
        credentials = b"Basic " + b64encode(user.encode()) if url.username else b""
        return Proxy(url.hostname or "", url.port or 80, credentials)

    def _tls(self) -> ssl.SSLContext:
        """Made on the first TLS connection: reading the system's roots takes some 20 ms."""
        if self._context is None:
            self._context = ssl.create_default_context()
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context


class _ProxyError(Exception):
    """The proxy did not open a tunnel."""


class _Tunnel(asyncio.Protocol):
    """Asks a proxy for a tunnel and reads its answer, nothing more."""

    def __init__(self, ask: bytes, made: asyncio.Future[None]) -> None:
        self._ask = ask
        self._made = made
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        transport.write(self._ask)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if self._made.done() or (b"\r\n\r\n" not in self._seen and len(self._seen) < 16384):
            return
        status = self._seen.split(b" ", 2)[1:2]
        if status == [b"200"]:
            self._made.set_result(None)
        else:
            self._made.set_exception(_ProxyError())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._made.done():
            self._made.set_exception(_ProxyError())


def _authorization(proxy: Proxy) -> bytes:
    return b"proxy-authorization: %b\r\n" % proxy.credentials if proxy.credentials else b""


def _environment() -> Mapping[str, str]:
    """HTTP_PROXY and its family; the library that reads them is loaded only where one is set."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return {}
    from urllib.request import getproxies_environment

    return getproxies_environment()


def _bypassed(peer: str, no_proxy: str) -> bool:
    """Whether NO_PROXY names the peer ("host:port"): a suffix of its name, with or without port, or ``*``."""
    host = peer.rpartition(":")[0].lower()
    if host in ("localhost", "::1") or host.startswith("127."):
        return True
    for entry in no_proxy.lower().split(","):
        name = entry.strip().removeprefix("*").lstrip(".")
        if entry.strip() == "*" or (name and any(f".{known}".endswith(f".{name}") for known in (host, peer.lower()))):
            return True
    return False


def _failure(error: Exception) -> Failure:
    """Our word for what the system said. Messages name no address."""
    if isinstance(error, ssl.SSLError):
        message = "no trusted TLS connection to the provider"
        return Failure("upstream_tls", message, detail="tls_error")
    if isinstance(error, socket.gaierror):
        return Failure("upstream_unreachable", "the provider's name was not found", detail="dns_failure")
    if isinstance(error, _ProxyError):
        return Failure("upstream_unreachable", "the proxy refused the connection", detail="proxy_refused")
    refused = isinstance(error, ConnectionRefusedError)
    detail = "connect_refused" if refused else "connect_failed"
    return Failure("upstream_unreachable", "the provider refused the connection", detail=detail)
