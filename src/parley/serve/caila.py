"""What clients of Caila ask beside predictions: stored configs, services, lists of models.

Source: predict contract sections 2, 4 and 6.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.failure import Failure, ParleyError, invalid
from parley.gateway.admission import able
from parley.gateway.dressed import marked
from parley.gateway.keyring import forbidden_model
from parley.jsontext import whole
from parley.operations import OPERATIONS
from parley.serve.configured import Configured, shown
from parley.serve.guard import key_of, owner_of
from parley.serve.house import House
from parley.store import Store
from parley.store import predict_configs as kept
from parley.store.predict_configs import Service, Written
from parley.wire.caila.envelope import config_members
from parley.wire.predict_paths import ADAPTERS, PREFIXES

TASK: Final = "chat-completion"
MAX_NAME: Final = 256
_JSON: Final = "application/json"
_CORE: Final = "/api/mlpcore/account/{account}/model/{service}/predict-config"
_LARGEST: Final = 2**63
# What the API calls each operation that a model serves.
REQUEST_TYPES: Final = {
    "chat": "chat_completions",
    "responses": "responses",
    "completions": "completions",
    "embeddings": "embeddings",
    "image_generation": "image_generation",
    "image_edit": "image_edit",
    "speech": "speech_generation",
    "transcription": "transcription",
    "moderation": "moderations",
}
Handler: TypeAlias = Callable[[Request], Awaitable[Any]]


def routes(house: House, store: Store | None) -> list[Route]:
    """Everything of the dialect that is not a hot path."""
    told = _Told(house)
    made = [
        Route(f"{prefix}/p/{{account}}/{{service}}", _endpoint(house, {"GET": told.service}), methods=["GET"])
        for prefix in PREFIXES
    ]
    for base in (ADAPTERS, f"{ADAPTERS}/v1", f"{ADAPTERS}-direct", f"{ADAPTERS}-direct/v1"):
        made.append(Route(f"{base}/models", _endpoint(house, {"GET": told.models}), methods=["GET"]))
        made.append(Route(f"{base}/models/{{model:path}}", _endpoint(house, {"GET": told.model}), methods=["GET"]))
    if store is None:
        return made
    configs = _Configs(house, store)
    one: Mapping[str, Handler] = {"GET": configs.one, "POST": configs.change, "DELETE": configs.remove}
    table: Mapping[str, Mapping[str, Handler]] = {
        _CORE: {"GET": configs.all, "POST": configs.create},
        f"{_CORE}/{{configId}}": one,
    }
    made += [Route(path, _endpoint(house, methods), methods=list(methods)) for path, methods in table.items()]
    return made


def _endpoint(house: House, methods: Mapping[str, Handler]) -> Handler:
    """One route for all methods of a path, so that a wrong one is told every one that is allowed."""

    async def endpoint(request: Request) -> Response:
        gateway = house.gateway
        begun, given = gateway.now(), request.headers.get("x-request-id")
        named = request.headers.get("z-requestid", "").encode("latin-1")
        request_id = gateway.request_id(given.encode("latin-1") if given else None)
        status = 200
        try:
            value = await methods["GET" if request.method == "HEAD" else request.method](request)
            body = b"" if value is None else msgspec.json.encode(value)
        except ParleyError as error:
            wire = house.wire_of(str(request.scope["path"]).encode())
            status, body = wire.encode_error(error.failure, named.decode("latin-1") or request_id)
        answer = Response(body, status, {"x-request-id": request_id, "request-id": request_id}, media_type=_JSON)
        for line in marked(named, gateway.now() - begun).split(b"\r\n")[:-1]:
            name, _, words = line.decode("latin-1").partition(": ")
            answer.headers[name] = words
        return answer

    return endpoint


class _Told:
    """Services and models. Handlers give what is to be told, or raise ParleyError."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._since = int(house.gateway.wall())

    async def service(self, request: Request) -> Any:
        """What is known of a service."""
        account, service = _named(request)
        name = f"{account}/{service}"
        self._allowed(request, name)
        served = self._served(name)
        named = {"accountId": account, "modelId": service}
        return {"id": named, "modelName": service, "taskType": TASK, "supported_request_types": served}

    async def models(self, request: Request) -> Any:
        """Every name that can be asked for."""
        settings, key = self._house.gateway.settings, key_of(request)
        names = dict.fromkeys((*(name for _, name in settings.registrations), *settings.offered))
        shown = [name for name in names if key is None or key.holder.asks(name)]
        return {"object": "list", "data": [self._entry(name) for name in shown]}

    async def model(self, request: Request) -> Any:
        """One of them; names may contain slashes, encoded or not."""
        name = unquote(request.path_params["model"])
        self._allowed(request, name)
        return self._entry(name)

    def _allowed(self, request: Request, name: str) -> None:
        key = key_of(request)
        if key is not None and not key.asks(name):
            raise forbidden_model(name)
        if not self._served(name):
            raise ParleyError(Failure("model_not_found", f"no model {name[:200]!r}", param="model", model=name))

    def _entry(self, name: str) -> dict[str, Any]:
        settings = self._house.gateway.settings
        found = next(filter(None, (settings.find(operation, name) for operation in OPERATIONS)), None)
        owner = found.targets[0].provider.partition("#")[0] if found and found.targets else "parley"
        known = {"id": name, "object": "model", "created": self._since, "owned_by": owner}
        return {**known, "supported_request_types": self._served(name)}

    def _served(self, name: str) -> list[str]:
        settings = self._house.gateway.settings
        found = ((word, operation, settings.find(operation, name)) for operation, word in REQUEST_TYPES.items())
        return [word for word, operation, one in found if one and able(one, settings.providers, operation)]


