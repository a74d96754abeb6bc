"""What is remembered of responses: history, owners, references, deletion, retention, restarts."""

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parley.failure import Failure, ParleyError
from parley.ports import Recalled
from parley.store import Store, conversations, place, responses
from parley.store.conversations import Conversation
from parley.store.items import Cut
from parley.store.store import SWEEP_SECONDS
from store.parts import DAY, Shelf, kept, message, words


def fetch(shelf: Shelf, id: str, owner: str = "") -> Any:
    return shelf.store.ask(lambda link: responses.fetch(link, owner, id), (id,))


async def conversation(shelf: Shelf, id: str = "conv_1", owner: str = "", *items: dict[str, Any]) -> None:
    made = Conversation(id, int(shelf.seconds), b"{}")
    bodies = [msgspec.json.encode(item) for item in items]
    await shelf.store.change(lambda link: conversations.create(link, owner, made, bodies))


async def test_a_chain_is_told_from_its_beginning(shelf: Shelf) -> None:
    shelf.store.keep(kept("r1", "one", "uno"))
    shelf.store.keep(kept("r2", "two", "due", previous="r1"))
    shelf.store.keep(kept("r3", "three", "tre", previous="r2", provider="q", native=True))
    shelf.store.keep(kept("other", "elsewhere", previous="r1"))
    recalled = await shelf.recall("r3")
    assert words(recalled.items) == ["one", "uno", "two", "due", "three", "tre"]
    assert (recalled.provider, recalled.native) == ("q", True)
    assert words((await shelf.recall("r1")).items) == ["one", "uno"]


async def test_nothing_before_is_nothing(shelf: Shelf) -> None:
    assert await shelf.recall() == Recalled(b"[]", "", False)


async def test_items_come_back_as_they_were_written(shelf: Shelf) -> None:
    odd = b'[{"role":"user","content":"hi","x":1.50,"y":null}, {"type":"x","z":10000000000000000000000}]'
    shelf.store.keep(kept("r1", "", input=odd))
    recalled = await shelf.recall("r1")
    assert recalled.items.startswith(b'[{"role":"user","content":"hi","x":1.50,"y":null},{"type":"x",')
    assert b'"z":10000000000000000000000' in recalled.items


async def test_an_unknown_previous_response_is_refused_as_clients_expect(shelf: Shelf) -> None:
    failure = await shelf.told("resp_none")
    assert (failure.http_status, failure.param) == (400, "previous_response_id")
    assert failure.upstream_code == "previous_response_not_found"
    assert failure.message == "Previous response with id 'resp_none' not found."


async def test_owners_never_meet(shelf: Shelf) -> None:
    shelf.store.keep(kept("r1", "mine", owner="a"))
    shelf.store.keep(kept("r1", "yours", owner="b"))
    shelf.store.keep(kept("only", "mine alone", owner="a"))
    assert words((await shelf.recall("r1", owner="a")).items)[0] == "mine"
    assert words((await shelf.recall("r1", owner="b")).items)[0] == "yours"
    for owner in ("b", ""):
        failure = await shelf.told("only", owner=owner)
        nobody = await shelf.told("made nowhere", owner=owner)
        assert (failure.upstream_code, failure.detail, nobody.detail) == (
            "previous_response_not_found",
            "another_owners",
            "",
        )
        assert failure.message.replace("only", "made nowhere") == nobody.message
        with pytest.raises(ParleyError) as caught:
            await fetch(shelf, "only", owner)
        assert caught.value.failure.http_status == 404
        assert isinstance(await shelf.resolve([{"type": "item_reference", "id": "msg_of_only"}], owner), Failure)
        with pytest.raises(ParleyError):
            await shelf.store.remove_response(owner, "only")
    await conversation(shelf, "conv_a", "a", message("secret"))
    assert (await shelf.told(conversation="conv_a", owner="b")).http_status == 404


async def test_a_hundred_at_once_are_seen_by_the_next_read(shelf: Shelf) -> None:
    for number in range(100):
        previous = f"r{number - 1}" if number else None
        shelf.store.keep(kept(f"r{number}", f"q{number}", f"a{number}", previous=previous))
    recalled = await shelf.recall("r99")
    assert words(recalled.items) == [word for number in range(100) for word in (f"q{number}", f"a{number}")]


