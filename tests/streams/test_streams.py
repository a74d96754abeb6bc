"""The decisions about messages: what they hold, what is tried again, how fast, what is known."""

import pytest
from msgspec import json

from parley import jsontext
from parley.serve.streams import shared
from parley.streams import envelope
from parley.streams.address import heard_by_all
from parley.streams.backoff import Tries, growing, jittered, pause_of, retryable
from parley.streams.envelope import RefusedError
from parley.streams.flow import Flow
from parley.streams.offsets import Offsets
from parley.streams.setup import Stream
from parley.streams.window import Window


def asked(**given: object) -> bytes:
    return json.encode({"body": {"model": "m"}, **given})


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        (None, "/v1/completions"),
        ("", "/v1/completions"),
        ("v1/embeddings", "/v1/embeddings"),
        ("/api/chat", "/api/chat"),
    ],
)
def test_paths(path: str | None, meant: str) -> None:
    assert envelope.read(asked(path=path), 1000).path == meant


@pytest.mark.parametrize(
    ("url", "all_of_them"),
    [
        ("nats://a.b", True),
        ("nats://a.b?connection=main&natsv2", True),
        ("nats://a.b?queue=", True),
        ("nats://a.b?queue=group", False),
        ("nats://a.b?connection=main&jetstream=S", False),
        ("redis://a", False),
        ("kafka://g?topic=t", False),
    ],
)
def test_who_reads_a_plain_subject_gets_every_message(url: str, all_of_them: bool) -> None:
    assert heard_by_all(url) is all_of_them
    kept = [shared(Stream(name="s", requests=url, responses="mem://r", max_handlers=4), index, 2) for index in (0, 1)]
    parts = [None if one is None else one.max_handlers for one in kept]
    assert parts == ([4, None] if all_of_them else [2, 2])


def test_metadata_come_back_digit_by_digit_and_without_the_key() -> None:
    text = b'{"metadata": {"a": 1.50, "parley_key": "k", "n": null}, "body": {"model":"m"}, "more": 1}'
    found = envelope.read(text, 1000, identity="a")
    assert bytes(found.metadata) == b'{"a":1.50,"n":null}'
    assert (found.key, found.identity) == ("k", "1.50")
    assert found.body == b'{"model":"m"}'


