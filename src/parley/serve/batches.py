"""Batches over HTTP, on OpenAI's paths. Who works on them: parley.serve.batching.

Source: OpenAI surface contract section 9.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.batches.line import ENDPOINTS
from parley.batches.told import page
from parley.failure import invalid
from parley.serve import asked
from parley.serve.files import cut_of
from parley.serve.filing import Filing, kept_for
from parley.serve.guard import key_of, owner_of
from parley.serve.house import House
from parley.serve.stateful import Handler, endpoint, prefixes
from parley.store import Store, batches
from parley.store.batches import Batch

MOST: Final = 100
_JSON: Final = "application/json"
_MEMBERS: Final = ("input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after")
_WINDOW: Final = re.compile(r"([1-9]\d{0,5})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_WINDOW: Final = 30 * 86400
_encode: Final = msgspec.json.encode


def routes(house: House, store: Store, filing: Filing, stir: Callable[[], None]) -> list[Route]:
    """For every place where the OpenAI surface is found. ``stir`` is called when there is something to do."""
    told = Batches(store, filing, stir)
    table: dict[str, dict[str, Handler]] = {
        "/batches": {"GET": told.listed, "POST": told.create},
        "/batches/{batch_id}": {"GET": told.one},
        "/batches/{batch_id}/cancel": {"POST": told.cancel},
    }
    return [
        Route(prefix + path, endpoint(house, methods), methods=list(methods))
        for prefix in prefixes()
        for path, methods in table.items()
    ]


class Batches:
    """Handlers. They raise ParleyError."""

    def __init__(self, store: Store, filing: Filing, stir: Callable[[], None]) -> None:
        self._store, self._filing, self._stir = store, filing, stir

    async def create(self, request: Request) -> Response:
        """POST: have a file answered."""
        body = await request.body()
        found = asked.members(body, _MEMBERS)
        for name in ("input_file_id", "endpoint", "completion_window"):
            if found.get(name) is None:
                raise asked.missing(name)
            if not isinstance(found[name], str):
                raise invalid(f"Invalid type for '{name}': expected a string.", name)
        if found["endpoint"] not in ENDPOINTS:
            known = ", ".join(ENDPOINTS)
            raise invalid(f"Invalid value: {found['endpoint'][:80]!r}. Supported values are: {known}.", "endpoint")
        key, now = key_of(request), int(self._store.wall())
        name, place = self._filing.new("batch_")
        batch = Batch(
            id=name,
            owner=owner_of(request),
            place=place,
            created=now,
            endpoint=found["endpoint"],
            input_file=found["input_file_id"],
            period=found["completion_window"],
            metadata=b"null" if found.get("metadata") is None else asked.metadata(found["metadata"]),
            holder=b"" if key is None else _encode(key.holder),
            expires_at=now + window(found["completion_window"]),
            keep=kept_for(found.get("output_expires_after"), "output_expires_after"),
        )
        made = await self._store.change(lambda link: batches.create(link, batch))
        self._stir()
        return _json(made.told())

    async def listed(self, request: Request) -> Response:
        """GET: a page, the newest first."""
        cut, owner = cut_of(request, 20, MOST), owner_of(request)
        found, more = await self._store.ask(lambda link: batches.listed(link, owner, cut))
        return _json(page([one.told() for one in found], more=more))

    async def one(self, request: Request) -> Response:
        """GET."""
        owner, name = owner_of(request), request.path_params["batch_id"]
        return _json((await self._store.ask(lambda link: batches.fetch(link, owner, name))).told())

    async def cancel(self, request: Request) -> Response:
        """POST .../cancel."""
        owner, name, now = owner_of(request), request.path_params["batch_id"], self._store.wall()
        found = await self._store.change(lambda link: batches.cancel(link, owner, name, now))
        self._stir()
        return _json(found.told())


def window(text: str) -> int:
    """Seconds of a completion window. OpenAI knows 24h only; any other up to 30 days may be asked for here."""
    match = _WINDOW.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= LONGEST_WINDOW:
        message = f"Invalid value: {text[:40]!r}. Expected 24h, or another time of at most 30d (90s, 15m, 6h)."
        raise invalid(message, "completion_window")
    return seconds


def _json(value: object) -> Response:
    return Response(_encode(value), 200, media_type=_JSON)