class _Configs:
    """Stored configs. Handlers give what is to be told, or raise ParleyError."""

    def __init__(self, house: House, store: Store) -> None:
        self._store = store
        configs = house.gateway.configs
        self._forget = configs.forget if isinstance(configs, Configured) else lambda service: None

    async def all(self, request: Request) -> Any:
        """GET: all of a service."""
        service = _service(request)
        found = await self._store.ask(lambda link: kept.listed(link, service)) if self._store.exists else []
        return [shown(service, config) for config in found]

    async def create(self, request: Request) -> Any:
        """POST: a new one."""
        service, written = _service(request), _written(await request.body())
        made = await self._store.change(lambda link: kept.create(link, service, written))
        self._forget(service)
        return shown(service, made)

    async def one(self, request: Request) -> Any:
        """GET: one of them."""
        service, number = _service(request), _id(request)
        return shown(service, await self._store.ask(lambda link: kept.fetch(link, service, number)))

    async def change(self, request: Request) -> Any:
        """POST: another text under the same id."""
        service, number = _service(request), _id(request)
        written = _written(await request.body())
        made = await self._store.change(lambda link: kept.change(link, service, number, written))
        self._forget(service)
        return shown(service, made)

    async def remove(self, request: Request) -> Any:
        """DELETE: one less."""
        service, number = _service(request), _id(request)
        await self._store.change(lambda link: kept.remove(link, service, number))
        self._forget(service)
        return None


def _named(request: Request) -> tuple[str, str]:
    return unquote(request.path_params["account"]), unquote(request.path_params["service"])


def _service(request: Request) -> Service:
    return Service(owner_of(request), *_named(request))


def _id(request: Request) -> int:
    text = request.path_params["configId"]
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20 and -_LARGEST <= int(text) < _LARGEST):
        raise invalid("configId must be a 64-bit integer", "configId")
    return int(text)


def _written(body: bytes) -> Written:
    """A config as it was sent. Raises ``invalid_request`` naming the field."""
    given = whole(body)
    for member in given:
        if member not in ("name", "isDefault", "config"):
            raise invalid(f"unknown field {member[:80]!r}", member[:80])
    config, name, default = given.get("config"), given.get("name"), given.get("isDefault")
    if not isinstance(config, str):
        raise invalid("config must be a string that holds a JSON object", "config")
    config_members(config)
    if name is not None and (not isinstance(name, str) or len(name) > MAX_NAME):
        raise invalid(f"name must be a string of at most {MAX_NAME} characters", "name")
    if default is not None and not isinstance(default, bool):
        raise invalid("isDefault must be true or false", "isDefault")
    return Written(config, name, default)
