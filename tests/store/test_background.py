"""Responses that nobody waits for: queued, made, cancelled, failed, left behind by a process that ended."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from parley.failure import Failure, ParleyError
from parley.ports import Kept
from parley.store import Away, Background, background, conversations, responses, vigil
from parley.store.conversations import Conversation
from store.parts import Shelf, answer, kept, message, until, within, words


async def begun(shelf: Shelf, id: str = "r1", **more: Any) -> Background:
    """A queued response, as the gateway would begin it."""
    queued = {
        "id": id,
        "object": "response",
        "created_at": 1_000_000,
        "status": "completed",
        "completed_at": 7,
        "x": 1.50,
    }
    outcome = await begin(shelf, kept(id, "long work", response=queued, **more))
    assert isinstance(outcome, Background)
    return outcome


async def begin(shelf: Shelf, queued: Kept) -> Background | Failure:
    future: asyncio.Future[Background | Failure] = asyncio.get_running_loop().create_future()
    shelf.store.begin_background(queued, future.set_result)
    return await within(future)


async def body(shelf: Shelf, id: str = "r1", owner: str = "") -> Any:
    found = await shelf.store.ask(lambda link: responses.fetch(link, owner, id), (id,))
    return msgspec.json.decode(found.body)


class Stops:
    """A job's way to be stopped."""

    def __init__(self) -> None:
        self.times = 0
        self.heard = asyncio.Event()

    def __call__(self) -> None:
        self.times += 1
        self.heard.set()


async def test_it_is_queued_then_under_way_then_what_came_of_it(shelf: Shelf) -> None:
    made = await begun(shelf)
    assert await body(shelf) == {
        "id": "r1",
        "object": "response",
        "created_at": 1_000_000,
        "status": "queued",
        "completed_at": None,
        "x": 1.5,
        "background": True,
        "usage": None,
        "output": [],
    }
    assert msgspec.json.decode(made.kept.response) == await body(shelf)
    made.runs(Stops())
    under_way = await body(shelf)
    assert (under_way["status"], under_way["x"]) == ("in_progress", 1.5)
    assert shelf.store.backgrounds.running == 1
    told = msgspec.json.encode(answer("resp_of_the_provider", "done", created_at=5))
    made.answer(200, b"", told)
    final = await body(shelf)
    assert (final["id"], final["status"], final["created_at"], final["background"]) == (
        "r1",
        "completed",
        1_000_000,
        True,
    )
    assert final["output"][0]["content"][0]["text"] == "done"
    assert shelf.store.backgrounds.running == 0
    assert words((await shelf.recall("r1")).items) == ["long work", "done"]


async def test_it_cannot_be_followed_while_it_is_made(shelf: Shelf) -> None:
    await begun(shelf)
    failure = await shelf.told("r1")
    assert (failure.http_status, failure.param) == (400, "previous_response_id")
    assert "still queued" in failure.message


async def test_a_conversation_hears_of_it_once_it_is_done(shelf: Shelf) -> None:
    new = Conversation("conv_1", 1, b"{}")
    await shelf.store.change(lambda link: conversations.create(link, "", new, [msgspec.json.encode(message("before"))]))
    made = await begun(shelf, conversation="conv_1")
    made.runs(Stops())
    assert words((await shelf.recall(conversation="conv_1")).items) == ["before"]
    made.answer(200, b"", msgspec.json.encode(answer("x", "done")))
    assert words((await shelf.recall(conversation="conv_1")).items) == ["before", "long work", "done"]


@pytest.mark.parametrize(
    ("status", "told", "code", "words"),
    [
        (502, b'{"error":{"message":"it broke","code":"upstream_error"}}', "server_error", "it broke"),
        (429, b'{"error":{"message":"too fast"}}', "rate_limit_exceeded", "too fast"),
        (404, b'{"error":{"message":"no model"}}', "invalid_prompt", "no model"),
        (500, b"<html>", "server_error", "the provider did not answer with a response"),
        (200, b"[1]", "server_error", "the provider did not answer with a response"),
        (200, b"{", "server_error", "the provider did not answer with a response"),
    ],
)
async def test_an_error_makes_it_fail(shelf: Shelf, status: int, told: bytes, code: str, words: str) -> None:
    made = await begun(shelf)
    made.runs(Stops())
    made.answer(status, b"", told)
    failed = await body(shelf)
    assert (failed["status"], failed["error"]) == ("failed", {"code": code, "message": words})
    assert failed["id"] == "r1"


async def test_cancelling_stops_the_job_and_stays(shelf: Shelf) -> None:
    made, stops = await begun(shelf), Stops()
    made.runs(stops)
    assert msgspec.json.decode(await shelf.store.cancel("", "r1"))["status"] == "cancelled"
    assert (stops.times, shelf.store.backgrounds.running) == (1, 0)
    made.answer(200, b"", msgspec.json.encode(answer("x", "too late")))
    assert (await body(shelf))["status"] == "cancelled"
    assert msgspec.json.decode(await shelf.store.cancel("", "r1"))["status"] == "cancelled"


