"""Stored responses and conversations: the official SDK against the routes, and what is refused and how."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import openai
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from gateway.parts import Stage
from parley.serve.house import House
from parley.serve.stateful import routes
from parley.store import Background, Store
from store.parts import answer, kept, message

HOST = "http://parley.test"


class Desk:
    """The routes on a real store; a caller's name is in the key it sends."""

    def __init__(self, path: Path) -> None:
        loop = asyncio.get_running_loop()
        self.seconds = 1_000_000.0
        self.store = Store(f"sqlite:///{path}", loop, wall=lambda: self.seconds, busy=0.05)
        house = House(Stage().gateway, loop)
        self.app = Starlette(routes=list(routes(house, self.store, _owner)))
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.app), base_url=HOST)

    def sdk(self, owner: str = "", prefix: str = "/v1") -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=HOST + prefix, api_key=owner or "none", http_client=self.http, max_retries=0)

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Status and JSON; every answer must carry a request id."""
        content = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
        told = await self.http.request(method, path, content=content, **options)
        assert told.headers["x-request-id"]
        assert told.headers["content-type"] == "application/json"
        return told.status_code, told.json()

    async def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str | None]:
        """Status and the field at fault, the error being OpenAI's in shape."""
        status, told = await self.ask(method, path, body)
        assert set(told) == {"error"}
        assert set(told["error"]) == {"message", "type", "param", "code"}
        assert told["error"]["type"] == ("server_error" if status >= 500 else "invalid_request_error")
        return status, told["error"]["param"]


def _owner(request: Request) -> str:
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    return "" if key == "none" else key


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path / "parley.db")
    yield made
    await made.http.aclose()
    await made.store.close()


async def test_the_sdk_reads_deletes_and_lists_a_response(desk: Desk) -> None:
    desk.store.keep(kept("resp_1", "one", "uno"))
    desk.store.keep(kept("resp_2", "two", "due", previous="resp_1"))
    sdk = desk.sdk()
    found = await sdk.responses.retrieve("resp_2")
    assert (found.id, found.output_text, found.status) == ("resp_2", "due", "completed")
    listed = [item async for item in sdk.responses.input_items.list("resp_2", limit=1, order="asc")]
    assert [item.id for item in listed][1] == "msg_of_resp_1"
    assert [item.content[0].text for item in listed] == ["one", "uno", "two"]
    await sdk.responses.delete("resp_2")
    with pytest.raises(openai.NotFoundError) as caught:
        await sdk.responses.retrieve("resp_2")
    assert caught.value.message == "Error code: 404 - Response with id 'resp_2' not found."
    assert (caught.value.param, caught.value.code) == (None, "invalid_request")
    assert caught.value.request_id


async def test_a_response_is_told_byte_for_byte(desk: Desk) -> None:
    odd = b'{"id":"resp_1", "object":"response","status":"completed","output":[ ],"new":{"x":1.50},"b":null}'
    desk.store.keep(msgspec.structs.replace(kept("resp_1", "one"), response=odd))
    told = await desk.http.get("/v1/responses/resp_1", headers={"x-request-id": "mine"})
    assert (told.content, told.headers["x-request-id"]) == (odd, "mine")


async def test_the_sdk_reads_a_response_as_a_stream(desk: Desk) -> None:
    desk.store.keep(kept("resp_1", "one", "uno"))
    sdk = desk.sdk()
    told = [event async for event in await sdk.responses.retrieve("resp_1", stream=True)]
    assert (told[0].type, told[-1].type) == ("response.created", "response.completed")
    assert told[-1].response.output_text == "uno"
    rest = [event async for event in await sdk.responses.retrieve("resp_1", stream=True, starting_after=4)]
    assert [event.sequence_number for event in rest] == [5, 6, 7, 8]
    streamed = await desk.http.get("/v1/responses/resp_1?stream=true")
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.headers["cache-control"] == "no-cache"
    assert streamed.headers["x-request-id"]


async def test_the_sdk_cancels_a_background_response(desk: Desk) -> None:
    queued = answer("resp_b", "", status="queued", output=[])
    begun: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    desk.store.begin_background(kept("resp_b", "work", response=queued), begun.set_result)
    made = await begun
    assert isinstance(made, Background)
    stopped: list[str] = []
    made.runs(lambda: stopped.append("stopped"))
    sdk = desk.sdk()
    assert (await sdk.responses.retrieve("resp_b")).status == "in_progress"
    assert await desk.refused("GET", "/v1/responses/resp_b?stream=true") == (400, "stream")
    assert (await sdk.responses.cancel("resp_b")).status == "cancelled"
    assert stopped == ["stopped"]
    assert (await sdk.responses.retrieve("resp_b")).status == "cancelled"
    desk.store.keep(kept("resp_1", "one"))
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        await sdk.responses.cancel("resp_1")


