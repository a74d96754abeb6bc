"""The network over a real NATS server: nodes hear of each other, and calls go between them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from parties import JSON, Party, Work, heeded, until

from fixtures.nats import NatsServer
from parley.nodes.calling import SILENCE
from parley.nodes.joining import DuplicateError, Joining

Parties = Callable[..., Any]


@pytest.fixture
async def party() -> AsyncIterator[Parties]:
    there: list[Party] = []

    async def make(
        joining: Joining, node: str, *models: str, react: Callable[[Work], None] | None = None, **more: Any
    ) -> Party:
        made = Party(node, *models, react=react)
        await made.join(joining, **more)
        there.append(made)
        return made

    yield make
    for made in there:
        await made.leave()


def at(server: NatsServer, **more: Any) -> Joining:
    return Joining(network=(server.url,), **more)


def echo(work: Work) -> None:
    work.caller.answer(200, JSON + b"X-Thing: 1\r\n", work.request.body)


async def test_a_call_and_its_answer(nats_server: NatsServer, party: Parties) -> None:
    a = await party(at(nats_server), "a")
    b = await party(at(nats_server), "b.with odd/näme", "m", react=echo)
    await until(lambda: b.book.id in a.book.nodes)
    assert a.book.nodes[b.book.id] == b.book.own()
    assert 0 < a.book.latencies[b.book.id] < 30
    _, heard = a.call(b.book.id, more=b"traceparent: 00-1-2-01\r\nauthorization: Bearer k\r\nx-request-id: r1\r\n")
    await heard.end()
    assert (heard.failure, heard.status) == (None, 200)
    assert heard.headers == [(b"content-type", b"application/json"), (b"x-thing", b"1")]
    assert json.loads(heard.text) == {"model": "m", "messages": []}
    request = b.works[0].request
    assert request.target == b"/v1/chat/completions"
    assert request.id == "r1"
    names = dict(request.headers)
    assert names == {
        b"content-type": b"application/json",
        b"traceparent": b"00-1-2-01",
        b"x-request-id": b"r1",
        b"x-parley-node": b"a",
    }


@pytest.mark.parametrize("encrypt", ["off", "on"])
async def test_bodies_larger_than_a_message_go_both_ways(nats_server: NatsServer, party: Parties, encrypt: Any) -> None:
    joining = at(nats_server, encrypt=encrypt)
    a, b = await party(joining, "a"), await party(joining, "b", "m", react=echo)
    await until(lambda: "b" in a.book.nodes)
    text = json.dumps({"model": "m", "text": "xyz" * 2**20}, separators=(",", ":")).encode()
    _, heard = a.call("b", body=text)
    await heard.end()
    assert heard.failure is None
    assert json.loads(heard.text) == json.loads(text)
    assert max(len(part) for part in heard.parts) <= 32 * 1024
    assert not a.network._calling
    assert not b.network._answering


async def test_pieces_arrive_as_they_are_made(nats_server: NatsServer, party: Parties) -> None:
    a, b = await party(at(nats_server), "a"), await party(at(nats_server), "b", "m")
    await until(lambda: "b" in a.book.nodes)
    _, heard = a.call("b")
    work = await until(lambda: b.works and b.works[0])
    work.caller.open(200, b"content-type: text/event-stream\r\n")
    await until(lambda: heard.status)
    for number in range(3):
        work.caller.send(b"data: %d\n\n" % number)
        await until(lambda number=number: len(heard.parts) == number + 1)
    work.caller.finish()
    await heard.end()
    assert heard.parts == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]
    assert heard.failure is None


async def test_whoever_leaves_is_heard(nats_server: NatsServer, party: Parties) -> None:
    a, b = await party(at(nats_server), "a"), await party(at(nats_server), "b", "m")
    await until(lambda: "b" in a.book.nodes)
    before, _ = a.call("b")
    amid, heard = a.call("b")
    await until(lambda: len(b.works) == 2)
    b.works[1].caller.open(200, b"")
    await until(lambda: heard.status)
    before.cancel()
    amid.cancel()
    await until(lambda: b.works[0].has_left and b.works[1].has_left)
    assert not b.network._answering
    assert heard.failure is None
    assert not heard.over.is_set()


async def test_a_slow_reader_holds_the_worker_back(nats_server: NatsServer, party: Parties) -> None:
    a, b = await party(at(nats_server), "a"), await party(at(nats_server), "b", "m")
    await until(lambda: "b" in a.book.nodes)
    flight, heard = a.call("b")
    work = await until(lambda: b.works and b.works[0])
    flight.pause()
    work.caller.open(200, b"")
    sent = 0
    while not work.paused:
        work.caller.send(bytes(10_000))
        sent += 10_000
        assert sent < 2**20
    await until(lambda: heard.status)
    await until(lambda: a.network._calling and next(iter(a.network._calling.values()))._in.arrived >= 128 * 1024)
    for _ in range(20):
        await asyncio.sleep(0.005)
    # One window is under way, one is kept by the node that answers; no more.
    assert sum(map(len, next(iter(a.network._calling.values()))._in.held)) == 128 * 1024
    assert heard.parts == []
    flight.resume()
    await until(lambda: not work.paused)
    work.caller.finish()
    await heard.end()
    assert len(heard.text) == sent


async def test_a_stream_that_broke(nats_server: NatsServer, party: Parties) -> None:
    a, b = await party(at(nats_server), "a"), await party(at(nats_server), "b", "m")
    await until(lambda: "b" in a.book.nodes)
    calls = [a.call("b")[1] for _ in range(2)]
    await until(lambda: len(b.works) == 2)
    for work in b.works:
        work.caller.open(200, b"")
        work.caller.send(b"data: 1\n\n")
    b.works[0].caller.send(b"event: error\n\n")
    b.works[0].caller.finish(close=True)
    b.works[1].caller.cut()
    first, second = [await heard.end() for heard in calls]
    assert (first.text, first.failure.kind) == (b"data: 1\n\nevent: error\n\n", "upstream_incomplete")
    assert (second.text, second.failure.kind) == (b"data: 1\n\n", "upstream_closed")


async def test_nobody_and_nothing_there(nats_server: NatsServer, party: Parties) -> None:
    a, b = await party(at(nats_server), "a"), await party(at(nats_server), "b", "m", react=echo)
    _, heard = a.call("nobody")
    assert (await heard.end()).failure.detail == "node_unreachable"
    await until(lambda: "b" in a.book.nodes)
    _, heard = a.call("b", "another")
    failure = (await heard.end()).failure
    assert (failure.kind, failure.detail) == ("upstream_unreachable", "not_offered")
    assert b.works == []
    # Known, but its connection is gone: the server says that nobody listens, at once or when it is asked again.
    await b.network.link.client.close()
    started = asyncio.get_running_loop().time()
    _, heard = a.call("b")
    assert (await heard.end()).failure.kind in ("upstream_unreachable", "upstream_closed")
    assert asyncio.get_running_loop().time() - started < SILENCE - 1


async def test_a_node_that_is_away_for_a_moment_is_called_again(
    nats_server: NatsServer, party: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.io.nats.network.RETURNS", 60.0)
    a, b = await party(at(nats_server), "a"), await party(at(nats_server), "b", "m", react=echo)
    await until(lambda: "b" in a.book.nodes)
    client = b.network.link.client
    ear = next(one for one in client._subs.values() if ".call." in one.subject)
    await ear.unsubscribe()
    await heeded(client)
    _, heard = a.call("b")
    flight, left = a.call("b")
    await until(lambda: a.network._away)
    flight.cancel()
    before, _, last = ear.subject.rpartition(".")
    await b.network.link.subscribe(before, last, b.network._called, "node")
    assert (await heard.end()).status == 200
    assert (len(b.works), left.status, a.network._away) == (1, 0, {})


async def test_changes_and_goodbyes_are_heard_at_once(nats_server: NatsServer, party: Parties) -> None:
    # Nothing is said in between but what is new.
    joining = at(nats_server, heartbeat=60.0, ttl=180.0)
    a, b = await party(joining, "a"), await party(joining, "b", "m")
    await until(lambda: "b" in a.book.nodes)
    b.book.change("m", "n")
    await until(lambda: len(a.book.nodes["b"].offers) == 2)
    b.book.load = 7
    b.book.change("m", "n")
    await until(lambda: a.book.nodes["b"].offers[0].in_flight == 7)
    late = await party(joining, "late")
    assert await until(lambda: late.book.nodes.get("a") and late.book.nodes.get("b"))
    await b.leave()
    await until(lambda: "b" not in a.book.nodes)


async def test_a_second_node_with_a_living_id_is_refused(nats_server: NatsServer, party: Parties) -> None:
    a = await party(at(nats_server), "a", "m")
    second = Party("a", "stolen")
    with pytest.raises(DuplicateError, match="'a' and is alive"):
        await second.join(at(nats_server), run="another run")
    other = await party(at(nats_server), "other")
    await until(lambda: "a" in other.book.nodes)
    assert other.book.nodes["a"].offers[0].model == "m"
    # Dead without a goodbye, it comes back at once.
    await a.network.link.client.close()
    again = await party(at(nats_server), "a", "n", run="a later run")
    await until(lambda: other.book.nodes["a"].offers[0].model == "n", 12)
    assert again.network.problems() == []
    await a.network.members.leave()


async def test_processes_of_one_node_are_one_node(nats_server: NatsServer, party: Parties) -> None:
    first = await party(at(nats_server), "a", "m", run="r", slot=0, react=echo)
    second = await party(at(nats_server), "a", "m", run="r", slot=1, react=echo)
    other = await party(at(nats_server), "other")
    first.book.load, second.book.load = 2, 3
    first.book.change("m")
    second.book.change("m")
    await until(lambda: "a" in other.book.nodes and other.book.nodes["a"].offers[0].in_flight == 5)
    for _ in range(40):
        assert (await other.call("a")[1].end()).status == 200
    assert first.works
    assert second.works
    await second.leave()
    await until(lambda: other.book.nodes["a"].offers[0].in_flight == 2)


async def test_five_hundred_streams_that_nobody_reads(nats_server: NatsServer, party: Parties) -> None:
    """What is under way is bounded for all of them together."""
    a, b = await party(at(nats_server), "a"), await party(at(nats_server), "b", "m")
    await until(lambda: "b" in a.book.nodes)
    calls = [a.call("b") for _ in range(500)]
    for flight, _ in calls:
        flight.pause()
    await until(lambda: len(b.works) == 500)
    sent = 0
    for work in b.works:
        work.caller.open(200, b"")
        while not work.paused:
            work.caller.send(bytes(20_000))
            sent += 20_000
    await until(lambda: all(heard.status for _, heard in calls))
    held = sum(flight._in.arrived for flight, _ in calls)
    # 256 windows of 128 KiB fill what all share; those that come later are smaller.
    assert held <= 64 * 2**20
    assert all(flight._in.arrived <= 128 * 1024 for flight, _ in calls)
    assert calls[-1][0]._in.arrived <= 67 * 1024
    for flight, _ in calls:
        flight.resume()
    for work in b.works:
        work.caller.finish()
    for _, heard in calls:
        assert (await heard.end(30)).failure is None
    assert sum(len(heard.text) for _, heard in calls) == sent


async def test_who_withdraws_ends_what_is_under_way(nats_server: NatsServer, party: Parties) -> None:
    a, b = (
        await party(at(nats_server, heartbeat=0.2, ttl=120.0), "a"),
        await party(at(nats_server, heartbeat=0.2), "b", "m"),
    )
    await until(lambda: "b" in a.book.nodes)
    _, heard = a.call("b")
    work = await until(lambda: b.works and b.works[0])
    await b.network.withdraw()
    await until(lambda: "b" not in a.book.nodes)
    await asyncio.sleep(0.5)
    assert "b" not in a.book.nodes
    work.caller.answer(200, JSON, b"{}")
    assert (await heard.end()).status == 200
