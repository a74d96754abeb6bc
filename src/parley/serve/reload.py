"""Serving by a configuration that was read again.

What is right is taken over between two turns of the loop; requests under way end on what they began with. What is
wrong changes nothing and is said in the log, in /readyz and in the metrics until something right was read.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from parley.config.problem import Problem
from parley.gateway.metrics import REJECTED
from parley.io import upstreams
from parley.ports import Upstream
from parley.serve.house import House
from parley.serve.rereading import UNREAD, Reading, Rereading, Source, say, say_problems, told
from parley.settings import Settings

# What is set up once: sockets, the file of what is kept, the way to the collector.
FIXED: Final = ("listen", "store", "telemetry")
# Of ``node`` what a node is to others, and how it came among them.
FIXED_NODE: Final = (
    *("id", "network", "credentials", "nkey", "user", "password", "token", "tls", "encrypt"),
    *("ttl", "heartbeat", "bucket", "replicas", "trust", "allow"),
)


class Adoption:
    """One per house. ``made`` are its gateway's transports, added to in place; ``write`` takes log lines."""

    def __init__(self, house: House, made: dict[str, Upstream], write: Callable[[bytes], None]) -> None:
        self._house = house
        self._made = made
        self._write = write

    def take(self, reading: Reading, why: str) -> Reading:
        """Serve by it where it is right. A fault of ours shall end neither the watch nor what is served."""
        if self._house.draining:
            return reading
        try:
            self._judge(reading, why)
        except Exception:
            logging.getLogger("parley").exception("the configuration could not be taken over")
            reading = Reading(problems=(UNREAD,))
            self._judge(reading, why)
        return reading

    def _judge(self, reading: Reading, why: str) -> None:
        say_problems(self._write, reading)
        if reading.problems:
            self._house.gateway.metrics.count(REJECTED)
            waiting = [notice for notice in self._house.notices if notice["kind"] != "config"]
            self._house.notices = [*map(_notice, reading.problems), *waiting]
        else:
            self._adopt(reading, why)

    def _adopt(self, reading: Reading, why: str) -> None:
        house = self._house
        gateway, before = house.gateway, house.gateway.settings
        settings = settled(before, reading.settings)
        upstreams.extend(self._made, settings, house.loop, self._write)
        reading.taken()
        gateway.adopt(settings, self._made if house.telling is None else house.telling.upstreams(settings))
        upstreams.adopt(self._made, settings)
        house.adopt()
        house.notices = restarts(reading.settings, settings)
        say_loaded(self._write, settings, house.notices, why)


class Reload(Rereading):
    """One per house that reads for itself; see Adoption."""

    def __init__(self, house: House, made: dict[str, Upstream], source: Source, write: Callable[[bytes], None]) -> None:
        super().__init__(source, write)
        self._adoption = Adoption(house, made, write)

    async def take(self, reading: Reading, why: str) -> Reading:
        """Serve by it where it is right; what came of it."""
        return self._adoption.take(reading, why)


def settled(before: Settings, wanted: Settings) -> Settings:
    """What is wanted, as far as it can be without a restart. Providers and registrations that are equal stay the same
    object, so that nothing about them is new."""
    kept = {name: getattr(before, name) for name in FIXED}
    node = replace(wanted.node, **{name: getattr(before.node, name) for name in FIXED_NODE})
    providers = {
        name: one if one != (known := before.providers.get(name)) or known is None else known
        for name, one in wanted.providers.items()
    }
    registrations = {
        pair: one if one != (model := before.registrations.get(pair)) or model is None else model
        for pair, one in wanted.registrations.items()
    }
    return replace(wanted, providers=providers, registrations=registrations, node=node, **kept)


def restarts(wanted: Settings, settings: Settings) -> list[dict[str, Any]]:
    """Notices of what is wanted and takes a restart."""
    fixed = [name for name in FIXED if getattr(wanted, name) != getattr(settings, name)]
    node, now = wanted.node, settings.node
    fixed += [f"node.{name}" for name in FIXED_NODE if getattr(node, name) != getattr(now, name)]
    return [{"kind": "restart", "message": f"{name} has changed; it takes a restart"} for name in fixed]


def say_loaded(write: Callable[[bytes], None], settings: Settings, notices: list[dict[str, Any]], why: str) -> None:
    """The log lines of a configuration that is served from now on."""
    for notice in notices:
        say(write, "config.restart", message=notice["message"])
    say(write, "config.loaded", why=why, providers=len(settings.providers), models=len(settings.registrations))


def _notice(problem: Problem) -> dict[str, Any]:
    return {"kind": "config", **{name: value for name, value in told(problem).items() if name != "hint"}}
