"""Opening connections: straight, through a proxy, with TLS; the bytes of a request; and everything that goes wrong."""

import asyncio
import socket
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from servers import Provider, Waiting, listening

from parley.failure import Failure
from parley.io.opening import Opener
from parley.io.pool import Pool
from parley.ports import Call, Destination

CERTIFICATE = Path(__file__).parent / "provider.test.pem"


class Tunnels:
    """A proxy that answers CONNECT, then passes bytes on to a port of this machine."""

    def __init__(self, port: int, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.asked: list[bytes] = []
        self._port = port
        self._answer = answer

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self._answer)
        if not self._answer.startswith(b"HTTP/1.1 200"):
            await writer.drain()
            return
        far, near = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            await asyncio.gather(_pass(reader, near), _pass(far, writer))
        finally:
            near.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.transport.abort()


def call(origin: str, body: tuple[bytes | memoryview, ...] = (b"{}",), connect: float = 5.0) -> Call:
    to = Destination(method=b"POST", origin=origin, path=b"/v1/chat", connect=connect)
    return Call(to, b"x-a: b\r\n", body, 30.0)


async def asked(origin: str, proxies: dict[str, str] | None = None, **more: Any) -> Waiting:
    """One call through a pool, to its end."""
    loop = asyncio.get_running_loop()
    pool, ear = Pool(loop, Opener(loop, proxies or {})), Waiting()
    pool.send(call(origin, **more), ear)
    async with asyncio.timeout(30):
        await ear.over.wait()
    pool.close()
    return ear


def tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return context


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the certificate were among the system's roots."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


# --- the request's bytes -----------------------------------------------------------------------


async def test_a_small_request_is_one_part() -> None:
    opener = Opener(asyncio.get_running_loop(), {})
    (message,) = opener.message(call("http://h.example:81", (b'{"a":', memoryview(b"1}"))))
    assert message == b'POST /v1/chat HTTP/1.1\r\nhost: h.example:81\r\nx-a: b\r\ncontent-length: 7\r\n\r\n{"a":1}'


async def test_a_large_body_is_not_copied() -> None:
    body = (b"x" * 100_000, memoryview(b"y" * 100_000))
    head, *parts = Opener(asyncio.get_running_loop(), {}).message(call("http://h.example", body))
    assert b"content-length: 200000\r\n\r\n" in bytes(head)
    assert [part is sent for part, sent in zip(parts, body, strict=True)] == [True, True]


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://h.example", b"h.example"),
        ("https://h.example:8443", b"h.example:8443"),
        ("http://[::1]:8080", b"[::1]:8080"),
        ("https://b\u00fccher.example", b"xn--bcher-kva.example"),
    ],
)
async def test_the_host_is_the_origins_own_spelling(origin: str, host: bytes) -> None:
    (message,) = Opener(asyncio.get_running_loop(), {}).message(call(origin))
    assert b"\r\nhost: %b\r\n" % host in bytes(message)


# --- straight ----------------------------------------------------------------------------------


async def test_a_straight_connection() -> None:
    provider = Provider()
    async with listening(provider) as port:
        ear = await asked(f"http://127.0.0.1:{port}", body=(b"x" * 300_000,))
    assert ear.whole == (200, b"hello")
    (sent,) = provider.asked
    assert sent.startswith(b"POST /v1/chat HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nx-a: b\r\n" % port)
    assert sent.endswith(b"\r\n\r\n" + b"x" * 300_000)


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ear = await asked(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert ear.failure == ("upstream_unreachable", "connect_refused")


async def test_a_name_that_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*given: Any, **more: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    ear = await asked("http://secret-name.example")
    assert ear.failure == ("upstream_unreachable", "dns_failure")
    (failure,) = ear.ended
    assert isinstance(failure, Failure)
    assert "secret-name" not in failure.message


async def test_a_connection_that_does_not_open_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*given: Any, **more: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silent)
    ear = await asked("http://h.example", connect=0.02)
    assert ear.failure == ("upstream_connect_timeout", "connect_timeout")


# --- TLS ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("trusted")
async def test_tls_with_the_systems_roots() -> None:
    provider = Provider()
    async with listening(provider, tls()) as port:
        ear = await asked(f"https://localhost:{port}")
    assert ear.whole == (200, b"hello")
    assert b"\r\nhost: localhost:%d\r\n" % port in provider.asked[0]