async def test_a_restart_forgets_nothing(opened: Callable[..., Shelf]) -> None:
    first = opened()
    for number in range(20):
        first.store.keep(kept(f"r{number}", f"q{number}"))
    await first.store.close()
    second = opened()
    assert words((await second.recall("r19")).items) == ["q19", "answer to q19"]
    assert second.tables("SELECT count(*) FROM responses") == [(20,)]


async def test_after_closing_nothing_is_taken_and_nothing_hangs(opened: Callable[..., Shelf]) -> None:
    shelf = opened()
    shelf.store.keep(kept("r1", "one"))
    await shelf.store.close()
    shelf.store.keep(kept("r2", "two"))
    heard: list[Any] = []
    shelf.store.recall("r1", None, "", heard.append)
    assert [failure.kind for failure in heard] == ["overloaded"]
    assert shelf.store.dropped == 1


async def test_the_default_file_is_private_and_holds_no_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    store = Store(None, asyncio.get_running_loop())
    file = place.place_of(None).path
    assert file is not None
    assert tmp_path in file.parents
    assert not store.exists
    assert not file.parent.exists()
    tool = {"type": "mcp", "server_label": "s", "authorization": "SECRET-ONE", "headers": {"x-key": "SECRET-TWO"}}
    response = {"id": "r1", "object": "response", "status": "completed", "tools": [tool], "output": [], "n": 1.50}
    store.keep(kept("r1", "hi", response=response))
    found = await store.ask(lambda link: responses.fetch(link, "", "r1"), ("r1",))
    assert msgspec.json.decode(found.body)["tools"] == [{"type": "mcp", "server_label": "s"}]
    assert store.exists
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    written = [path for path in file.parent.iterdir() if path.is_file()]
    assert len(written) >= 2
    assert [path.name for path in written if stat.S_IMODE(path.stat().st_mode) != 0o600] == []
    assert [path.name for path in written if b"SECRET" in path.read_bytes()] == []
    await store.close()


async def test_a_conversation_grows_with_each_response(shelf: Shelf) -> None:
    await conversation(shelf, "conv_1", "", message("before", id="msg_given"))
    assert words((await shelf.recall(conversation="conv_1")).items) == ["before"]
    shelf.store.keep(kept("r1", "one", "uno", conversation="conv_1"))
    shelf.store.keep(kept("r2", "two", "due", conversation="conv_1"))
    recalled = await shelf.recall(conversation="conv_1")
    assert words(recalled.items) == ["before", "one", "uno", "two", "due"]
    assert (recalled.provider, recalled.native) == ("", False)
    # A response made in it knows what had been said by then, also where the next request names it alone.
    assert words((await shelf.recall("r1")).items) == ["before", "one", "uno"]
    shelf.store.keep(kept("r3", "three", "tre", previous="r1"))
    assert words((await shelf.recall("r3")).items) == ["before", "one", "uno", "three", "tre"]


async def test_a_failed_response_leaves_its_conversation_alone(shelf: Shelf) -> None:
    await conversation(shelf)
    failed = {"id": "r1", "object": "response", "status": "failed", "output": []}
    shelf.store.keep(kept("r1", "one", conversation="conv_1", response=failed))
    assert (await shelf.recall(conversation="conv_1")).items == b"[]"


async def test_a_conversation_and_a_previous_response_exclude_each_other(shelf: Shelf) -> None:
    shelf.store.keep(kept("r1", "one"))
    await conversation(shelf)
    assert (await shelf.told("r1", "conv_1")).param == "previous_response_id"
    unknown = await shelf.told(conversation="conv_none")
    assert (unknown.http_status, unknown.param) == (404, "conversation")


async def test_references_are_replaced_by_what_they_name(shelf: Shelf) -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}
    response = {"id": "r1", "object": "response", "status": "completed", "output": [call]}
    shelf.store.keep(kept("r1", "one", response=response, input=msgspec.json.encode([message("one", id="msg_in")])))
    await conversation(shelf, "conv_1", "", message("two", id="msg_conv"))
    asked = [{"type": "item_reference", "id": name} for name in ("msg_in", "fc_1", "msg_conv")] + [message("new")]
    found = await shelf.resolve(asked)
    assert found == [message("one", id="msg_in"), call, message("two", id="msg_conv"), message("new")]
    failure = await shelf.resolve([message("new"), {"type": "item_reference", "id": "msg_none"}])
    assert (failure.http_status, failure.param) == (404, "input[1].id")


