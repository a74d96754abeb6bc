"""The shell as plain ASGI: the hot paths, the edge's limits, callers who leave, and all the rest handed on."""

import asyncio
from typing import Any

import msgspec
import pytest

from gateway.parts import ANSWER, CHAT, DONE, MESSAGES, OPENING, STOP, WORD, only
from serve.parts import BODY, HOST, STREAM, Door, settle


async def test_a_whole_answer() -> None:
    door = Door()
    asked = door.ask(BODY[:10], BODY[10:], b"", headers=[HOST, (b"x-request-id", b"mine"), (b"openai-beta", b"x")])
    await settle()
    (sent,) = door.stage.sent
    assert (sent.body["model"], sent.lines[b"openai-beta"]) == ("m-1", b"x")
    sent.whole()
    await asked.over()
    assert (asked.status, asked.body) == (200, ANSWER)
    assert asked.headers == {
        b"content-type": b"application/json",
        b"x-request-id": b"mine",
        b"request-id": b"mine",
        b"x-parley-target": b"a/m-1",
        b"x-parley-attempts": b"1",
        b"content-length": b"%d" % len(ANSWER),
    }
    door.stage.quiet()


async def test_a_stream_piece_by_piece() -> None:
    door = Door()
    asked = door.ask(STREAM)
    await settle()
    (sent,) = door.stage.sent
    sent.begin()
    sent.say(OPENING)
    await settle()
    assert asked.said == []
    sent.say(WORD)
    await settle()
    assert asked.status == 200
    assert asked.said[1:] == [{"type": "http.response.body", "body": OPENING + WORD, "more_body": True}]
    sent.say(STOP + DONE)
    await asked.over()
    assert asked.body == OPENING + WORD + STOP + DONE
    assert asked.headers[b"content-type"] == b"text/event-stream"
    assert b"content-length" not in asked.headers
    door.stage.quiet()


async def test_a_stream_that_breaks_ends_in_an_error_event() -> None:
    door = Door()
    asked = door.ask(STREAM)
    await settle()
    door.stage.sent[0].begin()
    door.stage.sent[0].say(WORD, b"data: {broken\n\n")
    await asked.over()
    assert asked.body.startswith(WORD + b'data: {"error":')
    assert only(door.stage)["outcome"] == "error"


@pytest.mark.parametrize("path", [b"/v1/models", b"/", b"/metrics", b"/v1/nothing", CHAT])
async def test_everything_else_is_handed_on(path: bytes) -> None:
    door = Door()
    for _ in range(2):
        asked = await door.ask(b"", method="GET", path=path).over()
        assert asked.body == b"other"
    assert door.others == [path.decode()] * 2
    assert door.made == 1


async def test_what_is_no_request_is_left_alone() -> None:
    door = Door()
    asked = await door.ask(type="lifespan").over()
    assert asked.said == []


# --- the edge ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "status", "reason"),
    [
        ({"headers": []}, 400, "bad_host"),
        ({"headers": [HOST, HOST]}, 400, "bad_host"),
        ({"headers": [(b"host", b"evil.example")]}, 421, "bad_host"),
        ({"headers": [HOST, (b"origin", b"https://evil.example")]}, 403, "origin"),
        ({"headers": [HOST] + [(b"x", b"y")] * 100}, 431, "headers"),
        ({"headers": [HOST, (b"x", b"y" * 20_000)]}, 431, "headers"),
        ({"query_string": b"x" * 20_000}, 431, "headers"),
        ({"path": b"/v1/../etc", "method": "GET"}, 400, "bad_path"),
        ({"path": b"/v1/%2e%2e/etc", "method": "GET"}, 400, "bad_path"),
        ({"headers": [HOST, (b"content-length", b"10485761")]}, 413, "body_too_large"),
    ],
)
async def test_what_does_not_come_in(scope: dict[str, Any], status: int, reason: str) -> None:
    door = Door()
    asked = await door.ask(BODY, **scope).over()
    assert asked.status == status
    assert asked.headers[b"connection"] == b"close"
    assert asked.headers[b"x-request-id"]
    assert msgspec.json.decode(asked.body)["error"]["message"]
    assert (door.stage.sent, door.others) == ([], [])
    assert door.stage.counts["parley_rejected_total", reason] == 1


