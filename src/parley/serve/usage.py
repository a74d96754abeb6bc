"""What was used and what it cost, for admins: sums and single requests, as JSON or CSV."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.failure import Failure, ParleyError, invalid
from parley.ledger import asked, told
from parley.serve.admin import refused, stranger
from parley.serve.house import House
from parley.store import Store, bodies, usage

_FORMATS: Final = ("json", "csv")


def routes(house: House, store: Store) -> list[Route]:
    """What only the operator may see."""
    pages = _Usage(house, store)
    return [
        Route("/admin/api/usage", pages.sums, methods=["GET"]),
        Route("/admin/api/requests", pages.requests, methods=["GET"]),
        Route("/admin/api/requests/{request_id}/bodies", pages.bodies, methods=["GET"]),
    ]


class _Usage:
    def __init__(self, house: House, store: Store) -> None:
        self._house = house
        self._store = store

    async def sums(self, request: Request) -> Response:
        """Sums by what the query says."""
        try:
            words = self._words(request)
            what = _read(asked.sums, words, self._store.wall())
            found = await self._store.ask(lambda link: usage.sums(link, what)) if self._store.exists else []
        except ParleyError as error:
            return refused(self._house, error.failure)
        rows = [told.total(what.by, one) for one in found]
        around = {"from": told.moment(int(what.since)), "to": told.moment(int(what.until)), "by": what.by}
        return _answer(words, rows, {**around, "prices": _prices()})

    async def requests(self, request: Request) -> Response:
        """Single requests, the newest first; ``next`` is what ``before`` has to be for those that are older."""
        try:
            words = self._words(request)
            what = _read(asked.requests, words, self._store.wall())
            found = await self._store.ask(lambda link: usage.requests(link, what)) if self._store.exists else []
        except ParleyError as error:
            return refused(self._house, error.failure)
        rows = [told.request(*pair) for pair in found]
        return _answer(words, rows, {"next": rows[-1]["id"] if len(rows) == what.limit else None})

    async def bodies(self, request: Request) -> Response:
        """What was said and answered, where it was kept; the newest first."""
        name, now = request.path_params["request_id"], self._store.wall()
        try:
            words = self._words(request)
            there, about = self._store.exists, (bodies.name(name),)
            found = await self._store.ask(lambda link: bodies.fetch(link, name, now), about) if there else []
        except ParleyError as error:
            return refused(self._house, error.failure)
        return _answer(words, [told.said(row) for row in found], {})

    def _words(self, request: Request) -> dict[str, str]:
        """The query. Raises for whoever may not ask."""
        failure = stranger(self._house, request)
        if failure is not None:
            raise ParleyError(failure)
        # A key may stand in the query, as callers of some dialects write it.
        said = request.query_params.multi_items()
        pairs = [(name, text) for name, text in said if name != "key" or not text.startswith("parley_")]
        words = dict(pairs)
        if len(words) < len(pairs):
            raise invalid("the query says something twice: write each once")
        if words.get("format", "json") not in _FORMATS:
            raise invalid("format: write json or csv", "format")
        return words


def _read(read: Any, words: Mapping[str, str], now: float) -> Any:
    try:
        return read(words, now)
    except (ValueError, OverflowError) as error:
        raise ParleyError(Failure("invalid_request", str(error))) from None


def _answer(words: Mapping[str, str], rows: list[dict[str, Any]], around: Mapping[str, Any]) -> Response:
    if words.get("format") == "csv":
        return Response(told.table(rows), media_type="text/csv; charset=utf-8", headers={"cache-control": "no-store"})
    body = told.json({**around, "data": rows})
    return Response(body, media_type="application/json", headers={"cache-control": "no-store"})


def _prices() -> dict[str, str]:
    """Where prices come from that the configuration does not say."""
    from parley.prices.table import shipped

    return shipped().facts
