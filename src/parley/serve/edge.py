"""What may come in at all: checks on a request's target, Host, Origin and framing. Pure.

No server does these by itself. Sources: RFC 9112 sections 3 and 6, RFC 9110 section 7.2; fault contract C7-C11, C17.
"""

import re
from typing import Final

from msgspec import Struct

from parley.failure import Failure
from parley.ports import Headers
from parley.settings import Settings

MAX_HEADERS: Final = 100
# What is looked at in a head; none of these may come twice.
NOTED: Final = frozenset(
    {b"host", b"origin", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"x-request-id"}
)
# A head with no other of the noted is worth remembering.
REPEATED: Final = frozenset({b"host", b"origin", b"content-length", b"x-request-id"})
_OFFER: Final = frozenset({b"upgrade", b"http2-settings", b"connection"})
_HOST: Final = re.compile(rb"(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9_][A-Za-z0-9_.-]{0,252})(?::\d{1,5})?")
_ADDRESS: Final = re.compile(rb"\[.*\]|\d{1,3}(\.\d{1,3}){3}")
_ORIGIN: Final = re.compile(rb"[a-z][a-z0-9+.-]*://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(?::\d{1,5})?")
# What a target may hold; ';' and '\' mean different things to different servers.
_PATH: Final = re.compile(rb"/[A-Za-z0-9\-._~%!$&'()*+,:=@/]*")
_QUERY: Final = re.compile(rb"[\x21\x24-\x3b\x3d\x3f-\x7e]*")
# Encoded dots, separators, control characters and percent signs: nothing that a second decoding would change.
_ENCODED: Final = re.compile(rb"%(?:[01][0-9a-f]|2e|25|3b|5c|7f|(?![0-9a-f]{2}))", re.IGNORECASE)
_DOTS: Final = re.compile(rb"/\.{1,2}(/|\Z)")
# Where it is asked how we are: answered also while we drain.
ASKED_HOW: Final = frozenset({b"/livez", b"/readyz", b"/v1.0/healthz", b"/v1.0/healthz/outbound"})
# Paths whose clients repeat slashes, and on which they mean nothing (conversation contract 2.1).
_SLASHES: Final = re.compile(rb"/+v1\.0(?:-[a-z0-9]+)?/.*")
_REMEMBERED: Final = 256


class Refusal(Struct, frozen=True):
    """Why a request is turned away at the door; ``reason`` is the metric's label. The connection closes."""

    status: int
    message: str
    reason: str

    def failure(self) -> Failure:
        """As a failure that any dialect can shape."""
        kinds = {500: "internal", 403: "forbidden", 413: "body_too_large", 503: "overloaded"}
        return Failure(kinds.get(self.status, "invalid_request"), self.message, status=self.status, detail=self.reason)


BAD_HTTP: Final = Refusal(400, "the request is not valid HTTP/1.1", "bad_http")
# In HTTP/1.1, which clients of HTTP/2 and gRPC understand well enough to say so and to pause: a proper GOAWAY has those
# of gRPC call again at once, and for ever.
HTTP_2: Final = Refusal(505, "HTTP/1.1 is spoken here, not HTTP/2; gRPC has an address of its own", "bad_http")
HEADERS: Final = Refusal(431, "the request's headers are too large", "headers")
HEADER_TIME: Final = Refusal(408, "the request's headers did not arrive in time", "header_timeout")
BODY_TIME: Final = Refusal(408, "the request's body did not arrive in time", "body_timeout")
CUT_SHORT: Final = Refusal(400, "the request's body is shorter than its Content-Length", "bad_http")
DRAINING: Final = Refusal(503, "the gateway is shutting down", "drain")
CONNECTIONS: Final = Refusal(503, "too many connections", "connections")
INTERNAL: Final = Refusal(500, "the gateway failed to handle the request", "internal")
_BAD_PATH: Final = Refusal(400, "the request's path is not acceptable", "bad_path")
_BAD_HOST: Final = Refusal(400, "exactly one valid Host header is required", "bad_host")
_OTHER_HOST: Final = Refusal(421, "this host name is not served here", "bad_host")
_OTHER_ORIGIN: Final = Refusal(403, "requests from pages of another origin are not accepted", "origin")