async def test_a_certificate_nobody_trusts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty = tmp_path / "roots.pem"
    empty.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(empty))
    provider = Provider()
    async with listening(provider, tls()) as port:
        ear = await asked(f"https://localhost:{port}")
    assert ear.failure == ("upstream_tls", "tls_error")
    assert provider.asked == []


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_for_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def here(*given: Any, **more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    provider = Provider()
    async with listening(provider, tls()) as port:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", here)
        assert (await asked(f"https://other.test:{port}")).failure == ("upstream_tls", "tls_error")
        assert (await asked(f"https://provider.test:{port}")).whole == (200, b"hello")
    assert len(provider.asked) == 1


@pytest.mark.usefixtures("trusted")
async def test_a_server_that_speaks_no_tls() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with listening(plain) as port:
        ear = await asked(f"https://localhost:{port}")
    assert ear.failure == ("upstream_tls", "tls_error")


# --- proxies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("user", "line"), [("", b""), ("me:p%40ss@", b"proxy-authorization: Basic bWU6cEBzcw==\r\n")])
async def test_a_plain_request_through_a_proxy(user: str, line: bytes) -> None:
    proxy = Provider()
    async with listening(proxy) as port:
        ear = await asked("http://provider.test:81", {"http": f"http://{user}127.0.0.1:{port}"})
    assert ear.whole == (200, b"hello")
    start = b"POST http://provider.test:81/v1/chat HTTP/1.1\r\nhost: provider.test:81\r\n"
    assert proxy.asked[0].startswith(start + line + b"x-a: b\r\n")


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(("user", "line"), [("", b""), ("me:p%40ss@", b"proxy-authorization: Basic bWU6cEBzcw==\r\n")])
async def test_tls_through_a_tunnel(user: str, line: bytes) -> None:
    provider = Provider()
    async with listening(provider, tls()) as far:
        proxy = Tunnels(far)
        async with listening(proxy) as near:
            ear = await asked("https://provider.test", {"https": f"http://{user}127.0.0.1:{near}"})
    assert ear.whole == (200, b"hello")
    assert proxy.asked == [b"CONNECT provider.test:443 HTTP/1.1\r\nhost: provider.test:443\r\n" + line + b"\r\n"]
    assert provider.asked[0].startswith(b"POST /v1/chat HTTP/1.1\r\nhost: provider.test\r\n")
    assert b"proxy-authorization" not in provider.asked[0]


@pytest.mark.usefixtures("trusted")
async def test_the_name_is_checked_through_a_tunnel_too() -> None:
    provider = Provider()
    async with listening(provider, tls()) as far, listening(Tunnels(far)) as near:
        ear = await asked("https://other.test", {"https": f"http://127.0.0.1:{near}"})
    assert ear.failure == ("upstream_tls", "tls_error")
    assert provider.asked == []


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"HTTP/1.1 502 X\r\n\r\n", b"what?"]
)
async def test_a_proxy_that_refuses_a_tunnel(answer: bytes) -> None:
    async with listening(Tunnels(1, answer)) as near:
        ear = await asked("https://provider.test", {"https": f"http://127.0.0.1:{near}"})
    assert ear.failure == ("upstream_unreachable", "proxy_refused")


async def test_a_proxy_that_says_nothing() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with listening(silent) as near:
        ear = await asked("https://provider.test", {"https": f"http://127.0.0.1:{near}"}, connect=0.05)
    assert ear.failure == ("upstream_connect_timeout", "connect_timeout")


@pytest.mark.parametrize(
    ("origin", "proxies", "proxied"),
    [
        ("http://h.example", {"http": "http://p:1"}, True),
        ("http://h.example", {"all": "p:1"}, True),
        ("http://h.example", {"https": "http://p:1"}, False),
        ("http://h.example", {"http": "http://p:1", "no": "*"}, False),
        ("http://h.example", {"http": "http://p:1", "no": "a, h.example"}, False),
        ("http://h.example", {"http": "http://p:1", "no": ".example"}, False),
        ("http://H.Example", {"http": "http://p:1", "no": "EXAMPLE"}, False),
        ("http://h.example", {"http": "http://p:1", "no": "*.example"}, False),
        ("http://h.example:81", {"http": "http://p:1", "no": "h.example:81"}, False),
        ("http://h.example:81", {"http": "http://p:1", "no": "h.example:82"}, True),
        ("http://badexample", {"http": "http://p:1", "no": "example"}, True),
        ("http://h.example.org", {"http": "http://p:1", "no": "h.example"}, True),
        ("http://h.example", {"http": "http://p:1", "no": " , "}, True),
        ("http://localhost:81", {"http": "http://p:1"}, False),
        ("http://127.0.0.9:81", {"http": "http://p:1"}, False),
        ("http://[::1]:81", {"http": "http://p:1"}, False),
    ],
)
async def test_which_requests_go_through_a_proxy(origin: str, proxies: dict[str, str], proxied: bool) -> None:
    (message,) = Opener(asyncio.get_running_loop(), proxies).message(call(origin))
    assert bytes(message).startswith(b"POST http://") == proxied


async def test_the_environment_names_the_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://p:1")
    monkeypatch.setenv("NO_PROXY", "near.example")
    opener = Opener(asyncio.get_running_loop())
    assert bytes(opener.message(call("http://far.example"))[0]).startswith(b"POST http://far.example/")
    assert bytes(opener.message(call("http://near.example"))[0]).startswith(b"POST /v1/chat ")
