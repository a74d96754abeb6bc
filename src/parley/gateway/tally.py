"""Where the requests that take one route, and are answered, are counted: found once, then only added to."""

from typing import TYPE_CHECKING

from parley.gateway.accounting import answerer, named
from parley.gateway.measures import Series
from parley.gateway.metrics import REQUESTS, Counter

if TYPE_CHECKING:
    from parley.gateway import Gateway
    from parley.gateway.delivery import Delivery


class Tally:
    """``series`` is None where nobody measures. ``provider`` is the label of who answers, ``target`` its
    ``provider/model``."""

    __slots__ = ("provider", "requests", "series", "target")

    def __init__(self, requests: Counter, series: Series | None, provider: str, target: str) -> None:
        self.requests = requests
        self.series = series
        self.provider, self.target = provider, target


def tally_for(gateway: "Gateway", job: "Delivery") -> Tally:
    """The one for what the requests of a job's route have in common."""
    inlet, measures, lane, provider = job.inlet, gateway.measures, job.lane, answerer(job)
    series = None if measures is None else measures.series(inlet.operation, provider, named(job), "")
    requests = gateway.metrics.counter(REQUESTS, inlet.dialect, "ok", "")
    return Tally(requests, series, provider, "" if lane is None else lane.target.name)
