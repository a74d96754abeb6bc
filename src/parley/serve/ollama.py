"""Ollama's questions about models: /api/tags, /api/show, /api/ps, /api/version, and the greeting its clients ask for.

Nothing here holds weights but the engines of this machine, so what only a holder of weights can tell (parameters,
quantization, template) is empty and not invented. Source: provider contract 4, 4.2.
"""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from parley.failure import Failure, ParleyError
from parley.gateway.admission import able
from parley.gateway.keyring import forbidden_model
from parley.jsontext import whole
from parley.operations import OPERATIONS
from parley.serve.guard import key_of
from parley.serve.house import House
from parley.settings import Engine, Registration
from parley.wire import load

# The version of Ollama's API that is spoken here: clients refuse to work with one that they think too old.
API_VERSION: Final = "0.13.0"
RUNNING: Final = "Ollama is running"
_JSON: Final = "application/json"
# What an Ollama does that has no meaning for a gateway: it holds no weights of its own.
_NOT_HERE: Final = (
    ("POST", "/api/pull"),
    ("POST", "/api/push"),
    ("POST", "/api/create"),
    ("POST", "/api/copy"),
    ("DELETE", "/api/delete"),
    ("POST", "/api/blobs/{digest}"),
    ("HEAD", "/api/blobs/{digest}"),
)
# Names for which a chat model stands in lists of this API. Pictures and tools are passed on to whoever takes them.
_CHATS: Final = ("completion", "tools", "vision")


def greeting() -> Response:
    """The words by which a client knows that a server is there."""
    return PlainTextResponse(RUNNING)


def routes(house: House) -> list[Route]:
    """Everything of the dialect that is not a hot path; the greeting at / is the front page's to give."""
    pages = _Pages(house)
    made = [Route("/ollama", pages.greet), Route("/ollama/", pages.greet)]
    for prefix in ("", "/ollama"):
        made += [
            Route(f"{prefix}/api/tags", pages.tags, methods=["GET"]),
            Route(f"{prefix}/api/ps", pages.loaded, methods=["GET"]),
            Route(f"{prefix}/api/version", pages.version, methods=["GET"]),
            Route(f"{prefix}/api/show", pages.show, methods=["POST"]),
        ]
        made += [Route(f"{prefix}{path}", pages.not_here, methods=[method]) for method, path in _NOT_HERE]
    return made


