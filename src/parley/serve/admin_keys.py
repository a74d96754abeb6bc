"""Keys of callers over HTTP, for admins alone: made, listed, rotated, revoked. The words are those of ``parley keys
--json``; a key itself is in the one answer that makes it.

Where nobody needs a key yet these paths need one all the same: whoever makes the first key closes the gateway for
everybody else, and a page in a browser on this machine can reach it too.
"""

import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from ipaddress import ip_network
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from parley.config.amounts import duration
from parley.config.members import NOT_SETTABLE, SPELLINGS, is_of_kind
from parley.config.quotas import MAX_COUNT, picodollars
from parley.failure import Failure, ParleyError, invalid
from parley.jsontext import whole
from parley.keys import Holder, KeyLimits, Kind, digest_of, is_key, key_text
from parley.serve.admin import refused
from parley.serve.guard import key_of
from parley.serve.house import House
from parley.store import Link, Store, counters
from parley.store import keys as stored
from parley.store.keytold import NAME_RULE, is_name, told
from parley.wire.inlets import DIALECTS

PATH: Final = "/admin/api/keys"
# What is said of one key is small.
MAX_BODY: Final = 64 * 1024
_HEADERS: Final = {"cache-control": "no-store"}
_NO_KEY: Final = Failure("unauthorized", "an admin key is required")
_MEMORY: Final = Failure("invalid_request", "keys need a store that is not in memory: a file or PostgreSQL", status=409)
Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


class Wanted(Struct, forbid_unknown_fields=True):
    """A key as it is asked for. ``expires`` and ``budget_period`` are durations (``90d``) or seconds, ``expires`` may
    be a time too; ``budget`` in US dollars."""

    name: str
    kind: Kind = "caller"
    models: tuple[str, ...] = ()
    dialects: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    expires: str | float | None = None
    tags: dict[str, str] = {}
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    budget: float | None = None
    budget_period: str | float | None = None
    priority: Literal["low", "normal", "high"] | None = None
    defaults: dict[str, Any] = {}


class Rotation(Struct, forbid_unknown_fields=True):
    """``grace``: how long earlier texts still hold."""

    grace: str | float = 0


_TEXTS: Final = "a list of texts"
_COUNT: Final = "a whole number, or null"
_SPAN: Final = "a duration such as 90d, or a number of seconds"
# What the members of both are.
_FORMS: Final = {
    "name": "text",
    "kind": "caller, admin or node",
    "models": _TEXTS,
    "dialects": _TEXTS,
    "sources": _TEXTS,
    "expires": f"{_SPAN}, or a time",
    "tags": "an object of texts",
    "rpm": _COUNT,
    "tpm": _COUNT,
    "parallel": _COUNT,
    "budget": "a number of US dollars, or null",
    "budget_period": _SPAN,
    "priority": "low, normal or high",
    "defaults": "an object",
    "grace": _SPAN,
}
_PLACE: Final = re.compile(r"[^a-z_]")


def routes(house: House, store: Store) -> list[Route]:
    """What only admins may do."""
    pages = _Keys(house, store)
    one = f"{PATH}/{{id}}"
    return [
        Route(PATH, pages.endpoint({"GET": pages.listed, "POST": pages.create}), methods=["GET", "POST"]),
        Route(one, pages.endpoint({"GET": pages.one, "DELETE": pages.revoke}), methods=["GET", "DELETE"]),
        Route(f"{one}/rotate", pages.endpoint({"POST": pages.rotate}), methods=["POST"]),
    ]


