"""Durations and sizes."""

import pytest

from parley.config.amounts import duration, size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("500ms", 0.5),
        ("1m", 60),
        ("2h", 7200),
        ("30d", 2592000),
        (7, 7),
        (0.25, 0.25),
        ("3", 3),
        ("1.5 s", 1.5),
    ],
)
def test_duration(text: str | float, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("10MiB", 10485760),
        ("16KiB", 16384),
        ("1MB", 1000000),
        (5, 5),
        ("7", 7),
        ("2 kb", 2000),
        ("1.5KiB", 1536),
        ("1gib", 2**30),
    ],
)
def test_size(text: str | float, count: int) -> None:
    made = size(text)
    assert made == count
    assert type(made) is int


@pytest.mark.parametrize("text", ["5x", "s", "", "-5s", "5 parsecs", "1s2", 0, -1, "0s", float("inf")])
def test_not_a_duration(text: str | float) -> None:
    with pytest.raises(ValueError, match=r"expected a duration|must be above 0"):
        duration(text)


@pytest.mark.parametrize("text", ["5s", "", "-1B", "1.3B", 0, "0KiB", 1.5, "lots"])
def test_not_a_size(text: str | float) -> None:
    with pytest.raises(ValueError, match=r"expected a size|must be above 0|whole number"):
        size(text)


@pytest.mark.parametrize("value", ["36501d", "99999999d", 1e18])
def test_a_duration_that_no_calendar_holds(value: str | float) -> None:
    with pytest.raises(ValueError, match="at most 36500d"):
        duration(value)
    assert duration("36500d") == 36500 * 86400
