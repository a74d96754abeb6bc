"""What clients of Dapr's runtime ask beside conversations: whether it is there, and what is loaded.

Source: conversation contract sections 0, 1.6 and 2.1.
"""

import re
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from parley import __version__
from parley.serve.house import House

# Clients wait for these before their first call, without a key.
HEALTH = ("/v1.0/healthz", "/v1.0/healthz/outbound")
# Its own paths, of whatever version. They may be written with more slashes than are needed.
_OURS: Final = re.compile(rb"/+v1\.0(?:-[a-z0-9]+)?(?:/.*)?")
_SLASHES: Final = re.compile(rb"//+")
_JSON = "application/json"
_UNREACHABLE = "failed getting app id either from the URL path or the header dapr-app-id"


def routes(house: House) -> list[Route]:
    """Routes of the runtime."""
    told = _Runtime(house)
    return [
        *(Route(path, told.health, methods=["GET"]) for path in HEALTH),
        Route("/v1.0/metadata", told.metadata, methods=["GET"]),
    ]


def unknown(path: bytes) -> Response | None:
    """The runtime takes every other path below its own for the name of an app; None for paths that are not its own."""
    return _error(404, "ERR_DIRECT_INVOKE", _UNREACHABLE) if _OURS.fullmatch(path) else None


class Folded:
    """ASGI middleware: the runtime's paths with one slash where there are several, and none at their end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        raw: bytes = scope.get("raw_path") or b""
        if (b"//" in raw or raw.endswith(b"/")) and _OURS.fullmatch(raw):
            folded = _SLASHES.sub(b"/", raw).rstrip(b"/")
            scope = {**scope, "raw_path": folded, "path": unquote(folded.decode("latin-1"))}
        await self._app(scope, receive, send)


class _Runtime:
    def __init__(self, house: House) -> None:
        self._house = house

    async def health(self, request: Request) -> Response:
        """204 with nothing in it when ready."""
        asked = request.query_params.get("appid")
        if asked is not None and asked != self._house.gateway.settings.dapr_app:
            return _error(500, "ERR_HEALTH_APPID_NOT_MATCH", "dapr app-id does not match")
        if not self._house.draining:
            return Response(status_code=204)
        if request.scope["path"].endswith("/outbound"):
            return _error(500, "ERR_OUTBOUND_HEALTH_NOT_READY", "dapr outbound is not ready")
        return _error(500, "ERR_HEALTH_NOT_READY", "dapr is not ready: [draining]")

    async def metadata(self, request: Request) -> Response:
        """Who this is and which components are loaded."""
        settings = self._house.gateway.settings
        components = [
            {"name": one.name, "type": one.type, "version": one.version} for one in settings.components.values()
        ]
        told: dict[str, Any] = {"id": settings.dapr_app, "runtimeVersion": __version__}
        if components:
            told["components"] = components
        return Response(msgspec.json.encode(told), media_type=_JSON)


def _error(status: int, code: str, message: str) -> Response:
    return Response(msgspec.json.encode({"errorCode": code, "message": message}), status, media_type=_JSON)
