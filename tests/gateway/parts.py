"""A gateway with everything around it played by hand: its clock, its upstreams, its callers."""

from collections.abc import Callable
from typing import Any

import msgspec

from parley.failure import Failure
from parley.gateway import Gateway
from parley.gateway.job import Job
from parley.ports import Call, Headers, Request, Sink
from parley.settings import Limits, Provider, Quirks, Registration, Retries, Settings, Target, Timeouts
from parley.wire.inlets import Inlet, Inlets

JSON: Headers = [(b"content-type", b"application/json")]
EVENTS: Headers = [(b"content-type", b"text/event-stream")]
INLETS = Inlets()
CHAT, MESSAGES, COUNT = b"/v1/chat/completions", b"/v1/messages", b"/v1/messages/count_tokens"
WALL = 1_700_000_000
ANSWER = (
    b'{"id":"c-1","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
)
OPENING = b'data: {"id":"c-1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
WORD = b'data: {"id":"c-1","choices":[{"index":0,"delta":{"content":"Hello."}}]}\n\n'
STOP = (
    b'data: {"id":"c-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
)
DONE = b"data: [DONE]\n\n"
BUSY = Failure("upstream_error", "busy", status=503, detail="status_503")


def error(message: str = "no") -> bytes:
    return msgspec.json.encode({"error": {"message": message, "type": "x", "param": None, "code": None}})


def inlet_at(path: bytes) -> Inlet:
    """The inlet of a path that has one."""
    found = INLETS.find(path)
    assert found is not None
    return found


class ManualClock:
    """Time that passes only when told to; what is due runs then, in order."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.timers: list[ManualTimer] = []

    def now(self) -> float:
        return self.time

    def later(self, delay: float, call: Callable[[], None]) -> "ManualTimer":
        timer = ManualTimer(self.time + delay, call)
        self.timers.append(timer)
        return timer

    @property
    def pending(self) -> list["ManualTimer"]:
        return [timer for timer in self.timers if timer.call is not None]

    def advance(self, seconds: float) -> None:
        end = self.time + seconds
        while due := [timer for timer in self.pending if timer.at <= end]:
            timer = min(due, key=lambda found: found.at)
            self.time = timer.at
            call, timer.call = timer.call, None
            assert call is not None
            call()
        self.time = end


class ManualTimer:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Sent:
    """One call as it left, and the hand that answers it; it is the call's Flight too."""

    def __init__(self, call: Call, sink: Sink) -> None:
        self.call = call
        self.sink = sink
        self.cancelled = self.paused = False

    def cancel(self) -> None:
        self.cancelled = True

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    @property
    def lines(self) -> dict[bytes, bytes]:
        assert self.call.head.endswith(b"\r\n")
        return dict(line.split(b": ", 1) for line in self.call.head.split(b"\r\n")[:-1])  # type: ignore[misc]

    @property
    def body(self) -> dict[str, Any]:
        made: dict[str, Any] = msgspec.json.decode(b"".join(self.call.body))
        return made

    def begin(self, status: int = 200, headers: Headers = EVENTS) -> None:
        self.sink.head(status, headers)

    def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            if not self.cancelled:
                self.sink.body(piece)

    def done(self) -> None:
        if not self.cancelled:
            self.sink.done()

    def whole(self, body: bytes = ANSWER, status: int = 200, headers: Headers = JSON) -> None:
        self.begin(status, headers)
        self.say(body)
        self.done()

    def stream(self, *pieces: bytes) -> None:
        self.begin()
        self.say(*pieces)
        self.done()

    def fail(self, failure: Failure = BUSY) -> None:
        assert not self.cancelled
        self.sink.failed(failure)


class HandUpstream:
    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def send(self, call: Call, sink: Sink) -> Sent:
        self.sent.append(Sent(call, sink))
        return self.sent[-1]

    def close(self) -> None:
        raise AssertionError("the gateway does not close what it was given")


