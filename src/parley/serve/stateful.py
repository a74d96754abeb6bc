"""Stored responses and conversations over HTTP, on OpenAI's paths. Making a response is the gateway's.

Source: OpenAI surface contract sections 1, 2 and 6; pages and fields as in OpenAI's own package.
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from parley.api.surface import unserved
from parley.failure import ParleyError, invalid
from parley.serve import asked
from parley.serve.house import House
from parley.store import Store, conversations, responses
from parley.store.conversations import Conversation
from parley.store.items import REFERENCE, Item, kind_of, page, shown
from parley.store.replay import replayed
from parley.store.store import all_of
from parley.store.worker import Link
from parley.wire.inlets import below, dialect_of, model_prefixes

_JSON: Final = "application/json"
Owner: TypeAlias = Callable[[Request], str]
Handler: TypeAlias = Callable[[Request], Awaitable[Response]]
_encode = msgspec.json.encode


def routes(house: House, store: Store, owner: Owner = lambda request: "") -> list[Route]:
    """Routes for every place where the OpenAI surface is found. ``owner`` names the tenant of a caller."""
    told = Stored(store, owner)
    conversation, item = "/conversations/{conversation_id}", "/conversations/{conversation_id}/items/{item_id}"
    table: dict[str, dict[str, Handler]] = {
        "/responses/{response_id}": {"GET": told.response, "DELETE": told.remove_response},
        "/responses/{response_id}/cancel": {"POST": told.cancel},
        "/responses/{response_id}/input_items": {"GET": told.input_items},
        "/conversations": {"POST": told.create},
        conversation: {"GET": told.conversation, "POST": told.describe, "DELETE": told.remove},
        f"{conversation}/items": {"GET": told.items, "POST": told.add},
        item: {"GET": told.item, "DELETE": told.remove_item},
    }
    return [
        Route(prefix + path, endpoint(house, methods), methods=list(methods))
        for prefix in prefixes()
        for path, methods in table.items()
    ]


def prefixes() -> list[str]:
    """Where the surface is found to which these operations belong: the dialect of a path without a prefix."""
    own = dialect_of(b"/responses")
    return [prefix for prefix in model_prefixes() if dialect_of(f"{prefix}/responses".encode()) == own]


def endpoint(house: House, methods: dict[str, Handler]) -> Handler:
    """One route for all methods of a path, so that a wrong one is told every one that is allowed."""

    async def endpoint(request: Request) -> Response:
        if _is_twin(request):
            raise HTTPException(404)  # whoever answers to that knows what is refused by name
        given = request.headers.get("x-request-id")
        request_id = house.gateway.request_id(given.encode("latin-1") if given else None)
        handler = methods["GET" if request.method == "HEAD" else request.method]
        try:
            answer = await handler(request)
        except ParleyError as error:
            status, body = house.wire_of(request.scope["path"].encode()).encode_error(error.failure, request_id)
            answer = _json(body, status)
            if error.failure.retry_after is not None:
                answer.headers["retry-after"] = str(max(1, round(error.failure.retry_after)))
        answer.headers["x-request-id"] = request_id
        return answer

    return endpoint


def _is_twin(request: Request) -> bool:
    """Whether the query makes it another operation on the same path, which is not served."""
    known = below(request.scope["path"])
    return known is not None and unserved(request.method, known, request.url.query).status != 200


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type=_JSON)


def _referred(items: list[bytes], owner: str) -> tuple[str, ...]:
    """What they may name, wherever their owner has it."""
    return (all_of(owner),) if any(kind_of(body) == REFERENCE for body in items) else ()


class Stored:
    """Handlers. They raise ParleyError; whoever calls them gives it the dialect's shape."""

    def __init__(self, store: Store, owner: Owner) -> None:
        self._store = store
        self._owner = owner

    # Responses

    async def response(self, request: Request) -> Response:
        """GET: the object as it was answered, or told again as events."""
        after = asked.stream(request.query_params)
        owner, response_id = self._owner(request), request.path_params["response_id"]
        found = await self._store.ask(lambda link: responses.fetch(link, owner, response_id), (response_id,))
        if after is None:
            return _json(found.body)
        if found.status in responses.UNDER_WAY:
            raise invalid(f"The response is still {found.status}: ask without stream until it is over.", "stream")
        events = replayed(msgspec.json.decode(found.body), after)
        return Response(events, media_type="text/event-stream", headers={"cache-control": "no-cache"})

    async def remove_response(self, request: Request) -> Response:
        """DELETE."""
        response_id = request.path_params["response_id"]
        await self._store.remove_response(self._owner(request), response_id)
        return _json(_encode({"id": response_id, "object": "response", "deleted": True}))

    async def cancel(self, request: Request) -> Response:
        """POST .../cancel: only what was made in the background."""
        return _json(await self._store.cancel(self._owner(request), request.path_params["response_id"]))

    async def input_items(self, request: Request) -> Response:
        """GET: all that it was made from, what came before included."""
        cut = asked.cut(request.query_params)
        owner, response_id = self._owner(request), request.path_params["response_id"]
        work = lambda link: responses.input_items(link, owner, response_id, cut)  # noqa: E731
        return _json(_encode(await self._store.ask(work, (response_id,))))

    # Conversations

    async def create(self, request: Request) -> Response:
        """POST: a new conversation, perhaps with first items."""
        body = await request.body()
        found = asked.members(body, ("items", "metadata"), empty=True)
        metadata = asked.metadata(found.get("metadata"))
        items = asked.items(found["items"], body) if found.get("items") is not None else []
        asked.checks("conversation", body)
        owner = self._owner(request)
        new = Conversation(f"conv_{secrets.token_hex(24)}", int(self._store.wall()), metadata)

        def create(link: Link) -> Conversation:
            return conversations.create(link, owner, new, responses.resolved(link, items, owner, "items"))

        return _json((await self._store.change(create, _referred(items, owner))).json())

    async def conversation(self, request: Request) -> Response:
        """GET."""
        owner, named = self._named(request)
        found = await self._store.ask(lambda link: conversations.fetch(link, owner, named), (named,))
        return _json(found.json())

    async def describe(self, request: Request) -> Response:
        """POST: new metadata in place of the old."""
        body = await request.body()
        found = asked.members(body, ("metadata",))
        if "metadata" not in found:
            raise asked.missing("metadata")
        metadata, now = asked.metadata(found["metadata"]), self._store.wall()
        asked.checks("conversation_update", body)
        owner, named = self._named(request)
        made = await self._store.change(
            lambda link: conversations.describe(link, owner, named, metadata, now), (named,)
        )
        return _json(made.json())

    async def remove(self, request: Request) -> Response:
        """DELETE, its items with it."""
        owner, named = self._named(request)
        await self._store.change(lambda link: conversations.remove(link, owner, named), (named,))
        return _json(_encode({"id": named, "object": "conversation.deleted", "deleted": True}))

    # Their items

    async def items(self, request: Request) -> Response:
        """GET: a page of items."""
        cut = asked.cut(request.query_params)
        owner, named = self._named(request)
        return _json(
            _encode(await self._store.ask(lambda link: conversations.listed(link, owner, named, cut), (named,)))
        )

    async def add(self, request: Request) -> Response:
        """POST: items at the end; they are the answer's list."""
        asked.include(request.query_params)
        body = await request.body()
        found = asked.members(body, ("items",))
        if "items" not in found:
            raise asked.missing("items")
        bodies, now = asked.items(found["items"], body), self._store.wall()
        asked.checks("conversation_items", body)
        owner, named = self._named(request)

        def add(link: Link) -> list[Item]:
            items = responses.resolved(link, bodies, owner, "items")
            return conversations.add(link, owner, named, items, now)

        about = (named, *_referred(bodies, owner))
        return _json(_encode(page(await self._store.change(add, about), more=False)))

    async def item(self, request: Request) -> Response:
        """GET: one item."""
        asked.include(request.query_params)
        owner, named = self._named(request)
        item_id = request.path_params["item_id"]
        found = await self._store.ask(lambda link: conversations.item(link, owner, named, item_id), (named,))
        return _json(_encode(shown(found)))

    async def remove_item(self, request: Request) -> Response:
        """DELETE: one item; the answer is its conversation."""
        owner, named = self._named(request)
        item_id = request.path_params["item_id"]
        left = await self._store.change(lambda link: conversations.drop_item(link, owner, named, item_id), (named,))
        return _json(left.json())

    def _named(self, request: Request) -> tuple[str, str]:
        """Whose conversation, and which."""
        return self._owner(request), request.path_params["conversation_id"]