class _Pages:
    """Handlers; errors have the shape of this dialect."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._since = house.gateway.wall()

    async def greet(self, request: Request) -> Response:
        """GET and HEAD."""
        return greeting()

    async def version(self, request: Request) -> Response:
        """The version of the API."""
        return self._answer(request, {"version": API_VERSION})

    async def tags(self, request: Request) -> Response:
        """Every name that can be asked for."""
        settings, key = self._house.gateway.settings, key_of(request)
        names = dict.fromkeys((*(name for _, name in settings.registrations), *settings.offered))
        shown = [name for name in names if key is None or key.holder.asks(name)]
        return self._answer(request, {"models": [self._tag(name) for name in shown]})

    async def loaded(self, request: Request) -> Response:
        """The models of this machine that are in memory now."""
        settings, key = self._house.gateway.settings, key_of(request)
        sizes = self._running()
        models = []
        names = dict.fromkeys(name for _, name in settings.registrations)
        for name in (name for name in names if key is None or key.holder.asks(name)):
            for engine in filter(sizes.__contains__, self._engines(name)):
                ends = self._house.gateway.wall() + (engine.idle if engine.idle is not None else 100 * 365 * 86400)
                more = {"expires_at": _time(ends), "size_vram": 0, "context_length": engine.context_size or 0}
                models.append({**self._tag(name), "size": sizes[engine], **more})
        return self._answer(request, {"models": models})

    async def show(self, request: Request) -> Response:
        """What is known of one model."""
        try:
            asked = whole(await request.body())
        except ParleyError as error:
            return self._error(request, error.failure)
        name = asked.get("model") or asked.get("name")
        if not isinstance(name, str):
            return self._error(request, Failure("invalid_request", "model is required", param="model"))
        key = key_of(request)
        if key is not None and not key.asks(name):
            return self._error(request, forbidden_model(name).failure)
        capabilities = self._capabilities(name)
        if not capabilities:
            return self._error(request, Failure("model_not_found", f"model {name[:200]!r} not found"))
        tag = self._tag(name)
        shown = {
            "modelfile": "",
            "parameters": "",
            "template": "",
            "details": tag["details"],
            "model_info": self._info(name),
            "capabilities": capabilities,
            "modified_at": tag["modified_at"],
        }
        return self._answer(request, shown)

    async def not_here(self, request: Request) -> Response:
        """What only a holder of weights can do."""
        path = str(request.scope["path"])
        message = f"{request.method} {path} is not implemented by this server: it holds no weights"
        answer = self._error(request, Failure("not_implemented", message))
        answer.headers["x-should-retry"] = "false"
        return answer

    def _tag(self, name: str) -> dict[str, Any]:
        """One entry of a list. The digest names nothing but the name: clients cut it."""
        found = self._found(name)
        family = found[0].targets[0].provider.partition("#")[0] if found and found[0].targets else "parley"
        details = {
            "parent_model": "",
            "format": "",
            "family": family,
            "families": [family],
            "parameter_size": "",
            "quantization_level": "",
        }
        size = sum(_size(engine.model) for engine in dict.fromkeys(self._engines(name)))
        digest = sha256(name.encode()).hexdigest()
        about = {"modified_at": _time(self._since), "size": size, "digest": digest, "details": details}
        return {"name": name, "model": name, **about}

    def _info(self, name: str) -> dict[str, Any]:
        """What clients read of a model's header; only what was configured is known."""
        family = self._tag(name)["details"]["family"]
        sizes = [engine.context_size for engine in self._engines(name) if engine.context_size is not None]
        info: dict[str, Any] = {"general.architecture": family, "general.basename": name}
        return {**info, f"{family}.context_length": min(sizes)} if sizes else info

    def _capabilities(self, name: str) -> list[str]:
        settings = self._house.gateway.settings
        usable = {
            operation
            for operation in OPERATIONS
            if (found := settings.find(operation, name)) is not None and able(found, settings.providers, operation)
        }
        chats = _CHATS if "chat" in usable else ()
        others = ("embedding",) if "embeddings" in usable else ()
        pictures = ("image",) if "image_generation" in usable else ()
        return [*chats, *others, *pictures]

    def _found(self, name: str) -> list[Registration]:
        settings = self._house.gateway.settings
        found = (settings.find(operation, name) for operation in OPERATIONS)
        return [registration for registration in found if registration is not None]

    def _engines(self, name: str) -> Iterable[Engine]:
        """The engines of this machine that answer for a name."""
        providers = self._house.gateway.settings.providers
        targets = [target for registration in self._found(name) for target in registration.targets]
        found = [providers.get(target.provider) for target in targets]
        return dict.fromkeys(one.engine for one in found if one is not None and one.engine is not None)

    def _running(self) -> dict[Engine, int]:
        """The engines in memory, and how many bytes each needs."""
        local = self._house.gateway.upstreams.get("local")
        running = getattr(local, "running", None)
        return {} if running is None else dict(running())

    def _answer(self, request: Request, value: object) -> Response:
        return self._response(request, msgspec.json.encode(value), 200)

    def _error(self, request: Request, failure: Failure) -> Response:
        status, body = load("ollama").encode_error(failure, "")
        return self._response(request, body, status)

    def _response(self, request: Request, body: bytes, status: int) -> Response:
        given = request.headers.get("x-request-id")
        name = self._house.gateway.request_id(given.encode("latin-1") if given else None)
        return Response(body, status, {"x-request-id": name, "request-id": name}, media_type=_JSON)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _size(path: str) -> int:
    """Bytes of a file of weights, 0 where it cannot be read now."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
