"""Everything that is not hot, on Starlette: model lists, health, metrics, and the answers to wrong paths."""

from collections.abc import Callable
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from parley import __version__
from parley.failure import Failure, ParleyError
from parley.serve.house import House
from parley.serve.metrics import exposition
from parley.wire import Wire, listing, load
from parley.wire.inlets import openai_prefixes

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
    for prefix in (*openai_prefixes(), "/anthropic", "/anthropic/v1"):
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
        known = self._listed()
        if not _speaks_messages(request):
            return self._json(request, listing.openai_list(known))
        query = request.query_params
        try:
            limit = listing.page_limit(query.get("limit"))
            page = listing.anthropic_list(known, limit, query.get("after_id"), query.get("before_id"))
        except ParleyError as error:
            return self._error(request, error.failure)
        return self._json(request, page)

    async def model(self, request: Request) -> Response:
        """One of them; names may contain slashes, encoded or not."""
        name = unquote(request.path_params["model"])
        if self._house.gateway.find(name) is None:
            return self._error(request, Failure("model_not_found", f"no model {name[:200]!r}", param="model"))
        entry = self._entry(name)
        shape: Callable[[listing.Listed], bytes] = (
            listing.anthropic_model if _speaks_messages(request) else listing.openai_model
        )
        return self._json(request, shape(entry))

    async def unknown(self, request: Request, error: Exception) -> Response:
        """No such path, or not with this method."""
        path = request.url.path
        if self._house.inlets.get(path.encode()) is not None:
            return self._not_allowed(request, "POST")
        allowed = (getattr(error, "headers", None) or {}).get("Allow")
        if allowed:
            return self._not_allowed(request, allowed)
        return self._error(request, Failure("invalid_request", f"there is nothing at {path[:200]}", status=404))

    def _not_allowed(self, request: Request, allowed: str) -> Response:
        message = f"{request.method} is not possible here; allowed: {allowed}"
        answer = self._error(request, Failure("invalid_request", message, status=405))
        answer.headers["allow"] = allowed
        return answer

    def _json(self, request: Request, body: bytes, status: int = 200) -> Response:
        given = request.headers.get("x-request-id")
        request_id = self._house.gateway.request_id(given.encode("latin-1") if given else None)
        headers = {"x-request-id": request_id, "request-id": request_id}
        return Response(body, status, headers, media_type=_JSON)

    def _error(self, request: Request, failure: Failure) -> Response:
        status, body = self._wire(request).encode_error(failure, "")
        return self._json(request, body, status)

    def _wire(self, request: Request) -> Wire:
        if _speaks_messages(request):
            return load("anthropic")
        return self._house.wire_of(request.url.path.encode())

    def _listed(self) -> tuple[listing.Listed, ...]:
        registrations = self._house.gateway.settings.registrations
        return tuple(self._entry(name) for name in dict.fromkeys(name for _, name in registrations))

    def _entry(self, name: str) -> listing.Listed:
        found = self._house.gateway.settings.find("chat", name)
        owner = found.targets[0].provider if found and found.targets else "parley"
        return listing.Listed(id=name, created=self._started, owner=owner)


def _speaks_messages(request: Request) -> bool:
    """The header marks the dialect where both share a path (product contract section 5)."""
    return "anthropic-version" in request.headers or request.url.path.startswith("/anthropic")
