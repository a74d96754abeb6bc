"""Which tariff holds for a provider and model: the configuration's, else the one of the price data package."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec

from parley.prices.tariff import Tariff
from parley.settings import Provider

REMEMBERED: Final = 4096
FOREVER: Final = float("inf")
Known: TypeAlias = tuple[Tariff | None, float]


class Tariffs:
    """Tariffs by provider and model, remembered until prices may change. ``own`` are the configuration's, by
    ``provider/model`` or ``provider/*``: units and picodollars. ``wall`` is seconds since 1970.

    The first question reads the table of prices: some milliseconds.
    """

    def __init__(self, own: Mapping[str, Mapping[str, int]], *, wall: Callable[[], float]) -> None:
        self._own = {
            name: msgspec.convert({**prices, "source": "configuration"}, Tariff) for name, prices in own.items()
        }
        self._wall = wall
        self._known: dict[tuple[str, str], Known] = {}
        self._vendors: dict[str, str | None] = {}

    def of(self, provider: Provider, model: str) -> Tariff | None:
        """The tariff of that model there; None: nobody knows what it costs."""
        place = (provider.name, model)
        known = self._known.get(place)
        if known is None or known[1] <= self._wall():
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[place] = self._found(provider, model)
        return known[0]

    def _found(self, provider: Provider, model: str) -> Known:
        own = self._own.get(f"{provider.label}/{model}") or self._own.get(f"{provider.label}/*")
        if own is not None:
            return own, FOREVER
        if provider.name not in self._vendors:
            self._vendors[provider.name] = _vendor_of(provider)
        vendor = self._vendors[provider.name]
        if vendor is None:
            return None, FOREVER
        from parley.prices.table import shipped

        table, now = shipped(), self._wall()
        found = table.find(vendor, model)
        return (None, FOREVER) if found is None else (found.tariff(now, table.source), found.changes(now))


def _vendor_of(provider: Provider) -> str | None:
    """Whose prices a provider has: those of the address it is called at. One that bears its vendor's own name has the
    vendor's prices also behind another address, such as a proxy's."""
    from parley.prices.table import shipped

    urls = [url for url in provider.endpoints if url.startswith("http")]
    found = [shipped().vendor_at(url) for url in urls]
    if any(found):
        return next(name for name in found if name)
    if provider.label != provider.type:
        return None
    from parley.vendors import VARIABLE, vendors

    row = vendors().get(provider.type)
    homes = [] if row is None else [VARIABLE.sub("x", wire.base) for wire in row.wires.values()]
    return next((name for name in map(shipped().vendor_at, homes) if name), None)