async def test_input_items_are_all_that_the_response_was_made_from(shelf: Shelf) -> None:
    shelf.store.keep(kept("r1", "one", "uno"))
    shelf.store.keep(kept("r2", "two", "due", previous="r1"))

    def page(**cut: Any) -> Any:
        return shelf.store.ask(lambda link: responses.input_items(link, "", "r2", Cut(**cut)), ("r2",))

    up = await page(descending=False)
    assert [item["content"][0]["text"] for item in up["data"]] == ["one", "uno", "two"]
    assert [item["content"][0]["type"] for item in up["data"]] == ["input_text", "output_text", "input_text"]
    ids = [item["id"] for item in up["data"]]
    assert ids[1] == "msg_of_r1"
    assert (up["first_id"], up["last_id"], up["has_more"]) == (ids[0], ids[2], False)
    assert [item["id"] for item in (await page())["data"]] == ids[::-1]
    first = await page(limit=2)
    assert ([item["id"] for item in first["data"]], first["has_more"]) == ([ids[2], ids[1]], True)
    rest = await page(limit=2, after=first["last_id"])
    assert ([item["id"] for item in rest["data"]], rest["has_more"]) == ([ids[0]], False)
    with pytest.raises(ParleyError) as caught:
        await page(after="msg_none")
    assert caught.value.failure.param == "after"


async def test_a_deleted_response_is_gone_and_breaks_what_followed(shelf: Shelf) -> None:
    shelf.store.keep(kept("r1", "a very private question"))
    shelf.store.keep(kept("r2", "two", previous="r1"))
    await shelf.store.remove_response("", "r1")
    assert (await shelf.told("r2")).message == "Previous response with id 'r1' not found."
    with pytest.raises(ParleyError):
        await shelf.store.remove_response("", "r1")
    assert shelf.tables("SELECT count(*) FROM response_items WHERE response = 'r1'") == [(0,)]
    await shelf.store.close()
    if shelf.url.startswith("sqlite:"):
        assert b"very private" not in await asyncio.to_thread(Path(shelf.path).read_bytes)
    else:
        assert shelf.tables("SELECT id FROM responses WHERE position('very private'::bytea in body) > 0") == []


async def test_a_chain_that_is_too_long_is_refused(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.store.keep(kept("r1", "one"))
    shelf.store.keep(kept("r2", "two", previous="r1"))
    shelf.store.keep(kept("r3", "three", previous="r2"))
    monkeypatch.setattr(responses, "MAX_CHAIN", 2)
    failure = await shelf.told("r3")
    assert (failure.http_status, failure.param) == (400, "previous_response_id")
    assert words((await shelf.recall("r2")).items)[0] == "one"
    monkeypatch.setattr(responses, "MAX_HISTORY_BYTES", 10)
    assert (await shelf.told("r1")).upstream_code == "context_length_exceeded"
    await conversation(shelf, "conv_1", "", message("long"))
    monkeypatch.setattr(conversations, "MAX_HISTORY_BYTES", 10)
    assert (await shelf.told(conversation="conv_1")).param == "conversation"


async def test_what_nobody_has_used_for_too_long_is_removed(opened: Callable[..., Shelf]) -> None:
    shelf = opened(retention=30 * DAY)
    shelf.store.keep(kept("old", "old"))
    shelf.store.keep(kept("root", "root"))
    await conversation(shelf, "conv_old", "", message("x"))
    shelf.seconds += 20 * DAY
    shelf.store.keep(kept("leaf", "leaf", previous="root"))
    await conversation(shelf, "conv_new")
    shelf.seconds += 20 * DAY
    shelf.ticks += SWEEP_SECONDS
    # Reads after the time has come set it off, one kind of work each; the next one sees it done.
    await shelf.told("old")
    await shelf.told("old")
    assert isinstance(await shelf.told("old"), Failure)
    assert words((await shelf.recall("leaf")).items)[0] == "root"
    assert shelf.tables("SELECT id FROM conversations") == [("conv_new",)]
    assert shelf.tables("SELECT count(*) FROM conversation_items") == [(0,)]
    assert shelf.tables("SELECT id FROM responses ORDER BY id") == [("leaf",), ("root",)]


async def test_the_same_id_again_replaces_what_was_there(shelf: Shelf) -> None:
    shelf.store.keep(kept("r1", "first"))
    shelf.store.keep(kept("r1", "second"))
    assert words((await shelf.recall("r1")).items) == ["second", "answer to second"]
