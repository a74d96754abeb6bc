"""Writes src/parley/prices/table.json: the prices of the package genai-prices (MIT, Pydantic Services Inc.).

Run it after its version was raised among the development requirements. Standard library and that package only; two
runs give the same bytes. What Parley cannot count (searches in stores, pages of documents) is left out, and so are
prices for batches, which the gateway does not send.

Usage: python scripts/prices.py
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices import types
from genai_prices.data import providers

PACKAGE = "genai-prices"
TABLE = Path(__file__).parent.parent / "src" / "parley" / "prices" / "table.json"
# The package's units, ours, and how many of theirs are one of what its price is for.
UNITS: dict[str, tuple[str, int]] = {
    "input_mtok": ("input", 1),
    "output_mtok": ("output", 1),
    "cache_read_mtok": ("cached", 1),
    "cache_write_mtok": ("cache_write", 1),
    "cache_write_1h_mtok": ("cache_write_1h", 1),
    "output_reasoning_mtok": ("reasoning", 1),
    "input_audio_mtok": ("audio_input", 1),
    "cache_audio_read_mtok": ("audio_cached", 1),
    "output_audio_mtok": ("audio_output", 1),
    "input_image_mtok": ("image_input", 1),
    "cache_image_read_mtok": ("image_cached", 1),
    "output_image_mtok": ("image_output", 1),
    "input_video_mtok": ("video_input", 1),
    "requests_kcount": ("request", 1000),
    "web_searches_kcount": ("search", 1000),
    "audio_hours": ("hour", 1),
    "input_audio_hours": ("hour", 1),
    "input_mchars": ("character", 1),
}
WHEN = frozenset({"service_tier", "speed"})


def plain(price: Decimal) -> str:
    text = format(price.normalize(), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def prices_of(given: types.ModelPrice) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, price in vars(given).items():
        if price is None or name not in UNITS:
            continue
        unit, many = UNITS[name]
        if isinstance(price, types.TieredPrices):
            steps = [[tier.start, plain(tier.price / many)] for tier in price.tiers]
            made[unit] = [plain(price.base / many), steps]
        else:
            made[unit] = plain(price / many)
    return made


def seconds(at: time) -> int:
    utc = datetime.combine(date(1970, 1, 2), at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    return utc.hour * 3600 + utc.minute * 60 + utc.second


def held(constraint: Any) -> dict[str, Any]:
    if isinstance(constraint, types.StartDateConstraint):
        begin = datetime.combine(constraint.start_date, time(), UTC)
        return {"since": int(begin.timestamp())}
    if isinstance(constraint, types.TimeOfDateConstraint):
        return {"hours": [seconds(constraint.start_time), seconds(constraint.end_time)]}
    return {}


def rule_of(match: Any) -> dict[str, Any]:
    match match:
        case types.ClauseEquals(equals=text):
            return {"equals": text.lower()}
        case types.ClauseStartsWith(starts_with=text):
            return {"starts": text.lower()}
        case types.ClauseEndsWith(ends_with=text):
            return {"ends": text.lower()}
        case types.ClauseContains(contains=text):
            return {"contains": text.lower()}
        case types.ClauseRegex(regex=text):
            return {"matches": text}
        case types.ClauseOr(or_=rules):
            return {"any": [rule_of(one) for one in rules]}
        case types.ClauseAnd(and_=rules):
            return {"all": [rule_of(one) for one in rules]}
    raise TypeError(match)


def model_of(model: types.ModelInfo) -> dict[str, Any]:
    given = model.prices if isinstance(model.prices, list) else [types.ConditionalPrice(prices=model.prices)]
    made: dict[str, Any] = {
        "id": model.id,
        "rule": rule_of(model.match),
        "prices": [{"prices": prices_of(one.prices), **held(one.constraint)} for one in given],
    }
    tiers = [
        {"prices": prices_of(one.prices), "tier": tier, **held(one.constraint)}
        for one in model.price_variants or ()
        if len(one.when) == 1 and set(one.when) <= WHEN
        for tier in one.when.values()
    ]
    if tiers := [one for one in tiers if one["prices"]]:
        made["tiers"] = tiers
    return made


def vendor_of(provider: types.Provider) -> dict[str, Any]:
    made: dict[str, Any] = {"models": [model_of(model) for model in provider.models]}
    if provider.fallback_model_providers:
        made["others"] = provider.fallback_model_providers
    return made


def dates(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        if "since" in value:
            yield value["since"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from dates(one)


def table() -> str:
    vendors = {provider.id: vendor_of(provider) for provider in providers}
    # The package states no date of its own: the newest one from which a price holds that was not ahead of it.
    newest = max(at for at in dates(vendors) if at <= RELEASED)
    head = {
        "package": PACKAGE,
        "version": version(PACKAGE),
        "date": datetime.fromtimestamp(newest, UTC).date().isoformat(),
        "urls": {provider.id: provider.api_pattern for provider in providers},
    }
    lines = ",\n".join(
        f"{json.dumps(name)}:{json.dumps(made, separators=(',', ':'))}" for name, made in vendors.items()
    )
    return f'{json.dumps(head, separators=(",", ":"))[:-1]},"vendors":{{\n{lines}\n}}}}\n'


# Prices that are announced for later days are in the package too.
RELEASED = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp())

if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
