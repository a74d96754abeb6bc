"""An Upstream that signs each call with AWS Signature Version 4 and hands it to the native client.

Keys are those that the configuration gives a provider, or come from AWS's own chain (environment, profile, role of the
container or the machine); a role that the configuration names is assumed with them. Asking may read files and the
network, and the library takes long to import, so all of that happens in a thread; calls wait for the first keys and are
signed at once afterwards. A call that carries a credential already, a bearer key, goes as it is.
Source: provider contract 10.
"""

import asyncio
import os
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from parley.config.address import region_of
from parley.failure import Failure
from parley.io.signing import SERVICE, Signer
from parley.ports import Call, Flight, Sink, Timer, Upstream
from parley.settings import Provider, Signing

MISSING: Final = "calls to this provider are signed by botocore, which is not installed; `pip install 'parley[aws]'`"
NO_KEYS: Final = "no AWS credentials were found: set a bearer key, AWS_ACCESS_KEY_ID or AWS_PROFILE, or give it a role"
NO_REGION: Final = "the AWS region of this provider is not known: set AWS_REGION"
# Seconds in which keys that are about to expire are not asked for again, nor those that were not there.
PAUSE: Final = 10.0
# Keys that expire sooner are not signed with any more.
LAST_SECONDS: Final = 60
_CREDENTIAL: Final = re.compile(rb"(?:^|\n)authorization:", re.IGNORECASE)
_EVENTS: Final = b"accept: text/event-stream\r\n"
_ACCEPT: Final = b"accept: application/vnd.amazon.eventstream\r\n"
_SIGNED: Final = ("X-Amz-Date", "X-Amz-Security-Token", "Authorization")
# What AWS's own log of calls names who assumed a role, where the configuration names nobody.
_SESSION: Final = "parley"
_ROLE: Final = "assume-role"
_SHORTEST: Final = 8


class Keys(Struct, frozen=True, eq=False):
    """What a call is signed with. ``frozen`` has access_key, secret_key and token; ``region`` is the one that the
    environment or the profile names, ``wanted`` the one that the configuration does."""

    frozen: Any
    region: str | None
    wanted: str = ""

    def region_for(self, origin: str) -> str | None:
        """The region of calls to that host, None where nobody knows it."""
        return self.wanted or region_of(origin) or self.region


Heard: TypeAlias = Callable[[Keys | Failure], None]


class Chain:
    """The keys, found and renewed in a thread, never twice at one time. ``write`` takes log lines; ``signing`` is what
    the configuration says of them."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        write: Callable[[bytes], None] = lambda line: None,
        signing: Signing | None = None,
    ) -> None:
        self._loop = loop
        self._write = write
        self._signing = signing or Signing()
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
            session = botocore.session.Session(profile=self._signing.profile or None)
            self._region = os.environ.get("AWS_REGION") or session.get_config_variable("region")
            self._source = self._found_in(session)
        if self._source is None:
            return Failure("upstream_auth", NO_KEYS, detail="credentials")
        return Keys(self._source.get_frozen_credentials(), self._region, self._signing.region)

    def _found_in(self, session: Any) -> Any:
        """The credentials as botocore has them, None where there are none."""
        from botocore.credentials import AssumeRoleCredentialFetcher, Credentials, DeferredRefreshableCredentials

        given = self._signing
        source: Any = (
            Credentials(given.access_key, given.secret_key, given.token or None)
            if given.access_key
            else session.get_credentials()
        )
        if source is None or not given.role:
            return source
        named = {"ExternalId": given.external_id} if given.external_id else {}
        asked = AssumeRoleCredentialFetcher(
            partial(session.create_client, region_name=given.region or self._region),
            source,
            given.role,
            {"RoleSessionName": given.session or _SESSION, **named},
        )
        return DeferredRefreshableCredentials(asked.fetch_credentials, _ROLE)

    def _say(self, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"
        for secret in (self._signing.access_key, *self._signing.secrets):
            if len(secret) >= _SHORTEST:
                reason = reason.replace(secret, "***")
        line = msgspec.json.encode({"event": "credentials.failed", "reason": reason})
        self._loop.call_soon_threadsafe(self._write, line)


class Purse:
    """A chain, and what signs with the keys that it gives now."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        # Those that the keys of now were used with, by host.
        self._signers: dict[str, Signer] = {}
        self._keys: Keys | None = None

    def signed(self, call: Call, keys: Keys) -> Call | Failure:
        """The call with its signature, or why it cannot have one."""
        return signed(call, keys, self._signer(call, keys))

    def _signer(self, call: Call, keys: Keys) -> Signer | None:
        if keys is not self._keys:
            self._keys = keys
            self._signers = {}
        origin = call.to.origin
        signer = self._signers.get(origin)
        region = keys.region_for(origin)
        if signer is None and region is not None:
            signer = self._signers[origin] = Signer(keys.frozen, region, origin)
        return signer


class BedrockUpstream:
    """See the module. ``pool`` carries the calls, which it does not close; ``chain`` gives the keys of calls whose
    provider has none of its own, ``own`` makes the chain of those that have."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pool: Upstream,
        chain: Chain,
        own: Callable[[Signing], Chain] | None = None,
    ) -> None:
        self._loop = loop
        self._pool = pool
        self._usual = Purse(chain)
        self._made = own or (lambda signing: Chain(loop, signing=signing))
        self._own: dict[Signing, Purse] = {}

    def adopt(self, providers: Iterable[Provider]) -> None:
        """Forget the keys that none of these has any more."""
        used = {provider.signing for provider in providers}
        self._own = {signing: purse for signing, purse in self._own.items() if signing in used}

    def send(self, call: Call, sink: Sink) -> Flight:
        """Start a call, signed where it has no credential of its own."""
        head = call.head.replace(_EVENTS, _ACCEPT)
        asked = Call(call.to, head, call.body, call.total, call.fresh)
        if _CREDENTIAL.search(head):
            return self._pool.send(asked, sink)
        purse = self._usual if call.to.signing is None else self._purse(call.to.signing)
        found = purse.chain.now()
        if isinstance(found, Keys):
            ready = purse.signed(asked, found)
            if isinstance(ready, Call):
                return self._pool.send(ready, sink)
            found = ready
        flight = _Waiting(self._loop, self._pool, asked, sink)
        if found is None:
            purse.chain.wait(flight.go)
        else:
            self._loop.call_soon(flight.go, found)
        return flight

    def close(self) -> None:
        """Nothing is held here."""

    def _purse(self, signing: Signing) -> Purse:
        purse = self._own.get(signing)
        if purse is None:
            purse = self._own[signing] = Purse(self._made(signing))
        return purse


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
    region = keys.region_for(call.to.origin)
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
