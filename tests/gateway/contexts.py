"""Conversations that a test gives and keeps by hand."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway.parts import Ear, Stage, inlet_at
from parley.failure import Failure
from parley.gateway.job import Job
from parley.ports import Request
from parley.wire.dapr.errors import NO_CONTEXT
from parley.wire.dapr.turns import Turn, kept

GONE = Failure("invalid_request", "there is none", status=404, detail=NO_CONTEXT)
ID = "fb512b84-7a1a-4fb4-8bd2-ac7d2ec45984"
TURNS = "/v1.0/conversation/{}/converse"
Then = Callable[[Failure | None], None]


def turns(*pairs: tuple[str, str]) -> list[bytes]:
    """Turns as they are kept, from roles and texts."""
    return [kept(Turn(role, text)) for role, text in pairs]


class HandContext:
    """One request's hold on a conversation: ``said`` is what was done with it, in order."""

    def __init__(self, owner: str, place: str, id: str, then: Then) -> None:
        self.owner, self.place, self.id = owner, place, id
        self.turns: list[bytes] = []
        self.then = then
        self.said: list[str] = []
        self.new: list[Turn] = []
        self.written: Then | None = None

    def admit(self, *before: tuple[str, str]) -> None:
        """It is the request's turn."""
        self.turns = turns(*before)
        self.then(None)

    def keep(self, new: Sequence[bytes], then: Then) -> None:
        self.said.append("keep")
        self.new = [msgspec.json.decode(one, type=Turn) for one in new]
        self.written = then

    def wrote(self, failure: Failure | None = None) -> None:
        """It is on disk, or could not be."""
        assert self.written is not None
        self.written(failure)

    def leave(self) -> None:
        self.said.append("leave")


class HandContexts:
    """The port; ``given`` are the conversations that were asked for."""

    def __init__(self) -> None:
        self.given: list[HandContext] = []

    def enter(self, owner: str, place: str, id: str, then: Then) -> HandContext:
        self.given.append(HandContext(owner, place, id or "new-1", then))
        return self.given[-1]


class Talk:
    """A stage on which conversations are had."""

    def __init__(self, stage: Stage | None = None) -> None:
        self.stage = stage or Stage()
        self.contexts = HandContexts()
        self.stage.gateway.contexts = self.contexts
        self.sent = self.stage.sent

    @property
    def context(self) -> HandContext:
        """The last one that was asked for."""
        return self.contexts.given[-1]

    def ask(self, body: Any, path: str = TURNS, model: str = "one", **headers: str) -> tuple[Job, Ear]:
        """Begin a request."""
        target, ear = path.format(model).encode(), Ear()
        given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        request = Request(given, msgspec.json.encode(body), "req-1", target)
        return self.stage.gateway.begin(inlet_at(target), request, ear), ear

    def answer(self, text: str, **more: Any) -> None:
        """The provider's answer to the call that left last."""
        self.sent[-1].whole(answer(text, **more))

    def settle(self) -> None:
        """What was put off for a moment happens."""
        self.stage.clock.advance(0)


def answer(text: str, **more: Any) -> bytes:
    """A whole answer of a provider."""
    message = {"role": "assistant", "content": text, **more}
    return msgspec.json.encode(
        {
            "id": "c-1",
            "model": "m-1",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2},
        }
    )


def word(text: str) -> bytes:
    """A chunk of a stream."""
    return b"data: %b\n\n" % msgspec.json.encode(
        {"id": "c-1", "model": "m-1", "choices": [{"index": 0, "delta": {"content": text}}]}
    )
