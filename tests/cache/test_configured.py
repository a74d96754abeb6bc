"""What is kept belongs to a configuration, and may be in a place that takes its time."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from tests.cache.parts import Cached, slow
from tests.gateway.parts import (
    ANSWER,
    WALL,
)

from parley.cache import ResponseCache
from parley.cache.answer import Answer, read, stored
from parley.cache.patience import DEADLINE
from parley.ir import Usage
from parley.settings import Registration

# The configuration


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, defaults={"temperature": 0}),
        lambda one: replace(one, overrides={"max_tokens": 5}),
        lambda one: replace(one, targets=one.targets[::-1]),
        lambda one: replace(one, settings={"x": 1}),
        lambda one: replace(one, unknown_fields="drop"),
    ],
)
def test_a_change_of_a_registration_gives_no_old_answers(change: Callable[[Registration], Registration]) -> None:
    stage = Cached()
    assert not stage.hit("two")
    settings = stage.gateway.settings
    changed = {**settings.registrations, ("*", "two"): change(settings.registrations["*", "two"])}
    stage.gateway.adopt(replace(settings, registrations=changed), stage.gateway.upstreams)
    stage.adopt()
    stage.clock.advance(1)
    assert not stage.hit("two")
    stage.gateway.adopt(settings, stage.gateway.upstreams)
    stage.adopt()
    assert stage.hit("two")


def test_a_change_of_a_provider_gives_no_old_answers() -> None:
    stage = Cached()
    assert not stage.hit()
    settings = stage.gateway.settings
    moved = replace(settings.providers["a"], endpoints=("http://elsewhere.example/v1",))
    stage.gateway.adopt(replace(settings, providers={**settings.providers, "a": moved}), stage.gateway.upstreams)
    stage.adopt()
    assert not stage.hit()


def test_a_change_elsewhere_leaves_what_is_kept() -> None:
    stage = Cached()
    assert not stage.hit()
    settings = stage.gateway.settings
    moved = replace(settings.providers["b"], endpoints=("http://elsewhere.example/v1",))
    stage.gateway.adopt(replace(settings, providers={**settings.providers, "b": moved}), stage.gateway.upstreams)
    stage.adopt()
    assert stage.hit()


def test_a_request_that_waited_over_a_change_neither_gets_nor_leaves_anything() -> None:
    class Gate:
        def enter(self, job: Any) -> bool:
            return False

        def leave(self, job: Any, usage: Usage, cost: int | None) -> None:
            """Nothing was counted."""

    stage = Cached()
    assert not stage.hit()
    stage.gateway.gate = Gate()
    job, ear = stage.ask()
    stage.gateway.gate = None
    stage.clock.advance(1)
    stage.adopt()
    job.admitted()
    stage.sent[-1].whole()
    assert len(stage.sent) == 2
    assert b"x-parley-cache" not in ear.lines


def test_a_model_whose_answers_are_not_kept_is_asked_every_time() -> None:
    stage = Cached()
    stage.gateway.cache = ResponseCache(stage.gateway, lambda found: None, ())
    _, ear = stage.ask()
    stage.sent[0].whole()
    assert b"x-parley-cache" not in ear.lines
    stage.ask()
    assert len(stage.sent) == 2


# A place that takes its time


def test_a_request_waits_for_a_place_elsewhere_and_is_answered_from_it() -> None:
    stage, shelf = slow()
    _, ear = stage.ask()
    assert stage.sent == []
    shelf.tell()
    stage.sent[0].whole()
    assert ear.lines[b"x-parley-cache"] == b"miss"
    _, ear = stage.ask()
    assert ear.heard == []
    shelf.tell()
    assert stage.told(ear)
    assert ear.text == ANSWER
    assert len(stage.sent) == 1
    stage.quiet()


def test_a_place_that_does_not_answer_holds_nobody_up_for_long() -> None:
    stage, shelf = slow()
    _, ear = stage.ask()
    stage.clock.advance(DEADLINE)
    stage.sent[0].whole()
    assert ear.text == ANSWER
    assert stage.counts["parley_cache_total", "failed"] == 1
    shelf.tell(stored(Answer(WALL, "a/m-1", False, b"", b"late")))
    assert ear.text == ANSWER


def test_a_caller_that_leaves_meanwhile_asks_nobody() -> None:
    stage, shelf = slow()
    job, ear = stage.ask()
    job.left()
    shelf.tell()
    assert stage.sent == []
    assert ear.heard == []
    stage.quiet()


@pytest.mark.parametrize("found", [b"", b"\xff\x00", b"\x91\x01", stored(Answer(0.0, "a", False, b"", b""))[:-1]])
def test_what_cannot_be_read_is_as_good_as_nothing(found: bytes) -> None:
    assert read(found) is None
    stage, shelf = slow()
    _, ear = stage.ask()
    shelf.tell(found)
    stage.sent[0].whole()
    assert ear.text == ANSWER


def test_what_is_wrong_with_a_place_is_told() -> None:
    stage, _ = slow()
    for _ in range(3):
        stage.ask()
        stage.clock.advance(DEADLINE)
    cache = stage.gateway.cache
    assert cache is not None
    assert [problem["kind"] for problem in cache.problems()] == ["cache"]