async def test_only_background_responses_of_ones_own_can_be_cancelled(shelf: Shelf) -> None:
    shelf.store.keep(kept("plain", "hi"))
    with pytest.raises(ParleyError) as caught:
        await shelf.store.cancel("", "plain")
    assert caught.value.failure.message == "Cannot cancel a synchronous response."
    assert caught.value.failure.http_status == 400
    made, stops = await begun(shelf, owner="a"), Stops()
    made.runs(stops)
    with pytest.raises(ParleyError) as caught:
        await shelf.store.cancel("b", "r1")
    assert (caught.value.failure.http_status, stops.times) == (404, 0)


async def test_deleting_one_stops_it(shelf: Shelf) -> None:
    made, stops = await begun(shelf), Stops()
    made.runs(stops)
    await shelf.store.remove_response("", "r1")
    assert stops.times == 1
    with pytest.raises(ParleyError):
        await body(shelf)


async def test_another_process_may_cancel_it(opened: Callable[..., Shelf], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "BEAT_SECONDS", 0.01)
    here, there = opened(busy=5.0), opened(busy=5.0)
    made, stops = await begun(here), Stops()
    made.runs(stops)
    assert (await body(there))["status"] in ("queued", "in_progress")
    await there.store.cancel("", "r1")
    await within(stops.heard.wait())
    assert (stops.times, here.store.backgrounds.running) == (1, 0)


async def pass_by(shelf: Shelf, seconds: float) -> None:
    """Let time go by, as it does: the store is asked all the while."""
    for _ in range(int(seconds / vigil.LOOK_SECONDS) + 1):
        shelf.ticks += vigil.LOOK_SECONDS
        await shelf.store.ask(lambda link: None)
        await shelf.store.ask(lambda link: None)


async def test_one_whose_maker_is_gone_has_failed(opened: Callable[..., Shelf], gone: Shelf) -> None:
    await begun(gone)
    gone.store.backgrounds.close()
    heir = opened()
    await pass_by(heir, vigil.DEAD_SECONDS - 2 * vigil.LOOK_SECONDS)
    assert (await body(heir))["status"] == "queued"
    await pass_by(heir, 3 * vigil.LOOK_SECONDS)
    failed = await body(heir)
    assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")
    assert msgspec.json.decode(await heir.store.cancel("", "r1"))["status"] == "failed"
    assert words((await heir.recall("r1")).items) == ["long work"]
    assert {"event": "recovery", "rows": 1} in heir.log


async def test_one_that_says_it_is_alive_has_not_failed(
    opened: Callable[..., Shelf], gone: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "BEAT_SECONDS", 0.01)
    made = await begun(gone)
    other = opened()
    for _ in range(10):
        gone.seconds += 1
        before = gone.seconds

        async def beaten(before: float = before) -> bool:
            row = await gone.store.ask(lambda link: link.one("SELECT alive FROM responses"))
            return bool(row.alive >= before)

        await until(beaten)
        await pass_by(other, vigil.LOOK_SECONDS)
    assert (await body(other))["status"] == "queued"
    made.stop()


async def test_clocks_that_are_set_end_nothing(opened: Callable[..., Shelf], gone: Shelf) -> None:
    await begun(gone)
    other = opened()
    for jump in (3600, -7200, 86400):
        other.seconds += jump
        await pass_by(other, vigil.LOOK_SECONDS)
        assert (await body(other))["status"] == "queued"


async def test_without_the_store_nothing_is_begun(opened: Callable[..., Shelf], tmp_path: Any) -> None:
    shelf = opened(tmp_path / "none" / "parley.db")
    outcome = await begin(shelf, kept("r1", "hi"))
    assert isinstance(outcome, Failure)
    assert (outcome.http_status, shelf.store.backgrounds.running) == (503, 0)


async def test_too_many_are_refused(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "MAX_RUNNING", 1)
    await begun(shelf)
    outcome = await begin(shelf, kept("r2", "hi"))
    assert isinstance(outcome, Failure)
    assert (outcome.http_status, outcome.retry_after) == (503, 10.0)


async def test_the_last_word_is_said_again_when_the_store_is_back(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "AGAIN_SECONDS", 0.01)
    made = await begun(shelf)
    made.runs(Stops())
    await shelf.store.ask(lambda link: None)

    def away(*values: Any) -> None:
        raise Away("gone for a test")

    with monkeypatch.context() as broken:
        broken.setattr(responses, "progress", away)
        made.answer(200, b"", msgspec.json.encode(answer("x", "done")))
        with pytest.raises(ParleyError):
            await shelf.store.ask(lambda link: None)
        assert shelf.store.problems() != []
    shelf.ticks += 10

    async def written() -> bool:
        return bool((await body(shelf))["status"] == "completed")

    await until(written)
    assert shelf.store.backgrounds.running == 0


async def test_a_stream_is_no_answer(shelf: Shelf) -> None:
    made = await begun(shelf)
    made.open(200, b"")
    made.send(b"data: {}\n\n")
    made.finish()
    assert (await body(shelf))["status"] == "failed"
    other = await begun(shelf, "r2")
    other.cut()
    assert (await body(shelf, "r2"))["status"] == "failed"