async def test_the_sdk_makes_and_changes_a_conversation(desk: Desk) -> None:
    sdk = desk.sdk()
    made = await sdk.conversations.create(metadata={"topic": "a"}, items=[{"role": "user", "content": "hi"}])
    assert made.id.startswith("conv_")
    assert (made.object, made.created_at, made.metadata) == ("conversation", 1_000_000, {"topic": "a"})
    assert await sdk.conversations.retrieve(made.id) == made
    changed = await sdk.conversations.update(made.id, metadata={"other": "b"})
    assert changed.metadata == {"other": "b"}
    assert (await sdk.conversations.update(made.id, metadata=None)).metadata == {}
    gone = await sdk.conversations.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "conversation.deleted", True)
    with pytest.raises(openai.NotFoundError):
        await sdk.conversations.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        await sdk.conversations.items.list(made.id)


async def test_the_sdk_keeps_items_in_order(desk: Desk) -> None:
    sdk = desk.sdk()
    made = (await sdk.conversations.create()).id
    added = await sdk.conversations.items.create(
        made,
        items=[
            {"type": "message", "role": "user", "content": "one"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "two", "annotations": []}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc_own"},
            {"type": "function_call_output", "call_id": "c", "output": "42"},
        ],
    )
    ids = [item.id for item in added.data]
    assert (added.first_id, added.last_id, added.has_more) == (ids[0], ids[3], False)
    assert [name.split("_")[0] for name in ids] == ["msg", "msg", "fc", "fco"]
    assert ids[2] == "fc_own"
    assert (added.data[0].status, added.data[0].content[0].type) == ("completed", "input_text")
    seen = [item.id async for item in sdk.conversations.items.list(made, order="asc", limit=3)]
    assert seen == ids
    assert [item.id async for item in sdk.conversations.items.list(made)] == ids[::-1]
    down = await sdk.conversations.items.list(made, limit=2, after=ids[3])
    assert ([item.id for item in down.data], down.has_more) == ([ids[2], ids[1]], True)
    one = await sdk.conversations.items.retrieve(ids[3], conversation_id=made)
    assert (one.type, one.output, one.id) == ("function_call_output", "42", ids[3])
    left = await sdk.conversations.items.delete(ids[0], conversation_id=made)
    assert (left.id, left.object) == (made, "conversation")
    assert [item.id async for item in sdk.conversations.items.list(made, order="asc")] == ids[1:]
    with pytest.raises(openai.NotFoundError):
        await sdk.conversations.items.retrieve(ids[0], conversation_id=made)
    with pytest.raises(openai.BadRequestError, match="Duplicate item"):
        await sdk.conversations.items.create(made, items=[{"id": "fc_own", "role": "user", "content": "again"}])


async def test_items_of_a_response_join_the_conversation(desk: Desk) -> None:
    sdk = desk.sdk()
    made = (await sdk.conversations.create()).id
    desk.store.keep(kept("resp_1", "one", "uno", conversation=made))
    listed = [item async for item in sdk.conversations.items.list(made, order="asc")]
    assert [item.content[0].text for item in listed] == ["one", "uno"]
    assert listed[1].id == "msg_of_resp_1"


async def test_an_empty_conversation_has_an_empty_page(desk: Desk) -> None:
    made = (await desk.sdk().conversations.create()).id
    status, page = await desk.ask("GET", f"/v1/conversations/{made}/items")
    assert (status, page) == (
        200,
        {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False},
    )


async def test_unknown_members_of_items_and_their_numbers_stay(desk: Desk) -> None:
    item = b'{"role":"user", "content":"x","new":{"a":null,"n":[],"x":1.50}}'
    status, made = await desk.ask("POST", "/v1/conversations", b'{"items":[ ' + item + b"]}")
    assert status == 200
    heard: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    desk.store.recall(None, made["id"], "", heard.set_result)
    assert (await heard).items == b"[" + item + b"]"
    _, page = await desk.ask("GET", f"/v1/conversations/{made['id']}/items")
    assert page["data"][0]["new"] == {"a": None, "n": [], "x": 1.5}