class Ear:
    """A caller: what reached it, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.lines: dict[bytes, bytes] = {}

    def _head(self, word: str, status: int, head: bytes) -> None:
        assert head.endswith(b"\r\n")
        assert not self.heard
        pairs = [line.split(b": ", 1) for line in head.split(b"\r\n")[:-1]]
        self.lines = dict(pairs)  # type: ignore[arg-type]
        assert len(self.lines) == len(pairs)
        self.heard.append((word, status))

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        self._head("answer", status, head)
        self.heard.append(("body", body))

    def open(self, status: int, head: bytes) -> None:
        self._head("open", status, head)

    def send(self, data: bytes) -> None:
        assert self.heard
        assert self.heard[-1][0] != "finish"
        self.heard.append(("send", data))

    def finish(self, *, close: bool = False) -> None:
        assert [word for word, *_ in self.heard].count("finish") == 0
        self.heard.append(("finish", close))

    def cut(self) -> None:
        assert [word for word, *_ in self.heard].count("finish") == 0
        self.heard.append(("cut",))

    @property
    def status(self) -> int:
        status: int = self.heard[0][1]
        return status

    @property
    def error(self) -> dict[str, Any]:
        """The error of an answer."""
        assert [word for word, *_ in self.heard] == ["answer", "body"]
        made: dict[str, Any] = msgspec.json.decode(self.heard[1][1])["error"]
        return made

    @property
    def text(self) -> bytes:
        return b"".join(part for word, part in self.heard if word in ("body", "send"))


def provider(name: str, wire: str = "openai_chat", **more: Any) -> Provider:
    paths = {"chat": "/chat/completions"}
    if wire == "anthropic":
        paths = {"chat": "/messages", "count_tokens": "/messages/count_tokens"}
    known = {"endpoints": (f"http://{name}.example/v1",), "keys": (f"{name}-secret",), "paths": paths}
    return Provider(name=name, type="any", wire=wire, **{**known, **more})


PROVIDERS = (
    provider("a", timeouts=Timeouts(connect=1.0, first_byte=20.0, idle=30.0, total=60.0)),
    provider("b"),
    provider("claude", "anthropic", auth="x-api-key"),
    provider("mute", "anthropic", paths={"chat": "/messages"}),
    provider("words", quirks=Quirks(options={"count": "words"})),
)


def registration(model: str, *targets: str, **more: Any) -> Registration:
    made = tuple(Target(*target.split("/", 1)) for target in targets)
    return Registration(model=model, targets=made, **more)


REGISTRATIONS = (
    registration("one", "a/m-1", retries=Retries(1)),
    registration("again", "a/m-1", retries=Retries(3)),
    registration("two", "a/m-1", "b/m-2"),
    registration("strict", "a/m-1", unknown_fields="strict"),
    registration("drop", "a/m-1", unknown_fields="drop"),
    registration("mixed", "claude/c-1", "a/m-1"),
    registration("claude", "claude/c-1", defaults={"temperature": 1}),
)


class Stage:
    """The gateway, its upstream, and every record that it wrote."""

    def __init__(self, *registrations: Registration, providers: tuple[Provider, ...] = PROVIDERS, **more: Any) -> None:
        self.clock = ManualClock()
        self.upstream = HandUpstream()
        self.records: list[dict[str, Any]] = []
        settings = Settings(
            providers={found.name: found for found in providers},
            registrations={(found.endpoint, found.model): found for found in (*REGISTRATIONS, *registrations)},
            limits=Limits(streams=more.pop("streams", 1000)),
            **more,
        )
        self.gateway = Gateway(
            settings,
            {"native": self.upstream},
            self.clock,
            rand=lambda: 0.5,
            wall=lambda: float(WALL),
            write=lambda line: self.records.append(msgspec.json.decode(line)),
        )

    @property
    def sent(self) -> list[Sent]:
        return self.upstream.sent

    @property
    def counts(self) -> dict[tuple[str, ...], int]:
        return dict(self.gateway.metrics.counts)

    def ask(
        self, model: str = "one", path: bytes = CHAT, headers: Headers | None = None, **members: Any
    ) -> tuple[Job, Ear]:
        limit = {"max_tokens": 9} if path == MESSAGES else {}
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **limit, **members}
        return self.ask_raw(msgspec.json.encode(body), path, headers)

    def ask_raw(self, body: bytes, path: bytes = CHAT, headers: Headers | None = None) -> tuple[Job, Ear]:
        ear = Ear()
        inlet = inlet_at(path)
        return self.gateway.begin(inlet, Request(headers or [], body, "req-1"), ear), ear

    def quiet(self) -> None:
        """Nothing is left over: no job, no open stream, no timer but the heartbeat's, every lane free."""
        assert self.gateway.jobs == set()
        assert self.gateway.metrics.streams == 0
        budget = self.gateway.fleet.budget
        assert (budget.active, budget.retries) == (0, 0)
        self.clock.advance(6)
        assert self.clock.pending == []


def only(stage: Stage) -> dict[str, Any]:
    """The one record there is."""
    assert len(stage.records) == 1
    return stage.records[0]
