"""Keys over HTTP: the same words as those of the command, for admins alone, and what is refused and how."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from fixtures.children import bare_environment, eventually
from fixtures.parley import Start
from gateway.parts import Stage, registration
from parley.keys import Holder, digest_of, is_key, key_text
from parley.serve.admin_keys import MAX_BODY
from parley.serve.app import application
from parley.serve.house import House
from parley.store import Store

KEYS = "/admin/api/keys"
ADMIN, CALLER, NODE = (key_text(kind, kind[:1].encode() * 32) for kind in ("admin", "caller", "node"))
EVERYTHING = {
    "name": "alice", "kind": "caller", "models": ["gpt-*", "fast"], "dialects": ["openai"], "sources": ["10.0.0.0/8"],
    "expires": "90d", "tags": {"team": "blue"}, "rpm": 60, "tpm": 90000, "parallel": 4, "budget": 12.5,
    "budget_period": "30d", "priority": "high", "defaults": {"temperature": 0.2},
}  # fmt: skip


class Office:
    """The application on a store; ``closed``: somebody has a key already."""

    def __init__(self, store: str, *, closed: bool = True, admin_key: str = "") -> None:
        loop = asyncio.get_running_loop()
        stage = Stage(registration("fast", "a/m-1"), admin_key=admin_key)
        stage.gateway.keyring.configure(stage.gateway.settings)
        if closed:
            kinds = {ADMIN: "admin", CALLER: "caller", NODE: "node"}
            holders = {digest_of(key.encode()): Holder(id=kind, name=kind, kind=kind) for key, kind in kinds.items()}
            stage.gateway.keyring.fill(holders, exist=True)
        self.store = Store(store, loop, busy=0.05)
        self.gateway = stage.gateway
        app = application(House(stage.gateway, loop, self.store))
        transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1))
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:4242")

    async def ask(self, method: str, path: str = KEYS, body: Any = None, key: str = ADMIN) -> tuple[int, Any]:
        content = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        told = await self.http.request(method, path, content=content, headers=headers)
        assert told.headers["content-type"] == "application/json"
        if told.status_code < 400:
            assert told.headers["cache-control"] == "no-store"
        else:
            assert told.headers["x-request-id"]
        return told.status_code, told.json()

    async def refused(self, body: Any) -> tuple[int, str, str | None]:
        status, told = await self.ask("POST", body=body)
        assert set(told) == {"error"}
        assert (await self.ask("GET"))[1] == {"data": []}
        return status, told["error"]["code"], told["error"]["param"]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Any]:
    made: list[Office] = []

    def make(store: str = f"sqlite:///{tmp_path}/parley.db", **more: Any) -> Office:
        made.append(Office(store, **more))
        return made[-1]

    yield make
    for one in made:
        await one.http.aclose()
        await one.store.close()


async def test_a_key_is_made_listed_rotated_and_revoked(office: Any) -> None:
    here = office()
    assert await here.ask("GET") == (200, {"data": []})
    assert not here.store.exists
    status, made = await here.ask("POST", body=EVERYTHING)
    text, named = made.pop("key"), made["id"]
    assert (status, is_key(text)) == (201, True)
    same = {name: value for name, value in EVERYTHING.items() if name not in ("expires", "budget_period")}
    assert {name: made[name] for name in same} == same
    assert (made["budget_period"], made["spent"], made["revoked"]) == (30 * 86400.0, 0.0, None)
    assert made["expires"] > made["created"]
    assert await here.ask("GET") == (200, {"data": [made]})
    assert await here.ask("GET", f"{KEYS}/{named}") == (200, made)

    status, turned = await here.ask("POST", f"{KEYS}/{named}/rotate", {"grace": "1h"})
    other = turned.pop("key")
    assert (status, is_key(other), other == text, turned) == (200, True, False, made)
    assert len(await here.store.ask(lambda link: link.rows("SELECT digest FROM key_digests"))) == 2
    status, turned = await here.ask("POST", f"{KEYS}/{named}/rotate")
    digests = await here.store.ask(lambda link: link.rows("SELECT digest FROM key_digests"))
    assert [bytes(row.digest) for row in digests] == [digest_of(turned["key"].encode())]

    status, gone = await here.ask("DELETE", f"{KEYS}/{named}")
    assert (status, gone["revoked"] is None, "key" in gone) == (200, False, False)
    assert await here.store.ask(lambda link: link.rows("SELECT digest FROM key_digests")) == []
    for method, path in (("DELETE", named), ("POST", f"{named}/rotate"), ("GET", "key_0"), ("DELETE", "alice")):
        status, told = await here.ask(method, f"{KEYS}/{path}")
        assert (status, told["error"]["code"], told["error"]["param"]) == (404, "invalid_request", "id"), path
    assert (await here.ask("GET", f"{KEYS}/{named}"))[1] == gone


async def test_a_name_is_taken_once_and_the_words_as_they_are_told_are_taken_back(office: Any) -> None:
    here = office()
    _, made = await here.ask("POST", body=EVERYTHING)
    status, told = await here.ask("POST", body={"name": "alice"})
    assert (status, told["error"]["code"], told["error"]["param"]) == (409, "invalid_request", "name")
    mine = {name: made[name] for name in EVERYTHING}
    status, again = await here.ask("POST", body={**mine, "name": "bob"})
    assert status == 201
    assert {**{name: again[name] for name in EVERYTHING}, "name": "alice"} == mine


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("closed", [True, False])
async def test_only_an_admin_key_opens_it(office: Any, closed: bool, method: str) -> None:
    here = office(closed=closed, admin_key="root")
    body = {"name": "mallory"} if method == "POST" else None
    for key in ("", "wrong", CALLER, NODE, ADMIN[:-1] + "_"):
        status, told = await here.ask(method, body=body, key=key)
        allowed = (403, "forbidden") if closed and key in (CALLER, NODE) else (401, "unauthorized")
        assert (status, told["error"]["code"]) == allowed, key
    assert not here.store.exists
    assert (await here.ask(method, body=body, key="root"))[0] in (200, 201)


async def test_on_this_machine_without_any_key_nobody_makes_one(office: Any) -> None:
    here = office(closed=False)
    for path in (KEYS, f"{KEYS}/key_1/rotate"):
        assert (await here.ask("POST", path, {"name": "mallory"}, key=""))[0] == 401
    assert not here.store.exists


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("name", ""), ("name", " a"), ("name", "a" * 129), ("name", CALLER), ("name", 1), ("kind", "root"),
        ("models", [""]), ("models", [1]), ("models", "a,b"), ("tags", {"a": 1}), ("tags", []),
        ("dialects", ["latin"]), ("sources", ["10.0.0.1/8"]), ("expires", "soon"), ("expires", 0),
        ("expires", "99999999d"), ("budget", 1e-13),
        ("expires", "2001-01-01T00:00:00Z"), ("expires", "2101-01-01T00:00:00"), ("tags", {"": "x"}), ("rpm", 0),
        ("tpm", -1), ("parallel", 1.5), ("parallel", True), ("budget", 0), ("budget", "1"), ("budget_period", "30d"),
        ("priority", "urgent"), ("defaults", {"messages": []}), ("defaults", []),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_refused_by_name(office: Any, member: str, value: Any) -> None:
    assert await office().refused({"name": "a", member: value}) == (400, "invalid_request", member)


async def test_bodies_that_are_none(office: Any) -> None:
    here = office()
    assert await here.refused(b"{") == (400, "invalid_json", None)
    assert await here.refused(b"") == (400, "invalid_json", None)
    assert await here.refused(b"[]") == (400, "invalid_json", None)
    assert await here.refused(b'{"name": "a", "name": "b"}') == (400, "invalid_json", None)
    assert await here.refused(b'{"name": "a", "budget": 1e400}') == (400, "invalid_json", None)
    assert await here.refused({}) == (400, "invalid_request", "name")
    assert await here.refused({"name": "a", "colour": "red"}) == (400, "invalid_request", "colour")
    # Somebody may write a key anywhere.
    assert await here.refused({"name": "a", CALLER: 1}) == (400, "invalid_request", None)
    assert await here.refused({"name": "a", "defaults": {"seed": "x"}}) == (400, "invalid_request", "defaults.seed")
    assert await here.refused(b" " * (MAX_BODY + 1)) == (413, "body_too_large", None)
    assert (await here.ask("PUT"))[0] == 405
    for body, param in (({"grace": "-1h"}, "grace"), ({"grace": []}, "grace"), ({"gr": "1h"}, "gr")):
        status, told = await here.ask("POST", f"{KEYS}/key_1/rotate", body)
        assert (status, told["error"]["code"], told["error"]["param"]) == (400, "invalid_request", param)


async def test_a_mistake_is_told_in_our_own_words(office: Any) -> None:
    here = office()
    for body in ({"name": 1}, {"name": "a", "models": [1]}, {"name": "a", "tags": {"a": 1}}, {"name": "a", "x": 1}, {}):
        _, told = await here.ask("POST", body=body)
        assert "`" not in told["error"]["message"], told


async def test_a_store_that_is_away_or_in_memory(office: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"no database at all" * 100)
    here = office(f"sqlite:///{tmp_path}/broken.db")
    for method in ("GET", "POST"):
        status, told = await here.ask(method, body={"name": "a"})
        assert (status, told["error"]["code"]) == (503, "overloaded"), method
    nowhere = office("sqlite://")
    assert (await nowhere.ask("GET")) == (200, {"data": []})
    assert (await nowhere.ask("POST", body={"name": "a"}))[0] == 409


def test_from_outside_with_the_command_beside_it(parley_server: Start, parley_python: str, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/parley.db"
    gateway = parley_server({"store": store, "auth": {"admin_key": "root", "required": True}})
    admin = httpx2.Client(base_url=gateway.url, headers={"authorization": "Bearer root"})

    def status(key: str) -> int:
        return int(httpx2.get(f"{gateway.url}/v1/models", headers={"x-api-key": key}).status_code)

    with admin:
        made = admin.post(KEYS, json={"name": "alice", "rpm": 60}).json()
        key = made.pop("key")
        eventually(lambda: status(key) == 200, 30, "the key holds")
        command = [parley_python, "-m", "parley", "keys", "list", "--json", "--store", store]
        done = subprocess.run(command, env=bare_environment(tmp_path), cwd=tmp_path, capture_output=True, check=True)
        assert msgspec.json.decode(done.stdout) == admin.get(KEYS).json()["data"] == [made]
        assert admin.delete(f"{KEYS}/{made['id']}").status_code == 200
        eventually(lambda: status(key) == 401, 30, "the key does not hold any more")
    assert key not in "\n".join(gateway.stderr_lines()) + gateway.metrics()
