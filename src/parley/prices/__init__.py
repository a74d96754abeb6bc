"""What tokens, pictures and sounds cost. Money is a whole number of picodollars (1e-12 USD). See docs/prices.md.

Tariff      the prices of one model at one provider, and what a usage costs by them
Tariffs     which Tariff holds for a provider and model: the configuration's, else the table's
    Table   the prices of the data package, with its version and date, read on first use
"""

from parley.prices.tariff import Tariff
from parley.prices.tariffs import Tariffs
from parley.prices.units import PICO

__all__ = ["PICO", "Tariff", "Tariffs"]
