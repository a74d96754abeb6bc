"""Where the requests that take one route, and are answered, are counted: found once, then only added to."""

from typing import TYPE_CHECKING

from parley.gateway.accounting import answerer, named
from parley.gateway.measures import Series
from parley.gateway.metrics import REQUESTS, Counter

if TYPE_CHECKING:
    from parley.gateway import Gateway
    from parley.gateway.delivery import Delivery


class Tally:
    """``series`` is None where nobody measures."""

    __slots__ = ("requests", "series")

    def __init__(self, requests: Counter, series: Series | None) -> None:
        self.requests = requests
        self.series = series


def tally_for(gateway: "Gateway", job: "Delivery") -> Tally:
    """The one for what the requests of a job's route have in common."""
    inlet, measures = job.inlet, gateway.measures
    series = None if measures is None else measures.series(inlet.operation, answerer(job), named(job), "")
    return Tally(gateway.metrics.counter(REQUESTS, inlet.dialect, "ok", ""), series)
