"""The gateway's counters as Prometheus text."""

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from parley.gateway import Gateway
from parley.gateway.metrics import LABELS, REJECTED


def exposition(gateway: Gateway, lost: int = 0) -> tuple[bytes, str]:
    """Body and content type of /metrics. ``lost`` counts writes that the store could not take."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Counts(gateway, lost))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Counts(Collector):
    def __init__(self, gateway: Gateway, lost: int) -> None:
        self._gateway = gateway
        self._lost = lost

    def collect(self) -> Iterator[Metric]:
        by_name: defaultdict[str, list[tuple[tuple[str, ...], int]]] = defaultdict(list)
        for (name, *values), count in self._gateway.metrics.counts.items():
            by_name[name].append((tuple(values), count))
        for name, labels in LABELS.items():
            family = CounterMetricFamily(name.removesuffix("_total"), name, labels=labels)
            for labelled, count in by_name[name]:
                family.add_metric(labelled, count)
            yield family
        yield GaugeMetricFamily("parley_streams_open", "Streams open now", value=self._gateway.metrics.streams)
        breakers = GaugeMetricFamily("parley_breaker_state", "0 closed, 1 open, 2 half-open", labels=["provider"])
        worst: dict[str, int] = {}
        for provider, health in self._gateway.fleet.snapshot(self._gateway.clock.now()).items():
            label = provider.partition("#")[0]
            worst[label] = max(worst.get(label, 0), health.state)
        for label, state in worst.items():
            breakers.add_metric([label], state)
        yield breakers
        rejected = self._gateway.metrics.counts.get((REJECTED,), 0)
        yield CounterMetricFamily("parley_config_rejected", "Configurations and files not taken", value=rejected)
        loaded = self._gateway.loaded
        yield GaugeMetricFamily("parley_config_loaded_timestamp_seconds", "When it was loaded", value=loaded)
        yield CounterMetricFamily("parley_store_dropped", "Writes that the store could not take", value=self._lost)
