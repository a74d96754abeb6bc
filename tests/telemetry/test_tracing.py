"""OpenTelemetry: one span for each request, one below it for each try, and nothing of what was said."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from fixtures.collector import Collector, collector, facts
from gateway.parts import BUSY, DONE, OPENING, STOP, WORD, Stage
from parley.settings import Telemetry
from parley.telemetry import batches
from parley.telemetry.batches import BATCH, MOST_WAITING, Batches
from parley.telemetry.telling import Telling
from parley.telemetry.tracing import Tracing, with_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = [(b"traceparent", f"00-{TRACE}-{SPAN}-01".encode()), (b"tracestate", b"a=1")]


class Traced:
    """A stage that tells a collector."""

    def __init__(self, **telemetry: Any) -> None:
        self.stage = Stage(telemetry=Telemetry(**telemetry))
        self.lines: list[bytes] = []
        self.loop = asyncio.get_running_loop()
        gateway = self.stage.gateway
        self.telling = Telling(gateway, {"native": self.stage.upstream}, self.loop, self.lines.append)
        gateway.upstreams = self.telling.upstreams(gateway.settings)

    async def close(self) -> None:
        await self.telling.close()
        assert isinstance(self.telling.tracing, Tracing)
        assert self.telling.tracing._roots == {}
        self.stage.quiet()


@pytest.fixture
def there() -> Iterator[Collector]:
    with collector() as found:
        yield found


async def test_a_request_is_a_span_and_each_try_one_below(there: Collector) -> None:
    traced = Traced(otlp=there.url + "/", headers=(("authorization", "Bearer abc"),))
    stage = traced.stage
    stage.ask("two", headers=PARENT, stream=True)
    stage.clock.advance(0.5)
    stage.sent[0].fail(BUSY)
    stage.sent[1].begin()
    stage.sent[1].say(OPENING, WORD, STOP, DONE)
    await traced.close()
    root, first, second = sorted(there.spans, key=lambda span: (span.name != "chat two", span.start_time_unix_nano))
    assert [root.name, first.name, second.name] == ["chat two", "chat m-1", "chat m-2"]
    assert {span.trace_id.hex() for span in there.spans} == {TRACE}
    assert root.parent_span_id.hex() == SPAN
    assert first.parent_span_id == second.parent_span_id == root.span_id
    assert [span.kind for span in (root, first, second)] == [2, 3, 3]
    assert [span.status.code for span in (root, first, second)] == [0, 2, 0]
    assert facts(first)["error.type"] == "status_503"
    told = facts(root)
    assert (
        told
        | {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "two",
            "gen_ai.provider.name": "b",
            "gen_ai.response.model": "m-2",
            "gen_ai.request.stream": True,
            "gen_ai.usage.input_tokens": 3,
            "gen_ai.usage.output_tokens": 2,
            "http.response.status_code": 200,
            "parley.attempts": 2,
            "parley.request_id": "req-1",
            "parley.target": "b/m-2",
        }
        == told
    )
    assert root.end_time_unix_nano - root.start_time_unix_nano == pytest.approx(5e8, abs=1e6)
    assert there.resources[0]["service.name"] == "parley"
    assert {headers["authorization"] for headers in there.headers} == {"Bearer abc"}
    for sent, span in zip(stage.sent, (first, second), strict=True):
        assert sent.lines[b"traceparent"].decode() == f"00-{TRACE}-{span.span_id.hex()}-01"
        assert sent.lines[b"tracestate"] == b"a=1"
    text = b"".join(span.SerializeToString() for span in there.spans)
    for secret in (b"hi", b"Hello", b"a-secret", b"b-secret"):
        assert secret not in text.replace(b"first byte", b"")


async def test_the_numbers_go_there_too(there: Collector) -> None:
    traced = Traced(otlp=there.url)
    traced.stage.ask("one")
    traced.stage.sent[0].whole()
    traced.stage.ask("a/made-up", stream=True)
    traced.stage.sent[1].stream(OPENING, WORD, STOP, DONE)
    await traced.close()
    series = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "a"}
    one, other = ({**series, "gen_ai.request.model": model} for model in ("one", "other"))
    assert there.numbers["gen_ai.server.request.duration"] == [one, other]
    assert there.numbers["gen_ai.client.operation.duration"] == [one, other]
    kinds = [one["gen_ai.token.type"] for one in there.numbers["gen_ai.client.token.usage"]]
    assert sorted(kinds) == ["input", "input", "output", "output"]


async def test_what_never_reached_a_provider_has_a_span(there: Collector) -> None:
    traced = Traced(otlp=there.url)
    traced.stage.ask("nothing")
    await traced.close()
    (root,) = there.spans
    assert (root.name, root.status.code) == ("chat nothing", 2)
    assert facts(root)["error.type"] == "model_not_found"


@pytest.mark.parametrize(("flag", "spans"), [(b"00", 0), (b"01", 2)])
async def test_the_callers_choice_is_kept(there: Collector, flag: bytes, spans: int) -> None:
    traced = Traced(otlp=there.url, sample=0.0 if flag == b"01" else 1.0)
    parent = b"00-%b-%b-%b" % (TRACE.encode(), SPAN.encode(), flag)
    traced.stage.ask("one", headers=[(b"traceparent", parent)])
    traced.stage.sent[0].whole()
    await traced.close()
    assert len(there.spans) == spans
    version, trace, span, sampled = traced.stage.sent[0].lines[b"traceparent"].split(b"-")
    assert (version, trace, sampled) == (b"00", TRACE.encode(), flag)
    assert span != SPAN.encode()


async def test_a_collector_that_hangs_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "END_SECONDS", 0.1)
    monkeypatch.setattr("parley.telemetry.telling.END_SECONDS", 0.3)
    with collector(hangs=True) as stuck:
        traced = Traced(otlp=stuck.url)
        for number in range(MOST_WAITING):
            traced.stage.ask("one")
            traced.stage.sent[number].whole()
        assert stuck.asked.wait(30)
        dropped = traced.stage.gateway.metrics.gauges[("parley_otel_dropped_total",)]
        assert dropped() >= 2 * MOST_WAITING - MOST_WAITING - 2 * BATCH
        begun = traced.loop.time()
        await traced.close()
        assert traced.loop.time() - begun < 20
        assert sum(b"otel_dropped" in line for line in traced.lines) == 1


class Refusing:
    def __init__(self) -> None:
        self.batches: list[int] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.batches.append(len(spans))
        if len(self.batches) == 1:
            raise OSError("away")
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Nothing to end."""


class Sampled:
    class context:  # noqa: N801 - as the library has it
        class trace_flags:  # noqa: N801 - as the library has it
            sampled = True


def test_what_the_collector_refuses_is_counted() -> None:
    lost: list[int] = []
    exporter = Refusing()
    made = Batches(exporter, lost.append, every=60.0)  # type: ignore[arg-type]
    for _ in range(BATCH + 10):
        made.on_end(Sampled())  # type: ignore[arg-type]
    made.shutdown()
    made.on_end(Sampled())  # type: ignore[arg-type]
    assert sum(exporter.batches) == sum(lost) == BATCH + 10
    assert not made._thread.is_alive()


def test_context_lines_are_replaced_not_added() -> None:
    head = b"a: 1\r\nTraceparent: old\r\ntracestate: x\r\nb: traceparent: 2\r\n"
    assert with_context(head, {"traceparent": "new"}) == b"a: 1\r\nb: traceparent: 2\r\ntraceparent: new\r\n"
