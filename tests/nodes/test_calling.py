"""One call as both nodes see it, in simulated time: what they say, and what they do when the other says nothing."""

import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.failure import Failure
from parley.gateway.heads import identified
from parley.nodes import frames
from parley.nodes.answering import Answering
from parley.nodes.calling import BEAT_SECONDS, SILENCE, Calling
from parley.nodes.frames import Asked, Plain
from parley.nodes.presence import UnreadableError, token_of
from parley.nodes.presence import read as read_presence
from parley.nodes.windows import CHUNK, LEAST, WINDOW, Inflow, Outflow, window_for
from parley.ports import Call, Destination, Headers


class Sink:
    def __init__(self) -> None:
        self.said: list[Any] = []

    def head(self, status: int, headers: Headers) -> None:
        self.said.append((status, headers))

    def body(self, data: bytes) -> None:
        self.said.append(data)

    def done(self) -> None:
        self.said.append("done")

    def failed(self, failure: Failure) -> None:
        self.said.append(failure.detail or failure.kind)


class Work:
    def __init__(self) -> None:
        self.said: list[str] = []

    def left(self) -> None:
        self.said.append("left")

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")


class Pair:
    """Both ends; what they say lies in ``there`` and ``back`` until it is carried."""

    def __init__(self, body: bytes = b"{}", window: int = 1000, inline: int = 100, total: float = 60.0) -> None:
        self.now = 0.0
        self.there: list[bytes] = []
        self.back: list[bytes] = []
        self.soon: list[Callable[[], None]] = []
        self.sink, self.work = Sink(), Work()
        self.bodies: list[bytes] = []
        self.ended: list[str] = []
        to = Destination(method=b"POST", origin="node://b", path=b"/chat/p/m/", first_byte=30.0)
        call = Call(to, b"", (body,), total)
        self.near = Calling(call, self.sink, Plain(), self.there.append, lambda: self.ended.append("near"))
        asked = Asked("chat", "p", "m", "", b"", total, window, len(body))
        first = self.near.begin(asked, inline, 0.0)
        channel = Plain()
        told, begun = frames.read_ask(channel.unwrap(first)[2])
        self.far = Answering(told, channel, self.back.append, self.soon.append, lambda: self.ended.append("far"))
        self.far.begin(begun, self.start, 0.0)

    def start(self, body: bytes, caller: Answering) -> Work:
        self.bodies.append(body)
        return self.work

    def carry(self) -> None:
        """Until nobody has anything to say."""
        while self.there or self.back or self.soon:
            while self.soon:
                self.soon.pop(0)()
            if self.there:
                self.far.heard(self.there.pop(0), self.now)
            if self.back:
                self.near.heard(self.back.pop(0), self.now)

    def tick(self, now: float) -> None:
        self.now = now
        self.near.tick(now)
        self.far.tick(now)


def test_an_answer_is_one_message() -> None:
    pair = Pair()
    pair.far.answer(200, b"a: b\r\n", b"text")
    assert (len(pair.back), pair.soon) == (1, [])
    pair.carry()
    assert pair.bodies == [b"{}"]
    assert pair.sink.said == [(200, [(b"a", b"b")]), b"text", "done"]
    assert pair.ended == ["far", "near"]
    assert pair.work.said == []


@pytest.mark.parametrize("word", ["head", "body", "done"])
def test_who_fails_to_take_an_answer_is_told(word: str, caplog: pytest.LogCaptureFixture) -> None:
    pair = Pair()

    def fails(*told: Any) -> None:
        raise RuntimeError(word)

    setattr(pair.sink, word, fails)
    pair.far.answer(200, b"a: b\r\n", b"text")
    pair.carry()
    assert pair.sink.said[-1] == "internal"
    assert pair.ended == ["far", "near"]
    assert "could not be handled" in caplog.text


