"""Header lines: what of a caller's headers reaches the provider, and of its headers the caller.

Pure. Lines are CRLF ended. Sources: RFC 9110 section 7.6.1 (hop by hop), product contract sections 5 and 6.
"""

import re
from collections.abc import Iterable
from math import ceil
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from parley.failure import Failure
from parley.gateway.keyring import SHOWN
from parley.ports import Headers
from parley.settings import Provider, Target

_HOP = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection",
    b"te", b"trailer", b"transfer-encoding", b"upgrade", b"content-length", b"content-encoding",
}  # fmt: skip
_CREDENTIALS = SHOWN | {b"cookie"}
_NOT_UP: Final = frozenset(
    _HOP | _CREDENTIALS | {
        b"host", b"accept", b"accept-encoding", b"content-type", b"expect", b"origin", b"referer", b"forwarded", b"via",
        b"x-real-ip", b"x-request-id", b"range", b"if-none-match", b"if-modified-since",
        b"mlp-billing-key", b"z-requestid",
    }
)  # fmt: skip
_NOT_UP_PREFIXES: Final = (b"x-stainless-", b"x-forwarded-", b"x-parley-", b"sec-", b"cf-")
_NOT_DOWN: Final = frozenset(
    _HOP | {
        b"content-type", b"date", b"server", b"set-cookie", b"alt-svc", b"x-request-id", b"x-should-retry", b"via",
        b"request-id", b"cache-control", b"x-accel-buffering", b"strict-transport-security",
        b"access-control-allow-origin", b"access-control-allow-credentials",
    }
)  # fmt: skip
# What the official clients send again by themselves, beside 429 and 5xx.
_RETRIED: Final = (408, 409)
_USUAL: Final = (b"keep-alive", b"close")
# A caller may send any number of fields that a target cannot take; a header must stay one that clients accept.
MAX_LISTED: Final = 64
_TRACE: Final = frozenset({b"traceparent", b"tracestate", b"baggage"})

# Configured headers that hold a credential; what is shorter than this is none.
_SECRET: Final = re.compile("auth|key|token|secret|cookie|password", re.IGNORECASE)
_SHORTEST: Final = 8
_HIDDEN: Final = b"***"

_JSON: Final = b"application/json"
JSON_TYPE: Final = b"content-type: application/json\r\n"
TEXT_TYPE: Final = b"content-type: text/plain; charset=utf-8\r\n"
_ASK_JSON: Final = JSON_TYPE + b"accept: application/json\r\nx-request-id: "
_ASK_ANYTHING: Final = b"accept: */*\r\nx-request-id: "
_ASK_EVENTS: Final = JSON_TYPE + b"accept: text/event-stream\r\nx-request-id: "


class LaneHead(Struct, frozen=True):
    """What is the same for every request down one lane: where it goes and the provider's own headers."""

    origin: str
    path: bytes
    lines: bytes
    named: frozenset[bytes]


def covered(body: bytes, provider: Provider) -> bytes:
    """An error body without the provider's credentials: some tell in it what they were sent."""
    own = () if provider.signing is None else provider.signing.secrets
    for secret in (*provider.keys, *own, *(value for name, value in provider.headers if _SECRET.search(name))):
        text = secret.rpartition(" ")[2].encode()
        if len(text) >= _SHORTEST and text in body:
            body = body.replace(text, _HIDDEN)
    return body


def lane_head(provider: Provider, target: Target, endpoint: int, key: int, operation: str) -> LaneHead:
    """Build it. ``key`` is -1 where the provider has none."""
    scheme, _, rest = provider.endpoints[endpoint].partition("://")
    authority, slash, base = rest.partition("/")
    path = provider.paths[operation].replace("{model}", quote(target.model, safe=""))
    path = path.replace("{path}", _as_path(target.model))
    account, _, service = target.model.partition("/")
    path = path.replace("{account}", quote(account, safe="")).replace(
        "{service}", quote(service.partition("/")[0], safe="")
    )
    headers = [(name, value) for name, value in provider.headers]
    if key >= 0 and provider.auth != "none":
        bearer = provider.auth == "bearer"
        name, value = (
            ("authorization", f"Bearer {provider.keys[key]}") if bearer else (provider.auth, provider.keys[key])
        )
        headers.append((name, value))
    lines = b"".join(_line(name.lower().encode(), value.encode()) for name, value in headers)
    named = frozenset(name.lower().encode() for name, _ in headers)
    return LaneHead(f"{scheme}://{authority}", f"{slash}{base}{path}".encode(), lines, named)


def _as_path(model: str) -> str:
    """The model's name with its slashes, where that is no way out of the place for it."""
    plain = not {"", ".", ".."}.intersection(model.split("/"))
    return quote(model, safe="/" if plain else "")


def asking(*, events: bool, anything: bool = False, kind: bytes = b"") -> bytes:
    """Lines on what is sent and what is wanted, up to the request's id; ``kind`` is a content type beside JSON."""
    if anything:
        return JSON_TYPE + _ASK_ANYTHING
    if kind:
        return b"%baccept: %b\r\nx-request-id: " % (JSON_TYPE, kind)
    return _ASK_EVENTS if events else _ASK_JSON


