"""An Upstream that gives each call an OAuth bearer token and hands it to the native client.

Tokens come from google-auth's own chain (a key file that the environment names, the user's login, the machine's
account). Asking it may read files and the network, and its library takes long to import, so all of that happens in a
thread; calls wait for the first token and leave at once afterwards. A token that is about to expire is renewed while
it still serves. A call that carries a credential already goes as it is. Source: provider contract 3.1.
"""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from parley.failure import Failure
from parley.ports import Call, Flight, Sink, Timer, Upstream

MISSING: Final = "tokens for this provider need google-auth, which is not installed; `pip install 'parley[gcp]'`"
REFUSED: Final = "no credentials for this provider were found: set an api_key or GOOGLE_APPLICATION_CREDENTIALS"
SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
# Seconds before its end in which a token is renewed, and in which it is not used any more.
EARLY: Final = 300.0
LAST: Final = 10.0
# Seconds in which nobody asks again after an answer, good or bad.
PAUSE: Final = 10.0
_CREDENTIAL: Final = re.compile(rb"(?:^|\n)(?:authorization|x-goog-api-key):", re.IGNORECASE)


class Token(Struct, frozen=True):
    """A bearer token; ``seconds`` it is good for from now on, None for ever."""

    text: str
    seconds: float | None


Found: TypeAlias = Token | Failure
Heard: TypeAlias = Callable[[Found], None]


def library_token(credentials: list[Any]) -> Token:
    """A fresh token of google-auth's chain. Blocks. ``credentials`` keeps what was found for the next time."""
    import google.auth
    from google.auth.transport.requests import Request

    if not credentials:
        credentials.append(google.auth.default(scopes=[SCOPE])[0])
    found = credentials[0]
    found.refresh(Request())
    expiry = found.expiry
    if expiry is None:
        return Token(found.token, None)
    # The library's times are UTC and do not say so.
    moment = expiry if expiry.tzinfo else expiry.replace(tzinfo=UTC)
    return Token(found.token, (moment - datetime.now(UTC)).total_seconds())


class Tokens:
    """The token, found and renewed in a thread, never twice at one time. ``ask`` blocks and gives a fresh one or
    raises; ``write`` takes log lines."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ask: Callable[[], Token] | None = None,
        write: Callable[[bytes], None] = lambda line: None,
    ) -> None:
        credentials: list[Any] = []
        self._loop = loop
        self._write = write
        self._fresh = ask or (lambda: library_token(credentials))
        self._found: Found | None = None
        self._until: float | None = None
        self._asked = -PAUSE
        self._asking = False
        self._waiting: list[Heard] = []

    def now(self) -> Found | None:
        """What is known at once; None where a call has to wait. A token near its end is renewed meanwhile."""
        found, now = self._found, self._loop.time()
        recent = now - self._asked < PAUSE
        if isinstance(found, Failure):
            return found if recent else None
        if found is None or self._until is None:
            return found
        if now > self._until - LAST:
            return None
        if now > self._until - EARLY and not recent:
            self._ask()
        return found

    def wait(self, heard: Heard) -> None:
        """Tell ``heard`` on a later turn of the loop."""
        self._waiting.append(heard)
        self._ask()

    def refused(self) -> None:
        """The provider did not take the token: the next call gets another one."""
        if isinstance(self._found, Token) and self._loop.time() - self._asked >= PAUSE:
            self._found = None

    def _ask(self) -> None:
        if not self._asking:
            self._asking = True
            self._loop.run_in_executor(None, self._look).add_done_callback(self._told)

    def _told(self, future: "asyncio.Future[Found]") -> None:
        self._asking = False
        now = self._asked = self._loop.time()
        waiting, self._waiting = self._waiting, []
        if future.cancelled():
            return
        found = future.result()
        serves = isinstance(self._found, Token) and (self._until is None or now < self._until - LAST)
        if isinstance(found, Token):
            self._until = None if found.seconds is None else now + found.seconds
        if isinstance(found, Token) or not serves:
            self._found = found
        for heard in waiting:
            heard(found)

    def _look(self) -> Found:
        """In the thread. Whatever goes wrong is told in the log, and without particulars to the caller."""
        try:
            return self._fresh()
        except ImportError:
            return Failure("upstream_error", MISSING, status=503, detail="credentials_unavailable")
        except Exception as error:
            line = msgspec.json.encode({"event": "credentials.failed", "reason": f"{type(error).__name__}: {error}"})
            self._loop.call_soon_threadsafe(self._write, line)
            return Failure("upstream_auth", REFUSED, detail="credentials")


class TokenUpstream:
    """See the module. ``pool`` carries the calls, which it does not close."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: Upstream, tokens: Tokens) -> None:
        self._loop = loop
        self._pool = pool
        self._tokens = tokens

    def send(self, call: Call, sink: Sink) -> Flight:
        """Start a call, with a token where it has no credential of its own."""
        if _CREDENTIAL.search(call.head):
            return self._pool.send(call, sink)
        found = self._tokens.now()
        if isinstance(found, Token):
            return self._pool.send(borne(call, found), _Watching(sink, self._tokens))
        flight = _Waiting(self._loop, self._pool, self._tokens, call, sink)
        if found is None:
            self._tokens.wait(flight.go)
        else:
            self._loop.call_soon(flight.go, found)
        return flight

    def close(self) -> None:
        """Nothing is held here."""


def borne(call: Call, token: Token) -> Call:
    """The call with its token."""
    head = b"%bauthorization: Bearer %b\r\n" % (call.head, token.text.encode())
    return Call(call.to, head, call.body, call.total, call.fresh)


class _Watching:
    """The caller's sink; hears whether the token was refused."""

    __slots__ = ("_tokens", "body", "done", "failed", "sink")

    def __init__(self, sink: Sink, tokens: Tokens) -> None:
        self.sink = sink
        self._tokens = tokens
        self.body, self.done, self.failed = sink.body, sink.done, sink.failed

    def head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """As the caller's."""
        if status == 401:
            self._tokens.refused()
        self.sink.head(status, headers)


class _Waiting:
    """A call that waits for its token; the Flight of it before and after."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: Upstream, tokens: Tokens, call: Call, sink: Sink) -> None:
        self._loop = loop
        self._pool = pool
        self._tokens = tokens
        self._call = call
        self._sink: Sink | None = sink
        self._inner: Flight | None = None
        self._paused = False
        self._begun = loop.time()
        self._timer: Timer = loop.call_later(min(call.total, call.to.first_byte), self._late)

    def cancel(self) -> None:
        """Stop; the sink hears nothing more."""
        self._timer.cancel()
        self._sink = None
        if self._inner is not None:
            self._inner.cancel()

    def pause(self) -> None:
        """Read no more."""
        self._paused = True
        if self._inner is not None:
            self._inner.pause()

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if self._inner is not None:
            self._inner.resume()

    def go(self, found: Found) -> None:
        """There is a token, or there will be none."""
        sink, self._sink = self._sink, None
        self._timer.cancel()
        if sink is None:
            return
        if isinstance(found, Failure):
            sink.failed(found)
            return
        call = self._call
        call.total = max(0.001, call.total - (self._loop.time() - self._begun))
        self._inner = self._pool.send(borne(call, found), _Watching(sink, self._tokens))
        if self._paused:
            self._inner.pause()

    def _late(self) -> None:
        self.go(Failure("upstream_timeout", "no token for this provider was there in time", detail="credentials"))
