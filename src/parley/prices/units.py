"""How prices are written, and how they are counted."""

from decimal import Decimal
from typing import Final

# Picodollars to a dollar.
PICO: Final = 10**12
MILLION: Final = 10**6
# What is told per piece, not per million of them.
SINGLE: Final = frozenset({"image", "request", "search", "hour"})


def picodollars(unit: str, dollars: Decimal) -> int:
    """A price as it is counted: of one token or piece."""
    return int((dollars * PICO / (1 if unit in SINGLE else MILLION)).to_integral_value())


def dollars(amount: int | None) -> Decimal | None:
    """An amount of picodollars in US dollars."""
    if amount is None:
        return None
    made = (Decimal(amount) / PICO).normalize()
    return made.quantize(Decimal(1)) if made == made.to_integral_value() else made