class _Keys:
    def __init__(self, house: House, store: Store) -> None:
        self._house = house
        self._store = store

    def endpoint(self, methods: dict[str, Handler]) -> Handler:
        """One route for all methods of a path; errors as on every admin path."""

        async def answered(request: Request) -> Response:
            try:
                if key_of(request) is None:
                    raise ParleyError(_NO_KEY)
                return await methods["GET" if request.method == "HEAD" else request.method](request)
            except ParleyError as error:
                answer = refused(self._house, error.failure)
                if error.failure.retry_after is not None:
                    answer.headers["retry-after"] = str(max(1, round(error.failure.retry_after)))
                return answer

        return answered

    async def listed(self, request: Request) -> Response:
        """Every key, the oldest first, those that were revoked too."""
        return _answer({"data": await self._all()})

    async def one(self, request: Request) -> Response:
        """One key by its id, revoked or not."""
        found = next((row for row in await self._all() if row["id"] == request.path_params["id"]), None)
        if found is None:
            raise ParleyError(_unknown())
        return _answer(found)

    async def create(self, request: Request) -> Response:
        """A new key; the only answer that holds it."""
        self._writable()
        now = self._store.wall()
        holder = _holder(_read(Wanted, await _body(request)), now)
        key, text = stored.Key(holder=holder, created=now), key_text(holder.kind, secrets.token_bytes(32))
        digest = digest_of(text.encode())
        try:
            await self._store.change(lambda link: stored.create(link, key, digest))
        except ParleyError as error:
            raise ParleyError(_own(error.failure, 409)) from None
        return _answer(told(key, text), 201)

    async def rotate(self, request: Request) -> Response:
        """Another text for a key."""
        self._writable()
        named, body = request.path_params["id"], await _body(request)
        grace = _span(_read(Rotation, body or b"{}").grace, "grace", zero=True)
        kind = (await self._meant(named)).kind
        text, now = key_text(kind, secrets.token_bytes(32)), self._store.wall()
        digest = digest_of(text.encode())

        def turn(link: Link) -> dict[str, Any]:
            key = stored.rotate(link, named, digest, now, grace)
            return told(key, text, counters.spent(link, [key.holder], now).get(named, 0))

        return _answer(await self._changed(turn))

    async def revoke(self, request: Request) -> Response:
        """Take it back for good."""
        self._writable()
        named, now = request.path_params["id"], self._store.wall()
        await self._meant(named)

        def end(link: Link) -> dict[str, Any]:
            key = stored.revoke(link, named, now)
            return told(key, None, counters.spent(link, [key.holder], now).get(named, 0))

        return _answer(await self._changed(end))

    def _writable(self) -> None:
        """Nobody looks for keys in a store in memory, and it ends with its process."""
        if not self._store.place.shared:
            raise ParleyError(_MEMORY)

    def _there(self) -> bool:
        """Whether there may be keys; nothing is made in order to find none in it."""
        try:
            return self._store.exists
        except OSError:
            return True

    async def _all(self) -> list[dict[str, Any]]:
        now = self._store.wall()

        def look(link: Link) -> list[dict[str, Any]]:
            found = stored.listed(link)
            spent = counters.spent(link, [key.holder for key in found], now)
            return [told(key, None, spent.get(key.holder.id, 0)) for key in found]

        return await self._store.ask(look) if self._there() else []

    async def _meant(self, named: str) -> Holder:
        """Whose key in use has that id: names may change hands, and are no part of an address."""
        found = await self._store.ask(stored.listed) if self._there() else []
        holder = next((key.holder for key in found if key.holder.id == named and key.revoked is None), None)
        if holder is None:
            raise ParleyError(_unknown())
        return holder

    async def _changed(self, work: Callable[[Link], dict[str, Any]]) -> dict[str, Any]:
        try:
            return await self._store.change(work)
        except ParleyError as error:
            # Somebody else has revoked it meanwhile.
            raise ParleyError(_own(error.failure, 404)) from None


async def _body(request: Request) -> bytes:
    """All of it. Raises where it is larger than what is said of a key, or its sender has left."""
    data = bytearray()
    try:
        async for piece in request.stream():
            data += piece
            if len(data) > MAX_BODY:
                raise ParleyError(Failure("body_too_large", f"a body of at most {MAX_BODY} bytes is expected here"))
    except ClientDisconnect:
        raise invalid("the body has not come") from None
    return bytes(data)


