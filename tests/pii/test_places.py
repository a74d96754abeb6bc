"""Many texts scrubbed in steps: the same as at once, and no step is long."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from parley.pii import scrub
from parley.pii.places import STEP, cleaned, cleaning, size_of
from pii.test_scrub import ADVERSARIES

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


@pytest.mark.parametrize("unit", ["1", "1 ", "a", "call +2222222222 "])
def test_a_step_looks_at_what_is_new_and_what_was_held_once(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    search = scrub.spans

    def counted(text: str, *more: Any) -> Iterator[Any]:
        looked.append(len(text))
        return search(text, *more)

    monkeypatch.setattr(scrub, "spans", counted)
    for _ in cleaning(holders(unit * (20 * STEP // len(unit)))):
        assert sum(looked) <= STEP + scrub.MOST_HELD
        looked.clear()


@pytest.mark.parametrize("unit", ADVERSARIES.values(), ids=ADVERSARIES)
def test_no_step_is_long_whatever_the_text(unit: str) -> None:
    """It takes some milliseconds; a text of this length in one piece takes a hundred times that."""
    begun = time.thread_time()
    for _ in cleaning(holders(unit * (20 * STEP // len(unit)))):
        now = time.thread_time()
        assert now - begun < 0.25
        begun = now
