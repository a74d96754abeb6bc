"""Every path behind the application asks for a key, but for those that are named as open."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.routing import Route

from gateway.parts import INLETS, Stage, registration
from parley.keys import Holder, digest_of, key_text
from parley.serve.app import application
from parley.serve.guard import OPEN
from parley.serve.house import House
from parley.store import Store
from parley.wire.inlets import DIALECTS, PLACED, placed_row

CALLER = key_text("caller", b"c" * 32)
OTHER = key_text("caller", b"o" * 32)
ADMIN = key_text("admin", b"a" * 32)
NODE = key_text("node", b"n" * 32)
HOLDERS = {
    CALLER: Holder(id="key_c", name="caller", models=("fa*",)),
    OTHER: Holder(id="key_o", name="other", dialects=("anthropic",)),
    ADMIN: Holder(id="key_a", name="admin", kind="admin"),
    NODE: Holder(id="key_n", name="node", kind="node"),
}
OURS = ("/metrics", "/docs", "/docs/start.js", "/openapi.json")


class Front:
    """The application of a gateway; ``closed``: with keys."""

    def __init__(self, folder: Path, closed: bool = True, **settings: Any) -> None:
        loop = asyncio.get_running_loop()
        stage = Stage(registration("fast", "a/m-1"), registration("slow", "a/m-2"), **settings)
        self.gateway = stage.gateway
        self.gateway.keyring.configure(stage.gateway.settings)
        if closed:
            holders = {digest_of(key.encode()): one for key, one in HOLDERS.items()}
            self.gateway.keyring.fill(holders, exist=True)
        self.store = Store(f"sqlite:///{folder / 'parley.db'}", loop)
        self.app = application(House(self.gateway, loop, self.store))
        transport = httpx2.ASGITransport(app=self.app, client=("192.0.2.9", 1))
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:4242")

    async def status(self, path: str, key: str = "", method: str = "GET") -> int:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        told = await self.http.request(method, path, headers=headers)
        assert told.status_code in (200, 204) or told.headers["x-request-id"]
        return int(told.status_code)


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Any]:
    made: list[Front] = []

    def make(**more: Any) -> Front:
        made.append(Front(tmp_path, **more))
        return made[-1]

    yield make
    for one in made:
        await one.http.aclose()
        await one.store.close()


def paths(app: Any) -> set[tuple[str, str]]:
    """Every method and path that is routed, names filled in."""
    routes = [route for route in app.routes if isinstance(route, Route)]
    assert len(routes) == len(app.routes)
    return {
        (method, re.sub(r"\{[^}]*\}", "x", route.path)) for route in routes for method in (route.methods or {"GET"})
    }


async def test_every_route_but_the_open_ones_asks_for_a_key(front: Any) -> None:
    here = front()
    seen = 0
    for method, path in sorted(paths(here.app)):
        told = await here.http.request(method, path)
        if path in OPEN or path.startswith(OURS):
            assert told.status_code != 401, path
        else:
            seen += 1
            assert (told.status_code, told.headers["www-authenticate"]) == (401, "Bearer"), path
    assert seen > 50


@pytest.mark.parametrize("path", ["/nothing", "/v1/chat/completions", "/v1/files", "/admin/api/reload", "/LIVEZ"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_what_is_not_there_is_not_told_without_one(front: Any, path: str, method: str) -> None:
    here = front()
    assert await here.status(path, method=method) == 401
    assert await here.status(path, OTHER[:-1] + "_", method) == 401
    assert await here.status(path, NODE, method) in (403, 404, 405, 501)


@pytest.mark.parametrize("path", sorted(OPEN))
async def test_the_open_ones_are_open_with_any_key(front: Any, path: str) -> None:
    here = front(listen=("0.0.0.0:4242",))
    good = 204 if path.startswith("/v1.0/") else 200
    assert [await here.status(path, key) for key in ("", "wrong", CALLER)] == [good] * 3


@pytest.mark.parametrize("path", OURS)
@pytest.mark.parametrize("closed", [True, False])
async def test_the_operators_pages(front: Any, path: str, closed: bool) -> None:
    assert await front(closed=closed).status(path) == 200
    public = front(closed=closed, listen=("127.0.0.1:1", "0.0.0.0:4242"), public=True, admin_key="root")
    assert await public.status(path) == 401
    assert await public.status(path, "wrong") == 401
    assert await public.status(path, "root") == 200
    assert await public.status(path, CALLER) == (403 if closed else 401)
    assert await public.status(path, ADMIN) == (200 if closed else 401)
    here = front(closed=closed, listen=("127.0.0.1:4242", "0.0.0.0:1"), public=True)
    assert await here.status(path) == 200


async def test_without_keys_everything_is_open(front: Any) -> None:
    here = front(closed=False)
    assert [await here.status(path) for path in ("/v1/models", "/api/tags", "/v1/models/fast")] == [200] * 3
    assert await here.status("/v1/models", "any") == 200


async def test_with_a_public_address_and_no_keys_nothing_is(front: Any) -> None:
    here = front(closed=False, listen=("0.0.0.0:4242",))
    assert await here.status("/v1/models") == 401
    assert await front(closed=False, auth_required=True).status("/v1/models") == 401


async def test_lists_hold_what_a_key_may_ask_for(front: Any) -> None:
    here = front()
    key = {"x-api-key": CALLER}
    listed = (await here.http.get("/v1/models", headers=key)).json()
    assert [one["id"] for one in listed["data"]] == ["fast"]
    listed = (await here.http.get("/v1/models", headers={**key, "anthropic-version": "1"})).json()
    assert [one["id"] for one in listed["data"]] == ["fast"]
    listed = (await here.http.get(f"/v1beta/models?key={CALLER}")).json()
    assert [one["name"] for one in listed["models"]] == ["models/fast"]
    tags = (await here.http.get("/api/tags", headers=key)).json()
    assert [one["name"] for one in tags["models"]] == ["fast"]
    shown = [await here.http.post("/api/show", headers=key, json={"model": name}) for name in ("fast", "slow", "none")]
    assert [one.status_code for one in shown] == [200, 403, 403]
    assert [await here.status(f"/v1/models/{name}", CALLER) for name in ("fast", "slow", "none")] == [200, 403, 403]
    assert len((await here.http.get("/v1/models", headers={"api-key": ADMIN})).json()["data"]) > 2


SHAPES = {
    "/v1/models": lambda body: body["error"]["code"],
    "/api/tags": lambda body: body["code"],
    "/v1beta/models": lambda body: body["error"]["details"][0]["reason"],
    "/anthropic/v1/models": lambda body: body["error"]["code"],
}


@pytest.mark.parametrize("path", SHAPES)
async def test_the_refusal_is_in_the_callers_dialect(front: Any, path: str) -> None:
    here = front()
    wrong = [{}, {"x-api-key": "x"}, {"authorization": "Bearer " + CALLER[:-1]}]
    answers = [await here.http.get(path, headers={**one, "x-request-id": "r"}) for one in wrong]
    assert {one.status_code for one in answers} == {401}
    assert len({one.content for one in answers}) == 1
    assert SHAPES[path](answers[0].json()) == "unauthorized"
    assert here.gateway.metrics.counts["parley_rejected_total", "auth"] == len(wrong)


async def test_a_key_for_one_dialect(front: Any) -> None:
    here = front()
    assert [await here.status(path, OTHER) for path in ("/anthropic/v1/models", "/v1/models", "/api/tags")] == [
        200, 403, 403,
    ]  # fmt: skip


async def test_conversations_belong_to_a_key(front: Any) -> None:
    here = front()
    made = await here.http.post("/v1/conversations", headers={"api-key": CALLER}, json={})
    path = f"/v1/conversations/{made.json()['id']}"
    assert [await here.status(path, key) for key in (CALLER, ADMIN, NODE)] == [200, 404, 404]
    theirs = await here.http.get(path, headers={"api-key": NODE, "x-request-id": "r"})
    unknown = await here.http.get("/v1/conversations/conv_" + "0" * 48, headers={"api-key": NODE, "x-request-id": "r"})
    name, other = path.rpartition("/")[2], "conv_" + "0" * 48
    assert theirs.text.replace(name, "ID") == unknown.text.replace(other, "ID")


async def test_only_admins_administer(front: Any) -> None:
    here = front()
    assert [await here.status("/admin/api/x", key, "POST") for key in ("", "wrong", CALLER, NODE, ADMIN)] == [
        401, 401, 403, 403, 404,
    ]  # fmt: skip


def test_every_dialect_has_its_name() -> None:
    placed = (placed_row(path, b"") for path in (b"/v1.0/conversation/x/converse", b"/api/mlpgate/p/x/y"))
    rows = {row[0] for row in (*INLETS._rows.values(), *PLACED.values(), *placed) if row is not None}
    assert rows == set(DIALECTS)


@pytest.mark.parametrize(
    ("path", "words"), [("/v1/models", '"code":"internal"'), ("/v1beta/models", '"status":"INTERNAL"')]
)
async def test_a_page_that_breaks_is_told_in_the_dialect(
    front: Any, path: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("parley.wire.listing.page", fail)
    app = front(closed=False).app
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:4242") as http:
        told = await http.get(path, headers={"x-request-id": "mine"})
    assert (told.status_code, told.headers["x-request-id"]) == (500, "mine")
    assert words in told.text
    assert "ZeroDivision" not in told.text
