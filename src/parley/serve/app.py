"""Everything that is not hot, on Starlette: model lists, health, metrics, and the answers to wrong paths."""

from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from parley import __version__
from parley.failure import Failure, ParleyError
from parley.gateway.admission import able
from parley.gateway.keyring import forbidden_model
from parley.operations import OPERATIONS
from parley.serve import caila, dapr, described, ollama, stateful
from parley.serve.guard import Guard, key_of, owner_of
from parley.serve.house import House
from parley.serve.metrics import exposition, snapshot
from parley.settings import Registration
from parley.wire import listing, load
from parley.wire.inlets import below, dialect_of, greeted, model_prefixes

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
    if house.store is not None:
        routes += stateful.routes(house, house.store, owner_of)
    routes += [*described.routes(house), *ollama.routes(house), *dapr.routes(house), *caila.routes(house, house.store)]
    if house.nodes is not None:
        from parley.serve import nodes

        routes += nodes.routes(house, house.nodes)
    if house.books is not None and house.store is not None:
        from parley.serve import usage

        routes += usage.routes(house, house.store)
    if house.store is not None:
        from parley.serve import admin_keys

        routes += admin_keys.routes(house, house.store)
    if house.store is not None and house.filing is not None:
        from parley.serve import batches, files

        stir = house.batching.stir if house.batching is not None else _nothing
        routes += files.routes(house, house.store, house.filing)
        routes += batches.routes(house, house.store, house.filing, stir)
    if house.reload is not None:
        from parley.serve import admin

        routes += admin.routes(house, house.reload)
    handlers: dict[Any, Any] = {404: pages.unknown, 405: pages.unknown, 500: pages.broken}
    middleware = [Middleware(dapr.Folded), Middleware(Guard, house=house)]
    return Starlette(routes=routes, exception_handlers=handlers, middleware=middleware)


def _nothing() -> None:
    """There is nobody to be stirred."""


