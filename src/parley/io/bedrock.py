"""An Upstream that signs each call with AWS Signature Version 4 and hands it to the native client.

Keys come from AWS's own chain (environment, profile, role of the container or the machine). Asking it may read files
and the network, and its library takes long to import, so all of that happens in a thread; calls wait for the first
keys and are signed at once afterwards. A call that carries a credential already, a bearer key, goes as it is.
Source: provider contract 10.
"""

import asyncio
import os
import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from parley.failure import Failure
from parley.io.signing import SERVICE, Signer
from parley.ports import Call, Flight, Sink, Timer, Upstream

MISSING: Final = "calls to this provider are signed by botocore, which is not installed; `pip install 'parley[aws]'`"
NO_KEYS: Final = "no AWS credentials were found: set a bearer key, AWS_ACCESS_KEY_ID or AWS_PROFILE, or give it a role"
NO_REGION: Final = "the AWS region of this provider is not known: set AWS_REGION"
# Seconds in which keys that are about to expire are not asked for again, nor those that were not there.
PAUSE: Final = 10.0
# Keys that expire sooner are not signed with any more.
LAST_SECONDS: Final = 60
_REGION: Final = re.compile(r"\.([a-z]{2,}(?:-[a-z]+)+-\d+)\.")
_CREDENTIAL: Final = re.compile(rb"(?:^|\n)authorization:", re.IGNORECASE)
_EVENTS: Final = b"accept: text/event-stream\r\n"
_ACCEPT: Final = b"accept: application/vnd.amazon.eventstream\r\n"
_SIGNED: Final = ("X-Amz-Date", "X-Amz-Security-Token", "Authorization")


class Keys(Struct, frozen=True, eq=False):
    """What a call is signed with. ``frozen`` has access_key, secret_key and token; ``region`` is the one that the
    environment or the profile names."""

    frozen: Any
    region: str | None


Heard: TypeAlias = Callable[[Keys | Failure], None]


class Chain:
    """The keys, found and renewed in a thread, never twice at one time. ``write`` takes log lines."""

    def __init__(self, loop: asyncio.AbstractEventLoop, write: Callable[[bytes], None] = lambda line: None) -> None:
        self._loop = loop
        self._write = write
        self._source: Any = None
        self._region: str | None = None
        self._found: Keys | Failure | None = None
        self._asked = -PAUSE
        self._asking = False
        self._waiting: list[Heard] = []

    def now(self) -> Keys | Failure | None:
        """What is known at once; None where a call has to wait. Keys about to expire are renewed meanwhile."""
        found = self._found
        recent = self._loop.time() - self._asked < PAUSE
        if isinstance(found, Failure):
            return found if recent else None
        expires = getattr(self._source, "refresh_needed", None)
        if found is None or expires is None:
            return found
        if expires(refresh_in=LAST_SECONDS):
            return None
        if not recent and expires():
            self._ask()
        return found

    def wait(self, heard: Heard) -> None:
        """Tell ``heard`` on a later turn of the loop."""
        self._waiting.append(heard)
        self._ask()

    def _ask(self) -> None:
        if self._asking:
            return
        self._asking = True
        self._loop.run_in_executor(None, self._look).add_done_callback(self._told)

    def _told(self, future: "asyncio.Future[Keys | Failure]") -> None:
        self._asking = False
        self._asked = self._loop.time()
        waiting, self._waiting = self._waiting, []
        if future.cancelled():
            return
        found = future.result()
        if isinstance(found, Keys) or not self._lasting():
            self._found = found
        for heard in waiting:
            heard(found)

    def _lasting(self) -> bool:
        """Whether the keys we have can be used although no new ones came."""
        expires = getattr(self._source, "refresh_needed", None)
        return isinstance(self._found, Keys) and (expires is None or not expires(refresh_in=LAST_SECONDS))

    def _look(self) -> Keys | Failure:
        """In the thread. Whatever goes wrong is told in the log, and without particulars to the caller."""
        try:
            return self._keys()
        except ImportError:
            return Failure("upstream_error", MISSING, status=503, detail="signing_unavailable")
        except Exception as error:
            self._say(error)
            return Failure("upstream_auth", "the AWS credentials could not be loaded", detail="credentials")

    def _keys(self) -> Keys | Failure:
        import botocore.auth
        import botocore.awsrequest
        import botocore.session

        if self._source is None:
            session = botocore.session.Session()
            self._region = os.environ.get("AWS_REGION") or session.get_config_variable("region")
            self._source = session.get_credentials()
        if self._source is None:
            return Failure("upstream_auth", NO_KEYS, detail="credentials")
        return Keys(self._source.get_frozen_credentials(), self._region)

    def _say(self, error: Exception) -> None:
        line = msgspec.json.encode({"event": "credentials.failed", "reason": f"{type(error).__name__}: {error}"})
        self._loop.call_soon_threadsafe(self._write, line)


