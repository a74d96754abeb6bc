"""Prices: what the data package itself would charge, to the picodollar; what is not known stays unknown."""

import random
import runpy
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from parley.ir import Usage
from parley.prices import PICO, Tariff, Tariffs
from parley.prices.table import Table, shipped
from parley.prices.units import dollars, picodollars
from parley.settings import Provider

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
ROOT = Path(__file__).parents[2]
USD = Decimal(10**12)


def provider(name: str = "openai", kind: str = "openai", url: str = "https://api.openai.com/v1") -> Provider:
    return Provider(name=name, type=kind, wire="w", endpoints=(url,) if url else (), paths={})


def tariffs(own: Any = None, now: float = NOW) -> Tariffs:
    return Tariffs(own or {}, wall=lambda: now)


def tariff(model: str, url: str = "https://api.openai.com/v1", now: float = NOW) -> Tariff:
    found = tariffs(now=now).of(provider(url=url), model)
    assert found is not None
    return found


# Cached tokens are counted once


def test_every_token_is_paid_once() -> None:
    plain = Tariff(input=100, output=1000, cached=10, cache_write=125, cache_write_1h=200, reasoning=3000)
    assert plain.cost(Usage(100, 10)) == 100 * 100 + 10 * 1000
    assert plain.cost(Usage(100, 10, 40)) == 60 * 100 + 40 * 10 + 10 * 1000
    assert plain.cost(Usage(100, 10, 40, 20)) == 40 * 100 + 40 * 10 + 20 * 125 + 10 * 1000
    assert plain.cost(Usage(100, 10, 40, 20, cache_write_1h=5)) == 40 * 100 + 40 * 10 + 15 * 125 + 5 * 200 + 10 * 1000
    assert plain.cost(Usage(100, 10, reasoning=4)) == 100 * 100 + 6 * 1000 + 4 * 3000


def test_a_part_without_a_price_has_that_of_the_whole() -> None:
    plain = Tariff(input=100, output=1000)
    everything = Usage(
        100, 10, 40, 20, 4, audio_input=5, audio_output=2, image_input=5, image_output=1, cache_write_1h=3
    )
    assert plain.cost(everything) == 100 * 100 + 10 * 1000


def test_sound_and_pictures_have_prices_of_their_own() -> None:
    made = Tariff(
        input=1, output=2, cached=3, audio_input=10, audio_cached=5, audio_output=20, image_input=30, image_output=40
    )
    assert made.cost(Usage(100, 50, audio_input=60, audio_output=20, image_output=10)) == 40 + 600 + 400 + 400 + 20 * 2
    # What was cached was text as far as there was text, unless the provider says otherwise.
    assert made.cost(Usage(100, 0, 30, audio_input=60)) == 10 * 1 + 30 * 3 + 60 * 10
    assert made.cost(Usage(100, 0, 50, audio_input=60)) == 40 * 3 + 10 * 5 + 50 * 10
    assert made.cost(Usage(100, 0, 50, audio_input=60, audio_cached=50)) == 40 * 1 + 50 * 5 + 10 * 10
    assert made.cost(Usage(100, 0, audio_input=50, image_input=50)) == 50 * 10 + 50 * 30


def test_numbers_that_contradict_each_other_cost_no_more_than_they_can() -> None:
    made = Tariff(input=10, output=10, cached=1, cache_write=12, reasoning=10, audio_input=10)
    assert made.cost(Usage(10, 5, 100, 100, 100)) == 10 * 1 + 5 * 10
    assert made.cost(Usage(10, 5, 4, 100)) == 4 * 1 + 6 * 12 + 5 * 10
    assert made.cost(Usage(10, 0, audio_input=100)) == 100


def test_random_usages_are_split_without_a_rest() -> None:
    rng = random.Random(5)
    same = Tariff(
        input=7, output=7, cached=7, cache_write=7, audio_input=7, audio_cached=7, image_input=7, image_cached=7
    )
    for _ in range(2000):
        parts = {
            name: rng.choice((None, rng.randrange(60)))
            for name in ("cached", "cache_write", "audio_input", "audio_cached", "image_input", "image_cached",
                         "video_input", "cache_write_1h", "reasoning", "audio_output", "image_output")
        }  # fmt: skip
        usage = Usage(rng.randrange(100), rng.randrange(50), **parts)
        assert same.cost(usage) == 7 * (usage.input + usage.output), usage


def test_pieces_hours_and_requests() -> None:
    made = Tariff(image=40, request=3, search=100, hour=3600, character=2)
    assert made.cost(Usage(images=3)) == 123
    assert made.cost(Usage(searches=2)) == 203
    assert made.cost(Usage(seconds=1.5)) == 3 + 1
    assert made.cost(Usage(characters=10)) == 23
    assert made.estimate(10, 10) == 3


def test_what_has_no_price_makes_the_cost_unknown_and_not_zero() -> None:
    assert Tariff(input=1).cost(Usage(5, 0)) == 5
    assert Tariff(input=1).cost(Usage(5, 1)) is None
    assert Tariff(output=1).cost(Usage(5, 1)) is None
    assert Tariff(hour=36).cost(Usage(5, 1)) is None
    assert Tariff(hour=3_600_000).cost(Usage(seconds=1)) == 1000
    assert Tariff(input=0, output=0).cost(Usage(5, 1)) == 0