class Pages:
    """Handlers. Errors have the shape of the dialect that the path speaks."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._started = int(house.gateway.wall())

    async def front(self, request: Request) -> Response:
        """A word for people who open the address, and the one that Ollama's clients look for."""
        if greeted(request.headers.get("user-agent", "")):
            return ollama.greeting()
        return PlainTextResponse(f"Parley {__version__} is running. POST /v1/chat/completions, GET /v1/models.\n")

    async def live(self, request: Request) -> Response:
        """The loop turns."""
        return Response(b'{"status":"live"}', media_type=_JSON)

    async def ready(self, request: Request) -> Response:
        """Whether new requests are taken."""
        problems, draining = self._house.problems(), self._house.draining
        status = "draining" if draining else "degraded" if problems else "ready"
        body = msgspec.json.encode({"status": status, "problems": problems})
        return Response(body, 503 if draining else 200, media_type=_JSON)

    async def metrics(self, request: Request) -> Response:
        """Prometheus text: the numbers of all processes that serve these addresses."""
        crew = self._house.crew
        try:
            shown = snapshot(self._house) if crew is None else await crew.metrics()
        except (TimeoutError, ConnectionError, RuntimeError):
            # Our own alone would look as if everything had gone down.
            return PlainTextResponse("the other workers did not say what they counted\n", 503)
        body, kind = exposition(shown)
        return Response(body, media_type=kind)

    async def models(self, request: Request) -> Response:
        """Every name that can be asked for, in the shape of the caller's dialect."""
        try:
            return self._json(request, listing.page(_dialect(request), self._listed(request), request.query_params))
        except ParleyError as error:
            return self._error(request, error.failure)

    async def model(self, request: Request) -> Response:
        """One of them; names may contain slashes, encoded or not."""
        name, key = unquote(request.path_params["model"]), key_of(request)
        if key is not None and not key.asks(name):
            return self._error(request, forbidden_model(name).failure)
        if not self._known(name):
            if bytes(request.scope.get("raw_path") or b"") in self._house.inlets:
                # A model and what it is asked, as in gemini:generateContent.
                return self._not_allowed(request, "POST")
            return self._error(request, Failure("model_not_found", f"no model {name[:200]!r}", param="model"))
        return self._json(request, listing.one(_dialect(request), self._entry(name)))

    async def unknown(self, request: Request, error: Exception) -> Response:
        """No such path, or not with this method."""
        raw = bytes(request.scope.get("raw_path") or str(request.scope["path"]).encode())
        path, known = raw.decode("latin-1")[:200], below(str(request.scope["path"]))
        invoked = dapr.unknown(raw)
        if invoked is not None:
            return invoked
        verdict = None if known is None else described.unserved(request.method, known, request.url.query)
        if verdict is not None and verdict.status == 501:
            message = f"{request.method} {path} is not implemented by this server"
            answer = self._error(request, Failure("not_implemented", message))
            answer.headers["x-should-retry"] = "false"
            return answer
        asked = raw in self._house.inlets
        allowed = "POST" if asked else (getattr(error, "headers", None) or {}).get("Allow") or ""
        if verdict is not None and verdict.status == 405:
            allowed = ", ".join(verdict.allowed)
        if allowed:
            return self._not_allowed(request, allowed)
        return self._error(request, Failure("invalid_request", f"there is nothing at {path}", status=404))

    async def broken(self, request: Request, error: Exception) -> Response:
        """Our own fault. The error goes on to whoever runs this, who tells it in the log."""
        return self._error(request, Failure("internal", "the gateway failed to handle the request"))

    def _not_allowed(self, request: Request, allowed: str) -> Response:
        message = f"{request.method} is not possible here; allowed: {allowed}"
        answer = self._error(request, Failure("invalid_request", message, status=405))
        answer.headers["allow"] = allowed
        return answer

    def _json(self, request: Request, body: bytes) -> Response:
        return _response(self._request_id(request), body, 200)

    def _error(self, request: Request, failure: Failure) -> Response:
        path = str(request.scope["path"]).encode()
        wire = load(self._house.inlets.wire_at(path) or _dialect(request))
        request_id = self._request_id(request)
        status, body = wire.encode_error(failure, request_id)
        return _response(request_id, body, status)

    def _request_id(self, request: Request) -> str:
        given = request.headers.get("x-request-id")
        return self._house.gateway.request_id(given.encode("latin-1") if given else None)

    def _listed(self, request: Request) -> tuple[listing.Listed, ...]:
        key = key_of(request)
        gateway = self._house.gateway
        configured = (name for _, name in gateway.settings.registrations)
        registered = () if gateway.nodes is None else gateway.nodes.names()
        names = dict.fromkeys((*configured, *gateway.settings.offered, *registered))
        return tuple(self._entry(name) for name in names if key is None or key.holder.asks(name))

    def _known(self, name: str) -> bool:
        return any(self._found(operation, name) is not None for operation in OPERATIONS)

    def _found(self, operation: str, name: str) -> Registration | None:
        gateway = self._house.gateway
        found = gateway.settings.find(operation, name)
        return gateway.nodes.find(operation, name) if found is None and gateway.nodes is not None else found

    def _entry(self, name: str) -> listing.Listed:
        found = next(filter(None, (self._found(operation, name) for operation in OPERATIONS)), None)
        owner = found.targets[0].provider.partition("#")[0] if found and found.targets else "parley"
        return listing.Listed(id=name, created=self._started, owner=owner, operations=self._served(name))

    def _served(self, name: str) -> tuple[str, ...]:
        """What a model can be asked for, of that which lists tell."""
        settings = self._house.gateway.settings
        found = ((operation, self._found(operation, name)) for operation in ("chat", "embeddings"))
        return tuple(each for each, model in found if model and able(model, settings.providers, each))


def _response(request_id: str, body: bytes, status: int) -> Response:
    return Response(body, status, {"x-request-id": request_id, "request-id": request_id}, media_type=_JSON)


def _dialect(request: Request) -> str:
    names = {*request.headers, "x-goog-api-key"} if "key" in request.query_params else request.headers
    return dialect_of(str(request.scope["path"]).encode(), names)