def unreadable(method: bytes, version: str) -> Refusal:
    """What is said where a request cannot be parsed, as far as it could be."""
    return HTTP_2 if method == b"PRI" and version == "2.0" else BAD_HTTP


def too_large(limit: int) -> Refusal:
    """The body passed its limit, by its length or by its chunks."""
    return Refusal(413, f"the request body is larger than {limit} bytes", "body_too_large")


class Door:
    """Checks the parts of a request head. Remembers a bounded number of hosts that have passed."""

    def __init__(self, settings: Settings) -> None:
        self._names = {name.lower().encode() for name in settings.hosts}
        self._any = settings.public and not settings.hosts
        self._passed: set[bytes] = set()

    def head(self, version: str, noted: dict[bytes, bytes], *, twice: bool) -> Refusal | None:
        """Host and Origin among the noted headers; where one came ``twice``, nobody is meant."""
        host = noted.get(b"host")
        if host is None or twice:
            return None if version == "1.0" and not twice else _BAD_HOST
        refusal = None if host in self._passed else self._host(host)
        if refusal is None and b"origin" in noted:
            refusal = self._origin(noted[b"origin"], host)
        return refusal

    def _host(self, host: bytes) -> Refusal | None:
        match = _HOST.fullmatch(host)
        if match is None:
            return _BAD_HOST
        if not (self._any or self._is_ours(match[1].lower())):
            return _OTHER_HOST
        if len(self._passed) < _REMEMBERED:
            self._passed.add(host)
        return None

    def _is_ours(self, name: bytes) -> bool:
        if name == b"localhost" or name.endswith(b".localhost") or name in self._names:
            return True
        return _ADDRESS.fullmatch(name) is not None

    def _origin(self, origin: bytes, host: bytes) -> Refusal | None:
        """A page may talk to us from our own address; everything else is another site's page."""
        match = _ORIGIN.fullmatch(origin)
        if match is None:
            return _OTHER_ORIGIN
        return None if origin.partition(b"://")[2].lower() == host.lower() else _OTHER_ORIGIN


def path_refusal(target: bytes) -> Refusal | None:
    """A target must mean one thing to everybody: no dots, no doubled slash (but where they mean nothing), nothing twice
    encoded."""
    path, _, query = target.partition(b"?")
    if (b"//" in path and not _SLASHES.fullmatch(path)) or not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
        return _BAD_PATH
    return _BAD_PATH if _ENCODED.search(path) or _DOTS.search(path) else None


def head_size(url: bytes, headers: Headers) -> int:
    """Bytes of a head as it was written, white space aside."""
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


def noted_of(headers: Headers) -> tuple[dict[bytes, bytes], bool]:
    """The NOTED headers, and whether one of them came twice."""
    pairs = [(name, value) for name, value in headers if name in NOTED]
    found = dict(pairs)
    return found, len(found) != len(pairs)


def framing_refusal(noted: dict[bytes, bytes], version: str, limit: int) -> Refusal | None:
    """A body that announces itself as too large, or comes in a coding that not everybody reads alike."""
    coding = noted.get(b"transfer-encoding")
    if coding is not None and (version == "1.0" or coding.lower() != b"chunked"):
        return BAD_HTTP
    length = noted.get(b"content-length")
    return too_large(limit) if length is not None and int(length) > limit else None


def without_upgrade(headers: Headers) -> Headers:
    """A head as it would be had the caller not offered another protocol."""
    kept = [(name, value) for name, value in headers if name not in _OFFER]
    closes = any(name == b"connection" and b"close" in value.lower() for name, value in headers)
    return [*kept, (b"connection", b"close")] if closes else kept
