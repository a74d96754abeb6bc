"""OpenTelemetry: a span for each request and one below it for each try, and the metrics of the conventions.

No prompt, no answer and no key is in any of it. The trace goes on at the provider: its ``traceparent`` is our try.
"""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from parley import __version__
from parley.gateway import genai
from parley.gateway.delivery import Delivery
from parley.gateway.ended import Ended
from parley.gateway.measures import label
from parley.ports import Call
from parley.settings import Telemetry
from parley.telemetry.batches import EVERY_SECONDS, Batches, Numbers
from parley.telemetry.tries import Tried

EXPORT_SECONDS: Final = 5.0
END_MILLISECONDS: Final = 2000.0
LONGEST: Final = 200
CONTEXT: Final = ("traceparent", "tracestate")
_LINES: Final = tuple(b"%b:" % name.encode() for name in CONTEXT)
_PICO: Final = 1e12


class Tracing:
    """One per process. ``lost`` hears, in any thread, how many spans could not be delivered."""

    def __init__(
        self, wanted: Telemetry, wall: Callable[[], float], lost: Callable[[int], None], every: float = EVERY_SECONDS
    ) -> None:
        # What the library has to say of a collector that is away would be said for every batch; we count instead.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._wall = wall
        base = None if wanted.otlp is None else wanted.otlp.rstrip("/")
        headers = dict(wanted.headers) or None
        resource = Resource.create({"service.version": __version__, **_service()})
        spans = OTLPSpanExporter(_at(base, "traces"), headers=headers, timeout=EXPORT_SECONDS)
        numbers = OTLPMetricExporter(_at(base, "metrics"), headers=headers, timeout=EXPORT_SECONDS)
        self._spans = TracerProvider(ParentBasedTraceIdRatio(wanted.sample), resource, shutdown_on_exit=False)
        self._spans.add_span_processor(Batches(spans, lost, every))
        reader = PeriodicExportingMetricReader(Numbers(numbers))
        self._meters = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._tracer = self._spans.get_tracer("parley", __version__)
        self._curves = _Curves(self._meters)
        self._propagator = TraceContextTextMapPropagator()
        self._roots: dict[Delivery, _Root] = {}

    def begins(self, job: Delivery, tried: Tried, call: Call) -> Call:
        """The call, as a part of the trace."""
        root = self._roots.get(job)
        if root is None:
            root = self._roots[job] = self._root(job)
        facts = {**_asked(job), genai.PROVIDER: tried.provider, genai.REQUEST_MODEL: tried.model[:LONGEST]}
        span = self._tracer.start_span(
            f"{facts[genai.OPERATION]} {facts[genai.REQUEST_MODEL]}",
            trace.set_span_in_context(root.span),
            SpanKind.CLIENT,
            facts,
            start_time=root.moment(tried.began),
        )
        tried.span = span
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, trace.set_span_in_context(span))
        return Call(call.to, with_context(call.head, carrier), call.body, call.total, call.fresh)

    def ended(self, job: Delivery, ended: Ended, tries: Iterable[Tried]) -> None:
        """The request is over; so are its tries."""
        root = self._roots.pop(job, None) or self._root(job)
        for tried in tries:
            _end_try(root, tried)
        span = root.span
        if span.is_recording():
            span.set_attributes(_outcome(ended))
            if ended.outcome == "error":
                span.set_status(Status(StatusCode.ERROR, ended.kind))
        span.end(root.moment(job.started + ended.ms / 1000))
        self._curves.add(ended, job, label(job.gateway.settings, ended.operation, ended.model))

    def close(self) -> None:
        """Deliver what can be delivered soon. Waits for it: call it in a thread."""
        self._spans.shutdown()
        self._meters.shutdown(END_MILLISECONDS)

    def _root(self, job: Delivery) -> "_Root":
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in job.request.headers}
        facts = _asked(job) | {genai.REQUEST_MODEL: job.model[:LONGEST]}
        skew = self._wall() - job.gateway.now()
        span = self._tracer.start_span(
            f"{facts[genai.OPERATION]} {facts[genai.REQUEST_MODEL]}".rstrip(),
            self._propagator.extract({name: headers[name] for name in CONTEXT if name in headers}),
            SpanKind.SERVER,
            facts,
            start_time=_nanoseconds(skew + job.started),
        )
        return _Root(span, skew)