def test_long_inputs_and_other_grades() -> None:
    long = Tariff(input=2, output=20)
    quick = Tariff(input=5, output=50)
    made = Tariff(input=1, output=10, above=((200, long),), tiers=(("fast", quick),))
    assert made.cost(Usage(200, 1)) == 210
    assert made.cost(Usage(201, 1)) == 422
    assert made.cost(Usage(201, 1, tier="fast")) == 5 * 201 + 50
    assert made.cost(Usage(1, 1, tier="unheard of")) == 11
    assert made.estimate(201, 1) == 422


# Which tariff


def test_the_configuration_wins() -> None:
    own = {"openai/gpt-4o": {"input": 5}, "mine/*": {"input": 6}}
    assert tariffs(own).of(provider(), "gpt-4o") == Tariff(input=5, source="configuration")
    assert tariffs(own).of(provider("mine", "openai", "http://127.0.0.1:1/v1"), "any") == Tariff(
        input=6, source="configuration"
    )
    found = tariffs(own).of(provider(), "gpt-4o-mini")
    assert found is not None
    assert found.source.startswith("genai-prices ")


def test_prices_are_those_of_the_address() -> None:
    assert tariffs().of(provider("other", "openai", "https://api.deepseek.com/v1"), "deepseek-chat") is not None
    assert tariffs().of(provider("other", "openai", "https://api.deepseek.com/v1"), "gpt-4o") is None
    # Behind a proxy the vendor's own name says whose prices they are; a name of one's own says nothing.
    assert tariffs().of(provider("openai", "openai", "http://127.0.0.1:1/v1"), "gpt-4o") == tariff("gpt-4o")
    assert tariffs().of(provider("mine", "openai", "http://127.0.0.1:1/v1"), "gpt-4o") is None
    assert tariffs().of(provider("ollama", "ollama", "http://127.0.0.1:11434"), "llama3") is None
    assert tariffs().of(provider("echo", "echo", ""), "echo") is None
    assert tariffs().of(provider(), "a model nobody knows") is None


def test_dates_in_names_are_understood() -> None:
    assert tariff("gpt-4o-20240806") == tariff("gpt-4o-2024-08-06")
    assert tariff("GPT-4o") == tariff("gpt-4o")


def test_prices_change_with_the_day_and_the_hour() -> None:
    now = [datetime(2025, 9, 1, 3, tzinfo=UTC).timestamp()]
    made = Tariffs({}, wall=lambda: now[0])
    there = provider("deepseek", "deepseek", "https://api.deepseek.com")
    usual = made.of(there, "deepseek-chat")
    now[0] = datetime(2025, 9, 1, 20, tzinfo=UTC).timestamp()
    night = made.of(there, "deepseek-chat")
    assert usual is not None
    assert night is not None
    assert (night.input, usual.input) == (135_000, 270_000)


def test_tariffs_are_made_once() -> None:
    made = tariffs()
    there = provider()
    assert made.of(there, "gpt-4o") is made.of(there, "gpt-4o")


def test_only_what_is_asked_for_is_read() -> None:
    table = Table((ROOT / "src/parley/prices/table.json").read_bytes())
    assert table.find("anthropic", "claude-sonnet-4-5") is not None
    assert list(table._vendors) == ["anthropic"]
    assert set(table.facts) == {"package", "version", "date"}


def test_prices_as_people_write_them() -> None:
    assert picodollars("input", Decimal("0.15")) == 150_000
    assert picodollars("image", Decimal("0.04")) == 40_000_000_000
    assert str(dollars(126_000_000)) == "0.000126"
    assert str(dollars(10 * PICO)) == "10"
    assert dollars(None) is None


# Against the package


def test_the_table_is_the_packages() -> None:
    script: Any = runpy.run_path(str(ROOT / "scripts" / "prices.py"))
    assert script["table"]() == (ROOT / "src/parley/prices/table.json").read_text(encoding="utf-8"), (
        "run scripts/prices.py"
    )


@pytest.mark.parametrize(
    "vendor", ["openai", "anthropic", "google", "deepseek", "x-ai", "groq", "mistral", "azure", "aws"]
)
def test_costs_are_those_that_the_package_computes(vendor: str) -> None:
    from genai_prices import Usage as Theirs
    from genai_prices.data import providers

    rng = random.Random(vendor)
    at = datetime.fromtimestamp(NOW, UTC)
    (row,) = (one for one in providers if one.id == vendor)
    seen = 0
    for model in row.models:
        name = model.id
        if row.find_model(name, all_providers=providers) is not model:
            continue
        found = shipped().find(vendor, name)
        assert found is not None, name
        made = found.tariff(NOW, "")
        usage = Usage(rng.choice((90, 300_000)), rng.randrange(2000), rng.randrange(40), rng.randrange(40))
        cost = None if made is None else made.cost(usage)
        if cost is None:
            continue
        theirs = Theirs(
            input_tokens=usage.input, output_tokens=usage.output, cache_read_tokens=usage.cached,
            cache_write_tokens=usage.cache_write,
        )  # fmt: skip
        computed = model.calc_price(theirs, row, genai_request_timestamp=at).total_price
        assert abs(Decimal(cost) / USD - computed) < Decimal("1e-9"), (name, usage)
        seen += 1
    assert seen > 3
