"""What a node is asked beside calls of models: what there is, and who it is.

What only libp2p has is told so by code 1011. Sources: computing node contract sections 4, 10, 12.
"""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.failure import Failure, ParleyError
from parley.gateway.admission import able
from parley.nodes import Facts, Offer
from parley.nodes.facts import OPERATIONS, operation_of
from parley.serve import registering
from parley.serve.admin import refused as strange
from parley.serve.admin import stranger
from parley.serve.coded import answer, code, members, named, refused
from parley.serve.guard import key_of
from parley.serve.hostinfo import host_info
from parley.serve.house import House
from parley.serve.metrics import exposition, snapshot
from parley.serve.noding import Noding
from parley.wire.node.errors import TEXTS, TIMEOUT, UNSUPPORTED, parameter, parsing

PROTOCOL: Final = "aicn/0.0.1"
METRICS: Final = "/api/v0/debug/metrics/prometheus"
_PLAIN: Final = (("GET", "rendezvous/peers"), ("GET", "swarm/peers"), ("GET", "swarm/addrs"), ("GET", "pubsub/peers"),
                 ("GET", "bootstrap/list"), ("POST", "swarm/connect"), ("POST", "swarm/disconnect"),
                 ("POST", "bootstrap/add"), ("POST", "bootstrap/rm"))  # fmt: skip
_PATHS: Final = {"chat": "chat/completions", "image_generation": "images/generations", "image_edit": "images/edits"}


def routes(house: House, noding: Noding) -> list[Route]:
    """Everything below /api/v0 that is no call of a model, and the list of models of a worker."""
    told = _Told(house, noding)
    found = [
        *registering.routes(house, noding),
        Route("/api/v0/id", told.id, methods=["GET"]),
        Route("/api/v0/peers", told.peers, methods=["GET"]),
        Route("/api/v0/peer", told.peer, methods=["POST"]),
        Route("/api/v0/host/info", told.host, methods=["POST"]),
        Route("/api/v0/ai/projects/list", told.projects, methods=["GET"]),
        Route("/api/v0/ai/projects/models", told.models, methods=["GET"]),
        Route("/api/v0/ai/projects/peers", told.places, methods=["GET"]),
        Route("/api/v0/ai/project/peer", told.of_peer, methods=["POST"]),
        Route(METRICS, told.metrics, methods=["GET"]),
        Route("/node/v1/models", told.worker_models, methods=["GET"]),
        Route("/admin/api/nodes", told.everything, methods=["GET"]),
    ]
    return found + [Route(f"/api/v0/{path}", told.unsupported, methods=[method]) for method, path in _PLAIN]