def test_what_the_other_node_knows_is_not_said_again() -> None:
    pair = Pair()
    pair.far.known = frames.identity(b"r1")
    assert pair.far.known == identified("r1")
    pair.far.answer(200, b"a: b\r\n" + pair.far.known, b"text")
    pair.carry()
    assert pair.sink.said == [(200, [(b"a", b"b")]), b"text", "done"]
    other = Pair()
    other.far.known = frames.identity(b"r1")
    other.far.answer(502, other.far.known, b"")
    other.carry()
    assert other.sink.said == [(502, [(b"x-request-id", b"r1"), (b"request-id", b"r1")]), "done"]


def test_the_name_of_a_request_among_other_lines() -> None:
    assert frames.parted(b"a: b\r\nx-request-id: r1\r\nc: d\r\n") == (b"a: b\r\nc: d\r\n", b"r1")
    assert frames.parted(b"x-request-id: r1\r\n") == (b"", b"r1")
    for lines in (b"", b"a: x-request-id: r1\r\n", b"X-Request-Id: r1\r\n"):
        assert frames.parted(lines) == (lines, b"")


def test_an_answer_at_once_is_no_work_that_is_left() -> None:
    class Prompt(Pair):
        def start(self, body: bytes, caller: Answering) -> Work:
            caller.answer(200, b"", body)
            return self.work

    pair = Prompt(b"what was asked")
    pair.carry()
    assert pair.sink.said == [(200, []), b"what was asked", "done"]
    assert (pair.ended, pair.work.said) == (["far", "near"], [])


@given(
    st.binary(max_size=300_000),
    st.integers(1, 5000),
    st.lists(st.binary(max_size=5000), max_size=20),
    st.integers(1, 3000),
)
def test_bodies_of_any_size_in_any_pieces(body: bytes, inline: int, pieces: list[bytes], window: int) -> None:
    pair = Pair(body, window, inline)
    pair.carry()
    assert pair.bodies == [body]
    pair.far.open(200, b"")
    for piece in pieces:
        pair.far.send(piece)
        pair.carry()
    pair.far.finish()
    pair.carry()
    assert b"".join(part for part in pair.sink.said if isinstance(part, bytes)) == b"".join(pieces)
    assert pair.sink.said[-1] == "done"


def test_a_silent_node_is_dead_and_a_patient_one_is_not() -> None:
    pair = Pair()
    for second in range(1, 13):
        pair.tick(float(second))
        pair.carry()
    assert pair.sink.said == []
    now = 12.0
    # From now on nothing arrives at the one that asks.
    while not pair.sink.said:
        now += 1.0
        pair.tick(now)
        pair.back.clear()
        pair.there.clear()
        assert now <= 12.0 + SILENCE
    assert pair.sink.said == ["node_silent"]
    assert pair.work.said == ["left"]
    assert pair.ended == ["near", "far"]


def test_signs_of_life_are_given_while_an_answer_takes_its_time() -> None:
    pair = Pair()
    pair.tick(BEAT_SECONDS)
    assert [data[0] for data in pair.there] == [frames.CREDIT]
    assert [data[0] for data in pair.back] == [frames.BEAT]


def test_deadlines() -> None:
    pair = Pair(total=20.0)
    for second in range(1, 22):
        pair.tick(float(second))
        pair.carry()
    assert pair.sink.said == ["stream_limit"]
    assert pair.work.said == ["left"]
    pair = Pair(total=100.0)
    for second in range(1, 32):
        pair.tick(float(second))
        pair.carry()
    assert pair.sink.said == ["first_byte_timeout"]


def test_a_frame_that_is_missing_ends_it() -> None:
    pair = Pair()
    pair.far.open(200, b"")
    pair.carry()
    pair.far.send(b"1")
    pair.soon.pop()()
    pair.back.clear()
    pair.far.send(b"2")
    pair.carry()
    assert pair.sink.said == [(200, []), "node_gap"]
    assert pair.work.said == ["left"]


