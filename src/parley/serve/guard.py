"""Keys on everything that is not a hot path: nothing behind the application is reached without passing here.

What is open is named; a path that is added later is closed with the rest. Hot paths: parley.gateway.keyring.
Source: product contract section 5.
"""

from collections.abc import MutableMapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from parley.failure import REJECTED, Failure, ParleyError
from parley.gateway import heads
from parley.gateway.keyring import SHOWN, UNAUTHORIZED, Entry
from parley.serve.exchange import source_of
from parley.serve.house import House
from parley.wire import load
from parley.wire.inlets import dialect_of

# Where the key of a request is found in its scope.
KEY: Final = "parley.key"
# Nothing here tells of models, callers or what they said.
OPEN: Final = frozenset(
    {"/", "/livez", "/readyz", "/health", "/ollama", "/ollama/", "/v1.0/healthz", "/v1.0/healthz/outbound"}
)
# For whoever runs the gateway: open where only this machine reaches it.
OURS: Final = frozenset({"/metrics", "/api/v0/debug/metrics/prometheus", "/docs", "/openapi.json"})
# Where workers of nodes come and go.
REGISTERING: Final = frozenset(
    f"/api/v0/ai/{path}"
    for path in ("project/register", "project/unregister", "model/register", "model/unregister", "project/heartbeat")
)
_OURS_BELOW: Final = "/docs/"
_ADMIN: Final = "/admin/"
_NO_ADMIN: Final = Failure("forbidden", "this needs an admin key")


class Guard:
    """ASGI middleware. Handlers find who asks by ``key_of``."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self._app = app
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it pass, or answer in the caller's own dialect."""
        if scope["type"] == "http":
            try:
                scope[KEY] = self._enter(scope)
            except ParleyError as error:
                await self._refused(scope, error.failure)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _enter(self, scope: Scope) -> Entry | None:
        """Whose key it is, None where none is needed. Raises ``unauthorized`` or ``forbidden``."""
        path, keyring = scope["path"], self._house.gateway.keyring
        if path in OPEN or (self._is_ours(path) and self._private(scope)):
            return None
        if path in REGISTERING:
            # Workers of this machine need no key: the handlers judge. One that shows a wrong key means to have one.
            entry = keyring.holder(scope["headers"], _target(scope))
            if entry is None and keyring.closed and any(name in SHOWN for name, _ in scope["headers"]):
                raise ParleyError(UNAUTHORIZED)
            return entry
        if path.startswith(_ADMIN) and not keyring.closed:
            # Its handlers judge who comes without a key.
            entry = keyring.holder(scope["headers"], _target(scope))
            return entry if entry is not None and entry.holder.kind == "admin" else None
        administers = path.startswith(_ADMIN) or self._is_ours(path)
        if not (keyring.closed or administers or self._guards(scope)):
            return None
        source = source_of(scope.get("client"))
        entry = keyring.enter(scope["headers"], _target(scope), self._dialect(scope), source)
        if administers and entry.holder.kind != "admin":
            raise ParleyError(_NO_ADMIN)
        return entry

    def _guards(self, scope: Scope) -> bool:
        guarded = self._house.gateway.keyring.guarded
        return bool(guarded) and self._dialect(scope) == guarded

    def _is_ours(self, path: str) -> bool:
        return path in OURS or path.startswith(_OURS_BELOW)

    def _private(self, scope: Scope) -> bool:
        """Whether the listener that it came to is this machine's own."""
        server = scope.get("server")
        return self._house.gateway.settings.private(server[1] if server else None)

    def _dialect(self, scope: Scope) -> str:
        return self._wire(scope).partition("_")[0]

    def _wire(self, scope: Scope) -> str:
        path = scope["path"].encode()
        names = {name.decode("latin-1") for name, _ in scope["headers"]}
        if any(pair.startswith(b"key=") for pair in scope.get("query_string", b"").split(b"&")):
            names.add("x-goog-api-key")
        return self._house.inlets.wire_at(path) or dialect_of(path, names)

    def _refused(self, scope: Scope, failure: Failure) -> Response:
        gateway = self._house.gateway
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), None)
        request_id = gateway.request_id(given)
        gateway.metrics.count("parley_rejected_total", REJECTED.get(failure.kind, failure.log_kind))
        status, body = load(self._wire(scope)).encode_error(failure, request_id)
        kind = "application/json" if body.startswith(b"{") else "text/plain; charset=utf-8"
        answer = Response(body, status, {"x-request-id": request_id, "request-id": request_id}, kind)
        for line in heads.refusing(failure, status, 0).split(b"\r\n")[:-1]:
            name, _, value = line.decode().partition(": ")
            answer.headers[name] = value
        return answer


def key_of(request: Request) -> Entry | None:
    """Who asks, None where nobody had to say."""
    found: Entry | None = request.scope.get(KEY)
    return found


def owner_of(request: Request) -> str:
    """Whose stored objects a caller sees: its key's, or those of everybody who came without one."""
    key = key_of(request)
    return "" if key is None else key.holder.id


def _target(scope: MutableMapping[str, Any]) -> bytes:
    return b"?" + bytes(scope.get("query_string") or b"")
