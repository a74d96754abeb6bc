"""Workers that register themselves, and take that back. Whoever comes is judged by what is asked: see ``Who``.

Sources: computing node contract sections 3, 12.2, 12.6, 12.7.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.failure import Failure, ParleyError
from parley.keys import Holder
from parley.nodes import Worker
from parley.nodes.address import NOT_HERE, AddressError
from parley.nodes.facts import OPERATIONS
from parley.nodes.names import Named
from parley.nodes.registry import NOT_EXISTED, Entry
from parley.serve.coded import KNOWN, answer, members, named, refused, text
from parley.serve.guard import key_of
from parley.serve.house import House
from parley.serve.noding import Key, Noding
from parley.wire.node.errors import parameter, parsing
from parley.wire.node.prepared import in_any_case

MOST: Final = 10_000
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_NO_NAME: Final = "project name can not be empty"
_NO_MODEL: Final = "model name can not be empty"
_NO_API: Final = "model api can not be empty"


def routes(house: House, noding: Noding) -> list[Route]:
    """The paths of parley.serve.guard.REGISTERING."""
    made = _Registering(house, noding)
    return [
        Route("/api/v0/ai/project/register", made.register, methods=["POST"]),
        Route("/api/v0/ai/project/unregister", made.unregister, methods=["POST"]),
        Route("/api/v0/ai/model/register", made.register_model, methods=["POST"]),
        Route("/api/v0/ai/model/unregister", made.unregister_model, methods=["POST"]),
        Route("/api/v0/ai/project/heartbeat", made.heartbeat, methods=["POST"]),
    ]


class Who:
    """Who comes: ``holder`` of a key that may register, or nobody; then ``near``: from this machine itself."""

    def __init__(self, request: Request) -> None:
        entry = key_of(request)
        self.holder: Holder | None = entry.holder if entry and entry.holder.kind in ("node", "admin") else None
        self.near = self.holder is None and _is_near(request)

    @property
    def keyed(self) -> bool:
        """Whether a key was shown that may register."""
        return self.holder is not None

    @property
    def name(self) -> str:
        """What is written down of who it was."""
        return "" if self.holder is None else self.holder.id

    @property
    def admin(self) -> bool:
        """Whether everything is theirs."""
        return self.holder is not None and self.holder.kind == "admin"

    def owns(self, entry: Entry) -> bool:
        """Whether it may change or take back what somebody registered."""
        return self.admin or entry.by == self.name


class _Registering:
    def __init__(self, house: House, noding: Noding) -> None:
        self._house = house
        self._noding = noding

    async def register(self, request: Request) -> Response:
        """All models of a project, in place of those it had."""
        try:
            who, body = await _asked(request)
            project = named(body, "project", _NO_NAME)
            models = body.get("models")
            if not isinstance(models, list | None) or not all(isinstance(one, dict) for one in models or ()):
                raise parsing()
            given = [in_any_case(one, KNOWN) for one in models or ()]
            entries = [self._entry(who, project, one, body.get("ttl")) for one in given]
            self._permit(who, project, entries)
            kept = {entry.key for entry in entries}
            gone = [key for key in self._own(who, project) if key not in kept]
            self._room(entries, gone)
            await self._noding.change(entries, gone)
        except ParleyError as error:
            return refused(error)
        return _ok()

    async def register_model(self, request: Request) -> Response:
        """One model, new or changed."""
        try:
            who, body = await _asked(request)
            project = named(body, "project", _NO_NAME)
            entry = self._entry(who, project, body, body.get("ttl"))
            self._permit(who, project, [entry])
            self._room([entry], [])
            await self._noding.change([entry])
        except ParleyError as error:
            return refused(error)
        return _ok()

    async def unregister(self, request: Request) -> Response:
        """A project with all its models."""
        try:
            who, body = await _asked(request)
            project = named(body, "project", _NO_NAME)
            self._permit(who, project, [])
            return await self._remove(self._own(who, project))
        except ParleyError as error:
            return refused(error)

    async def unregister_model(self, request: Request) -> Response:
        """One model."""
        try:
            who, body = await _asked(request)
            project, model = named(body, "project", _NO_NAME), named(body, "model", _NO_MODEL)
            worker = self._noding.registry.find((project, model, text(body, "cid")))
            there = [] if worker is None else [worker.entry]
            self._permit(who, project, there)
            return await self._remove([entry.key for entry in there])
        except ParleyError as error:
            return refused(error)

    async def heartbeat(self, request: Request) -> Response:
        """A project is still there: what has a time to live begins it anew."""
        try:
            who, body = await _asked(request)
            project, now = named(body, "project", _NO_NAME), self._house.gateway.wall()
            self._permit(who, project, [])
            found = [self._noding.registry.find(key) for key in self._own(who, project)]
            if not found:
                return _ok(NOT_EXISTED)
            lasting = [worker.entry for worker in found if worker is not None and worker.entry.ttl is not None]
            if lasting:
                await self._noding.change([msgspec.structs.replace(entry, heard=now) for entry in lasting])
        except ParleyError as error:
            return refused(error)
        return _ok()

    async def _remove(self, gone: list[Key]) -> Response:
        if not gone:
            return _ok(NOT_EXISTED)
        await self._noding.change([], gone)
        return _ok()

    def _entry(self, who: Who, project: str, model: Mapping[str, Any], ttl: Any) -> Entry:
        """One registration, judged. Nothing is asked of its address."""
        name, api = named(model, "model", _NO_MODEL), named(model, "api", _NO_API)
        kind = model.get("type")
        if kind is not None and type(kind) is not int:
            raise parsing()
        if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, int | float)):
            raise parsing()
        if ttl is not None and not 0 < ttl < 10**9:
            raise parameter("ttl must be seconds above 0")
        cid = text(model, "cid")
        try:
            url = self._noding.trusted.checked(api, keyed=who.keyed)
        except AddressError as error:
            self._house.gateway.metrics.count("parley_rejected_total", "ssrf")
            raise parameter(str(error)) from None
        now = self._house.gateway.wall()
        before = self._noding.registry.find((project, name, cid))
        return Entry(
            project=project,
            model=name,
            cid=cid,
            kind=0 if kind is None else kind if 0 <= kind < len(OPERATIONS) else 0,
            api=api,
            url=url,
            ttl=None if ttl is None else float(ttl),
            since=now if before is None else before.entry.since,
            heard=now,
            by=who.name,
        )

    def _permit(self, who: Who, project: str, entries: list[Entry]) -> None:
        """Whether who comes may change that project, and these of its models."""
        if not (who.keyed or who.near):
            self._house.gateway.metrics.count("parley_rejected_total", "ssrf")
            raise parameter(NOT_HERE)
        noding, holder = self._noding, who.holder
        if project == noding.directory.project:
            raise parameter("the project is the node's own")
        if noding.listed(project):
            # Those that the operator has named share it: each has its own part.
            there = [noding.registry.find(entry.key) for entry in entries]
            owned = all(who.owns(worker.entry) for worker in there if worker is not None)
        else:
            owned = who.admin or owner_of(noding.registry.of(project)) in ("", who.name)
        if not owned:
            raise _forbidden("it was registered by another key")
        if not noding.admits(project, holder) or (holder is not None and not _allows(holder, project, entries)):
            raise _forbidden("this project may not be registered with this key, or needs one")

    def _own(self, who: Who, project: str) -> list[Key]:
        """What of a project is replaced or taken back with it: everything, but where several share it their own."""
        shared = self._noding.listed(project)
        there = (worker.entry for worker in self._noding.registry.of(project))
        return [entry.key for entry in there if not shared or who.owns(entry)]

    def _room(self, entries: list[Entry], gone: list[Key]) -> None:
        """Whether there is room for these once those are gone."""
        registry = self._noding.registry
        new = {entry.key for entry in entries if registry.find(entry.key) is None}
        if len(registry) - len(gone) + len(new) > MOST:
            raise parameter(f"more than {MOST} models are registered")


def owner_of(workers: Iterable[Worker]) -> str:
    """The key that a project belongs to: the first one that registered something in it. "" where none did."""
    keyed = [worker.entry for worker in workers if worker.entry.by]
    return min(keyed, key=lambda entry: entry.since).by if keyed else ""


async def _asked(request: Request) -> tuple[Who, dict[str, Any]]:
    return Who(request), await members(request)


def _is_near(request: Request) -> bool:
    """Whether a program of this machine asks, not a proxy for somebody else and not a page in a browser."""
    headers, client = request.headers, request.client
    if client is None or any(name in headers for name in _FORWARDED) or "origin" in headers:
        return False
    if headers.get("sec-fetch-site", "none") != "none":
        return False
    try:
        address = ip_address(client.host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _allows(holder: Holder, project: str, entries: list[Entry]) -> bool:
    """Whether a key's own patterns let it register these, as they will be asked for."""
    return all(holder.asks(Named(project, entry.model).text) for entry in entries)


def _forbidden(message: str) -> ParleyError:
    return ParleyError(Failure("forbidden", message))


def _ok(message: str = "ok") -> Response:
    return answer({"code": 0, "message": message})
