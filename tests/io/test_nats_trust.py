"""Nodes that are not what they say, and what nobody between two nodes may read."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import nats
import pytest
from parties import JSON, Party, heeded, until

from fixtures.nats import NatsServer
from parley.io.nats.keys import Identity
from parley.nodes import frames
from parley.nodes.calling import BEAT_SECONDS
from parley.nodes.facts import Facts, Offer
from parley.nodes.frames import Asked, Opening
from parley.nodes.joining import Joining
from parley.nodes.presence import Presence, packed

Parties = Callable[..., Any]
SECRET_WORD = b"the secret of the king"


@pytest.fixture
async def party() -> AsyncIterator[Parties]:
    there: list[Party] = []

    async def make(joining: Joining, node: str, *models: str, **more: Any) -> Party:
        made = Party(node, *models, react=lambda work: work.caller.answer(200, JSON, b'"' + SECRET_WORD + b'"'))
        there.append(made)
        return await made.join(joining, **more)

    yield make
    for made in there:
        await made.leave()


@pytest.fixture
async def stranger(nats_server: NatsServer) -> AsyncIterator[Any]:
    """Somebody with a connection to the same servers, and with ill will."""
    client = await nats.connect(nats_server.url)
    yield client
    await client.close()


async def overheard(stranger: Any) -> list[bytes]:
    found: list[bytes] = []

    async def take(message: Any) -> None:
        found.append(message.data)

    await stranger.subscribe("parley_nodes.>", cb=take)
    await heeded(stranger)
    return found


@pytest.mark.parametrize("encrypt", ["on", "off"])
async def test_what_can_be_overheard(nats_server: NatsServer, party: Parties, stranger: Any, encrypt: Any) -> None:
    joining = Joining(network=(nats_server.url,), encrypt=encrypt)
    a, _ = await party(joining, "a"), await party(joining, "b", "m")
    await until(lambda: "b" in a.book.nodes)
    found = await overheard(stranger)
    began = time.monotonic()
    body = b'{"model":"m","x":"' + SECRET_WORD + b'"}'
    assert (await a.call("b", body=body)[1].end()).text == b'"' + SECRET_WORD + b'"'
    await until(lambda: len(found) >= 2)
    await heeded(stranger)
    # One message there and one back is all of it, unless it took so long that each side gave signs of life.
    assert len(found) <= 2 + 2 * ((time.monotonic() - began) // BEAT_SECONDS)
    said = b"".join(found)
    assert (SECRET_WORD in said) == (encrypt == "off")
    assert (b"content-type" in said) == (encrypt == "off")


def test_encryption_is_on_by_itself_where_the_network_is_not_on_loopback() -> None:
    from parley.io.nats.link import is_local

    assert is_local(("nats://127.0.0.1:4222", "tls://localhost", "[::1]:4222", "127.8.8.8"))
    assert not is_local(("nats://127.0.0.1:4222", "nats://10.0.0.1:4222"))
    assert not is_local(("nats.example:4222",))
    assert not is_local(("nats://user:pw@nats.example",))


async def test_whoever_calls_a_node_that_wants_it_encrypts(
    nats_server: NatsServer, party: Parties, stranger: Any
) -> None:
    """Seen from one node the network may be on this machine, and not from another."""
    a = await party(Joining(network=(nats_server.url,), encrypt="off"), "a")
    await party(Joining(network=(nats_server.url,), encrypt="on"), "b", "m")
    await until(lambda: "b" in a.book.nodes)
    found = await overheard(stranger)
    assert (await a.call("b")[1].end()).status == 200
    await until(lambda: len(found) >= 2)
    assert SECRET_WORD not in b"".join(found)


def facts(node: str, model: str = "evil") -> Facts:
    return Facts(node=node, offers=(Offer(project="parley", model=model),))


def call_of(node: Party) -> str:
    return f"parley_nodes.call.{node.book.id}.{node.network._identity.public[:16]}"


async def put(stranger: Any, node: str, message: bytes) -> None:
    kv = await stranger.jetstream().key_value("parley_nodes")
    await kv.put(f"{node}.0", message)


async def test_nobody_speaks_for_another_node(nats_server: NatsServer, party: Parties, stranger: Any) -> None:
    joining = Joining(network=(nats_server.url,))
    a, b = await party(joining, "a"), await party(joining, "b", "m")
    await until(lambda: "b" in a.book.nodes)
    mallory = Identity(b"m" * 32, b"parley_nodes")
    told = Presence(facts("b"), "run", 0, 9e9)
    # Signed by another key; signed by nobody; named after another entry; unreadable; taken away.
    await put(stranger, "b", packed(told, mallory.public, mallory.sign))
    await put(stranger, "b", packed(told, b.network._identity.public, mallory.sign))
    await put(stranger, "c", packed(told, mallory.public, mallory.sign))
    await put(stranger, "b", b"\x00" * 50)
    kv = await stranger.jetstream().key_value("parley_nodes")
    await kv.delete("b.0")
    await kv.purge("b.0")
    await put(stranger, "last", packed(Presence(facts("last"), "run", 0, 1.0), mallory.public, mallory.sign))
    await until(lambda: "last" in a.book.nodes)
    assert a.book.nodes["b"].offers[0].model == "m"
    assert a.network.members.roster.refused["key"] == 1
    heard = await a.call("b")[1].end()
    assert (heard.failure, heard.status) == (None, 200)
    # What it said of its own key is what counts, not what it says its key is.
    assert a.book.nodes["last"].key == mallory.public


async def test_only_trusted_nodes_are_heard_and_served(nats_server: NatsServer, party: Parties) -> None:
    keys = {name: Identity(name.encode().ljust(32, b"-"), b"parley_nodes").public for name in "ab"}
    closed = Joining(network=(nats_server.url,), encrypt="on", trust=tuple(keys.values()))
    a, b = await party(closed, "a"), await party(closed, "b", "m")
    c = await party(Joining(network=(nats_server.url,), encrypt="on"), "c", "evil")
    await until(lambda: "b" in a.book.nodes and "b" in c.book.nodes)
    assert (await a.call("b")[1].end()).status == 200
    assert (await c.call("b")[1].end()).failure.detail == "node_refused"
    assert "c" not in a.book.nodes
    assert len(b.works) == 1


async def test_who_may_offer_a_project(nats_server: NatsServer, party: Parties) -> None:
    b = await party(Joining(network=(nats_server.url,)), "b", "m")
    c = await party(Joining(network=(nats_server.url,)), "c", "m")
    key = b.network._identity.public
    a = await party(Joining(network=(nats_server.url,), allow={"parley": (key,)}), "a")
    await until(lambda: "b" in a.book.nodes and "c" in a.book.nodes)
    assert [offer.model for offer in a.book.nodes["b"].offers] == ["m"]
    assert a.book.nodes["c"].offers == ()
    assert c.book.nodes["b"].offers


async def test_a_call_that_is_said_again_is_not_taken(nats_server: NatsServer, party: Parties, stranger: Any) -> None:
    joining = Joining(network=(nats_server.url,), encrypt="on")
    a, b = await party(joining, "a"), await party(joining, "b", "m")
    await until(lambda: "b" in a.book.nodes)
    found: list[Any] = []

    async def take(message: Any) -> None:
        found.append(message)

    await stranger.subscribe(call_of(b), cb=take)
    await heeded(stranger)
    await a.call("b")[1].end()
    await until(lambda: found)
    answer = await stranger.request(call_of(b), found[0].data, timeout=30)
    assert answer.data == frames.REFUSAL
    # The same with a name of its own does not open, for the name is part of the keys.
    opening, rest = frames.read_opening(found[0].data)
    other = frames.opened(msgspec.structs.replace(opening, token="f" * 24), rest)
    answer = await stranger.request(call_of(b), other, timeout=30)
    assert answer.data == frames.REFUSAL
    assert len(b.works) == 1


async def test_calls_in_the_clear_are_refused_where_they_are_sealed(
    nats_server: NatsServer, party: Parties, stranger: Any
) -> None:
    b = await party(Joining(network=(nats_server.url,), encrypt="on"), "b", "m")
    plain = frames.Plain()
    asked = Asked("chat", "parley", "m", "", JSON, 5.0, 1000, 2)
    message = frames.opened(Opening(1, "abc", "x", "k", b""), plain.wrap(frames.ASK, frames.ask(asked, b"{}")))
    answer = await stranger.request(call_of(b), message, timeout=30)
    assert answer.data == frames.REFUSAL
    for broken in (b"", b"\xff" * 40, message[:30], message[:-20]):
        answer = await stranger.request(call_of(b), broken, timeout=30)
        assert answer.data == frames.REFUSAL
    assert b.works == []
    await asyncio.sleep(0)
