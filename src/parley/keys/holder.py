"""Who a key stands for, and what that one may ask for. Source: product contract sections 3 to 5."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal["caller", "admin", "node", "operator"]
# Who configured the gateway, asking by it: no key, so that limits of keys do not hold.
OPERATOR: Final = "operator"
KINDS: Final[tuple[Kind, ...]] = ("caller", "admin", "node")
Network: TypeAlias = IPv4Network | IPv6Network


class KeyLimits(Struct, frozen=True, kw_only=True):
    """What a key may take: requests and tokens a minute, requests at one time, picodollars in each period of so many
    seconds (0: ever), counted from ``since`` (seconds since 1970). None: nothing was said. ``priority``: "high",
    "normal", "low" or, where nothing was said, ""."""

    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    budget: int | None = None
    budget_period: float = 0.0
    since: float = 0.0
    priority: str = ""


class Holder(Struct, frozen=True, kw_only=True):
    """``models`` are patterns (``*``, ``?``, ``[...]``) for names as callers ask for them, ``dialects`` names of
    dialects, ``sources`` networks as text; of each, none at all means every one. ``expires`` in seconds since 1970,
    None = never. What an ``id`` owns is its own alone; ``name`` is for people. ``defaults`` are request members used
    where the request is silent.
    """

    id: str
    name: str
    kind: Kind = "caller"
    models: tuple[str, ...] = ()
    dialects: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    expires: float | None = None
    tags: Mapping[str, str] = {}
    limits: KeyLimits | None = None
    defaults: Mapping[str, Any] = {}

    def allows(self, model: str, dialect: str, source: str, now: float) -> bool:
        """Whether all of it is allowed: the model, in that dialect, from that address, at that time."""
        return self.lives(now) and self.asks(model) and self.speaks(dialect) and self.comes_from(source)

    def lives(self, now: float) -> bool:
        """Whether it has not expired."""
        return self.expires is None or now < self.expires

    def asks(self, model: str) -> bool:
        """Whether it may ask for that model."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)

    def speaks(self, dialect: str) -> bool:
        """Whether it may speak that dialect."""
        return not self.dialects or dialect in self.dialects

    def comes_from(self, source: str) -> bool:
        """Whether it may come from that address; one that is not known ("") is in no network."""
        if not self.sources:
            return True
        address = _address(source)
        return address is not None and any(address in network(text) for text in self.sources)


@cache
def network(text: str) -> Network:
    """A network, or one address. Raises ValueError."""
    return ip_network(text)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