class _Told:
    """What there is. Nodes of the network are told as they were heard last."""

    def __init__(self, house: House, noding: Noding) -> None:
        self._house = house
        self._directory = noding.directory
        self._noding = noding

    async def id(self, request: Request) -> Response:
        """Who this is."""
        await self._known()
        return answer(self._self())

    async def peers(self, request: Request) -> Response:
        """Ids of nodes."""
        await self._known()
        return answer({"data": [facts.node for facts in self._all()][:100]})

    async def peer(self, request: Request) -> Response:
        """Who another one is."""
        try:
            facts = await self._meant(request)
        except ParleyError as error:
            return refused(error)
        if facts.node == self._directory.id:
            return answer(self._self())
        return answer(_without_empty({**_about(facts), "protocols": []}))

    async def host(self, request: Request) -> Response:
        """What this machine is; of others that is not told."""
        try:
            facts = await self._meant(request)
        except ParleyError as error:
            return refused(error)
        if facts.node != self._directory.id:
            return code(500, UNSUPPORTED)
        return answer(host_info())

    async def projects(self, request: Request) -> Response:
        """Names of projects."""
        try:
            number = _number(request, 100)
        except ParleyError as error:
            return refused(error)
        found = dict.fromkeys(offer.project for _, offer in self._offers())
        return answer({"data": sorted(found)[:number]})

    async def models(self, request: Request) -> Response:
        """Names of a project's models."""
        try:
            number, project = _number(request, 100), _query(request, "project")
        except ParleyError as error:
            return refused(error)
        found = dict.fromkeys(offer.model for _, offer in self._offers() if offer.project == project)
        return answer({"data": sorted(found)[:number]})

    async def places(self, request: Request) -> Response:
        """Nodes that have a model, each with its freest place, the freest first."""
        try:
            number, project, model = _number(request, 20), _query(request, "project"), _query(request, "model")
        except ParleyError as error:
            return refused(error)
        await self._known()
        best: dict[str, Offer] = {}
        for node, offer in self._offers():
            if (offer.project, offer.model, offer.ok) == (project, model, True):
                best[node] = min(offer, best.get(node, offer), key=lambda one: one.in_flight)
        ranked = sorted(best.items(), key=lambda item: (item[1].in_flight, self._directory.latencies.get(item[0], 0.0)))
        return answer({"data": [self._place(node, offer) for node, offer in ranked[: min(number, 100)]]})

    async def of_peer(self, request: Request) -> Response:
        """Everything that one node offers."""
        try:
            facts = await self._meant(request)
        except ParleyError as error:
            return refused(error)
        own = facts.node == self._directory.id
        data: dict[str, list[dict[str, Any]]] = {}
        for offer in facts.offers:
            worker = self._directory.registry.find((offer.project, offer.model, offer.cid)) if own else None
            api = "" if worker is None else worker.entry.api
            told = {"Model": offer.model, "API": api, "Type": offer.kind, "CID": offer.cid, "Idle": offer.in_flight}
            data.setdefault(offer.project, []).append(told)
        return answer({"data": data})

    async def metrics(self, request: Request) -> Response:
        """Prometheus text, as at /metrics."""
        crew = self._house.crew
        try:
            shown = snapshot(self._house) if crew is None else await crew.metrics()
        except (TimeoutError, ConnectionError, RuntimeError):
            return Response("the other workers did not say what they counted\n", 503, media_type="text/plain")
        body, kind = exposition(shown)
        return Response(body, media_type=kind)

    async def everything(self, request: Request) -> Response:
        """What the operator sees of all nodes."""
        failure = stranger(self._house, request)
        if failure is not None:
            return strange(self._house, failure)
        await self._known()
        own = self._own()
        others = [_seen(facts, self._directory.latencies.get(facts.node)) for facts in self._directory.nodes.values()]
        return answer({"nodes": [own, *others]})

    def _own(self) -> dict[str, Any]:
        """This node with everything that is registered, in rotation or not."""
        directory = self._directory
        told = _seen(directory.own(), None)
        shared = [_offered(offer) for offer in directory.shared()]
        workers = [
            {**_offered(worker.offer()), "api": worker.entry.api, "since": worker.entry.since, "calls": worker.calls}
            for worker in directory.registry
        ]
        return {**told, "self": True, "models": [*workers, *shared]}

    async def worker_models(self, request: Request) -> Response:
        """The models of this gateway's configuration, as a worker tells of its own."""
        settings, key = self._house.gateway.settings, key_of(request)
        base = f"{request.url.scheme}://{request.url.netloc}/node/v1"
        data = []
        for name in dict.fromkeys(model for _, model in settings.registrations):
            if key is not None and not key.asks(name):
                continue
            for operation in OPERATIONS:
                found = settings.find(operation, name)
                if found is not None and able(found, settings.providers, operation):
                    data.append({"model": name, "url": f"{base}/{_PATHS[operation]}"})
        return answer({"project": self._directory.project, "data": data})

    async def unsupported(self, request: Request) -> Response:
        """What only nodes of the other kind have."""
        return code(500, UNSUPPORTED)

    async def _known(self) -> None:
        """Who was told our id may ask for it tomorrow: from now on it is the same at every start."""
        try:
            await self._noding.known()
        except ParleyError:
            # The store is away; /readyz says so.
            return

    def _self(self) -> dict[str, Any]:
        return {"protocol_version": PROTOCOL, **_without_empty(_about(self._directory.own()))}

    def _all(self) -> list[Facts]:
        return [self._directory.own(), *self._directory.nodes.values()]

    def _offers(self) -> list[tuple[str, Offer]]:
        return [(facts.node, offer) for facts in self._all() for offer in facts.offers]

    def _place(self, node: str, offer: Offer) -> dict[str, Any]:
        latency = int(self._directory.latencies.get(node, 0.0) * 1e6)
        return {
            "node_id": node,
            "connectivity": 1,
            "latency": latency,
            "Idle": offer.in_flight,
            "cid": offer.cid,
        }

    async def _meant(self, request: Request) -> Facts:
        body = await members(request)
        node = named(body, "node_id", "empty node_id")
        if node == self._directory.id:
            return self._directory.own()
        found = self._directory.nodes.get(node)
        if found is None:
            raise ParleyError(Failure("upstream_timeout", TEXTS[TIMEOUT], upstream_code=str(TIMEOUT)))
        return found


def _seen(facts: Facts, latency: float | None) -> dict[str, Any]:
    models = [_offered(offer) for offer in facts.offers]
    beside = {"version": facts.version, "since": facts.since, "latency": latency, "self": False}
    return {"node": facts.node, **beside, "addresses": facts.addresses, "models": models}


def _offered(offer: Offer) -> dict[str, Any]:
    return {
        "project": offer.project,
        "model": offer.model,
        "cid": offer.cid,
        "type": offer.kind,
        "operation": operation_of(offer.kind),
        "in_flight": offer.in_flight,
        "latency": offer.latency,
        "ok": offer.ok,
    }


def _about(facts: Facts) -> dict[str, Any]:
    return {
        "peer_id": facts.node,
        "protocol_version": PROTOCOL,
        "agent_version": facts.version,
        "addresses": list(facts.addresses),
    }


def _without_empty(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value}


def _query(request: Request, name: str) -> str:
    value = request.query_params.get(name, "")
    if not value:
        raise parameter(f"empty {name}")
    return value


def _number(request: Request, usual: int) -> int:
    text = request.query_params.get("number", "")
    if not text:
        return usual
    try:
        number = int(text)
    except ValueError:
        raise parsing() from None
    if number < 0:
        raise parameter("invalid number")
    return number or usual
