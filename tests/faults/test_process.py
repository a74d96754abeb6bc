"""The process as a whole (fault contract section 5): how it ends while callers are being served."""

import asyncio
import signal

from faults.raw import Raw, request
from faults.rig import PAIRS, Case, Told, asking, check_clean, configuration, marks
from faults.speech import words
from fixtures.children import eventually
from fixtures.faults import Faults
from fixtures.parley import Gateway, Start

STREAMS = 12
LONG = [Case("trickle:0.4:8", *pair) for pair in (PAIRS[0], PAIRS[2])]


async def test_sigterm_lets_open_streams_finish(parley_server: Start, faults: Faults) -> None:
    gateway = parley_server(configuration(faults, LONG))
    before = len(faults.requests("ok~fine-openai"))
    begun = asyncio.Semaphore(0)
    signalled = asyncio.Event()

    async def listen(case: Case) -> Told:
        request_id, data = asking(case.caller, case.model, stream=True)
        async with Raw(gateway.port) as raw:
            await raw.send(data)
            answer = await raw.head()
            assert await raw.chunk(answer)
            begun.release()
            await signalled.wait()
            while await raw.chunk(answer):
                pass
            return Told(answer, request_id, 0.0, case.caller)

    async with Raw(gateway.port) as kept, Raw(gateway.port) as other:
        for idle in (kept, other):
            await idle.send(request("/readyz", method="GET"))
            assert (await idle.response()).json["status"] == "ready"
        streams = [asyncio.ensure_future(listen(LONG[number % 2])) for number in range(STREAMS)]
        for _ in range(STREAMS):
            await begun.acquire()
        gateway.signal(signal.SIGTERM)
        await draining_begun(gateway)
        await kept.send(request("/readyz", method="GET"))
        draining = await kept.response()
        assert (draining.status, draining.json["status"]) == (503, "draining")
        _, late = asking("openai", "fine-openai/m")
        await other.send(late)
        refused = await other.response()
        assert (refused.status, refused.json["error"]["code"]) == (503, "overloaded")
        signalled.set()
        for told in await asyncio.gather(*streams):
            assert told.answer.whole
            check_clean(told, words(8))
    assert gateway.wait(30) == 0
    assert len(faults.requests("ok~fine-openai")) == before
    events = [event["event"] for event in gateway.log_events()]
    assert "drain.start" in events
    assert "drain.end" in events
    (end,) = [event for event in gateway.log_events() if event["event"] == "drain.end"]
    assert end["cut"] == 0


async def test_new_connections_are_not_served_while_draining(parley_server: Start, faults: Faults) -> None:
    gateway = parley_server(configuration(faults, LONG))
    request_id, data = asking("openai", LONG[0].model, stream=True)
    async with Raw(gateway.port) as raw:
        await raw.send(data)
        answer = await raw.head()
        assert await raw.chunk(answer)
        gateway.signal(signal.SIGTERM)
        await draining_begun(gateway)
        assert await status_of_a_newcomer(gateway.port) in (None, 503)
        while await raw.chunk(answer):
            pass
        check_clean(Told(answer, request_id, 0.0, "openai"), words(8))
    assert gateway.wait(30) == 0


async def draining_begun(gateway: Gateway) -> None:
    """A signal has no answer to wait for, but a line in the log."""

    def said() -> bool:
        return any(event["event"] == "drain.start" for event in gateway.log_events())

    await asyncio.to_thread(eventually, said, 30, "it drains")


async def status_of_a_newcomer(port: int) -> int | None:
    """None where the door is closed."""
    try:
        async with Raw(port) as raw:
            await raw.send(request("/v1/models", method="GET", headers=marks("openai", "req-late")))
            return (await raw.response()).status if await raw.more() else None
    except ConnectionRefusedError:
        return None


async def test_sigterm_at_rest_ends_at_once(parley_server: Start, faults: Faults) -> None:
    gateway = parley_server(configuration(faults, []))
    async with Raw(gateway.port) as idle:
        await idle.send(request("/livez", method="GET"))
        assert (await idle.response()).status == 200
        gateway.signal(signal.SIGTERM)
        assert gateway.wait(20) == 0
        assert await idle.rest() == b""
