"""Callers that are in no table: asked for last, remembered while they hold, refused like all."""

from typing import Any

import pytest

from parley.failure import Failure, ParleyError
from parley.gateway.keyring import LONGEST, REMEMBERED, UNAUTHORIZED, Keyring
from parley.keys import Holder, digest_of
from parley.ports import Headers
from parley.settings import Settings

TOKEN = b"a.b.c"


class Knows:
    """Knows one text; how often it was asked, and with what."""

    def __init__(self, known: bytes = TOKEN, **more: Any) -> None:
        self.known = known
        self.more = more
        self.asked: list[list[bytes]] = []

    def holder(self, headers: Headers, shown: list[bytes]) -> Holder | None:
        self.asked.append(shown)
        return Holder(id="else", name="else", **self.more) if self.known in shown else None


class Watch:
    time = 1000.0

    def __call__(self) -> float:
        return self.time


def ring(*others: Any, wall: Watch | None = None) -> Keyring:
    made = Keyring(wall or Watch())
    made.configure(Settings())
    made.fill({digest_of(b"stored"): Holder(id="k", name="k")}, exist=True)
    made.ask_also(others)
    return made


def shown(key: bytes) -> Headers:
    return [(b"authorization", b"Bearer " + key)]


def test_nobody_else_is_asked_about_a_key_of_the_table() -> None:
    other = Knows()
    entry = ring(other).holder(shown(b"stored"), b"/")
    assert entry is not None
    assert entry.holder.id == "k"
    assert other.asked == []


def test_who_knows_callers_makes_everybody_need_a_key() -> None:
    keyring = Keyring(Watch())
    keyring.configure(Settings())
    assert not keyring.closed
    keyring.ask_also((Knows(),))
    assert keyring.closed
    keyring.ask_also(())
    assert not keyring.closed


def test_what_holds_for_a_time_is_asked_once_in_it() -> None:
    wall = Watch()
    other = Knows(expires=1010.0)
    keyring = ring(other, wall=wall)
    for _ in range(3):
        entry = keyring.holder(shown(TOKEN), b"/")
        assert entry is not None
        assert entry.holder.id == "else"
    assert other.asked == [[TOKEN]]
    keyring.forget()
    assert keyring.holder(shown(TOKEN), b"/") is not None
    assert len(other.asked) == 2
    wall.time = 1010.0
    assert keyring.holder(shown(TOKEN), b"/") is None


def test_what_holds_for_ever_is_asked_every_time() -> None:
    other = Knows()
    keyring = ring(other)
    for _ in range(3):
        assert keyring.holder(shown(TOKEN), b"/") is not None
    assert len(other.asked) == 3


def test_what_is_remembered_is_bounded() -> None:
    class Everybody(Knows):
        def holder(self, headers: Headers, shown: list[bytes]) -> Holder | None:
            return Holder(id="else", name="else", expires=2000.0)

    keyring = ring(Everybody())
    for number in range(REMEMBERED + 10):
        assert keyring.holder(shown(b"%d.x.y" % number), b"/") is not None
    assert keyring.holder(shown(b"x" * LONGEST), b"/") is not None
    assert len(keyring._shown) <= REMEMBERED
    assert max(map(len, keyring._shown)) <= LONGEST


def test_the_query_may_show_it_and_the_first_who_knows_counts() -> None:
    first, second = Knows(b"other"), Knows(expires=2000.0)
    entry = ring(first, second).holder([], b"/v1?key=a.b.c&x=1")
    assert entry is not None
    assert [other.asked for other in (first, second)] == [[[TOKEN]], [[TOKEN]]]


def test_everything_wrong_is_refused_alike_and_limits_hold() -> None:
    keyring = ring(Knows(sources=("10.0.0.0/8",), dialects=("openai",)))
    for key in (b"", b"x", b"a.b.d", b"stored.x.y"):
        with pytest.raises(ParleyError) as raised:
            keyring.enter(shown(key), b"/", "openai", "10.0.0.1")
        assert raised.value.failure == UNAUTHORIZED
    assert keyring.enter(shown(TOKEN), b"/", "openai", "10.0.0.1").holder.id == "else"
    for dialect, source in (("anthropic", "10.0.0.1"), ("openai", "192.0.2.1")):
        with pytest.raises(ParleyError) as raised:
            keyring.enter(shown(TOKEN), b"/", dialect, source)
        assert raised.value.failure.kind == "forbidden"


def test_who_cannot_tell_yet_says_so() -> None:
    class Waits(Knows):
        def holder(self, headers: Headers, shown: list[bytes]) -> Holder | None:
            raise ParleyError(Failure("overloaded", "not yet", detail="keys"))

    with pytest.raises(ParleyError) as raised:
        ring(Waits()).enter(shown(TOKEN), b"/", "openai", "")
    assert raised.value.failure.kind == "overloaded"