class BedrockUpstream:
    """See the module. ``pool`` carries the calls, which it does not close; ``chain`` gives the keys."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: Upstream, chain: Chain) -> None:
        self._loop = loop
        self._pool = pool
        self._chain = chain
        # Those that the keys of now were used with, by host.
        self._signers: dict[str, Signer] = {}
        self._keys: Keys | None = None

    def send(self, call: Call, sink: Sink) -> Flight:
        """Start a call, signed where it has no credential of its own."""
        head = call.head.replace(_EVENTS, _ACCEPT)
        asked = Call(call.to, head, call.body, call.total, call.fresh)
        if _CREDENTIAL.search(head):
            return self._pool.send(asked, sink)
        found = self._chain.now()
        if isinstance(found, Keys):
            ready = signed(asked, found, self._signer(asked, found))
            if isinstance(ready, Call):
                return self._pool.send(ready, sink)
            found = ready
        flight = _Waiting(self._loop, self._pool, asked, sink)
        if found is None:
            self._chain.wait(flight.go)
        else:
            self._loop.call_soon(flight.go, found)
        return flight

    def close(self) -> None:
        """Nothing is held here."""

    def _signer(self, call: Call, keys: Keys) -> Signer | None:
        if keys is not self._keys:
            self._keys = keys
            self._signers = {}
        origin = call.to.origin
        signer = self._signers.get(origin)
        region = region_of(origin) or keys.region
        if signer is None and region is not None:
            signer = self._signers[origin] = Signer(keys.frozen, region, origin)
        return signer


class _Waiting:
    """A call that waits for its keys; the Flight of it before and after."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: Upstream, call: Call, sink: Sink) -> None:
        self._loop = loop
        self._pool = pool
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

    def go(self, found: Keys | Failure) -> None:
        """There are keys, or there will be none."""
        sink, self._sink = self._sink, None
        self._timer.cancel()
        if sink is None:
            return
        call = self._call
        call.total = max(0.001, call.total - (self._loop.time() - self._begun))
        ready = signed(call, found) if isinstance(found, Keys) else found
        if isinstance(ready, Failure):
            sink.failed(ready)
            return
        self._inner = self._pool.send(ready, sink)
        if self._paused:
            self._inner.pause()

    def _late(self) -> None:
        self.go(Failure("upstream_timeout", "the AWS credentials were not there in time", detail="credentials"))


def signed(call: Call, keys: Keys, signer: Signer | None = None) -> Call | Failure:
    """The call with its signature, or why it cannot have one. The path is sent as it is, and signed encoded again."""
    region = region_of(call.to.origin) or keys.region
    if region is None:
        return Failure("upstream_error", NO_REGION, status=503, detail="region")
    body = call.body[0] if len(call.body) == 1 else b"".join(call.body)
    lines = "" if signer is None else signer.lines(call, body)
    if not lines:
        lines = _by_botocore(call, keys, region, body)
        if signer is not None:
            signer.compare(call, body, lines)
    return Call(call.to, call.head + lines.encode(), (body,), call.total, call.fresh)


def _by_botocore(call: Call, keys: Keys, region: str, body: bytes | memoryview) -> str:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    request = AWSRequest(
        method=call.to.method.decode(),
        url=call.to.origin + call.to.path.decode(),
        data=bytes(body),
        headers={"content-type": "application/json"},
    )
    SigV4Auth(keys.frozen, SERVICE, region).add_auth(request)
    return "".join([f"{name.lower()}: {request.headers[name]}\r\n" for name in _SIGNED if name in request.headers])


def region_of(origin: str) -> str | None:
    """The region that the host's name holds, None where it holds none."""
    found = _REGION.search(f".{origin.partition('://')[2].partition(':')[0]}.")
    return found[1] if found else None