@pytest.mark.parametrize("kind", [frames.ASK, frames.BODY, frames.LEAVE, 9, frames.ANSWER])
def test_an_answer_that_is_none(kind: int) -> None:
    pair = Pair()
    pair.near.heard(frames.LAYOUT.pack(kind, 0), 0.0)
    assert pair.sink.said == ["node_frame"]


def test_more_than_was_asked_for_is_refused() -> None:
    pair = Pair(window=10)
    head = frames.heading(200, b"")
    pair.near.heard(frames.LAYOUT.pack(frames.ANSWER | frames.HEAD, 0) + head + bytes(11), 0.0)
    assert pair.sink.said[-1] == "node_frame"


def test_the_words_of_a_failure_are_our_own() -> None:
    for kind, ours in (
        ("upstream_timeout", "upstream_timeout"),
        ("unauthorized", "upstream_error"),
        ("x", "upstream_error"),
    ):
        found = frames.read_broken(frames.broken(Failure(kind, "<script>", detail="a b")))
        assert (found.kind, found.detail) == (ours, "")
        assert "script" not in found.message


def read_signed(data: bytes) -> None:
    read_presence(msgspec.msgpack.encode((zlib.compress(data), "k", b"")), lambda *words: True)
    read_presence(data, lambda *words: True)


@given(st.binary(max_size=200))
def test_noise_is_unreadable(data: bytes) -> None:
    for read in (
        frames.read_opening,
        frames.read_ask,
        frames.read_head,
        frames.read_broken,
        frames.read_total,
        Plain().unwrap,
        read_signed,
    ):
        try:
            read(data)
        except UnreadableError:
            continue


def test_windows() -> None:
    assert window_for(0) == WINDOW
    assert window_for(500) == 66_974  # 32 MiB shared by 501
    assert window_for(10**6) == LEAST
    out = Outflow(10)
    out.add(b"abcdef")
    out.add(memoryview(b"ghijkl"))
    assert (out.take(4), out.take(), out.take()) == (b"abcd", b"efghij", b"")
    out.allow(5)
    assert not out.ready
    out.allow(99)
    assert out.take() == b"kl"
    into = Inflow(10)
    into.came(b"12345678")
    assert (into.owes, into.overrun) == (False, False)
    into.took(8)
    assert into.owes
    assert into.told() == 18
    into.came(bytes(11))
    assert into.overrun
    assert CHUNK < WINDOW


def test_tokens_are_one_part_of_a_subject() -> None:
    assert token_of("gpu-1_A") == "gpu-1_A"
    assert token_of("a.b *>é ") == "a=2Eb=20=2A=3E=C3=A9=20"
    assert token_of("a=2Eb") != token_of("a.b")


def test_what_is_too_large_is_not_unpacked() -> None:
    bomb = msgspec.msgpack.encode((zlib.compress(bytes(2**24)), "k", b""))
    with pytest.raises(UnreadableError, match="too large"):
        read_presence(bomb, lambda *words: True)


@pytest.mark.parametrize(
    "facts",
    [
        {"node": ""},
        {"node": "a\n"},
        {"node": "a" * 513},
        {"node": "a", "offers": [{"project": "", "model": "m"}]},
        {"node": "a", "offers": [{"project": "p", "model": "m", "in_flight": -1}]},
        {"node": "a", "offers": [{"project": "p", "model": "m", "latency": -0.1}]},
        {"node": "a", "since": float("inf")},
    ],
)
def test_facts_that_nobody_can_mean(facts: dict[str, Any]) -> None:
    data = zlib.compress(msgspec.msgpack.encode((facts, "run", 0, 1.0)))
    with pytest.raises(UnreadableError):
        read_presence(msgspec.msgpack.encode((data, "k", b"")), lambda *words: True)
    good = zlib.compress(msgspec.msgpack.encode(({"node": "a", "key": "what it says"}, "run", 0, 1.0)))
    said, key = read_presence(msgspec.msgpack.encode((good, "k", b"")), lambda *words: True)
    assert (said.facts.key, key) == ("k", "k")
