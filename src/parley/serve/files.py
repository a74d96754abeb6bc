"""Files over HTTP, on OpenAI's paths. Source: OpenAI surface contract section 9."""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from parley.batches.told import page
from parley.failure import invalid
from parley.serve import asked
from parley.serve.filing import Filing, Upload, expiry
from parley.serve.guard import owner_of
from parley.serve.house import UPLOAD, House
from parley.serve.stateful import Handler, endpoint, prefixes
from parley.store import Store, files
from parley.store.batches import INPUT
from parley.store.files import Kept
from parley.store.items import Cut

PURPOSES: Final = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
MOST: Final = 10_000
LONGEST_NAME: Final = 512
_JSON: Final = "application/json"
_FIELDS: Final = ("purpose", "expires_after", "expires_after[anchor]", "expires_after[seconds]")
_encode: Final = msgspec.json.encode


def routes(house: House, store: Store, filing: Filing) -> list[Route]:
    """For every place where the OpenAI surface is found."""
    told = Files(store, filing, int(house.gateway.settings.batches.keep))
    table: dict[str, dict[str, Handler]] = {
        "/files": {"GET": told.listed, "POST": told.create},
        "/files/{file_id}": {"GET": told.one, "DELETE": told.remove},
        "/files/{file_id}/content": {"GET": told.content},
    }
    return [
        Route(prefix + path, endpoint(house, methods), methods=list(methods))
        for prefix in prefixes()
        for path, methods in table.items()
    ]


class Files:
    """Handlers. They raise ParleyError. ``keep``: how many seconds input of batches is kept where nothing is said."""

    def __init__(self, store: Store, filing: Filing, keep: int) -> None:
        self._store, self._filing, self._keep = store, filing, keep

    async def create(self, request: Request) -> Response:
        """POST: a form with the file. What came in before we were asked is in the scope."""
        upload: Upload | None = request.scope.get(UPLOAD)
        if upload is None:
            upload = Upload(self._filing, request.headers.get("content-type", "").encode("latin-1"))
            async for piece in request.stream():
                upload.feed(piece)
        try:
            return _json(await self._kept(upload, owner_of(request)))
        finally:
            upload.close()

    async def _kept(self, upload: Upload, owner: str) -> dict[str, Any]:
        fields, part, spool = upload.ended()
        for name in fields:
            if name not in _FIELDS:
                raise invalid(f"Unknown parameter: '{name[:80]}'.", name[:80])
        purpose = fields.get("purpose")
        if purpose is None:
            raise asked.missing("purpose")
        if purpose not in PURPOSES:
            known = ", ".join(PURPOSES)
            raise invalid(f"Invalid value: {purpose[:80]!r}. Supported values are: {known}.", "purpose")
        filename = (part.filename or "").rpartition("/")[2][:LONGEST_NAME] or "file"
        created = int(self._store.wall())
        name, place = self._filing.new("file-")
        kept = Kept(
            id=name,
            owner=owner,
            place=place,
            created=created,
            bytes=spool.size,
            filename=filename,
            purpose=purpose,
            expires=expiry(_after(fields), created) or (created + self._keep if purpose == INPUT else None),
        )
        return (await self._filing.keep(kept, spool)).told()

    async def listed(self, request: Request) -> Response:
        """GET: a page."""
        query = request.query_params
        cut, owner, purpose = cut_of(request, MOST, MOST), owner_of(request), query.get("purpose")
        now = self._store.wall()
        found, more = await self._store.ask(lambda link: files.listed(link, owner, purpose, cut, now))
        return _json(page([one.told() for one in found], more=more))

    async def one(self, request: Request) -> Response:
        """GET."""
        return _json((await self._found(request)).told())

    async def remove(self, request: Request) -> Response:
        """DELETE."""
        owner, name, now = owner_of(request), request.path_params["file_id"], self._store.wall()
        await self._store.change(lambda link: files.remove(link, owner, name, now))
        await self._filing.drop(name)
        return _json({"id": name, "object": "file", "deleted": True})

    async def content(self, request: Request) -> Response:
        """GET .../content: as it came."""
        kept = await self._found(request)
        pieces = self._filing.pieces(kept.id, kept.bytes)
        # What cannot be read at all is an error with a status; later ones can only break the answer off.
        first = await anext(pieces, b"")
        headers = {"content-length": str(kept.bytes), "content-disposition": "attachment"}
        return StreamingResponse(_after_first(first, pieces), 200, headers, "application/octet-stream")

    async def _found(self, request: Request) -> Kept:
        owner, name, now = owner_of(request), request.path_params["file_id"], self._store.wall()
        return await self._store.ask(lambda link: files.fetch(link, owner, name, now))


async def _after_first(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


def cut_of(request: Request, usual: int, most: int) -> Cut:
    """Which page is asked for."""
    query = request.query_params
    order, text = query.get("order", "desc"), query.get("limit", str(usual))
    if order not in ("asc", "desc"):
        raise invalid(f"Invalid value: {order[:80]!r}. Supported values are: 'asc' and 'desc'.", "order")
    limit = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
    if not 1 <= limit <= most:
        raise invalid(f"Invalid value for 'limit': expected 1 to {most}, got {text[:40]!r}.", "limit")
    return Cut(order == "desc", limit, query.get("after"))


def _after(fields: dict[str, str]) -> str | None:
    """SDKs write the object's members as fields of their own."""
    pairs = {
        name: fields[f"expires_after[{name}]"] for name in ("anchor", "seconds") if f"expires_after[{name}]" in fields
    }
    return _encode(pairs).decode() if pairs else fields.get("expires_after")


def _json(value: object) -> Response:
    return Response(_encode(value), 200, media_type=_JSON)
