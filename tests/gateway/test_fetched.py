"""Pictures named by address, for a target that takes data only: fetched where the operator allows it, else refused."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from gateway.parts import Stage, only, provider, registration
from parley.failure import Failure
from parley.settings import Node

PNG = b"\x89PNG\r\n\x1a\n and the rest"
DATA = b64encode(PNG).decode()
FIRST, SECOND = "https://pictures.example/1", "https://pictures.example/2.png"
OLLAMA_ANSWER = b'{"model":"m","message":{"role":"assistant","content":"Hello."},"done":true,"done_reason":"stop"}'
NOT_ALLOWED = Failure("url_not_allowed", "this address may not be fetched", param="image")


class Hand:
    """A Fetcher played by hand."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.stopped = 0
        self.then: Callable[[bytes | Failure], None] | None = None

    def fetch(self, url: str, limit: int, then: Callable[[bytes | Failure], None]) -> Callable[[], None]:
        self.asked.append((url, limit))
        self.then = then

        def stop() -> None:
            self.stopped += 1
            self.then = None

        return stop

    def finds(self, found: bytes | Failure) -> None:
        then, self.then = self.then, None
        assert then is not None
        then(found)


def stage(*, fetch: tuple[str, ...] = ("pictures.example",)) -> tuple[Stage, Hand]:
    on = Stage(
        registration("data", "plain/m"),
        registration("either", "plain/m", "a/m-1"),
        providers=(provider("plain", "ollama", paths={"chat": "/api/chat"}), provider("a")),
        node=Node(fetch=fetch),
    )
    on.gateway.fetcher = hand = Hand()
    return on, hand


def shown(*urls: str) -> list[dict[str, Any]]:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [{"type": "text", "text": "look"}, *parts]}]


def test_what_is_there_goes_in_the_place_of_its_address():
    on, hand = stage()
    _, ear = on.ask("data", messages=shown(FIRST, SECOND))
    assert (on.sent, hand.asked[0][0]) == ([], FIRST)
    hand.finds(PNG)
    hand.finds(PNG + b"2")
    (sent,) = on.sent
    assert sent.body["messages"][0]["images"] == [DATA, b64encode(PNG + b"2").decode()]
    assert hand.asked[1] == (SECOND, hand.asked[0][1] - len(PNG))
    sent.whole(OLLAMA_ANSWER)
    assert (ear.status, ear.lines[b"x-parley-attempts"]) == (200, b"1")
    on.quiet()


def test_an_address_is_fetched_once_for_all_tries():
    on, hand = stage()
    on.ask("data", messages=shown(FIRST, FIRST))
    hand.finds(PNG)
    on.sent[0].fail()
    on.clock.advance(30)
    assert [len(sent.body["messages"][0]["images"]) for sent in on.sent[:2]] == [2, 2]
    assert len(hand.asked) == 1
    for sent in on.sent[1:]:
        sent.whole(OLLAMA_ANSWER)
    on.quiet()


@pytest.mark.parametrize(
    ("found", "status", "kind"),
    [
        (NOT_ALLOWED, 400, "url_not_allowed"),
        (Failure("body_too_large", "too large", param="image"), 413, "body_too_large"),
        (b"<html>", 400, "invalid_request"),
        (b"", 400, "invalid_request"),
    ],
)
@pytest.mark.parametrize("url", [FIRST, SECOND])
def test_what_cannot_be_had_is_refused_by_its_field(found: bytes | Failure, status: int, kind: str, url: str):
    on, hand = stage()
    _, ear = on.ask("data", messages=shown(url))
    hand.finds(found)
    assert (ear.status, ear.error["code"], ear.error["param"]) == (status, kind, "messages[0].content[1]")
    assert (on.sent, only(on)["kind"]) == ([], kind)
    on.quiet()


def test_another_target_may_take_the_address_itself():
    on, hand = stage()
    on.ask("either", messages=shown(FIRST))
    hand.finds(NOT_ALLOWED)
    (sent,) = on.sent
    assert sent.call.to.origin == "http://a.example"
    assert sent.body["messages"][0]["content"][1]["image_url"]["url"] == FIRST
    sent.whole()
    on.quiet()


def test_nothing_is_fetched_where_nothing_may_be():
    on, hand = stage(fetch=())
    _, ear = on.ask("data", messages=shown(FIRST))
    assert (ear.status, ear.error["code"], ear.error["param"]) == (400, "invalid_request", "messages[0].content[1]")
    assert hand.asked == []
    on.quiet()


def test_nothing_is_fetched_for_a_request_that_is_refused_for_something_else():
    on, hand = stage()
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    turns = shown(FIRST)
    turns[0]["content"].append(sound)
    _, ear = on.ask("data", messages=turns)
    assert (ear.status, hand.asked) == (400, [])
    on.quiet()


def test_a_caller_who_leaves_stops_it():
    on, hand = stage()
    job, _ = on.ask("data", messages=shown(FIRST))
    job.left()
    assert (hand.stopped, on.sent) == (1, [])
    on.quiet()
