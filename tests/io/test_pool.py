"""The pool: connections shared, limited, expired and given back, whatever happens to the calls on them."""

import asyncio

import pytest
from peers import TO, Ear, Yard, call, settle

from parley.failure import Failure
from parley.io import pool as pool_module
from parley.io.pool import IDLE_SECONDS
from parley.ports import Destination

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
REFUSED = Failure("upstream_unreachable", "refused", detail="connect_refused")
OTHER = Destination(method=b"POST", origin="http://other.example", path=b"/v1")


async def test_calls_at_the_same_time_take_connections_of_their_own() -> None:
    yard = Yard()
    first, _, one = await yard.ask()
    second, _, two = await yard.ask()
    assert one is not two
    two.hear(OK)
    one.hear(OK)
    assert first.whole == second.whole == (200, b"hello")
    _, _, third = await yard.ask()
    _, _, fourth = await yard.ask()
    assert {third, fourth} == {one, two}
    assert len(yard.wires) == 2


async def test_origins_share_nothing() -> None:
    yard = Yard()
    _, _, one = await yard.ask()
    one.hear(OK)
    _, _, two = await yard.ask(to=OTHER)
    assert two is not one


async def test_a_fresh_call_takes_no_connection_that_has_carried_another() -> None:
    yard = Yard()
    _, _, one = await yard.ask()
    one.hear(OK)
    _, _, two = await yard.ask(fresh=True)
    assert two is not one
    assert not one.closed


async def test_the_connection_used_last_is_used_next() -> None:
    yard = Yard()
    _, _, one = await yard.ask()
    _, _, two = await yard.ask()
    one.hear(OK)
    yard.loop.advance(1)
    two.hear(OK)
    _, _, third = await yard.ask()
    assert third is two


async def test_a_connection_that_has_been_idle_too_long_is_not_trusted() -> None:
    yard = Yard()
    _, _, one = await yard.ask()
    one.hear(OK)
    yard.loop.advance(IDLE_SECONDS - 0.1)
    _, _, two = await yard.ask()
    assert two is one
    one.hear(OK)
    yard.loop.advance(IDLE_SECONDS + 0.1)
    _, _, three = await yard.ask()
    assert three is not one
    assert one.closed


async def test_a_connection_that_closed_while_idle_is_forgotten() -> None:
    yard = Yard()
    _, _, one = await yard.ask()
    one.hear(OK)
    one.lose()
    ear, _, two = await yard.ask()
    two.hear(OK)
    assert ear.whole == (200, b"hello")
    assert yard.stale == []


# --- opening -----------------------------------------------------------------------------------


async def test_a_connection_that_cannot_be_opened() -> None:
    yard = Yard()
    yard.opener.failures = [REFUSED]
    ear = Ear()
    yard.pool.send(call(), ear)
    assert ear.ended == []  # never before send returns
    await settle()
    assert ear.ended == [REFUSED]
    after, _, wire = await yard.ask()
    wire.hear(OK)
    assert after.whole == (200, b"hello")


async def test_a_call_cancelled_while_its_connection_opens() -> None:
    yard = Yard(max_connections=1)
    yard.opener.gate = asyncio.Event()
    ear = Ear()
    flight = yard.pool.send(call(), ear)
    await settle()
    assert yard.opener.opening == 1
    flight.cancel()
    await settle()
    assert yard.opener.opening == 0
    yard.opener.gate.set()
    after, _, wire = await yard.ask()  # its place is free again
    wire.hear(OK)
    assert (ear.ended, after.whole) == ([], (200, b"hello"))


async def test_a_call_cancelled_before_anything_happened() -> None:
    yard = Yard(max_connections=1)
    ear = Ear()
    yard.pool.send(call(), ear).cancel()
    await settle()
    assert ear.ended == []
    after, _, wire = await yard.ask()
    wire.hear(OK)
    assert after.whole == (200, b"hello")


async def test_a_pause_before_the_connection_is_there() -> None:
    yard = Yard()
    ear = Ear()
    flight = yard.pool.send(call(), ear)
    flight.pause()
    await settle()
    assert not yard.wires[0].reading
    flight.resume()
    assert yard.wires[0].reading
    yard.wires[0].hear(OK)
    assert ear.whole == (200, b"hello")


async def test_the_wait_for_a_connection_counts() -> None:
    yard = Yard(max_connections=1)
    _, _, wire = await yard.ask(total=60)
    waiting = Ear()
    yard.pool.send(call(total=10), waiting)
    yard.loop.advance(9)
    wire.hear(OK)
    await settle()
    yard.loop.advance(1.2)
    assert waiting.failure == ("upstream_timeout", "stream_limit")


