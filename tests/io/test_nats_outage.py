"""What may happen to the servers of a network, and to a node while it answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from parties import JSON, Party, Work, until

from fixtures.children import free_port
from fixtures.nats import NatsServer, Servers
from parley.nodes.joining import Joining, Tls

Parties = Callable[..., Any]
FAST = {"ttl": 3.0, "heartbeat": 0.5}


@pytest.fixture
async def party() -> AsyncIterator[Parties]:
    there: list[Party] = []

    async def make(joining: Joining, node: str, *models: str, **more: Any) -> Party:
        made = Party(node, *models, react=lambda work: work.caller.answer(200, JSON, b"{}"))
        there.append(made)
        return await made.join(joining, **more)

    yield make
    for made in there:
        await made.leave()


async def good(a: Party, node: str) -> bool:
    return (await a.call(node)[1].end()).status == 200


async def test_a_server_that_was_killed_comes_back_empty(nats_server: NatsServer, party: Parties) -> None:
    joining = Joining(network=(nats_server.url,), **FAST)
    a, b = await party(joining, "a", "n"), await party(joining, "b", "m")
    await until(lambda: "b" in a.book.nodes)
    nats_server.kill()
    await until(lambda: not a.network.link.connected)
    failure = (await a.call("b")[1].end()).failure
    assert (failure.kind, failure.detail) == ("upstream_unreachable", "node_unreachable")
    assert a.network.problems()[0]["kind"] == "network"
    killed = time.monotonic()
    await until(lambda: "b" not in a.book.nodes)
    assert time.monotonic() - killed <= FAST["ttl"] + 20
    nats_server.start()
    await until(lambda: "b" in a.book.nodes and "a" in b.book.nodes, 30)
    assert await good(a, "b")
    assert a.network.problems() == b.network.problems() == []


async def test_a_short_outage_is_not_noticed_by_new_calls(
    nats_server: NatsServer, party: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.io.nats.network.RETURNS", 60.0)
    joining = Joining(network=(nats_server.url,))
    a, b = await party(joining, "a"), await party(joining, "b", "m")
    await until(lambda: "b" in a.book.nodes)
    nats_server.kill()
    await until(lambda: not a.network.link.connected and not b.network.link.connected)
    held, heard = a.call("b")
    held.pause()
    flight, left = a.call("b")
    flight.cancel()
    nats_server.start()
    await until(lambda: b.works, 60)
    held.resume()
    assert (await heard.end(60)).status == 200
    assert (len(b.works), left.status, left.failure) == (1, 0, None)


async def test_a_short_outage_is_not_noticed_by_calls_that_wait(nats_server: NatsServer, party: Parties) -> None:
    joining = Joining(network=(nats_server.url,))
    a, b = await party(joining, "a"), await party(joining, "b", "m")
    b.react = None
    await until(lambda: "b" in a.book.nodes)
    _, heard = a.call("b")
    work: Work = await until(lambda: b.works and b.works[0])
    nats_server.kill()
    await until(lambda: not a.network.link.connected and not b.network.link.connected)
    nats_server.start()
    await until(lambda: a.network.link.connected and b.network.link.connected, 30)
    await asyncio.sleep(0.1)
    work.caller.answer(200, JSON, b"[]")
    assert (await heard.end()).text == b"[]"


async def test_what_was_lost_in_an_outage_is_noticed(nats_server: NatsServer, party: Parties) -> None:
    joining = Joining(network=(nats_server.url,))
    a, b = await party(joining, "a"), await party(joining, "b", "m")
    b.react = None
    await until(lambda: "b" in a.book.nodes)
    _, heard = a.call("b")
    work: Work = await until(lambda: b.works and b.works[0])
    work.caller.open(200, b"")
    await until(lambda: heard.status)
    # As if the servers had lost one message.
    publish, b.network.link.publish = b.network.link.publish, lambda *words: None  # type: ignore[method-assign]
    work.caller.send(b"data: 1\n\n")
    await asyncio.sleep(0.05)
    b.network.link.publish = publish  # type: ignore[method-assign]
    work.caller.send(b"data: 2\n\n")
    failure = (await heard.end()).failure
    assert (failure.kind, failure.detail) == ("upstream_incomplete", "node_gap")
    assert heard.parts == []
    await until(lambda: work.has_left)


async def test_a_start_without_servers_goes_on_trying(nats_server: NatsServer, party: Parties) -> None:
    nats_server.kill()
    joining = Joining(network=(nats_server.url,), **FAST)
    made = Party("a", "m", react=lambda work: work.caller.answer(200, JSON, b"{}"))
    await made.join(joining)
    assert "cannot be reached" in made.network.problems()[0]["message"]
    nats_server.start()
    b = await party(joining, "b")
    await until(lambda: "a" in b.book.nodes, 30)
    assert await good(b, "a")
    await made.leave()


async def test_a_server_that_stands_still(nats_server: NatsServer, party: Parties) -> None:
    joining = Joining(network=(nats_server.url,), **FAST)
    a, b = await party(joining, "a", "n"), await party(joining, "b", "m")
    await until(lambda: "b" in a.book.nodes)
    nats_server.halt()
    try:
        await until(lambda: "b" not in a.book.nodes and "a" not in b.book.nodes)
    finally:
        nats_server.go_on()
    await until(lambda: "b" in a.book.nodes and "a" in b.book.nodes, 30)
    assert await good(a, "b")


async def test_who_may_connect_is_the_servers_matter(nats_servers: Servers, party: Parties) -> None:
    server = nats_servers("--auth", "t0k")
    refused = Party("r", "m")
    await refused.join(Joining(network=(server.url,), token="wrong"))
    # A server may have closed before its reason was read: the next try, a second later, tells.
    await until(lambda: "uthorization" in refused.network.problems()[0]["message"], 30)
    assert "wrong" not in str(refused.log)
    await refused.leave()
    await party(Joining(network=(server.url,), token="t0k"), "a", "m")


async def test_a_cluster_loses_a_server(nats_servers: Servers, party: Parties) -> None:
    ports = [free_port() for _ in range(3)]
    routes = ",".join(f"nats://127.0.0.1:{port}" for port in ports)
    words = [("-n", f"s{port}", "--cluster_name", "c", "--cluster", f"nats://127.0.0.1:{port}") for port in ports]
    servers = [nats_servers(*one, "--routes", routes) for one in words]
    urls = tuple(server.url for server in servers)
    joining = Joining(network=urls, replicas=3, **FAST)
    a, b = await party(joining, "a"), await party(joining, "b", "m")
    await until(lambda: "b" in a.book.nodes, 30)
    url = b.network.link.client.connected_url.netloc
    killed = next(server for server in servers if server.url.endswith(url))
    killed.kill()
    await until(lambda: a.network.link.connected and b.network.link.connected, 30)
    # Facts go on: the others keep them.
    b.book.change("m", "n")
    await until(lambda: "b" in a.book.nodes and len(a.book.nodes["b"].offers) == 2, 40)
    assert await good(a, "b")


async def test_two_that_started_apart_meet(nats_server: NatsServer, party: Parties) -> None:
    """One id twice, because neither could be asked: the one that has been there for longer stays."""
    joining = Joining(network=(nats_server.url,), **FAST)
    watching = await party(joining, "w")
    old = await party(joining, "a", "old", run="1")
    nats_server.halt()
    young = Party("a", "young")
    young.book.since = 2.0
    starting = asyncio.create_task(young.join(joining, run="2"))
    await asyncio.sleep(0.1)
    nats_server.go_on()
    with pytest.raises(ValueError, match="is alive"):
        await starting
    # As if the check had found nobody.
    young = Party("a", "young")
    young.book.since = 2.0

    async def nobody(self: Any) -> bool:
        return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("parley.io.nats.membership.Membership._answers", nobody)
        await young.join(joining, run="2")
    await until(lambda: young.network.members.clashed)
    assert "alive" in young.network.problems()[0]["message"]
    await until(lambda: "a" in watching.book.nodes and watching.book.nodes["a"].offers[0].model == "old", 30)
    assert old.network.problems() == []
    await young.leave()


async def test_a_user_over_tls_with_no_more_permissions_than_needed(
    nats_servers: Servers, party: Parties, tmp_path: Path
) -> None:
    """What docs/nodes.md says a node has to be allowed is enough."""
    pem = Path(__file__).with_name("provider.test.pem")
    words = '"parley_nodes.>", "$KV.parley_nodes.>", "$JS.API.>", "$JS.FC.>", "_INBOX.>"'
    config = tmp_path / "nats.conf"
    config.write_text(
        f"tls {{ cert_file: '{pem}', key_file: '{pem}' }}\n"
        "authorization { users: [ { user: node, password: pw, permissions: { "
        f"publish: [{words}], subscribe: [{words}] }} }} ] }}\n"
    )
    server = nats_servers("-c", str(config))
    joining = Joining(
        network=(server.url.replace("nats:", "tls:"),), user="node", password="pw", tls=Tls(ca=str(pem)), **FAST
    )
    a, b = await party(joining, "a"), await party(joining, "b", "m")
    await until(lambda: "b" in a.book.nodes)
    assert await good(a, "b")
    b.book.change("m", "n")
    await until(lambda: len(a.book.nodes["b"].offers) == 2)
    assert [line for line in (*a.log, *b.log) if line["event"] == "network.error"] == []
