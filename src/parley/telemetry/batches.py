"""Spans and numbers on their way to a collector: bounded, in threads of their own, and counted where they are lost."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

MOST_WAITING: Final = 2048
BATCH: Final = 256
EVERY_SECONDS: Final = 2.0
END_SECONDS: Final = 2.0


class Batches(SpanProcessor):
    """Takes spans that have ended; never waits. ``lost`` is told how many could not be delivered, in any thread."""

    def __init__(self, exporter: SpanExporter, lost: Callable[[int], None], every: float = EVERY_SECONDS) -> None:
        self._exporter = exporter
        self._lost = lost
        self._every = every
        self._waiting: deque[ReadableSpan] = deque()
        self._wake = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="parley-otel", daemon=True)
        self._thread.start()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing yet."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keep it for the next batch."""
        if self._over or not (span.context and span.context.trace_flags.sampled):
            return
        if len(self._waiting) >= MOST_WAITING:
            self._lost(1)
            return
        self._waiting.append(span)
        if len(self._waiting) >= BATCH:
            self._wake.set()

    def shutdown(self) -> None:
        """Deliver what can be delivered soon."""
        self._over = True
        self._wake.set()
        self._thread.join(END_SECONDS)
        self._exporter.shutdown()
        self._lost(len(self._waiting))

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Not needed: batches are short."""
        return True

    def _run(self) -> None:
        while not self._over:
            self._wake.wait(self._every)
            self._wake.clear()
            self._deliver()
        self._deliver()

    def _deliver(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                outcome = self._exporter.export(batch)
            except Exception:
                outcome = SpanExportResult.FAILURE
            if outcome is not SpanExportResult.SUCCESS:
                self._lost(len(batch))


class Numbers(MetricExporter):
    """An exporter of metrics whose failures are nobody's trouble: the next report has everything again."""

    def __init__(self, exporter: Any) -> None:
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._exporter: MetricExporter = exporter

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **given: Any) -> MetricExportResult:
        """See the library."""
        try:
            return self._exporter.export(metrics_data, timeout_millis=timeout_millis, **given)
        except Exception:
            return MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """See the library."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **given: Any) -> None:
        """See the library."""
        self._exporter.shutdown(timeout_millis, **given)