# --- limits ------------------------------------------------------------------------------------


async def test_calls_beyond_the_limit_wait_in_order() -> None:
    yard = Yard(max_connections=2)
    _, _, one = await yard.ask()
    await yard.ask()
    ears = [Ear(), Ear(), Ear()]
    for number, ear in enumerate(ears):
        yard.pool.send(call(b"%d" % number), ear)
    await settle()
    assert len(yard.wires) == 2
    for number, ear in enumerate(ears):
        one.hear(OK)
        await settle()
        assert one.parts[-1] == b"%d" % number
        assert ear.ended == []
    one.hear(OK)
    assert [ear.whole for ear in ears] == [(200, b"hello")] * 3


async def test_a_waiting_call_that_is_cancelled_is_passed_over() -> None:
    yard = Yard(max_connections=1)
    _, _, one = await yard.ask()
    gone, ear = Ear(), Ear()
    yard.pool.send(call(b"gone"), gone).cancel()
    yard.pool.send(call(b"next"), ear)
    one.hear(OK)
    await settle()
    assert one.parts[-1] == b"next"
    one.hear(OK)
    assert (gone.ended, ear.whole) == ([], (200, b"hello"))


@pytest.mark.parametrize("end", ["lose", "cancel", "close"])
async def test_a_connection_that_ends_makes_room_for_another(end: str) -> None:
    yard = Yard(max_connections=1)
    ear, flight, one = await yard.ask()
    waiting = Ear()
    yard.pool.send(call(b"waiting"), waiting)
    if end == "lose":
        one.lose()
    elif end == "cancel":
        flight.cancel()
    else:
        one.hear(OK.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n"))
    await settle()
    assert len(yard.wires) == 2
    yard.wires[1].hear(OK)
    assert waiting.whole == (200, b"hello")
    assert ear.ended == [] or end != "cancel"


async def test_one_that_cannot_be_opened_makes_room_too() -> None:
    yard = Yard(max_connections=1)
    yard.opener.failures = [REFUSED, REFUSED]
    ears = [Ear(), Ear(), Ear()]
    for ear in ears:
        yard.pool.send(call(), ear)
    await settle()
    await settle()
    assert [ear.ended for ear in ears] == [[REFUSED], [REFUSED], []]
    yard.wires[0].hear(OK)
    assert ears[2].whole == (200, b"hello")


async def test_too_many_waiting_calls_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_WAITING", 1)
    yard = Yard(max_connections=1)
    await yard.ask()
    first, second = Ear(), Ear()
    yard.pool.send(call(), first)
    yard.pool.send(call(), second)
    assert second.ended == []
    await settle()
    assert second.failure == ("overloaded", "")
    assert first.ended == []


async def test_a_storm_of_cancelled_calls_leaves_every_place_free() -> None:
    yard = Yard(max_connections=4)
    for number in range(40):
        flights = [yard.pool.send(call(), Ear()) for _ in range(6)]
        if number % 3:
            await settle()
        if number % 2:
            for wire in yard.wires[-2:]:
                wire.hear(OK)
        for flight in flights:
            flight.cancel()
        await settle()
    ears = [Ear() for _ in range(4)]
    for ear in ears:
        yard.pool.send(call(), ear)
    await settle()
    for wire in yard.wires:
        wire.hear(OK)
    assert [ear.whole for ear in ears] == [(200, b"hello")] * 4


# --- closing -----------------------------------------------------------------------------------


async def test_closing_ends_every_connection_and_the_sinks_hear_nothing() -> None:
    yard = Yard()
    _, _, idle = await yard.ask()
    ear, _, busy = await yard.ask()
    idle.hear(OK)
    yard.pool.close()
    assert (idle.closed, busy.closed) == (True, True)
    await settle()
    assert ear.ended == []
    assert yard.loop.timers == []


async def test_nothing_runs_while_nothing_is_under_way() -> None:
    yard = Yard()
    _, _, wire = await yard.ask()
    assert len(yard.loop.timers) == 1
    wire.hear(OK)
    yard.loop.advance(0.2)
    assert yard.loop.timers == []


async def test_a_call_and_its_head_leave_as_they_were_made() -> None:
    yard = Yard()
    _, _, wire = await yard.ask(body=b'{"a":1}', to=TO)
    assert wire.written == b'POST /v1\r\nx-a: b\r\n{"a":1}'
