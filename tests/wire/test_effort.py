"""How much to think, in one word."""

import pytest

from parley.ir import Reasoning
from parley.wire.effort import effort_of


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (Reasoning(), None),
        (Reasoning(effort="xhigh", budget=1), "xhigh"),
        (Reasoning(mode="disabled"), "none"),
        (Reasoning(mode="enabled"), "medium"),
        (Reasoning(mode="adaptive"), None),
        (Reasoning(mode="enabled", budget=4095), "low"),
        (Reasoning(budget=4096), "medium"),
        (Reasoning(mode="adaptive", budget=16384), "high"),
    ],
)
def test_every_wish_has_its_word(reasoning: Reasoning, effort: str | None) -> None:
    assert effort_of(reasoning) == effort