@pytest.mark.parametrize("prefix", ["/v1", "", "/v1/v1", "/openai/v1", "/openai", "/openai/v1/v1"])
async def test_every_openai_prefix_serves_them(desk: Desk, prefix: str) -> None:
    sdk = desk.sdk(prefix=prefix)
    made = await sdk.conversations.create()
    assert (await sdk.conversations.retrieve(made.id)).id == made.id


async def test_owners_see_only_what_is_theirs(desk: Desk) -> None:
    mine, yours = desk.sdk("a"), desk.sdk("b")
    desk.store.keep(kept("resp_1", "one", owner="a"))
    conversation = (await mine.conversations.create(items=[{"role": "user", "content": "x", "id": "msg_x"}])).id
    assert (await mine.responses.retrieve("resp_1")).id == "resp_1"
    for call in (
        yours.responses.retrieve("resp_1"),
        yours.responses.delete("resp_1"),
        yours.responses.cancel("resp_1"),
        yours.responses.input_items.list("resp_1"),
        yours.conversations.retrieve(conversation),
        yours.conversations.update(conversation, metadata={}),
        yours.conversations.delete(conversation),
        yours.conversations.items.list(conversation),
        yours.conversations.items.create(conversation, items=[]),
        yours.conversations.items.retrieve("msg_x", conversation_id=conversation),
        yours.conversations.items.delete("msg_x", conversation_id=conversation),
    ):
        with pytest.raises(openai.NotFoundError):
            await call
    assert (await mine.conversations.items.retrieve("msg_x", conversation_id=conversation)).id == "msg_x"
    assert (await mine.responses.retrieve("resp_1")).id == "resp_1"


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=%D9%A1", "limit"),
        ("order=up", "order"),
        ("order=", "order"),
        ("after=msg_none", "after"),
        ("include=everything", "include"),
        ("include[]=message.output_text.logprobs&include[]=x", "include"),
    ],
)
async def test_a_bad_page_is_refused_by_its_parameter(desk: Desk, query: str, param: str) -> None:
    desk.store.keep(kept("resp_1", "one"))
    made = (await desk.sdk().conversations.create()).id
    assert await desk.refused("GET", f"/v1/conversations/{made}/items?{query}") == (400, param)
    assert await desk.refused("GET", f"/v1/responses/resp_1/input_items?{query}") == (400, param)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("stream=yes", "stream"),
        ("starting_after=1", "starting_after"),
        ("stream=true&starting_after=x", "starting_after"),
        ("stream=true&starting_after=-5", "starting_after"),
        ("include_obfuscation=1", "include_obfuscation"),
        ("include=x", "include"),
    ],
)
async def test_a_bad_question_for_a_response_is_refused_by_its_parameter(desk: Desk, query: str, param: str) -> None:
    desk.store.keep(kept("resp_1", "one"))
    assert await desk.refused("GET", f"/v1/responses/resp_1?{query}") == (400, param)


LONG = {"role": "user", "content": "x"}
BAD_METADATA: list[tuple[Any, str]] = [
    ([], "metadata"),
    ("x", "metadata"),
    ({str(number): "x" for number in range(17)}, "metadata"),
    ({"k" * 65: "x"}, "metadata"),
    ({"k": "x" * 513}, "metadata.k"),
    ({"k": 1}, "metadata.k"),
    ({"k": None}, "metadata.k"),
]
BAD_ITEMS: list[tuple[Any, str]] = [
    ({}, "items"),
    ("x", "items"),
    ([LONG] * 21, "items"),
    ([LONG, "x"], "items[1]"),
    ([{"type": "nonsense"}], "items[0].type"),
    ([{"type": 1}], "items[0].type"),
    ([{"type": None, "role": "user", "content": "x"}], "items[0].type"),
    ([{"type": "item_reference"}], "items[0].id"),
    ([{"type": "web_search_call", "id": "ws_1", "action": {}}], "items[0].status"),
    ([{"type": "image_generation_call", "status": "completed"}], "items[0].result"),
    ([{"type": "reasoning", "summary": None}], "items[0].summary"),
    ([{"content": "x"}], "items[0].role"),
    ([{"role": "user"}], "items[0].content"),
    ([{"role": "king", "content": "x"}], "items[0].role"),
    ([{"role": ["user"], "content": "x"}], "items[0].role"),
    ([{"role": "user", "content": 1}], "items[0].content"),
    ([{"role": "user", "content": [{"text": "x"}]}], "items[0].content[0]"),
    ([{"role": "user", "content": "x", "id": 1}], "items[0].id"),
    ([{"type": "function_call_output", "output": "x"}], "items[0].call_id"),
    ([{"type": "function_call", "call_id": "c", "name": "f"}], "items[0].arguments"),
]