@pytest.mark.parametrize(("path", "shape"), [(CHAT, {"error"}), (MESSAGES, {"type", "error", "request_id"})])
async def test_a_refusal_has_the_shape_of_the_dialect(path: bytes, shape: set[str]) -> None:
    asked = await Door().ask(BODY, path=path, headers=[]).over()
    assert shape <= set(msgspec.json.decode(asked.body))


async def test_a_body_that_grows_too_large() -> None:
    door = Door().limited(body=100)
    asked = await door.ask(b"x" * 60, b"x" * 60, b"").over()
    assert (asked.status, asked.code) == (413, "body_too_large")
    assert door.stage.sent == []


async def test_a_body_that_does_not_come() -> None:
    door = Door().limited(body_time=0.02)
    asked = door.ask()
    asked.coming.put_nowait({"type": "http.request", "body": BODY[:5], "more_body": True})
    await asked.over()
    assert asked.status == 408
    assert door.stage.counts["parley_rejected_total", "body_timeout"] == 1


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        (CHAT, "POST", 503),
        (b"/v1/models", "GET", 503),
        (b"/v1.0/metadata", "GET", 503),
        (b"/livez", "GET", 200),
        (b"/readyz", "GET", 200),
        (b"/v1.0/healthz", "GET", 200),
        (b"/v1.0/healthz/outbound", "GET", 200),
    ],
)
async def test_while_draining_only_health_is_answered(path: bytes, method: str, status: int) -> None:
    door = Door()
    door.house.draining = True
    asked = await door.ask(BODY, path=path, method=method).over()
    assert asked.status == status
    assert door.stage.sent == []


# --- callers -----------------------------------------------------------------------------------


async def test_a_caller_who_leaves_during_the_body() -> None:
    door = Door()
    asked = door.ask()
    asked.coming.put_nowait({"type": "http.request", "body": BODY[:5], "more_body": True})
    asked.leave()
    await asked.over()
    assert (asked.said, door.stage.sent, door.stage.records) == ([], [], [])


@pytest.mark.parametrize("pieces", [None, (OPENING,), (OPENING, WORD)])
async def test_a_caller_who_leaves_during_the_answer(pieces: tuple[bytes, ...] | None) -> None:
    door = Door()
    asked = door.ask(STREAM)
    await settle()
    (sent,) = door.stage.sent
    if pieces is not None:
        sent.begin()
        sent.say(*pieces)
    asked.leave()
    await asked.over()
    assert sent.cancelled
    assert only(door.stage)["outcome"] == "client_abort"
    door.stage.quiet()


async def test_a_server_that_cancels_the_request() -> None:
    door = Door()
    asked = door.ask(STREAM)
    await settle()
    asked.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked.task
    assert door.stage.sent[0].cancelled
    assert only(door.stage)["outcome"] == "client_abort"
    door.stage.quiet()


async def test_a_server_that_cannot_send() -> None:
    door = Door()
    asked = door.ask(STREAM)
    asked.broken = True
    await settle()
    (sent,) = door.stage.sent
    sent.begin()
    sent.say(WORD)
    await asked.over()
    assert sent.cancelled
    assert only(door.stage)["outcome"] == "client_abort"


async def test_a_caller_who_reads_slowly_pauses_the_provider() -> None:
    door = Door()
    asked = door.ask(STREAM)
    await settle()
    (sent,) = door.stage.sent
    asked.gate.clear()
    sent.begin()
    sent.say(*[WORD] * 200)
    await settle()
    assert sent.paused
    asked.gate.set()
    await settle()
    async with asyncio.timeout(30):
        while sent.paused:  # noqa: ASYNC110 - one turn of the loop per message
            await asyncio.sleep(0)
    sent.say(STOP + DONE)
    await asked.over()
    assert asked.body == WORD * 200 + STOP + DONE