def asking_by_form(headers: Headers) -> bytes:
    """The same for a multipart request, whose Content-Type names its boundary."""
    kind = next((value for name, value in headers if name == b"content-type"), b"")
    return b"content-type: %b\r\n%b" % (kind, _ASK_ANYTHING)


def typed(kind: bytes) -> bytes:
    """The line of an answer's own type."""
    return b"content-type: %b\r\n" % kind


def passed_on(headers: Headers, named: frozenset[bytes]) -> bytes:
    """The caller's headers on its own wire: all but credentials, hop-by-hop and our own; the operator's win."""
    lines = b""
    for name, value in headers:
        if name == b"connection" and value.lower() not in _USUAL:
            named = named | _listed(value)
    for name, value in headers:
        if name not in _NOT_UP and name not in named and not name.startswith(_NOT_UP_PREFIXES):
            lines += b"%b: %b\r\n" % (name, value)
    return lines


def needed(headers: Headers, needs: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Lines for headers that the provider insists on and the caller did not send."""
    given = {name for name, _ in headers}
    return b"".join([_line(name, value) for name, value in needs if name not in given])


def chosen(headers: Headers, names: frozenset[bytes]) -> bytes:
    """Lines of the caller's headers of these names."""
    return b"".join([_line(name, value) for name, value in headers if name in names])


def rebuilt(headers: Headers, chosen: tuple[tuple[str, str], ...], named: frozenset[bytes], *, same: bool) -> bytes:
    """Lines of a request that was encoded anew: what its encoder chose, and on the ``same`` wire the caller's own."""
    lines = added(chosen, named) if chosen else b""
    if not same:
        return lines + traced(headers)
    return lines + passed_on(headers, named.union(name.encode() for name, _ in chosen))


def traced(headers: Headers) -> bytes:
    """The caller's trace context, which is all that a translated request keeps of its headers."""
    lines = b""
    for name, value in headers:
        if name in _TRACE:
            lines += b"%b: %b\r\n" % (name, value)
    return lines


def content_type(headers: Headers) -> bytes:
    """The answer's type in lower case; JSON where the provider says none."""
    for name, value in headers:
        if name == b"content-type":
            return value if value == _JSON else value.lower()
    return _JSON


def downward(headers: Headers) -> bytes:
    """Header lines of a verbatim answer that belong to the provider and go on to the caller."""
    lines, hop = b"", _NOT_DOWN
    for name, value in headers:
        if name == b"connection" and value.lower() not in _USUAL:
            hop = hop | _listed(value)
    for name, value in headers:
        if name not in hop and not name.startswith(b"x-parley-"):
            lines += b"%b: %b\r\n" % (name, value)
    return lines


def _listed(connection: bytes) -> frozenset[bytes]:
    """The headers that a Connection header declares hop-by-hop (RFC 9110 section 7.6.1)."""
    return frozenset(name.strip() for name in connection.lower().split(b","))


def added(headers: Iterable[tuple[str, str]], named: frozenset[bytes]) -> bytes:
    """Lines for headers a translated request needs, unless the operator set them."""
    return b"".join(_line(name.encode(), value.encode()) for name, value in headers if name.encode() not in named)


def identified(request_id: str) -> bytes:
    """The request's id under both names that clients read."""
    name = request_id.encode()
    return b"x-request-id: %b\r\nrequest-id: %b\r\n" % (name, name)


def answering(target: str) -> bytes:
    """The line that names the target, and the beginning of the one that counts attempts."""
    return b"x-parley-target: %b\r\nx-parley-attempts: " % _safe(target)


def dropped(names: tuple[str, ...]) -> bytes:
    """The line that lists what could not go to the target; of very many the first, and how many more."""
    more = b", and %d more" % (len(names) - MAX_LISTED) if len(names) > MAX_LISTED else b""
    return b"x-parley-dropped: %b%b\r\n" % (b", ".join(map(_safe, names[:MAX_LISTED])), more)


def refusing(failure: Failure, status: int, attempts: int) -> bytes:
    """Lines that tell a client's own retries what to do: no more of them once ours are spent."""
    lines = b""
    if status == 501 or (attempts and (failure.code.blame == "upstream" or status in _RETRIED)):
        lines = b"x-should-retry: false\r\n"
    if failure.kind == "unauthorized":
        lines += b"www-authenticate: Bearer\r\n"
    if failure.retry_after is not None:
        lines += b"retry-after: %d\r\n" % max(1, ceil(failure.retry_after))
    return lines


def _safe(value: str) -> bytes:
    """Header-safe: anything but visible ASCII is percent-encoded, so a name never makes a new header."""
    if value.isascii() and value.isprintable():
        return value[:128].encode()
    return quote(value[:128], safe="/:@[]().+ ").encode()


def _line(name: bytes, value: bytes) -> bytes:
    return b"%b: %b\r\n" % (name, value)
