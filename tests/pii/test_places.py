"""Many texts scrubbed in steps: the same as at once, and no step is long."""

from typing import Any

import pytest

from parley.pii.places import STEP, cleaned, cleaning, size_of

TEXT = "call +2222222222, see https://a.example/+2222222222 or a@example.org "


def holders(*texts: str) -> list[tuple[dict[str, Any], str]]:
    return [({"text": text, "other": text}, "text") for text in texts]


@pytest.mark.parametrize(
    "texts",
    [(), ("",), ("a@example.org",), (TEXT * 500,), (TEXT,) * 700, ("", TEXT * 300, "1" * 3 * STEP, "x" * STEP + TEXT)],
)
def test_steps_come_to_the_same(texts: tuple[str, ...]) -> None:
    at_once, stepwise = holders(*texts), holders(*texts)
    cleaned(at_once)
    steps = sum(1 for _ in cleaning(stepwise))
    assert stepwise == at_once
    assert [holder["other"] for holder, _ in stepwise] == list(texts)
    # Many small texts are work as well as a large one.
    assert steps >= sum(map(len, texts)) // (2 * STEP)


def test_nothing_is_written_before_its_text_is_done() -> None:
    [place] = holders(TEXT * 1000)
    steps = cleaning([place])
    next(steps)
    assert place[0]["text"] == TEXT * 1000


def test_the_size_is_that_of_all_texts() -> None:
    assert size_of(holders("abc", "", "de")) == 5