class _Root:
    """The span of a request. ``skew`` leads from monotonic seconds to those since 1970, the same for all of it."""

    def __init__(self, span: Span, skew: float) -> None:
        self.span = span
        self._skew = skew

    def moment(self, monotonic: float) -> int:
        return _nanoseconds(self._skew + monotonic)


def _end_try(root: _Root, tried: Tried) -> None:
    span = tried.span
    if not isinstance(span, Span) or tried.over is None:
        return
    if tried.status:
        span.set_attribute("http.response.status_code", tried.status)
    if tried.first is not None:
        span.add_event("first byte", timestamp=root.moment(tried.first))
    if tried.kind:
        span.set_attribute(genai.ERROR, tried.kind)
        span.set_status(Status(StatusCode.ERROR, tried.kind))
    span.end(root.moment(tried.over))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


class _Curves:
    """The conventions' histograms, as the collector gets them."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter("parley", __version__)

        def made(name: str, unit: str, bounds: tuple[float, ...]) -> Any:
            return meter.create_histogram(name, unit, explicit_bucket_boundaries_advisory=bounds)

        self._tokens = made(genai.TOKENS, "{token}", genai.TOKEN_BOUNDS)
        self._client = made(genai.CLIENT_DURATION, "s", genai.SECOND_BOUNDS)
        self._server = made(genai.SERVER_DURATION, "s", genai.SECOND_BOUNDS)
        self._first = made(genai.FIRST_TOKEN, "s", genai.FIRST_BOUNDS)

    def add(self, ended: Ended, job: Delivery, model: str) -> None:
        if not ended.provider:
            return
        series = {
            genai.OPERATION: genai.operation(ended.operation),
            genai.PROVIDER: ended.provider,
            genai.REQUEST_MODEL: model,
        }
        failed = series | {genai.ERROR: ended.kind} if ended.kind else series
        took = ended.ms / 1000
        self._server.record(took, failed)
        if ended.cached:
            return
        self._client.record(took - (job.tried_at - job.started), failed)
        if job.opened and not ended.kind:
            self._first.record(job.opened, series)
        if not ended.usage.estimated and (ended.usage.input or ended.usage.output):
            self._tokens.record(ended.usage.input, series | {genai.TOKEN_TYPE: "input"})
            self._tokens.record(ended.usage.output, series | {genai.TOKEN_TYPE: "output"})


def with_context(head: bytes, carrier: Mapping[str, str]) -> bytes:
    """Header lines with this trace context and no other."""
    kept = [one for one in head.split(b"\r\n") if one and not one.lower().startswith(_LINES)]
    kept += [f"{name}: {value}".encode("latin-1") for name, value in carrier.items()]
    return b"\r\n".join(kept) + b"\r\n"


def _asked(job: Delivery) -> dict[str, Any]:
    return {
        genai.OPERATION: genai.operation(job.inlet.operation),
        genai.REQUEST_STREAM: job.streams,
        "parley.dialect": job.inlet.dialect,
    }


def _outcome(ended: Ended) -> dict[str, Any]:
    usage = ended.usage
    facts: dict[str, Any] = {
        "http.response.status_code": ended.status,
        "parley.request_id": ended.request_id,
        "parley.attempts": ended.attempts,
        "parley.outcome": ended.outcome,
        "parley.target": ended.target[:LONGEST],
        genai.PROVIDER: ended.provider,
        genai.RESPONSE_MODEL: ended.target.partition("/")[2][:LONGEST],
        genai.ERROR: ended.kind or None,
        "parley.cost_usd": None if ended.cost is None else ended.cost / _PICO,
    }
    if usage.input or usage.output:
        facts[genai.INPUT_TOKENS], facts[genai.OUTPUT_TOKENS] = usage.input, usage.output
        facts[genai.CACHE_READ_TOKENS] = usage.cached
        facts[genai.CACHE_WRITE_TOKENS] = usage.cache_write
        facts[genai.REASONING_TOKENS] = usage.reasoning
    return {name: value for name, value in facts.items() if value is not None and value != ""}


def _service() -> dict[str, str]:
    """The service's name, unless the environment says another."""
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return {} if named else {"service.name": "parley"}


def _at(base: str | None, signal: str) -> str | None:
    return None if base is None else f"{base}/v1/{signal}"
