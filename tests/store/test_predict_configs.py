"""Stored predict configs in real databases: whose they are, which one is the default, and what a call builds on."""

from typing import Any

import pytest

from parley.failure import ParleyError
from parley.store import Link
from parley.store import predict_configs as kept
from parley.store.link import linked
from parley.store.place import place_of
from parley.store.predict_configs import Config, Service, Written

MINE = Service("", "just-ai", "openai-proxy")
OTHERS = [Service("key_1", "just-ai", "openai-proxy"), Service("", "just-ai", "x"), Service("", "x", "openai-proxy")]


@pytest.fixture
def link(url: str) -> Any:
    made = linked(place_of(url), 1.0)
    yield made
    made.close()


def do(link: Link, work: Any, *values: Any) -> Any:
    with link.transaction(writes=True):
        return work(link, *values)


def test_a_config_comes_back_as_it_was_written(link: Link) -> None:
    text = '{ "temperature" : 1.50,\n"имя":"Привет" }'
    made = do(link, kept.create, MINE, Written(text, "первый"))
    assert made == Config(made.id, "первый", False, text)
    assert do(link, kept.fetch, MINE, made.id) == made
    assert do(link, kept.listed, MINE) == [made]


def test_ids_are_never_given_again(link: Link) -> None:
    first = do(link, kept.create, MINE, Written("{}")).id
    do(link, kept.remove, MINE, first)
    assert do(link, kept.create, MINE, Written("{}")).id == first + 1


@pytest.mark.parametrize("other", OTHERS)
def test_nobody_sees_those_of_others(link: Link, other: Service) -> None:
    made = do(link, kept.create, MINE, Written('{"a":1}', default=True))
    assert do(link, kept.listed, other) == []
    assert do(link, kept.layers, other, None) == []
    for work, values in ((kept.fetch, ()), (kept.remove, ()), (kept.change, (Written("{}"),)), (kept.layers, ())):
        with pytest.raises(ParleyError) as raised:
            do(link, work, other, made.id, *values)
        assert raised.value.failure.http_status == (400 if work is kept.layers else 404)
    assert do(link, kept.fetch, MINE, made.id) == made


def test_one_default_of_a_service(link: Link) -> None:
    first = do(link, kept.create, MINE, Written('{"n":1}', default=True))
    do(link, kept.create, OTHERS[0], Written('{"n":9}', default=True))
    second = do(link, kept.create, MINE, Written('{"n":2}', default=True))
    assert [one.default for one in do(link, kept.listed, MINE)] == [False, True]
    do(link, kept.change, MINE, first.id, Written('{"n":3}', default=True))
    assert [one.default for one in do(link, kept.listed, MINE)] == [True, False]
    assert do(link, kept.layers, MINE, None) == ['{"n":3}']
    assert do(link, kept.layers, MINE, second.id) == ['{"n":3}', '{"n":2}']
    assert do(link, kept.layers, OTHERS[0], None) == ['{"n":9}']
    do(link, kept.remove, MINE, first.id)
    assert do(link, kept.layers, MINE, second.id) == ['{"n":2}']


def test_what_is_not_said_stays(link: Link) -> None:
    made = do(link, kept.create, MINE, Written("{}", "a", default=True))
    changed = do(link, kept.change, MINE, made.id, Written('{"x":1}'))
    assert changed == Config(made.id, "a", True, '{"x":1}') == do(link, kept.fetch, MINE, made.id)


def test_not_too_many(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 1)
    do(link, kept.create, MINE, Written("{}"))
    with pytest.raises(ParleyError):
        do(link, kept.create, MINE, Written("{}"))
    do(link, kept.create, OTHERS[0], Written("{}"))
