"""Numbers, times and typed values by the rules of protojson: numbers as numbers or as texts, 64 bits, NaN by its name.

Each reader gives the value or None where it is not one. Source: conversation contract section 2.2.
"""

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
_DURATION: Final = re.compile(r"[-+]?(\d{1,12})(?:\.\d{0,9})?s")
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)")
_NAMED: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
# The largest whole number of seconds that a google.protobuf.Duration holds.
_MOST_SECONDS: Final = 315_576_000_000
_DEEPEST: Final = 100


def integer(value: Any, bits: int, *, signed: bool = True) -> int | None:
    """A whole number of that size."""
    if isinstance(value, str):
        value = Decimal(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return int(value) if least <= value <= most and int(value) == value else None


def number(value: Any) -> float | None:
    """A double, which may be no number at all."""
    if isinstance(value, str):
        if value in _NAMED:
            return _NAMED[value]
        value = float(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) else None


def duration(value: Any) -> str | None:
    """A time span such as ``86400s``, without a plus."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return None if found is None or int(found[1]) > _MOST_SECONDS else str(value).removeprefix("+")


def is_typed(value: Any, depth: int = 0) -> bool:
    """Whether it is a google.protobuf.Any of a type that is known here; an empty one is."""
    if not isinstance(value, dict) or depth > _DEEPEST:
        return False
    if not value:
        return True
    kind = value.get("@type")
    name = kind.rpartition("/")[2] if isinstance(kind, str) else ""
    if name == "google.protobuf.Empty":
        return bool(value.get("value", {}) == {})
    if name == "google.protobuf.Any":
        return is_typed(value.get("value"), depth + 1)
    fits = FITS.get(name.removeprefix("google.protobuf.")) if name.startswith("google.protobuf.") else None
    if fits is None or "value" not in value:
        return False
    return fits(value["value"])


def _is_bytes(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    plain = value.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _is_time(value: Any) -> bool:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return False
    try:
        datetime.fromisoformat(found[1])
    except ValueError:
        return False
    return True


# The well-known types that a parameter may be of.
FITS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "StringValue": lambda value: isinstance(value, str),
    "BoolValue": lambda value: isinstance(value, bool),
    "Int32Value": lambda value: integer(value, 32) is not None,
    "Int64Value": lambda value: integer(value, 64) is not None,
    "UInt32Value": lambda value: integer(value, 32, signed=False) is not None,
    "UInt64Value": lambda value: integer(value, 64, signed=False) is not None,
    "FloatValue": lambda value: number(value) is not None,
    "DoubleValue": lambda value: number(value) is not None,
    "BytesValue": _is_bytes,
    "Struct": lambda value: isinstance(value, dict),
    "ListValue": lambda value: isinstance(value, list),
    "Value": lambda value: True,
    "Duration": lambda value: duration(value) is not None,
    "Timestamp": _is_time,
}
