"""Telemetry of the whole program: a collector that hangs is nobody's trouble (fault contract G11), slow requests say
where their time went, and several workers tell one story."""

import asyncio
import re

from faults.raw import Raw
from faults.rig import Case, asking, configuration
from fixtures.children import eventually
from fixtures.collector import collector, facts
from fixtures.faults import Faults
from fixtures.parley import Gateway, Start

SLOW = Case("slow:0.6")


async def chat(gateway: Gateway, model: str, **headers: str) -> tuple[int, str | None]:
    async with Raw(gateway.port) as raw:
        _, data = asking("openai", model)
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        await raw.send(data.replace(b"\r\n\r\n", f"\r\n{lines}\r\n".encode(), 1))
        answer = await raw.response()
        return answer.status, answer.get("server-timing")


async def test_a_collector_that_hangs_has_no_effect(parley_server: Start, faults: Faults) -> None:
    with collector(hangs=True) as stuck:
        config = configuration(faults, []) | {"telemetry": {"otlp": stuck.url}}
        gateway = parley_server(config)
        for _ in range(20):
            assert (await chat(gateway, "fine-openai/m"))[0] == 200
        assert await asyncio.to_thread(stuck.asked.wait, 30)
        assert (await chat(gateway, "fine-openai/m"))[0] == 200

        def lost() -> bool:
            return "parley_otel_dropped_total 0.0" not in gateway.metrics()

        await asyncio.to_thread(eventually, lost, 30.0, "the loss is counted")
        assert await asyncio.to_thread(gateway.stop) == 0
    assert [event for event in gateway.log_events() if event["event"] == "otel_dropped"]


async def test_slow_requests_are_told_of_and_traced_by_every_worker(parley_server: Start, faults: Faults) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with collector() as there:
        config = configuration(faults, [SLOW]) | {"log": {"slow": "500ms"}}
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": there.url, "OTEL_SERVICE_NAME": "gate"}
        gateway = parley_server(config, env=env, args=["--workers", "2"])
        before = len(faults.requests(SLOW.key))
        for _ in range(8):
            traceparent = f"00-{trace}-00f067aa0ba902b7-01"
            status, timing = await chat(gateway, SLOW.model, traceparent=traceparent, x_parley_timing="1")
            assert status == 200
            assert timing is not None
            assert timing.startswith("wait;dur=")
        assert await asyncio.to_thread(gateway.stop) == 0
    slow = [event for event in gateway.log_events() if event["event"] == "request.slow"]
    assert len(slow) == 8
    assert all(line["ms"] >= 500 and len(line["tries"]) == 1 for line in slow)
    tries = {span.span_id.hex() for span in there.spans if span.kind == 3}
    assert (len(there.spans), len(tries)) == (16, 8)
    assert {span.trace_id.hex() for span in there.spans} == {trace}
    assert {one["service.name"] for one in there.resources} == {"gate"}
    assert {facts(span)["parley.dialect"] for span in there.spans} == {"openai"}
    heads = [seen["head"] for seen in faults.requests(SLOW.key)[before:]]
    assert {re.findall("traceparent: 00-[0-9a-f]+-([0-9a-f]+)-01", head)[0] for head in heads} == tries
