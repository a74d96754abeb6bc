"""The strategies: in which order the choices of one pool are to be tried. The first is the choice, the rest follow it.

A pool is the targets of a registration or the endpoints of a provider; the same functions serve both.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from math import inf, log
from typing import TypeAlias

from parley.plan.health import Gauge
from parley.settings import Balance

EXPLORE = 0.05  # share of "fastest" requests that measure another choice again
_MASK = (1 << 64) - 1

Rand: TypeAlias = Callable[[], float]


class Pool:
    """Choices of one kind and whose turn it is. ``names`` decide prefix_hash, ``gauges`` load and pace. ``start`` turns
    are taken to have been had."""

    __slots__ = ("credit", "gauges", "salts", "turn", "weights")

    def __init__(self, names: Sequence[str], weights: Sequence[int], gauges: Sequence[Gauge], start: int = 0) -> None:
        self.salts = [_digest(name.encode()) for name in names]
        self.weights = list(weights)
        self.gauges = tuple(gauges)
        self.credit = [0] * len(self.weights)
        self.turn = start
        for _ in range(start):
            _spend(self)


def order(strategy: Balance, pool: Pool, rand: Rand, prefix: bytes) -> Sequence[int]:
    """All indexes of ``pool``, best first. ``rand`` gives numbers in [0, 1); ``prefix`` is only for prefix_hash."""
    return _ORDERS[strategy](pool, rand, prefix)


def _as_configured(pool: Pool, _rand: Rand, _prefix: bytes) -> Sequence[int]:
    return range(len(pool.weights))


def _in_turn(pool: Pool, _rand: Rand, _prefix: bytes) -> Sequence[int]:
    count = len(pool.weights)
    first = pool.turn % count
    pool.turn = first + 1
    return [*range(first, count), *range(first)]


def _by_weight(pool: Pool, _rand: Rand, _prefix: bytes) -> Sequence[int]:
    """Smooth weighted turns: every share of ``sum(weights)`` requests is exact, and no choice comes in bursts."""
    return _spend(pool)


def _spend(pool: Pool) -> Sequence[int]:
    credit = pool.credit
    for index, weight in enumerate(pool.weights):
        credit[index] += weight
    ranked = sorted(range(len(credit)), key=lambda index: (not pool.weights[index], -credit[index]))
    credit[ranked[0]] -= sum(pool.weights)
    return ranked


def _least_busy(pool: Pool, rand: Rand, prefix: bytes) -> Sequence[int]:
    def load(index: int) -> float:
        weight = pool.weights[index]
        return pool.gauges[index].in_flight / weight if weight else inf

    return sorted(_in_turn(pool, rand, prefix), key=load)


def _idlest(pool: Pool, _rand: Rand, _prefix: bytes) -> Sequence[int]:
    """By the whole load of a place, as far as it tells, and of two with the same the faster one."""

    def load(index: int) -> tuple[int, float]:
        gauge = pool.gauges[index]
        return gauge.in_flight + gauge.beside, gauge.pace or 0.0

    return sorted(range(len(pool.gauges)), key=load)


def _fastest(pool: Pool, rand: Rand, _prefix: bytes) -> Sequence[int]:
    ranked = sorted(range(len(pool.gauges)), key=lambda index: _pace(pool.gauges[index]))
    if len(ranked) > 1 and rand() < EXPLORE:
        ranked.insert(0, ranked.pop(1 + int(rand() * (len(ranked) - 1))))
    return ranked


def _pace(gauge: Gauge) -> float:
    """Unmeasured comes first, but only one request at a time finds out."""
    if gauge.pace is None:
        return inf if gauge.in_flight else -1.0
    return gauge.pace


def _by_prefix(pool: Pool, rand: Rand, prefix: bytes) -> Sequence[int]:
    """Weighted rendezvous hashing: a choice that comes or goes moves only its own share of the prefixes."""
    if not prefix:
        return _in_turn(pool, rand, prefix)
    digest = _digest(prefix)

    def score(index: int) -> float:
        unit = (_mixed(digest ^ pool.salts[index]) + 1) / (_MASK + 3)
        return pool.weights[index] / -log(min(unit, 1 - 1e-16))

    return sorted(range(len(pool.salts)), key=score, reverse=True)


def _digest(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def _mixed(value: int) -> int:
    """The finalizer of splitmix64: every input bit reaches every output bit."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


_ORDERS: dict[Balance, Callable[[Pool, Rand, bytes], Sequence[int]]] = {
    "fallback": _as_configured,
    "round_robin": _in_turn,
    "weighted": _by_weight,
    "least_busy": _least_busy,
    "idlest": _idlest,
    "fastest": _fastest,
    "prefix_hash": _by_prefix,
}
