"""How keys are told."""

import pytest

from parley.store.keytold import moment


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, None),
        (0.9, "1970-01-01T00:00:00Z"),
        (1e13, "9999-12-31T23:59:59Z"),
        (8641795110089.0, "9999-12-31T23:59:59Z"),
    ],
)
def test_a_time_is_told_whatever_it_is(seconds: float | None, told: str | None) -> None:
    assert moment(seconds) == told
