"""The conservative Upstream: aiohttp's client, for a provider that wants a library between us and it.

Dearer (a task per call), the same in meaning. Selected with ``transport: aiohttp``.
"""

import asyncio
import logging
import ssl
from typing import Any

import aiohttp

from parley.failure import Failure
from parley.io.ending import finished
from parley.ports import Call, Flight, Sink

_PIECE = 64 * 1024


class LibraryUpstream:
    """Sends calls through one ClientSession, made on first use."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._session: aiohttp.ClientSession | None = None

    def send(self, call: Call, sink: Sink) -> Flight:
        """Start a call."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                loop=self._loop,
                auto_decompress=True,
                trust_env=True,
                skip_auto_headers=("User-Agent", "Accept-Encoding"),
            )
        flight = _Flight(self._loop, self._session, call, sink)
        flight.start()
        return flight

    def close(self) -> None:
        """Close the session in the background."""
        session, self._session = self._session, None
        if session is not None:
            self._closing = self._loop.create_task(session.close())


class _Flight:
    def __init__(self, loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession, call: Call, sink: Sink) -> None:
        self._loop = loop
        self._session = session
        self._call = call
        self._sink: Sink | None = sink
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._task: asyncio.Task[None] | None = None
        self._answered = False

    def start(self) -> None:
        """Run in a task of its own."""
        self._task = self._loop.create_task(self._run())

    def cancel(self) -> None:
        """Stop; the sink hears nothing more."""
        self._sink = None
        if self._task is not None:
            self._task.cancel()

    def pause(self) -> None:
        """Read no more."""
        self._flowing.clear()

    def resume(self) -> None:
        """Read on."""
        self._flowing.set()

    async def _run(self) -> None:
        failure: Failure | None = None
        try:
            async with asyncio.timeout(self._call.total):
                await self._talk()
        except TimeoutError:
            failure = Failure("upstream_timeout", "the provider did not finish in time", detail="stream_limit")
        except _LimitError as error:
            failure = error.failure
        except (aiohttp.ClientError, OSError, ssl.SSLError) as error:
            failure = _failure(error, answered=self._answered)
        except Exception:
            logging.getLogger("parley").exception("an answer could not be handled")
            failure = Failure("internal", "the gateway failed to handle the provider's answer")
        sink, self._sink = self._sink, None
        if sink is None:
            return
        if failure is None:
            finished(sink)
        else:
            sink.failed(failure)

    async def _talk(self) -> None:
        call = self._call
        response = await self._within(self._request(), call.to.connect + call.to.first_byte, "first_byte_timeout")
        try:
            headers = [(name.lower(), value) for name, value in response.raw_headers]
            if self._sink is not None:
                self._answered = True
                self._sink.head(response.status, [pair for pair in headers if pair[0] != b"content-encoding"])
            while True:
                await self._flowing.wait()
                piece = await self._within(response.content.readany(), call.to.idle, "idle_timeout")
                if not piece or self._sink is None:
                    return
                self._sink.body(piece)
        finally:
            if self._sink is None or not response.content.at_eof():
                response.close()
            else:
                response.release()

    async def _request(self) -> aiohttp.ClientResponse:
        call = self._call
        lines = (line.partition(b": ") for line in call.head.split(b"\r\n") if line)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, _, value in lines]
        from yarl import URL

        limits = aiohttp.ClientTimeout(total=None, sock_connect=call.to.connect)
        return await self._session.request(
            call.to.method.decode(),
            URL(call.to.origin + call.to.path.decode(), encoded=True),
            headers=headers,
            data=b"".join(call.body),
            allow_redirects=False,
            timeout=limits,
        )

    async def _within(self, coroutine: Any, seconds: float, detail: str) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await coroutine
        except aiohttp.ConnectionTimeoutError:
            message = "the provider could not be reached in time"
            raise _LimitError(Failure("upstream_connect_timeout", message, detail="connect_timeout")) from None
        except TimeoutError:
            began = "begin to answer" if detail == "first_byte_timeout" else "go on"
            message = f"the provider did not {began} in time"
            raise _LimitError(Failure("upstream_timeout", message, detail=detail)) from None


class _LimitError(Exception):
    """A limit of ours has passed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def _failure(error: Exception, *, answered: bool) -> Failure:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError | ssl.SSLError):
        return Failure("upstream_tls", "no trusted TLS connection to the provider", detail="tls_error")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Failure("upstream_unreachable", "the provider's name was not found", detail="dns_failure")
    if isinstance(error, aiohttp.ClientConnectorError):
        return Failure("upstream_unreachable", "the provider refused the connection", detail="connect_refused")
    if answered:
        message = "the provider closed in the middle of its answer"
        return Failure("upstream_incomplete", message, detail="incomplete_chunked")
    if isinstance(error, aiohttp.ClientResponseError):
        return Failure("upstream_bad_response", "the provider's answer is not HTTP/1.1", detail="bad_http")
    message = "the provider closed the connection without an answer"
    return Failure("upstream_closed", message, detail="closed_before_headers")
