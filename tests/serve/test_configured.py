"""Stored configs as the gateway asks for them: how long they are remembered, and what a store that is away changes."""

import json
from typing import Any

import pytest

from parley.failure import Failure
from parley.serve.configured import FRESH_SECONDS, Configured
from parley.store.predict_configs import Service

PLACE = ("just-ai", "openai-proxy")
AWAY = Failure("overloaded", "the store is not available", detail="store")
NOBODY = Failure("invalid_request", "no such config", status=400, param="configId")


class Shelf:
    """A store that answers when told."""

    def __init__(self) -> None:
        self.exists = True
        self.questions: list[Any] = []

    def ask_then(self, work: Any, then: Any) -> None:
        self.questions.append(then)


class Known:
    """What was heard, of a store with a clock."""

    def __init__(self) -> None:
        self.time = 100.0
        self.shelf: Any = Shelf()
        self.configs = Configured(self.shelf, lambda: self.time)
        self.heard: list[Any] = []

    def ask(self, id: int | None = None) -> None:
        self.configs.find("", PLACE, id, self.take)

    def take(self, found: Any) -> None:
        failed = isinstance(found, Failure)
        plain = [{name: json.loads(bytes(raw)) for name, raw in layer.items()} for layer in found] if not failed else []
        self.heard.append(found if failed else plain)

    def tell(self, found: Any) -> None:
        self.shelf.questions.pop()(found)


@pytest.fixture
def known() -> Known:
    return Known()


def test_a_moment_is_remembered(known: Known) -> None:
    known.ask()
    known.tell(['{"a":1}'])
    known.ask()
    assert known.heard == [[{"a": 1}]] * 2
    known.time += FRESH_SECONDS
    known.ask()
    known.tell([])
    assert known.heard[2] == []


def test_what_was_written_here_is_known_at_once(known: Known) -> None:
    known.ask()
    known.tell(['{"a":1}'])
    known.configs.forget(Service("", *PLACE))
    known.ask()
    known.tell(['{"a":2}'])
    assert known.heard[1] == [{"a": 2}]


def test_a_store_that_is_away(known: Known) -> None:
    known.ask()
    known.tell(AWAY)
    known.ask(7)
    known.tell(AWAY)
    assert known.heard == [[], AWAY]
    known.ask()
    known.tell(['{"a":1}'])
    known.time += 60
    known.ask()
    known.tell(AWAY)
    assert known.heard[3] == [{"a": 1}]


def test_a_config_that_is_not_there_is_asked_for_again(known: Known) -> None:
    known.ask(7)
    known.tell(NOBODY)
    known.ask(7)
    known.tell(["{}", '{"a":1}'])
    assert known.heard == [NOBODY, [{}, {"a": 1}]]


def test_without_a_store_nothing_is_asked(known: Known) -> None:
    known.shelf.exists = False
    known.ask()
    known.ask(7)
    assert known.heard[0] == []
    assert (known.heard[1].kind, known.heard[1].param) == ("invalid_request", "configId")
    assert known.shelf.questions == []
    known.shelf.exists = True
    known.ask()
    assert known.shelf.questions == []
    known.time += FRESH_SECONDS
    known.ask()
    assert len(known.shelf.questions) == 1
