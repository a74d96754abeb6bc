"""Durations and sizes as people write them: 5s, 500ms, 1m, 30d; 10MiB, 16KiB, 1MB."""

import math
import re
from typing import TypeAlias

Amount: TypeAlias = int | float | str

# A hundred years: what is counted from now on stays a time that calendars know.
LONGEST = 36_500 * 86_400.0
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {
    "B": 1, "": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip
NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")
DURATION_PATTERN = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*$"
PAUSES_PATTERN = r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*(\.\.\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*)?$"
SIZE_PATTERN = r"^\s*\d+(\.\d+)?\s*([kKmMgGtT][iI]?[bB]|[bB])?\s*$"


def duration(value: Amount) -> float:
    """Seconds. Raises ValueError saying what was expected."""
    expected = "a duration such as 500ms, 5s, 1m, 2h or 30d, or a number of seconds"
    seconds = _positive(*_split(value, expected), SECONDS | {"": 1.0}, expected)
    if seconds > LONGEST:
        raise ValueError("must be at most 36500d")
    return seconds


def pauses(value: Amount, most: float) -> tuple[float, float]:
    """Seconds of the first pause and of the longest, as in 1s..60s; where one stands alone the longest is ``most``, or
    that one where it is longer. Raises ValueError saying what was expected."""
    left, between, right = value.partition("..") if isinstance(value, str) else (value, "", "")
    try:
        first = duration(left)
        last = duration(right) if between else max(first, most)
    except ValueError as error:
        raise ValueError(f"{error}, and two of them as 1s..60s") from None
    if last < first:
        raise ValueError("the longest pause is shorter than the first: expected such as 1s..60s")
    return first, last


def size(value: Amount) -> int:
    """Bytes. Raises ValueError saying what was expected."""
    expected = "a size such as 16KiB, 10MiB or 1MB, or a number of bytes"
    number, unit = _split(value, expected)
    total = _positive(number, unit.upper(), {key: float(factor) for key, factor in BYTES.items()}, expected)
    if total != int(total):
        raise ValueError("a size is a whole number of bytes")
    return int(total)


def _split(value: Amount, expected: str) -> tuple[float, str]:
    """Number and unit."""
    if not isinstance(value, str):
        return float(value), ""
    found = NUMBER.fullmatch(value)
    if found is None:
        raise ValueError(f"expected {expected}")
    return float(found[1]), found[2]


def _positive(number: float, unit: str, units: dict[str, float], expected: str) -> float:
    """The amount in base units."""
    if unit not in units:
        raise ValueError(f'unknown unit "{unit}": expected {expected}')
    amount = number * units[unit]
    if not math.isfinite(amount) or amount <= 0:
        raise ValueError("must be above 0")
    return amount
