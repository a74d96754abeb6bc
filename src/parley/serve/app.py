"""Everything that is not hot, on Starlette: model lists, health, metrics, and the answers to wrong paths."""

from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from parley import __version__
from parley.failure import Failure, ParleyError
from parley.serve.house import House
from parley.serve.metrics import exposition
from parley.wire import listing, load
from parley.wire.inlets import dialect_of, model_prefixes, unserved

_JSON = "application/json"


def application(house: House) -> Starlette:
    """The ASGI application behind the hot paths."""
    pages = Pages(house)
    routes = [
        Route("/", pages.front),
        Route("/livez", pages.live),
        Route("/readyz", pages.ready),
        Route("/health", pages.ready),
        Route("/metrics", pages.metrics),
    ]
    for prefix in model_prefixes():
        routes.append(Route(f"{prefix}/models", pages.models, methods=["GET"]))
        routes.append(Route(f"{prefix}/models/{{model:path}}", pages.model, methods=["GET"]))
    return Starlette(routes=routes, exception_handlers={404: pages.unknown, 405: pages.unknown})


class Pages:
    """Handlers. Errors have the shape of the dialect that the path speaks."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._started = int(house.gateway.wall())

    async def front(self, request: Request) -> Response:
        """A word for people who open the address."""
        return PlainTextResponse(f"Parley {__version__} is running. POST /v1/chat/completions, GET /v1/models.\n")

    async def live(self, request: Request) -> Response:
        """The loop turns."""
        return Response(b'{"status":"live"}', media_type=_JSON)

    async def ready(self, request: Request) -> Response:
        """Whether new requests are taken."""
        if self._house.draining:
            return Response(b'{"status":"draining","problems":[]}', 503, media_type=_JSON)
        return Response(b'{"status":"ready","problems":[]}', media_type=_JSON)

    async def metrics(self, request: Request) -> Response:
        """Prometheus text."""
        body, kind = exposition(self._house.gateway)
        return Response(body, media_type=kind)

    async def models(self, request: Request) -> Response:
        """Every name that can be asked for, in the shape of the caller's dialect."""
        try:
            return self._json(request, listing.page(_dialect(request), self._listed(), request.query_params))
        except ParleyError as error:
            return self._error(request, error.failure)

    async def model(self, request: Request) -> Response:
        """One of them; names may contain slashes, encoded or not."""
        name = unquote(request.path_params["model"])
        if self._house.gateway.find(name) is None:
            return self._error(request, Failure("model_not_found", f"no model {name[:200]!r}", param="model"))
        return self._json(request, listing.one(_dialect(request), self._entry(name)))

    async def unknown(self, request: Request, error: Exception) -> Response:
        """No such path, or not with this method."""
        path = bytes(request.scope.get("raw_path") or str(request.scope["path"]).encode())
        if path in self._house.inlets:
            return self._not_allowed(request, "POST")
        allowed = (getattr(error, "headers", None) or {}).get("Allow")
        if allowed:
            return self._not_allowed(request, allowed)
        return self._nothing(request, path.decode("latin-1")[:200])

    def _nothing(self, request: Request, path: str) -> Response:
        if not unserved(path):
            return self._error(request, Failure("invalid_request", f"there is nothing at {path}", status=404))
        message = f"{request.method} {path} is not implemented by this server"
        answer = self._error(request, Failure("not_implemented", message))
        answer.headers["x-should-retry"] = "false"
        return answer

    def _not_allowed(self, request: Request, allowed: str) -> Response:
        message = f"{request.method} is not possible here; allowed: {allowed}"
        answer = self._error(request, Failure("invalid_request", message, status=405))
        answer.headers["allow"] = allowed
        return answer

    def _json(self, request: Request, body: bytes) -> Response:
        return _response(self._request_id(request), body, 200)

    def _error(self, request: Request, failure: Failure) -> Response:
        path = str(request.scope["path"]).encode()
        inlet = self._house.inlets.get(path)
        wire = inlet.wire if inlet is not None else load(_dialect(request))
        request_id = self._request_id(request)
        status, body = wire.encode_error(failure, request_id)
        return _response(request_id, body, status)

    def _request_id(self, request: Request) -> str:
        given = request.headers.get("x-request-id")
        return self._house.gateway.request_id(given.encode("latin-1") if given else None)

    def _listed(self) -> tuple[listing.Listed, ...]:
        registrations = self._house.gateway.settings.registrations
        names = dict.fromkeys((*(name for _, name in registrations), *self._house.gateway.settings.offered))
        return tuple(self._entry(name) for name in names)

    def _entry(self, name: str) -> listing.Listed:
        found = self._house.gateway.settings.find("chat", name)
        owner = found.targets[0].provider if found and found.targets else "parley"
        return listing.Listed(id=name, created=self._started, owner=owner)


def _response(request_id: str, body: bytes, status: int) -> Response:
    return Response(body, status, {"x-request-id": request_id, "request-id": request_id}, media_type=_JSON)


def _dialect(request: Request) -> str:
    return dialect_of(str(request.scope["path"]).encode(), request.headers)