@pytest.mark.parametrize(
    ("message", "status", "metadata"),
    [
        (b"x", 400, b"null"),
        (b'{"metadata":{"a":1}}', 400, b'{"a":1}'),
        (b'{"metadata":[1],"body":{}}', 400, b"null"),
        (b'{"metadata":{"a":1},"body":{"x":"' + b"y" * 1000 + b'"}}', 413, b'{"a":1}'),
        (b"y" * 5000, 413, b"null"),
        (b'{"metadata":{"a":1},"path":7,"body":{}}', 400, b'{"a":1}'),
    ],
)
def test_what_is_no_request(message: bytes, status: int, metadata: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        envelope.read(message, 1000)
    assert (caught.value.status, bytes(caught.value.metadata)) == (status, metadata)


def test_streams_are_answered_whole_or_refused() -> None:
    def whole(body: bytes, *, streams: bool = False, refuse: bool = False) -> bytes:
        made, members = envelope.collected(body, None, "stream", streams=streams, refuse=refuse)
        assert json.decode(made) == json.decode(json.encode(members))
        again = envelope.collected(body, jsontext.members(body), "stream", streams=streams, refuse=refuse)
        assert again == (made, members)
        return made

    body = b'{"model":"m","stream":true,"stream_options":{"include_usage":true},"n":1.0}'
    assert whole(body) == b'{"model":"m","stream":false,"n":1.0}'
    with pytest.raises(RefusedError):
        whole(body, refuse=True)
    assert whole(b'{"model":"m"}', streams=True, refuse=True) == b'{"model":"m","stream":false}'
    assert whole(b'{"model":"m" }', refuse=True) == b'{"model":"m" }'


BODY = b'{"model":"m","messages":[{"role":"user","content":"\\"body\\":{}}"}],"n":1.0}'


@pytest.mark.parametrize(
    ("message", "halved"),
    [
        (b'{"path":"/v1/x","metadata":{"id":1.50},"body":%b}', True),
        (b'{"path": "/v1/x", "metadata": {"id": 1.50}, "body": %b}', True),
        (b'{"path":"\\/v1\\/x","metadata":{"id":1.50,"body":[]},"body":%b}', False),
        (b'{"path":"/v1/x","metadata":{"id":1.50,"t":"\\"body\\":"},"body":%b}', True),
        (b'{"path":"/v1/x","metadata":{"id":1.50},"body":%b}\n', False),
        (b'{"path":"/v1/x","metadata":{"id":1.50},"body":%b }', False),
        (b'{"path":"/v1/x","body":%b,"metadata":{"id":1.50}}', False),
        (b'{"body" : %b , "metadata":{"id":1.50},"path":"/v1/x"}', False),
    ],
)
def test_the_members_of_a_body_that_comes_last_are_read_with_the_message(message: bytes, halved: bool) -> None:
    found = envelope.read(message.replace(b"%b", BODY), 1000, identity="id")
    assert (found.path, found.body, found.identity) == ("/v1/x", BODY, "1.50")
    assert bytes(found.metadata).startswith((b'{"id":1.50', b'{"id": 1.50'))
    assert (found.members is not None) == halved
    assert found.members in (None, jsontext.members(BODY))


@pytest.mark.parametrize(
    "message",
    [
        b'{"body":{"model":"m"},"body":{"model":"m"}}',
        b'{"body" :1,"body":{"model":"m"}}',
        b'{"metadata":{"a":1},"metadata":{"a":1},"body":{"model":"m"}}',
        b'{"metadata":{"body":{"model":"m"}}',
        b'{"a":"body":{"model":"m"}}',
        b'["body":{"model":"m"}}',
        b'{"metadata":"\xff","body":{"model":"m"}}',
        b'{"metadata":{},"body":{"model":"m"}}}',
        b'{"metadata":{} "body":{"model":"m"}}',
        b'{"metadata":{},"body":{"model":m}}',
    ],
)
def test_what_is_no_json_is_refused_wherever_the_body_is(message: bytes) -> None:
    with pytest.raises(RefusedError, match="parsing request: unmarshalling message as json") as caught:
        envelope.read(message, 1000)
    assert caught.value.status == 400


def test_a_body_that_holds_a_member_twice_is_the_gateways_to_refuse() -> None:
    found = envelope.read(b'{"metadata":{"a":1},"body":{"model":"m","model":"n"}}', 1000)
    assert (found.body, found.members) == (b'{"model":"m","model":"n"}', None)


def test_bodies() -> None:
    assert envelope.body_of(429, "text/html", b'{"a": 1}') == (429, b'{"a": 1}')
    status, body = envelope.body_of(200, "text/html", b"<html>")
    assert status == 502
    assert json.decode(body)["error"]["code"] == "upstream_bad_response"
    assert envelope.body_of(200, "audio/wav", b"\xff") == (200, b'{"b64_json":"/w==","content_type":"audio/wav"}')
    assert envelope.body_of(204, "", b"") == (204, b"null")


def test_pauses_double_up_to_a_bound() -> None:
    assert [jittered(number, lambda: 1.0) for number in (1, 2, 3, 99)] == [0.5, 1.0, 2.0, 30.0]
    assert [growing(number, lambda: 0.0) for number in (1, 2, 99)] == [0.5, 1.0, 150.0]


@pytest.mark.parametrize(
    ("status", "again"),
    [(200, False), (400, False), (408, True), (409, True), (429, True), (500, True), (501, False), (529, True)],
)
def test_what_is_tried_again(status: int, again: bool) -> None:
    assert retryable(status) is again
    # The gateway has tried for some seconds and tells callers who wait not to: a message can wait longer.
    pause = Tries(2, 10.0).next(status, {b"x-should-retry": b"false"}, 0.0, lambda: 0.0)
    assert (pause is not None) is again


def test_tries_keep_to_what_is_asked_and_to_the_deadline() -> None:
    tries = Tries(3, 10.0)
    assert tries.next(429, {b"retry-after": b"4"}, 0.0, lambda: 0.0) == 4.0
    assert tries.next(429, {b"retry-after": b"7"}, 5.0, lambda: 0.0) is None
    assert pause_of({b"retry-after-ms": b"250", b"retry-after": b"9"}) == 0.25
    assert pause_of({b"retry-after": b"Thu, 01 Jan 1970 00:01:00 GMT"}, 50.0) == 10.0
    assert pause_of({b"retry-after": b"nonsense"}) is None


def test_a_limit_halves_the_width_once_and_good_answers_widen_it() -> None:
    flow = Flow(8)
    for _ in range(8):
        flow.answered(429, 1.0, 2.0)
    assert (flow.width, flow.wait(1.0), flow.room(0, 2.0), flow.room(1, 3.0)) == (4, 2.0, 0, 3)
    for _ in range(60):
        flow.answered(200, 4.0)
    assert flow.width == 8


def test_errors_slow_the_stream_down_and_a_good_answer_ends_that() -> None:
    flow = Flow(8, error_most=3.0)
    for _ in range(5):
        flow.answered(404, 0.0, ours=True)
    flow.answered(500, 0.0)
    assert flow.errors == 5
    flow.received(0.0)
    assert flow.wait(0.0) == 3.0
    flow.answered(200, 0.0)
    flow.received(10.0)
    assert flow.wait(10.0) == 0.0


def test_the_window_forgets_by_time_number_and_size() -> None:
    window = Window(10.0, most=2, size=100)
    for name in "abc":
        assert window.find(name, 0.0) is None
        window.answered(name, b"x" * 20, 0.0)
    assert window.find("a", 1.0) is None
    assert window.find("c", 1.0) is not None
    assert window.find("c", 11.0) is None
    window.answered("c", b"x" * 99, 11.0)
    large = window.find("c", 12.0)
    assert large is not None
    assert not large.kept


@pytest.mark.parametrize("own", [False, True])
def test_an_answer_that_nobody_else_can_want_is_not_held(own: bool) -> None:
    window = Window(10.0, size=100, own=own)
    for name in ("a", "b", "c", "d", "e", "f"):
        assert window.find(name, 0.0) is None
        window.answered(name, b"x" * 20, 0.0)
        sending = window.find(name, 0.0)
        assert sending is not None
        assert (sending.answer, sending.kept, sending.had(name), sending.goes_on()) == (b"x" * 20, True, False, True)
        window.told(name, name)
        held = window.find(name, 0.0)
        assert held is not None
        assert (held.had(name), held.goes_on()) == (True, False)
        assert (held.answer, held.kept) == ((b"", False) if own else (b"x" * 20, True))
    # Six answers would be more than it holds.
    assert (window.find("a", 1.0) is not None) == own


def test_names_are_kept_as_long_as_answers_and_at_least_as_many() -> None:
    window = Window(10.0, most=3, own=True)

    def done(name: str, now: float) -> None:
        assert window.find(name, now) is None
        window.answered(name, b"x", now)
        window.told(name, name)

    for number in range(20):
        done(f"n{number}", 0.0)
        kept = [past for past in range(number + 1) if f"n{past}" in (*window._had, *window._had_before)]
        assert kept[-3:] == list(range(number + 1))[-3:]
        assert len(kept) <= 6
    window = Window(10.0, own=True)
    for number in range(100):
        done(f"n{number}", float(number))
        assert len(window) <= 22
    assert window.find("n91", 99.0) is not None
    assert window.find("n91", 101.0) is None
    off = Window(0.0, own=True)
    assert off.find("a", 0.0) is None
    off.answered("a", b"x", 0.0)
    off.told("a", "a")
    assert off.find("a", 0.0) is None


def test_an_answer_that_came_back_is_not_on_its_way() -> None:
    window = Window(10.0)
    assert window.find("a", 0.0) is None
    window.answered("a", b"x", 0.0)
    window.forget("a")
    known = window.find("a", 1.0)
    assert known is not None
    assert (known.answer, known.goes_on()) == (b"x", False)


def test_what_is_marked_is_what_everything_before_is_done_with() -> None:
    offsets = Offsets()
    for number in (5, 6, 9):
        offsets.begun(number)
    assert offsets.ended(6) is None
    assert offsets.ended(5) == 7
    assert offsets.ended(5) is None
    assert offsets.ended(9) == 10