def _read(kind: Any, body: bytes) -> Any:
    """A body by its form. Messages name the member, and no value: it may be a key."""
    given = whole(body)
    known = kind.__struct_fields__
    for member in given:
        if member not in known:
            shown = None if is_key(member) else member[:64]
            raise invalid(f"there is no such member; there is: {', '.join(known)}", shown)
    if "name" in known and "name" not in given:
        raise invalid(NAME_RULE, "name")
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        member = _PLACE.split(str(error).partition(" - at `$.")[2])[0]
        raise invalid(f"write {_FORMS[member]}", member) from None


def _holder(wanted: Wanted, now: float) -> Holder:
    """Who is to hold the key. Raises where a member cannot be so."""
    if not is_name(wanted.name):
        raise invalid(NAME_RULE, "name")
    _each(wanted.models, "models", bool, "a pattern is not empty")
    _each(wanted.dialects, "dialects", DIALECTS.__contains__, f"there is: {', '.join(DIALECTS)}")
    _each(wanted.sources, "sources", _is_network, "write networks such as 10.0.0.0/8, or addresses")
    _each(tuple(wanted.tags), "tags", bool, "a tag has a name")
    _each(tuple(wanted.defaults), "defaults", _is_settable, "some member cannot be set for a key")
    for name, value in wanted.defaults.items():
        if not is_of_kind(name, value):
            raise invalid("it has another type: every provider would refuse it", f"defaults.{name}")
    return Holder(
        id=f"key_{secrets.token_hex(8)}",
        name=wanted.name,
        kind=wanted.kind,
        models=wanted.models,
        dialects=wanted.dialects,
        sources=wanted.sources,
        expires=_until(wanted.expires, now),
        tags=wanted.tags,
        limits=_limits(wanted),
        defaults=wanted.defaults,
    )


def _limits(wanted: Wanted) -> KeyLimits | None:
    counts = {"rpm": wanted.rpm, "tpm": wanted.tpm, "parallel": wanted.parallel}
    for name, count in counts.items():
        if count is not None and not 1 <= count <= MAX_COUNT:
            raise invalid(f"write a number from 1 to {MAX_COUNT}", name)
    if wanted.budget_period is not None and wanted.budget is None:
        raise invalid("there is no budget for it", "budget_period")
    said: dict[str, Any] = {
        **counts,
        "budget": None if wanted.budget is None else _money(wanted.budget),
        "budget_period": None if wanted.budget_period is None else _span(wanted.budget_period, "budget_period"),
        "priority": wanted.priority,
    }
    given = {name: value for name, value in said.items() if value is not None}
    return KeyLimits(**given) if given else None


def _money(usd: float) -> int:
    try:
        return picodollars(usd)
    except ValueError as error:
        raise invalid(str(error), "budget") from None


def _span(value: str | float, member: str, *, zero: bool = False) -> float:
    """Seconds."""
    if zero and value in (0, "0"):
        return 0.0
    try:
        return duration(value)
    except ValueError as error:
        raise invalid(str(error), member) from None


def _until(value: str | float | None, now: float) -> float | None:
    """Seconds since 1970 from a duration, or from a time as it is told."""
    if value is None:
        return None
    if not isinstance(value, str) or "T" not in value:
        return now + _span(value, "expires")
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise invalid("write a duration such as 90d, or a time such as 2030-01-31T12:00:00Z", "expires") from None
    if at.tzinfo is None or at.timestamp() <= now:
        raise invalid("a time needs its zone (Z) and has to be still to come", "expires")
    return at.timestamp()


def _each(words: tuple[str, ...], member: str, right: Callable[[str], Any], rule: str) -> None:
    if not all(map(right, words)):
        raise invalid(rule, member)


def _is_settable(name: str) -> bool:
    return bool(name) and name not in NOT_SETTABLE and name not in SPELLINGS


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _unknown() -> Failure:
    return Failure("invalid_request", "no key in use has this id", status=404, param="id")


def _own(failure: Failure, status: int) -> Failure:
    """A refusal of the store's with the status that HTTP has for it; a store that is away stays one."""
    return msgspec.structs.replace(failure, status=status) if failure.kind == "invalid_request" else failure


def _answer(told: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(told), status, _HEADERS, "application/json")
