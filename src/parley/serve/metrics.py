"""What /metrics shows: the numbers of one process, those of several made one, and all of it as Prometheus text."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from parley.gateway.families import (
    BREAKER,
    COST,
    FAMILIES,
    LAG,
    LOADED,
    LOG_DROPPED,
    STORE_DROPPED,
    STREAMS,
    Family,
    Key,
    Merge,
)
from parley.plan.health import CLOSED, HALF_OPEN, OPEN

if TYPE_CHECKING:
    from parley.serve.house import House

_PICO: Final = 1e12
_SEVERITY: Final = (CLOSED, HALF_OPEN, OPEN)
_UNDESCRIBED: Final = Family("")


class Snapshot(Struct):
    """Numbers at one moment, by name and label values; ``curves`` are histograms as in parley.gateway.metrics."""

    values: dict[Key, float] = {}
    curves: dict[Key, list[float]] = {}

    def counters(self) -> "Snapshot":
        """Without the gauges, which mean nothing once their process has ended."""
        kept = {key: value for key, value in self.values.items() if _family(key).kind == "counter"}
        return Snapshot(kept, self.curves)


def snapshot(house: "House") -> Snapshot:
    """The numbers of this process."""
    gateway = house.gateway
    made = counted(house)
    values = made.values
    values[(STREAMS,)] = gateway.metrics.streams
    values[(LOADED,)] = gateway.loaded
    values[(LAG,)] = house.lag.worst()
    for name, health in gateway.fleet.snapshot(gateway.clock.now()).items():
        key = (BREAKER, name.partition("#")[0])
        values[key] = worst((values.get(key, CLOSED), health.state))
    values.update((key, float(ask())) for key, ask in tuple(gateway.metrics.gauges.items()))
    values.update(_process())
    return made


def counted(house: "House") -> Snapshot:
    """What has happened in this process since it began."""
    metrics = house.gateway.metrics
    values = {key: count / _PICO if key[0] == COST else float(count) for key, count in metrics.counts.items()}
    values[(STORE_DROPPED,)] = float(house.store.dropped if house.store is not None else 0)
    values[(LOG_DROPPED,)] = float(house.log_dropped())
    values.update((key, float(ask())) for key, ask in tuple(metrics.gauges.items()) if _family(key).kind == "counter")
    return Snapshot(values, {key: list(curve.values) for key, curve in metrics.curves.items()})


def merged(several: Iterable[Snapshot]) -> Snapshot:
    """The numbers of several processes as one."""
    values: dict[Key, list[float]] = {}
    curves: dict[Key, list[float]] = {}
    for one in several:
        for key, value in one.values.items():
            values.setdefault(key, []).append(value)
        for key, curve in one.curves.items():
            known = curves.get(key)
            curves[key] = list(curve) if known is None else [a + b for a, b in zip(known, curve, strict=True)]
    return Snapshot({key: _one(_family(key).merge, found) for key, found in values.items()}, curves)


def worst(states: Iterable[float]) -> float:
    """The worst of several breakers' states: open before half-open before closed."""
    return max(states, key=lambda state: _SEVERITY.index(int(state)))


def exposition(shown: Snapshot) -> tuple[bytes, str]:
    """Body and content type of /metrics."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class Shown(Collector):
        """What the library asks for its text."""

        def collect(self) -> Iterator[Any]:
            return _families(shown)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Shown())
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _families(shown: Snapshot) -> Iterator[Any]:
    values: dict[str, list[tuple[Key, float]]] = {}
    curves: dict[str, list[tuple[Key, list[float]]]] = {}
    for key, value in sorted(shown.values.items()):
        values.setdefault(key[0], []).append((key[1:], value))
    for key, curve in sorted(shown.curves.items()):
        curves.setdefault(key[0], []).append((key[1:], curve))
    for name, family in FAMILIES.items():
        if family.kind == "histogram":
            yield _histogram(name, family, curves.get(name, []))
        else:
            yield _plain(name, family, values.get(name, []))


def _plain(name: str, family: Family, samples: list[tuple[Key, float]]) -> Any:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    if family.kind == "gauge":
        made: Any = GaugeMetricFamily(name, family.help, labels=family.labels)
    else:
        made = CounterMetricFamily(name.removesuffix("_total"), family.help, labels=family.labels)
    for labels, value in samples or ([((), 0.0)] if family.shown else []):
        made.add_metric(labels, value)
    return made


def _histogram(name: str, family: Family, samples: list[tuple[Key, list[float]]]) -> Any:
    from prometheus_client.core import HistogramMetricFamily

    made = HistogramMetricFamily(name, family.help, labels=family.labels)
    for labels, curve in samples:
        below, buckets = 0.0, []
        for bound, count in zip((*family.bounds, float("inf")), curve, strict=False):
            below += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), below))
        made.add_metric(labels, buckets, curve[-1])
    return made


def _one(merge: Merge, found: list[float]) -> float:
    if merge == "worst":
        return worst(found)
    if merge == "sum":
        return sum(found)
    return max(found) if merge == "max" else min(found)


def _family(key: Key) -> Family:
    return FAMILIES.get(key[0], _UNDESCRIBED)


def _process() -> Iterator[tuple[Key, float]]:
    """What the system says of this process; nothing where it does not say it in the way that Linux does."""
    from prometheus_client import ProcessCollector

    for family in ProcessCollector(registry=None).collect():
        for sample in family.samples:
            yield (sample.name,), sample.value