@pytest.mark.parametrize(("value", "param"), BAD_METADATA)
async def test_bad_metadata_is_refused_by_its_field(desk: Desk, value: Any, param: str) -> None:
    made = (await desk.sdk().conversations.create(metadata={"kept": "yes"})).id
    assert await desk.refused("POST", "/v1/conversations", {"metadata": value}) == (400, param)
    assert await desk.refused("POST", f"/v1/conversations/{made}", {"metadata": value}) == (400, param)
    assert (await desk.sdk().conversations.retrieve(made)).metadata == {"kept": "yes"}


@pytest.mark.parametrize(("value", "param"), BAD_ITEMS)
async def test_bad_items_are_refused_by_their_field(desk: Desk, value: Any, param: str) -> None:
    made = (await desk.sdk().conversations.create()).id
    assert await desk.refused("POST", "/v1/conversations", {"items": value}) == (400, param)
    assert await desk.refused("POST", f"/v1/conversations/{made}/items", {"items": value}) == (400, param)
    assert [item async for item in desk.sdk().conversations.items.list(made)] == []


async def test_limits_themselves_are_allowed(desk: Desk) -> None:
    full = {f"{number:02d}" + "k" * 62: "x" * 512 for number in range(16)}
    status, made = await desk.ask("POST", "/v1/conversations", {"metadata": full, "items": [LONG] * 20})
    assert (status, made["metadata"]) == (200, full)
    _, page = await desk.ask("GET", f"/v1/conversations/{made['id']}/items?limit=100")
    assert len(page["data"]) == len({item["id"] for item in page["data"]}) == 20


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/v1/conversations", {"itmes": []}, (400, "itmes")),
        ("POST", "/v1/conversations", b"[]", (400, None)),
        ("POST", "/v1/conversations", b'{"metadata":{},"metadata":{}}', (400, None)),
        ("POST", "/v1/conversations/conv_none", {}, (400, "metadata")),
        ("POST", "/v1/conversations/conv_none", {"metadata": {}}, (404, None)),
        ("POST", "/v1/conversations/conv_none", b"", (400, None)),
        ("POST", "/v1/conversations/conv_none/items", {}, (400, "items")),
        ("POST", "/v1/conversations/conv_none/items", {"items": None}, (400, "items")),
        ("POST", "/v1/conversations/conv_none/items", {"items": [LONG]}, (404, None)),
        ("DELETE", "/v1/conversations/conv_none", None, (404, None)),
        ("GET", "/v1/responses/resp_none", None, (404, None)),
        ("DELETE", "/v1/responses/resp_none", None, (404, None)),
        ("POST", "/v1/responses/resp_none/cancel", None, (404, None)),
        ("GET", "/v1/responses/resp_none/input_items", None, (404, None)),
    ],
)
async def test_what_is_refused(desk: Desk, method: str, path: str, body: Any, expected: tuple[int, str | None]) -> None:
    assert await desk.refused(method, path, body) == expected


async def test_a_wrong_method_is_told_all_that_are_allowed(desk: Desk) -> None:
    told = await desk.http.put("/v1/conversations/conv_1")
    assert told.status_code == 405
    assert {name.strip() for name in told.headers["allow"].split(",")} >= {"GET", "POST", "DELETE"}


async def test_a_store_that_is_away_answers_503(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "none" / "parley.db")
    status, told = await desk.ask("POST", "/v1/conversations", {})
    assert (status, told["error"]["code"]) == (503, "overloaded")
    assert told["error"]["message"] == "the store is not available"
    assert await desk.refused("GET", "/v1/responses/resp_1") == (503, None)
    assert [problem["kind"] for problem in desk.store.problems()] == ["store"]
    await desk.http.aclose()
    await desk.store.close()


async def test_conversations_outlive_a_restart(tmp_path: Path) -> None:
    first = Desk(tmp_path / "parley.db")
    made = (await first.sdk().conversations.create(items=[message("hi")])).id  # type: ignore[list-item]
    await first.http.aclose()
    await first.store.close()
    second = Desk(tmp_path / "parley.db")
    assert [item.content[0].text async for item in second.sdk().conversations.items.list(made)] == ["hi"]
    await second.http.aclose()
    await second.store.close()
