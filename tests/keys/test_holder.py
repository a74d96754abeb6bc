"""What the holder of a key may ask for, from where, and until when."""

from typing import Any

import pytest

from parley.keys import Holder


def holder(**more: Any) -> Holder:
    return Holder(id="key_1", name="alice", **more)


@pytest.mark.parametrize(
    ("patterns", "model", "may"),
    [
        ((), "anything", True),
        (("fast",), "fast", True),
        (("fast",), "Fast", False),
        (("fast",), "faster", False),
        (("fast", "slow"), "slow", True),
        (("openai/*",), "openai/gpt-4o", True),
        (("openai/*",), "openai", False),
        (("openai/*",), "x/openai/gpt-4o", False),
        (("*-mini",), "openai/gpt-4o-mini", True),
        (("gpt-?",), "gpt-44", False),
        (("gpt-[45]",), "gpt-5", True),
        (("*",), "", True),
    ],
)
def test_models_are_patterns(patterns: tuple[str, ...], model: str, may: bool) -> None:
    assert holder(models=patterns).asks(model) is may


@pytest.mark.parametrize(
    ("networks", "source", "may"),
    [
        ((), "", True),
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "11.1.2.3", False),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("10.0.0.0/8", "fd00::/8"), "fd00::1", True),
        (("192.0.2.7",), "192.0.2.7", True),
        (("192.0.2.7",), "", False),
        (("192.0.2.7",), "a name", False),
        (("fe80::/10",), "fe80::1%eth0", True),
    ],
)
def test_sources_are_networks(networks: tuple[str, ...], source: str, may: bool) -> None:
    assert holder(sources=networks).comes_from(source) is may


def test_it_expires_on_time() -> None:
    one = holder(expires=100.0)
    assert [one.lives(now) for now in (99.9, 100.0, 101.0)] == [True, False, False]
    assert holder().lives(1e12)


@pytest.mark.parametrize(
    ("asked", "may"),
    [
        (("fast", "openai", "10.0.0.1", 5.0), True),
        (("slow", "openai", "10.0.0.1", 5.0), False),
        (("fast", "gemini", "10.0.0.1", 5.0), False),
        (("fast", "openai", "11.0.0.1", 5.0), False),
        (("fast", "openai", "10.0.0.1", 11.0), False),
    ],
)
def test_all_of_it_has_to_be_allowed(asked: tuple[str, str, str, float], may: bool) -> None:
    one = holder(models=("fast",), dialects=("openai", "anthropic"), sources=("10.0.0.0/8",), expires=10.0)
    assert one.allows(*asked) is may
